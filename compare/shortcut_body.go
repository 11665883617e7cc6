package compare

import (
	"bytes"

	"tandem/capture"
)

// body goes over two bodies, given the content type that both have and whether one of them is coded.
func (s *shortcut) body(p *place, path string, b, c *capture.BodyText, contentType []byte, coded bool) bool {
	s.base, s.path = path, s.path[:0]
	switch {
	case b.Form == capture.NoBody && c.Form == capture.NoBody:
		return true
	case coded || b.Form != c.Form:
		return false
	case b.Form == capture.JSONBody && isTree(b.Text) && isTree(c.Text):
		return s.trees(p, b, c)
	case p.ruled() || !bytes.Equal(b.Text, c.Text):
		return false
	case b.Form == capture.JSONBody, b.Form == capture.TextBody && isPlainText(contentType, b.Text):
		s.tally.leaves++
		return true
	}
	return false
}

func isTree(text []byte) bool   { return text[0] == '{' || text[0] == '[' }
func isString(text []byte) bool { return text[0] == '"' }

// isPlainText reports whether a text body, given as a JSON string, is compared as the text that it is.
func isPlainText(contentType, text []byte) bool {
	switch string(contentType) {
	case `"text/plain"`, `"text/html"`, `"text/plain; charset=utf-8"`, `"text/html; charset=utf-8"`:
		return len(text) > 2 // "" is no body
	}
	return false
}

// trees goes over two JSON lists or objects.
func (s *shortcut) trees(p *place, b, c *capture.BodyText) bool {
	switch {
	case p.settles():
	case bytes.Equal(b.Text, c.Text) && p.silent(b.Text, b.Names):
		s.tally.leaves += int64(b.Leaves)
		return true
	case len(b.Members) > 0 && len(c.Members) > 0:
		return s.objects(p, b, c)
	}
	w := twin{shortcut: s, b: b.Text, c: c.Text}
	return w.whole(p)
}

// objects goes over two objects, whose members are known.
func (s *shortcut) objects(p *place, b, c *capture.BodyText) bool {
	for k := range b.Members {
		x := &b.Members[k]
		if k == len(c.Members) || !bytes.Equal(x.Name, c.Members[k].Name) {
			return s.restOf(p, b, c, k)
		}
		if !s.member(p, x, &c.Members[k]) {
			return false
		}
	}
	return len(c.Members) == len(b.Members) || s.restOf(p, b, c, len(b.Members))
}

func (s *shortcut) member(p *place, b, c *capture.MemberText) bool {
	name, ok := nameOf(b.Name)
	if !ok {
		return false
	}
	below := p.atName(name)
	if !below.ruled() && bytes.Equal(b.Value, c.Value) && below.silent(b.Value, b.Names) {
		s.tally.leaves += int64(b.Leaves)
		return true
	}
	s.path = append(s.path, pathStep{name: name})
	w := twin{shortcut: s, b: b.Value, c: c.Value}
	ok = w.value(below, 1)
	s.path = s.path[:len(s.path)-1]
	return ok
}

// restOf sets aside two objects, neither of which is empty, from their kth members on.
func (s *shortcut) restOf(p *place, b, c *capture.BodyText, k int) bool {
	from := func(body *capture.BodyText) []byte {
		if k < len(body.Members) {
			return body.Text[body.Members[k].Start:]
		}
		return body.Text[len(body.Text)-1:]
	}
	w := twin{shortcut: s, b: from(b), c: from(c)}
	return w.rest(p, false)
}
