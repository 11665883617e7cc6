package compare

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/capture/jsonval"
)

// child returns the pointer to a member or an element of what path points to.
func child(path, segment string) string {
	return path + "/" + strings.ReplaceAll(strings.ReplaceAll(segment, "~", "~0"), "/", "~1")
}

// appendChild is child for bytes.
func appendChild(path, segment []byte) []byte {
	if bytes.ContainsAny(segment, "~/") {
		return append(path, child("", string(segment))...)
	}
	return append(append(path, '/'), segment...)
}

func childAt(path string, index int) string { return path + "/" + strconv.Itoa(index) }

// A place is where a walk down a document stands among the rules' patterns: a state of the automaton that all of a
// function's patterns were compiled to. A nil place is one below which no rule applies.
type place struct {
	here     []*rule // rules whose pattern ends here, in the order in which they were declared
	literals map[string]*place
	prefixes []prefixPlace // longest first
	other    *place
	aliases  bool            // whether an alias rule ends here or below
	exits    jsonval.NameSet // of the literals that lead elsewhere than other
	// sought has one for each rule that ends below; anywhere says that one of these has none.
	sought   []sought
	anywhere bool
}

// A sought is a text without which no document leads to the end of a rule: a name, or the beginning of one.
type sought struct {
	text  []byte // as JSON has it, without the quote before it: what begins otherwise is found sooner
	names jsonval.NameSet
}

// silent reports whether no rule can end below p in a document, given by its JSON and the names in it.
func (p *place) silent(text []byte, names jsonval.NameSet) bool {
	if p == nil {
		return true
	}
	if p.anywhere || names.HasEscapes() {
		return false
	}
	for i := range p.sought {
		if s := &p.sought[i]; names.Has(s.names) && bytes.Contains(text, s.text) {
			return false
		}
	}
	return true
}

// seek notes what leads to the end of a rule.
func (p *place) seek(path []string) {
	for _, s := range slices.Backward(path) {
		prefix, begins := strings.CutSuffix(s, "*")
		quoted := strconv.Quote(prefix)
		if prefix == "" || prefix == "*" || number(prefix) || quoted != `"`+prefix+`"` { // an index is not in the text
			continue
		}
		name := sought{text: []byte(quoted[1:]), names: jsonval.NameOf(prefix)}
		if begins {
			name = sought{text: []byte(prefix)} // which any set may have
		}
		if !slices.ContainsFunc(p.sought, func(s sought) bool { return bytes.Equal(s.text, name.text) }) {
			p.sought = append(p.sought, name)
		}
		return
	}
	p.anywhere = true
}

type prefixPlace struct {
	prefix string
	next   *place
}

// at returns the place of a member or an element.
func (p *place) at(segment string) *place {
	if p == nil {
		return nil
	}
	if p.exits.Has(jsonval.NameOf(segment)) {
		if next, ok := p.literals[segment]; ok {
			return next
		}
	}
	for _, x := range p.prefixes {
		if strings.HasPrefix(segment, x.prefix) {
			return x.next
		}
	}
	return p.other
}

// atName is at for a name in bytes.
func (p *place) atName(name []byte) *place {
	if p == nil || len(p.prefixes) == 0 && !p.exits.Has(jsonval.NameOf(name)) {
		return p.beyond()
	}
	return p.at(string(name))
}

// beyond returns the place of what no pattern spells out.
func (p *place) beyond() *place {
	if p == nil {
		return nil
	}
	return p.other
}

// atIndex returns the place of a list's element.
func (p *place) atIndex(i int) *place {
	if p == nil || len(p.literals)+len(p.prefixes) == 0 {
		return p.at("")
	}
	return p.at(strconv.Itoa(i))
}

// ignoring returns the rule that ignores whatever stands at p, if there is one.
func (p *place) ignoring() *rule { return p.with(Ignore) }

// unordered returns the rule that takes the order of the list at p as meaningless, if there is one.
func (p *place) unordered() *rule { return p.with(Unordered) }

func (p *place) has(t Treatment) bool { return p.with(t) != nil }

func (p *place) with(t Treatment) *rule {
	if p == nil {
		return nil
	}
	for _, r := range p.here {
		if r.Treat == t {
			return r
		}
	}
	return nil
}

// position is a pattern and how much of it has been walked.
type position struct {
	rule *rule
	next int
}

// compilePlaces builds the automaton of rules by the subset construction: one place for each set of positions that
// can be reached. The alphabet is the patterns' own segments, a stand-in for each prefix, and one for all others.
func compilePlaces(rules []*rule) *place {
	c := placeCompiler{made: make(map[string]*place)}
	var start []position
	for _, r := range rules {
		start = append(start, position{r, 0})
		for _, s := range r.path {
			switch {
			case s == "*" || s == "**":
			case strings.HasSuffix(s, "*"):
				c.prefixes = append(c.prefixes, strings.TrimSuffix(s, "*"))
			default:
				c.literals = append(c.literals, s)
			}
		}
	}
	slices.SortFunc(c.prefixes, func(a, b string) int { return len(b) - len(a) })
	return c.place(closure(start))
}

type placeCompiler struct {
	literals, prefixes []string
	made               map[string]*place
}

// noSegment is in no document's segment that a pattern could spell out, so it stands for "anything else".
const noSegment = "\x00"

func (c *placeCompiler) place(at []position) *place {
	if len(at) == 0 {
		return nil
	}
	key := ""
	for _, p := range at {
		key += fmt.Sprintf("%d.%d ", p.rule.index, p.next)
	}
	if p, ok := c.made[key]; ok {
		return p
	}
	p := &place{literals: make(map[string]*place)}
	c.made[key] = p
	for _, pos := range at {
		p.aliases = p.aliases || pos.rule.Treat == Alias
		if pos.next == len(pos.rule.path) {
			p.here = append(p.here, pos.rule)
		} else {
			p.seek(pos.rule.path[pos.next:])
		}
	}
	for _, s := range c.literals {
		p.literals[s] = c.place(step(at, s))
	}
	for _, s := range c.prefixes {
		p.prefixes = append(p.prefixes, prefixPlace{s, c.place(step(at, s+noSegment))})
	}
	p.other = c.place(step(at, noSegment))
	if !slices.ContainsFunc(p.prefixes, func(x prefixPlace) bool { return x.next != p.other }) {
		p.prefixes = nil
	}
	for s, next := range p.literals {
		if next != p.other {
			p.exits |= jsonval.NameOf(s)
		}
	}
	return p
}

// step returns the positions after one more segment.
func step(at []position, segment string) []position {
	var next []position
	for _, p := range at {
		if p.next == len(p.rule.path) {
			continue
		}
		switch want := p.rule.path[p.next]; {
		case want == "**":
			next = append(next, p)
		case want == "*", want == segment,
			strings.HasSuffix(want, "*") && strings.HasPrefix(segment, strings.TrimSuffix(want, "*")):
			next = append(next, position{p.rule, p.next + 1})
		}
	}
	return closure(next)
}

// closure adds the positions that ** reaches by standing for nothing.
func closure(at []position) []position {
	for i := 0; i < len(at); i++ {
		p := at[i]
		if p.next < len(p.rule.path) && p.rule.path[p.next] == "**" {
			if q := (position{p.rule, p.next + 1}); !slices.Contains(at, q) {
				at = append(at, q)
			}
		}
	}
	slices.SortFunc(at, func(a, b position) int {
		return cmp.Or(cmp.Compare(a.rule.index, b.rule.index), cmp.Compare(a.next, b.next))
	})
	return slices.Compact(at) // ** and * may have led to one position by two ways
}
