package compare

import (
	"bytes"
	"slices"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// headers goes over the headers. It reports whether one of them says that the body is coded.
func (s *shortcut) headers(p *place, b, c *capture.OutcomeText) (coded, ok bool) {
	const coding = "content-encoding"
	if s.flatB, s.flatC, ok = flatMembers(s.flatB, s.flatC, b.Headers, c.Headers); !ok || p.settles() {
		return false, false
	}
	s.base, s.path = "/http/headers", s.path[:0]
	if len(s.flatB) == 0 {
		s.tally.leaves++
	}
	coded = s.flatB.has(coding) || s.flatC.has(coding)
	plain := func(name, value []byte) bool {
		_, ok := onlyElement(value)
		return ok && isLower(name)
	}
	return coded, s.merge(p, plain, func(p *place, name, b, c []byte) bool {
		x, _ := onlyElement(b)
		y, _ := onlyElement(c)
		if bytes.Equal(x, y) && (asWritten(name, x) || p.ignored() || !p.ruled() && !s.rules.aliases) {
			return s.leaf(p, x, y)
		}
		return s.header(p, string(name), x, y)
	})
}

// ignored reports whether all that rules at p say is that what stands there is ignored.
func (p *place) ignored() bool { return p.ruled() && p.only(Ignore) }

// asWritten reports whether a header is compared as it is written; see [headerText].
func asWritten(name, text []byte) bool {
	switch string(name) {
	case "content-type":
		switch string(text) {
		case `"application/json"`, `"application/json; charset=utf-8"`:
			return true
		}
		return isPlainText(text, text)
	case "content-length", "etag", "location", "server":
		return true
	}
	return bytes.HasPrefix(name, []byte("x-"))
}

// header goes over a header as it is compared, which is not as it is written. Of a content type that depends on the body:
// a body of parts is left to the obvious way, and so is text whose two types are not written alike.
func (s *shortcut) header(p *place, name string, b, c []byte) bool {
	x, okX := s.leafOf(b)
	y, okY := s.leafOf(c)
	if !okX || !okY {
		return false
	}
	x.Text, y.Text = headerText(name, x.Text, &x), headerText(name, y.Text, &y)
	return s.normalized(p, x, y, c, 1)
}

// merge goes over members of both sides by their names, in flatB and flatC, all of which have to be plain. What one side
// alone has must be ignored.
func (s *shortcut) merge(p *place, plain func(name, value []byte) bool,
	both func(p *place, name, b, c []byte) bool) bool {
	for _, list := range [...]flatList{s.flatB, s.flatC} {
		for _, m := range list {
			if !plain(m.name, m.value) {
				return false
			}
		}
	}
	b, c := s.flatB, s.flatC
	for len(b) > 0 || len(c) > 0 {
		order := 0
		switch {
		case len(b) == 0:
			order = 1
		case len(c) == 0:
			order = -1
		default:
			order = bytes.Compare(b[0].name, c[0].name)
		}
		switch {
		case order < 0:
			if !s.dropped(p.atName(b[0].name), 1) {
				return false
			}
			s.tally.leaves++
			b = b[1:]
		case order > 0:
			if !s.dropped(p.atName(c[0].name), 0) {
				return false
			}
			s.ignored = append(s.ignored, c[0].value)
			c = c[1:]
		default:
			s.path = append(s.path, pathStep{name: b[0].name})
			ok := both(p.atName(b[0].name), b[0].name, b[0].value, c[0].value)
			s.path = s.path[:len(s.path)-1]
			if !ok {
				return false
			}
			b, c = b[1:], c[1:]
		}
	}
	return true
}

// dropped counts what one side alone has, with so many of the baseline's leaves, and reports whether it is ignored.
func (s *shortcut) dropped(p *place, leaves int) bool {
	rule := p.ignoring()
	if rule == nil {
		return false
	}
	s.tally.applied[rule.index]++
	s.tally.hit(rule)
	s.tally.ignored += int64(leaves)
	s.tally.under[rule.index] += int64(leaves)
	return true
}

// A flatMember is a member of an object as it is written.
type flatMember struct{ name, value []byte }

type flatList []flatMember

// flatMembers takes two objects apart, into memory that is used again. Ok is false where names are not plain or not in
// ascending order, which says that none is there twice.
func flatMembers(b, c flatList, textB, textC []byte) (listB, listC flatList, ok bool) {
	listB, okB := flatOf(b[:0], textB)
	listC, okC := flatOf(c[:0], textC)
	return listB, listC, okB && okC
}

func flatOf(list flatList, text []byte) (_ flatList, ok bool) {
	r := jsonval.Reader{}
	if !r.Begin(text) {
		return list, true
	}
	r.Object(func(name []byte) {
		if k := len(list); k > 0 && bytes.Compare(list[k-1].name, name) >= 0 || !isPlainName(name) {
			r.GiveUp()
			return
		}
		list = append(list, flatMember{name, r.Raw()})
	})
	return list, r.Ok()
}

// isTextMember reports whether a member is a text.
func isTextMember(_, value []byte) bool { return isString(value) }

func isPlainName(name []byte) bool {
	for _, c := range name {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func (l flatList) has(name string) bool { return l.single(name) != nil }

// single returns the value of a member that is a list of one element, or the value as it is, or nil.
func (l flatList) single(name string) []byte {
	i := slices.IndexFunc(l, func(m flatMember) bool { return string(m.name) == name })
	if i < 0 {
		return nil
	}
	if only, ok := onlyElement(l[i].value); ok {
		return only
	}
	return l[i].value
}

// onlyElement returns the text in a list of one text.
func onlyElement(list []byte) (elem []byte, ok bool) {
	if len(list) < 4 || list[0] != '[' || list[1] != '"' {
		return nil, false
	}
	end := jsonval.SkipString(list, 1)
	return list[1:max(end, 1)], end == len(list)-1
}

// isLower reports whether a header's name is as captures write it.
func isLower(name []byte) bool {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}
