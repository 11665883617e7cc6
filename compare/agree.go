package compare

import "tandem/capture/jsonval"

// agree reports whether the rules at and below p take b and c as equal. It says what comparing the two after
// [reconciler.reconcile] would say, and changes and counts nothing.
func (r *reconciler) agree(p *place, b, c *jsonval.Value) bool {
	if p == nil {
		return jsonval.Equal(*b, *c)
	}
	for _, rule := range p.here {
		if r.allows(rule, b, c) {
			return true
		}
	}
	if p.has(JSON) {
		if x, y, ok := parseTexts(b, c); ok {
			return r.agreeBelow(p, &x, &y)
		}
	}
	return r.agreeBelow(p, b, c)
}

func (r *reconciler) agreeBelow(p *place, b, c *jsonval.Value) bool {
	switch {
	case !sameType(*b, *c):
		return false
	case b.Kind == jsonval.Object:
		return r.membersAgree(p, b, c)
	case b.Kind == jsonval.Array && len(b.Elems) == len(c.Elems):
		return r.elementsAgree(p, b, c)
	default:
		return jsonval.Equal(*b, *c)
	}
}

func (r *reconciler) membersAgree(p *place, b, c *jsonval.Value) bool {
	pairs := partnersOf(b, c)
	for i, name := range b.Names {
		below := p.at(name)
		if j := pairs.of(i); j < 0 && below.ignoring() == nil || j >= 0 && !r.agree(below, &b.Elems[i], &c.Elems[j]) {
			return false
		}
	}
	for _, j := range pairs.unpartnered(len(c.Names)) {
		if p.at(c.Names[j]).ignoring() == nil {
			return false
		}
	}
	return true
}

func (r *reconciler) elementsAgree(p *place, b, c *jsonval.Value) bool {
	if p.unordered() != nil {
		x := jsonval.Value{Kind: jsonval.Array, Elems: c.Elems}
		if _, all := r.reorder(p, b, &x); all {
			return true
		}
		c = &x
	}
	for i := range b.Elems {
		if !r.agree(p.atIndex(i), &b.Elems[i], &c.Elems[i]) {
			return false
		}
	}
	return true
}
