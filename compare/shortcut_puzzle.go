package compare

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

// puzzle sets aside the texts of two values.
func (s *shortcut) puzzle(p *place, b, c []byte, leaves int) bool {
	x, okB := s.leafOf(b)
	y, okC := s.leafOf(c)
	return okB && okC && s.values(p, x, y, c, leaves)
}

// leafOf parses a value, most of which are texts and numbers. A text that is no Unicode is not ok: but in the JSON of
// bodies, encoding/json makes another one of it.
func (s *shortcut) leafOf(raw []byte) (v jsonval.Value, ok bool) {
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		v = jsonval.Text(s.texts.String(raw[1 : len(raw)-1]))
	case c == '-' || '0' <= c && c <= '9':
		return jsonval.Value{Kind: jsonval.Number, Text: s.texts.String(raw)}, true
	default:
		var err error
		if v, err = jsonval.Parse(raw); err != nil {
			return v, false
		}
	}
	return v, utf8.ValidString(v.Text)
}

// values sets aside two values, the candidate's of which is in a part of its text.
func (s *shortcut) values(p *place, b, c jsonval.Value, part []byte, leaves int) bool {
	if !p.ruled() && !s.rules.aliases && !jsonval.Equal(b, c) {
		return false
	}
	s.add(puzzle{place: p, b: b, c: c, part: part}, leaves)
	return true
}

// normalized is values for two that are not as their texts have them, so that an alias may stand in them where it does not
// stand in these.
func (s *shortcut) normalized(p *place, b, c jsonval.Value, part []byte, leaves int) bool {
	if !s.values(p, b, c, part, leaves) {
		return false
	}
	s.puzzles[len(s.puzzles)-1].named = true
	return true
}

func (s *shortcut) add(z puzzle, leaves int) {
	if z.place != nil && z.place.aliases {
		z.path = s.here()
		s.search(z.place, z.path, z.rest, &z.b, &z.c)
	}
	s.puzzles = append(s.puzzles, z)
	s.tally.leaves += int64(leaves)
}

// search notes the aliases in two values, or, with rest, in two objects at a place whose own rules are of no matter.
func (s *shortcut) search(p *place, path string, rest bool, b, c *jsonval.Value) {
	if p == nil || !p.aliases {
		return
	}
	renamed := s.names.apply(*c)
	walk := reconciler{names: &s.names, wild: true, lists: s.lists, keys: s.rules.keys, found: s.note}
	if s.lists == everywhere {
		walk.keys = keyNames // as for all effects
	}
	if rest {
		walk.members(p, path, b, &renamed)
	} else {
		walk.reconcile(p, path, b, &renamed)
	}
}

func (s *shortcut) note(p aliasPair) { s.found = append(s.found, p) }

// know takes over the aliases that were found.
func (s *shortcut) know() {
	if len(s.found) == 0 {
		return
	}
	for i := range s.found {
		s.found[i].candidate = rewrite(s.found[i].candidate, s.names.back)
	}
	s.pairs = append(s.pairs, s.found...)
	s.found = s.found[:0]
	s.names.add(s.pairs)
}

// searchInside finds the aliases in lists without order, all of which are in puzzles.
func (s *shortcut) searchInside() {
	s.lists = insideUnordered
	for i := range s.puzzles {
		z := &s.puzzles[i]
		s.search(z.place, z.path, z.rest, &z.b, &z.c)
	}
	s.know()
}

// consistent reports whether the aliases contradict one another nowhere, and whether what the candidate generated
// stands nowhere in its text but in what was set aside, so that texts that are equal are so once it is rewritten, too.
func (s *shortcut) consistent() bool {
	const few = 64 // each of them is searched for
	if len(s.names.broken) > 0 || len(s.names.told) > few || len(s.names.told) > 0 && spelledOut(s.text) {
		return false
	}
	for from := range s.names.tokens.to {
		if !isPlain(from) || s.stands(from) {
			return false
		}
	}
	return true
}

// isPlain reports whether JSON writes a text in one way, escapes by number left aside, and within one string or
// number.
func isPlain(token string) bool {
	for i := range len(token) {
		if !plainByte(token[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool { return wordByte(c) || strings.IndexByte("-_.+:=~@", c) >= 0 }

// spelledOut reports whether JSON may write a byte of a plain text by its number.
func spelledOut(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(`\u00`))
		if i < 0 {
			return false
		}
		if text = text[i+4:]; len(text) < 2 {
			return true
		}
		if c, err := strconv.ParseUint(string(text[:2]), 16, 8); err != nil || plainByte(byte(c)) {
			return true
		}
	}
}

// stands reports whether a token may stand outside of what was set aside or is ignored. It notes in which puzzles it
// stands.
func (s *shortcut) stands(token string) bool {
	sought := []byte(token)
	n := bytes.Count(s.text, sought)
	if n == 0 {
		return false
	}
	for _, part := range s.ignored {
		n -= bytes.Count(part, sought)
	}
	for i := range s.puzzles {
		if k := bytes.Count(s.puzzles[i].part, sought); k > 0 {
			s.puzzles[i].named = true
			n -= k
		}
	}
	return n != 0
}

// solve reconciles the puzzles, and reports whether they are equal then.
func (s *shortcut) solve() bool {
	walk := reconciler{tally: s.tally, names: &s.names, keys: s.rules.keys}
	for i := range s.puzzles {
		z := &s.puzzles[i]
		c := z.c
		if z.named {
			c = s.names.apply(c)
		}
		switch {
		case z.place == nil:
		case z.rest:
			walk.members(z.place, "", &z.b, &c)
		default:
			walk.reconcile(z.place, "", &z.b, &c)
		}
		if !jsonval.Equal(z.b, c) {
			return false
		}
	}
	return true
}
