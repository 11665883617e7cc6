package compare

import (
	"bytes"
	"slices"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// effects goes over the effects, each with that in the same position, and reports whether the aligner would put them
// side by side so.
func (s *shortcut) effects(b, c *capture.OutcomeText) bool {
	p := s.rules.root.at("effects")
	if p.settles() {
		return false
	}
	s.lists = everywhere
	for i := range b.Effects {
		if !s.effect(p.atIndex(i), i, &b.Effects[i], &c.Effects[i]) {
			return false
		}
	}
	fresh := false
	for _, p := range s.found {
		fresh = fresh || p.baseline != p.candidate && !s.names.holds(p.rule, p.baseline, p.candidate)
	}
	s.know()
	return !fresh || s.apartStreams(b.Effects)
}

// effect goes over one effect of both sides. Its members come in the order that its document has them in.
func (s *shortcut) effect(p *place, i int, b, c *capture.EffectText) (ok bool) {
	if p.settles() || b.Kind != c.Kind || b.Resource == nil || c.Resource == nil {
		return false
	}
	path := childAt("/effects", i)
	part := func(name string, x, y []byte) bool {
		s.base, s.path = path+"/"+name, s.path[:0]
		return s.sameStream(x, y) && s.leaf(p.at(name), x, y)
	}
	kind := jsonval.AppendQuoted(nil, string(b.Kind))
	if !part("key", effectKey(b), effectKey(c)) || !part("kind", kind, kind) || !part("resource", b.Resource, c.Resource) {
		return false
	}
	if s.flatB, s.flatC, ok = flatMembers(s.flatB, s.flatC, b.Attributes, c.Attributes); !ok {
		return false
	}
	contentType := s.flatB.single("content-type")
	coded := s.flatB.has("content-encoding") || s.flatC.has("content-encoding")
	if !bytes.Equal(contentType, s.flatC.single("content-type")) ||
		!s.body(p.at("body"), path+"/body", &b.Body, &c.Body, contentType, coded) {
		return false
	}
	attributes := p.at("attributes")
	if attributes.settles() || (len(s.flatB) == 0) != (len(s.flatC) == 0) {
		return false
	}
	s.base, s.path = path+"/attributes", s.path[:0]
	return s.merge(attributes, isTextMember, func(p *place, name, b, c []byte) bool {
		if string(name) == "content-type" && !asWritten(name, b) && (p.ruled() || s.rules.aliases) {
			return false // it is compared in another form
		}
		return s.leaf(p, b, c)
	})
}

// effectKey is an effect's key as a JSON string. Messages outside of groups have none.
func effectKey(e *capture.EffectText) []byte {
	if e.Key == nil {
		return []byte(`""`)
	}
	return e.Key
}

// sameStream reports whether what names an effect's stream is the same on both sides, by the aliases that the answers
// have.
func (s *shortcut) sameStream(b, c []byte) bool {
	if bytes.Equal(b, c) {
		return true
	}
	x, okX := s.leafOf(b)
	y, okY := s.leafOf(c)
	return okX && okY && rewrite(y.Text, s.names.tokens) == x.Text
}

// apartStreams reports whether each effect has a stream of its own, so that none but its like can be put beside it.
func (s *shortcut) apartStreams(effects []capture.EffectText) bool {
	type stream struct {
		message       bool
		resource, key string
	}
	const few = 16
	var space [few]stream
	streams := space[:0]
	for i := range effects {
		e := &effects[i]
		resource, okR := s.leafOf(e.Resource)
		key, okK := s.leafOf(effectKey(e))
		x := stream{e.Kind == capture.MessageSend, resource.Text, key.Text}
		if !okR || !okK || len(streams) == few || slices.Contains(streams, x) {
			return false
		}
		streams = append(streams, x)
	}
	return true
}
