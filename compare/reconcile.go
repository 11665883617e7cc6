package compare

import (
	"encoding/base64"
	"slices"

	"tandem/capture/jsonval"
	"tandem/capture/redact"
)

// A tally counts what the rules did to one or more pairs of documents. Tallies add up in any order.
type tally struct {
	applied []int64 // by rule: values that it was asked about
	hits    []int64 // by rule: unequal values that it took as equal
	under   []int64 // by rule: the baseline's leaves in what it was asked about
	leaves  int64   // values compared, in the baseline's documents
	ignored int64   // of these, those that no rule or only their type still checks
}

func newTally(rules int) *tally {
	return &tally{applied: make([]int64, rules), hits: make([]int64, rules), under: make([]int64, rules)}
}

func (t *tally) clear() {
	clear(t.applied)
	clear(t.hits)
	clear(t.under)
	t.leaves, t.ignored = 0, 0
}

func (t *tally) add(u *tally) {
	for i := range t.hits {
		t.applied[i] += u.applied[i]
		t.hits[i] += u.hits[i]
		t.under[i] += u.under[i]
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
		n := int64(leaves(v))
		t.ignored += n
		t.under[r.index] += n
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
	depth int      // lists without order that the walk is in
	keys  []string // members that name an element of a list
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
	if p == nil || r.found != nil && !p.aliases {
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
	case !sameType(*b, *c):
	case b.Kind == jsonval.Object:
		r.members(p, path, b, c)
	case b.Kind == jsonval.Array:
		r.elements(p, path, b, c)
	}
}

// elements reconciles two lists: element by element or, where one list is longer, each with the one that it goes
// with.
func (r *reconciler) elements(p *place, path string, b, c *jsonval.Value) {
	rule := p.unordered()
	if rule != nil {
		if r.lists == outsideUnordered {
			return
		}
		if moved, all := r.reorder(p, b, c); moved && all {
			r.tally.hit(rule)
		}
		r.depth++
		defer func() { r.depth-- }()
	}
	if len(b.Elems) != len(c.Elems) && p.atIndex(0) != nil && p.uniform(max(len(b.Elems), len(c.Elems))) {
		for _, e := range r.align(p, b.Elems, c.Elems) {
			if e.baseline >= 0 && e.candidate >= 0 {
				r.reconcile(p.other, r.childAt(path, e.baseline), &b.Elems[e.baseline], &c.Elems[e.candidate])
			}
		}
		return
	}
	for i := range min(len(b.Elems), len(c.Elems)) {
		if below := p.atIndex(i); below != nil {
			r.reconcile(below, r.childAt(path, i), &b.Elems[i], &c.Elems[i])
		}
	}
}

// align puts two lists of different lengths side by side: by the members that name their elements, if no rule is
// about these, else so that the most elements agree.
func (r *reconciler) align(p *place, b, c []jsonval.Value) []edit {
	keys := slices.DeleteFunc(slices.Clone(r.keys), func(name string) bool {
		named := p.other.at(name)
		return named != nil && len(named.here) > 0 && !named.only(Redacted)
	})
	if partner, ok := partnersByKey(b, c, keys); ok {
		list := make([]edit, len(partner))
		for i, j := range partner {
			list[i] = edit{i, j}
		}
		return list
	}
	digestsB, digestsC := digests(p, b, true), digests(p, c, true)
	return alignment(len(b), len(c), maxRuledEdits, func(i, j int) bool {
		return digestsB[i] == digestsC[j] && r.agree(p.other, &b[i], &c[j])
	})
}

// settle lets one rule look at two values, counts it, and reports whether it takes them as equal as they are.
func (r *reconciler) settle(rule *rule, path string, b, c *jsonval.Value) bool {
	if rule.Treat == Alias && r.found != nil && aliasable(b, c) && (r.lists != insideUnordered || r.depth > 0) {
		r.found(aliasPair{rule, path, b.Text, c.Text})
	}
	if r.tally == nil {
		return r.allows(rule, b, c)
	}
	if rule.Treat == Redacted && (b.Kind != jsonval.String || !redact.Stands(b.Text)) {
		return false // there is nothing to ask
	}
	r.tally.applied[rule.index]++
	if rule.Treat == Ignore || rule.Treat == Type && sameType(*b, *c) || rule.Treat == Redacted && rule.allows(*b, *c) {
		n := int64(leaves(*b))
		r.tally.ignored += n
		r.tally.under[rule.index] += n
		if !jsonval.Equal(*b, *c) {
			r.tally.hit(rule)
		}
		return true
	}
	switch {
	case len(b.Elems) == 0:
		r.tally.under[rule.index]++
	case rule.Treat == Unordered:
		r.tally.under[rule.index] += int64(leaves(*b))
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
				n := int64(leaves(v.Elems[i]))
				r.tally.ignored += n
				r.tally.under[rule.index] += n
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
// places that are left. It reports whether the lists were in different orders, and whether every element found its like.
func (r *reconciler) reorder(p *place, b, c *jsonval.Value) (moved, all bool) {
	if jsonval.Equal(*b, *c) {
		return false, true
	}
	uniform := p.uniform(max(len(b.Elems), len(c.Elems)))
	agree := func(q *reconciler, i, j int) bool { return q.agree(p.atIndex(i), &b.Elems[i], &c.Elems[j]) }
	partner := r.assignAgreeing(digests(p, b.Elems, uniform), digests(p, c.Elems, uniform), agree)
	all = len(b.Elems) == len(c.Elems) && !slices.Contains(partner, -1)
	if !all {
		r.assignByKey(p.unordered().By, partner, b.Elems, c.Elems)
	}
	taken := make([]bool, len(c.Elems))
	for i, j := range partner {
		if j >= 0 {
			taken[j] = true
		}
		moved = moved || j != i
	}
	ordered := make([]jsonval.Value, 0, len(c.Elems))
	next := 0
	fill := func() {
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
			fill()
		}
	}
	for len(ordered) < len(c.Elems) {
		fill()
	}
	c.Elems = ordered
	return moved, all
}

// assignByKey pairs up elements that have no partner by the member that names them: the rule's, else one that is
// known to. Which these are matters to how a difference is told, and to no verdict.
func (r *reconciler) assignByKey(by string, partner []int, b, c []jsonval.Value) {
	freeB, freeC := free(partner, len(c))
	x, y := pick(b, freeB), pick(c, freeC)
	var pairs []int
	if by != "" {
		pairs = partnersBy(by, x, y)
	} else if known, ok := partnersByKey(x, y, r.keys); ok {
		pairs = known
	}
	for k, l := range pairs {
		if l >= 0 {
			partner[freeB[k]] = freeC[l]
		}
	}
}

// free returns the elements of b and of the n of c that partner leaves without one.
func free(partner []int, n int) (b, c []int) {
	taken := make([]bool, n)
	for i, j := range partner {
		if j < 0 {
			b = append(b, i)
		} else {
			taken[j] = true
		}
	}
	for j := range taken {
		if !taken[j] {
			c = append(c, j)
		}
	}
	return b, c
}

// assignAgreeing pairs up what agrees by the aliases that are known and then, where these are still looked for, what
// would agree if aliases were found.
func (r *reconciler) assignAgreeing(b, c []uint64, agree func(q *reconciler, i, j int) bool) []int {
	known := &reconciler{names: r.names}
	partner := assign(b, c, func(i, j int) bool { return agree(known, i, j) })
	if !r.wild || !slices.Contains(partner, -1) {
		return partner
	}
	freeB, freeC := free(partner, len(c))
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

// parseTexts returns what two different texts hold, when both hold JSON, or both the base64 of a JSON list or object.
func parseTexts(b, c *jsonval.Value) (x, y jsonval.Value, ok bool) {
	if b.Kind != jsonval.String || c.Kind != jsonval.String || b.Text == c.Text {
		return x, y, false
	}
	x, errX := jsonval.Parse([]byte(b.Text))
	y, errY := jsonval.Parse([]byte(c.Text))
	if errX == nil && errY == nil {
		return x, y, true
	}
	x, okX := parseBase64(b.Text)
	y, okY := parseBase64(c.Text)
	return x, y, okX && okY
}

func parseBase64(text string) (v jsonval.Value, ok bool) {
	plain, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return v, false
	}
	v, err = jsonval.Parse(plain)
	return v, err == nil && (v.Kind == jsonval.Object || v.Kind == jsonval.Array)
}

func clone(v jsonval.Value) jsonval.Value {
	v.Elems = slices.Clone(v.Elems)
	for i := range v.Elems {
		v.Elems[i] = clone(v.Elems[i])
	}
	v.Names = slices.Clone(v.Names)
	return v
}
