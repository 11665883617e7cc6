package compare

import (
	"slices"

	"tandem/capture/jsonval"
)

// A tally counts what the rules did to one or more pairs of documents. Tallies add up in any order.
type tally struct {
	applied []int64 // by rule: values that it was asked about
	hits    []int64 // by rule: unequal values that it took as equal
	leaves  int64   // values compared, in the baseline's documents
	ignored int64   // of these, those that no rule or only their type still checks
}

func newTally(rules int) *tally {
	return &tally{applied: make([]int64, rules), hits: make([]int64, rules)}
}

func (t *tally) add(u *tally) {
	for i := range t.hits {
		t.applied[i] += u.applied[i]
		t.hits[i] += u.hits[i]
	}
	t.leaves += u.leaves
	t.ignored += u.ignored
}

func (t *tally) hit(r *rule) {
	if t != nil {
		t.hits[r.index]++
	}
}

// ignore counts what a rule dropped of the baseline's.
func (t *tally) ignore(r *rule, dropped []jsonval.Value, unequal bool) {
	t.applied[r.index]++
	if unequal {
		t.hits[r.index]++
	}
	for _, v := range dropped {
		t.ignored += int64(leaves(v))
	}
}

// A reconciler makes one document equal to another wherever rules take the two as equal. See [reconciler.agree] for
// the same without changing anything.
type reconciler struct {
	tally *tally    // nil to count nothing
	names *renaming // the aliases that are known
	// wild takes any two values under an alias as equal. Found, where there is one, is told of them, and then the
	// walk is a search that changes nothing.
	wild  bool
	found func(aliasPair)
	lists listScope
	depth int // lists without order that the walk is in
}

// A listScope says which part of a document a walk for aliases is about. What stands in lists without order can be
// paired once the aliases outside of them are known.
type listScope int

const (
	everywhere listScope = iota
	outsideUnordered
	insideUnordered
)

// reconcile makes c equal to b wherever a rule at or below p takes the two as equal. Both trees may be changed; they
// must not be shared.
func (r *reconciler) reconcile(p *place, path string, b, c *jsonval.Value) {
	if p == nil {
		return
	}
	for _, rule := range p.here {
		if r.settle(rule, path, b, c) {
			if r.found == nil {
				*c = *b
			}
			return
		}
	}
	if r.found != nil && (p.has(JSON) || p.has(Unordered)) {
		x, y := *b, *c
		b, c = &x, &y
	}
	for _, rule := range p.here {
		if rule.Treat == JSON {
			if x, y, ok := parseTexts(b, c); ok {
				r.tally.hit(rule)
				*b, *c = x, y
				break
			}
		}
	}
	switch {
	case b.Kind == jsonval.Object && c.Kind == jsonval.Object:
		r.members(p, path, b, c)
	case b.Kind == jsonval.Array && c.Kind == jsonval.Array:
		if rule := p.unordered(); rule != nil {
			if r.lists == outsideUnordered {
				return
			}
			if r.reorder(p, b, c) {
				r.tally.hit(rule)
			}
			r.depth++
			defer func() { r.depth-- }()
		}
		for i := range min(len(b.Elems), len(c.Elems)) {
			if below := p.atIndex(i); below != nil {
				r.reconcile(below, r.childAt(path, i), &b.Elems[i], &c.Elems[i])
			}
		}
	}
}

// settle lets one rule look at two values, counts it, and reports whether it takes them as equal as they are.
func (r *reconciler) settle(rule *rule, path string, b, c *jsonval.Value) bool {
	if rule.Treat == Alias && r.found != nil && aliasable(b, c) && (r.lists != insideUnordered || r.depth > 0) {
		r.found(aliasPair{rule, path, b.Text, c.Text})
	}
	if r.tally == nil {
		return r.allows(rule, b, c)
	}
	r.tally.applied[rule.index]++
	if rule.Treat == Ignore || rule.Treat == Type && b.Kind == c.Kind {
		r.tally.ignored += int64(leaves(*b))
		if !jsonval.Equal(*b, *c) {
			r.tally.hit(rule)
		}
		return true
	}
	if jsonval.Equal(*b, *c) || !r.allows(rule, b, c) {
		return false
	}
	if rule.Treat != Alias { // aliases are counted when they are found
		r.tally.hit(rule)
	}
	return true
}

func (r *reconciler) allows(rule *rule, b, c *jsonval.Value) bool {
	if rule.Treat == Alias {
		return aliasable(b, c) && (r.wild || r.names.holds(rule, b.Text, c.Text))
	}
	return rule.allows(*b, *c)
}

// members reconciles two objects, name by name. A name that only one side has is dropped when a rule ignores it.
func (r *reconciler) members(p *place, path string, b, c *jsonval.Value) {
	pairs := partnersOf(b, c)
	for i, name := range b.Names {
		if j := pairs.of(i); j >= 0 {
			if below := p.at(name); below != nil {
				r.reconcile(below, r.child(path, name), &b.Elems[i], &c.Elems[j])
			}
		}
	}
	if pairs == nil || r.found != nil {
		return
	}
	dropped := 0
	drop := func(v *jsonval.Value, i int, counted bool) bool {
		rule := p.at(v.Names[i]).ignoring()
		if rule == nil {
			return false
		}
		dropped++
		if r.tally != nil {
			r.tally.applied[rule.index]++
			r.tally.hit(rule)
			if counted {
				r.tally.ignored += int64(leaves(v.Elems[i]))
			}
		}
		return true
	}
	extra := make([]bool, len(c.Names))
	for _, j := range pairs.unpartnered(len(c.Names)) {
		extra[j] = true
	}
	keptB := without(b, func(i int) bool { return pairs[i] < 0 && drop(b, i, true) })
	keptC := without(c, func(j int) bool { return extra[j] && drop(c, j, false) })
	if dropped > 0 {
		*b, *c = keptB, keptC
	}
}

// reorder puts c's elements in the order of those of b that they agree with; what agrees with nothing takes the
// places that are left. It reports whether the lists were in different orders and every element found its like.
func (r *reconciler) reorder(p *place, b, c *jsonval.Value) bool {
	if jsonval.Equal(*b, *c) {
		return false
	}
	uniform := p.uniform(max(len(b.Elems), len(c.Elems)))
	agree := func(q *reconciler, i, j int) bool { return q.agree(p.atIndex(i), &b.Elems[i], &c.Elems[j]) }
	partner := r.assignAgreeing(digests(p, b.Elems, uniform), digests(p, c.Elems, uniform), agree)
	moved, all := false, len(b.Elems) == len(c.Elems)
	taken := make([]bool, len(c.Elems))
	for i, j := range partner {
		if j >= 0 {
			taken[j] = true
		}
		moved = moved || j != i
		all = all && j >= 0
	}
	ordered := make([]jsonval.Value, 0, len(c.Elems))
	next := 0
	free := func() {
		for next < len(taken) && taken[next] {
			next++
		}
		if next < len(taken) {
			ordered = append(ordered, c.Elems[next])
			next++
		}
	}
	for _, j := range partner {
		if j >= 0 {
			ordered = append(ordered, c.Elems[j])
		} else {
			free()
		}
	}
	for len(ordered) < len(c.Elems) {
		free()
	}
	c.Elems = ordered
	return moved && all
}

// assignAgreeing pairs up what agrees by the aliases that are known and then, where these are still looked for, what
// would agree if aliases were found.
func (r *reconciler) assignAgreeing(b, c []uint64, agree func(q *reconciler, i, j int) bool) []int {
	known := &reconciler{names: r.names}
	partner := assign(b, c, func(i, j int) bool { return agree(known, i, j) })
	if !r.wild || !slices.Contains(partner, -1) {
		return partner
	}
	var freeB, freeC []int
	taken := make([]bool, len(c))
	for i, j := range partner {
		if j < 0 {
			freeB = append(freeB, i)
		} else {
			taken[j] = true
		}
	}
	for j := range c {
		if !taken[j] {
			freeC = append(freeC, j)
		}
	}
	wild := &reconciler{names: r.names, wild: true}
	more := assign(pick(b, freeB), pick(c, freeC), func(i, j int) bool { return agree(wild, freeB[i], freeC[j]) })
	for i, j := range more {
		if j >= 0 {
			partner[freeB[i]] = freeC[j]
		}
	}
	return partner
}

func pick[T any](list []T, at []int) []T {
	picked := make([]T, len(at))
	for i, k := range at {
		picked[i] = list[k]
	}
	return picked
}

// child and childAt spell paths only for whoever wants to know them.
func (r *reconciler) child(path, name string) string {
	if r.found == nil {
		return ""
	}
	return child(path, name)
}

func (r *reconciler) childAt(path string, i int) string {
	if r.found == nil {
		return ""
	}
	return childAt(path, i)
}

// parseTexts returns what two different texts hold, when both hold JSON.
func parseTexts(b, c *jsonval.Value) (x, y jsonval.Value, ok bool) {
	if b.Kind != jsonval.String || c.Kind != jsonval.String || b.Text == c.Text {
		return x, y, false
	}
	x, errX := jsonval.Parse([]byte(b.Text))
	y, errY := jsonval.Parse([]byte(c.Text))
	return x, y, errX == nil && errY == nil
}

func clone(v jsonval.Value) jsonval.Value {
	v.Elems = slices.Clone(v.Elems)
	for i := range v.Elems {
		v.Elems[i] = clone(v.Elems[i])
	}
	v.Names = slices.Clone(v.Names)
	return v
}
