package compare

import (
	"net/url"
	"slices"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// effectPair is one of the baseline's effects beside the candidate's that goes with it. An index of -1 means that
// there is none.
type effectPair struct{ baseline, candidate int }

// aligner puts two lists of effects side by side. Object writes go together by resource and key, in the order of the
// writes to that key; messages by resource as a multiset, or in order within a group. What finds no partner that way
// goes with an effect of the same kind on the same resource whose key is written in another way, or that has the same
// contents under another key.
type aligner struct {
	place *place // of /effects
	b, c  []jsonval.Value

	pairs    []effectPair
	order    []effectPair // pairs of whole groups whose messages came in another order
	repeated map[int]bool // the candidate's that say again what another one said
	partner  []int        // of each of the baseline's; -1 for none
	taken    []bool       // by each of the candidate's
}

// align pairs the effects that walk's rules and aliases take as equal, and then those that look alike.
func (a *aligner) align(walk *reconciler) {
	a.pairs, a.order, a.repeated = nil, nil, make(map[int]bool)
	a.partner, a.taken = slices.Repeat([]int{-1}, len(a.b)), make([]bool, len(a.c))
	known := &reconciler{names: walk.names}
	if a.alike(known) {
		for i := range a.b {
			a.pair(i, i)
		}
		a.list()
		return
	}
	a.assignIn(streamOf, digest, known.agree)
	a.noteRepeated(known)
	if walk.wild {
		wild := &reconciler{names: walk.names, wild: true}
		a.assignIn(streamOf, digest, wild.agree)
		a.noteRepeated(wild)
	}
	a.pairSimilar(walk)
	a.pairLast()
	a.assignIn(looseKeyOf, coarse, func(_ *place, b, _ *jsonval.Value) bool { return !isMessage(b) })
	a.assignIn(resourceOf, digestButKey, func(p *place, b, c *jsonval.Value) bool {
		x, y := butKey(b), butKey(c)
		return walk.agree(p, &x, &y)
	})
	a.list()
}

// alike reports whether the two lists agree as they are.
func (a *aligner) alike(walk *reconciler) bool {
	if len(a.b) != len(a.c) {
		return false
	}
	for i := range a.b {
		if streamOf(&a.b[i]) != streamOf(&a.c[i]) || !walk.agree(a.placeOf(i), &a.b[i], &a.c[i]) {
			return false
		}
	}
	return true
}

// list makes pairs from what was assigned.
func (a *aligner) list() {
	for i, j := range a.partner {
		if j >= 0 {
			a.pairs = append(a.pairs, effectPair{i, j})
		}
	}
	a.findReordered()
	for i, j := range a.partner {
		if j < 0 {
			a.pairs = append(a.pairs, effectPair{i, -1})
		}
	}
	for _, again := range []bool{false, true} {
		for j, taken := range a.taken {
			if !taken && a.repeated[j] == again {
				a.pairs = append(a.pairs, effectPair{-1, j})
			}
		}
	}
}

// assignIn pairs free effects of one group that agree.
func (a *aligner) assignIn(
	group func(*jsonval.Value) string, digest func(*place, *jsonval.Value) uint64,
	agree func(*place, *jsonval.Value, *jsonval.Value) bool,
) {
	uniform := a.place.uniform(max(len(a.b), len(a.c)))
	inB, inC := a.groups(group)
	for name, listB := range inB {
		listC := inC[name]
		if len(listC) == 0 {
			continue
		}
		digests := func(list []jsonval.Value, at []int) []uint64 {
			sums := make([]uint64, len(at))
			for k, i := range at {
				if uniform {
					sums[k] = digest(a.placeOf(i), &list[i])
				}
			}
			return sums
		}
		found := assign(digests(a.b, listB), digests(a.c, listC), func(i, j int) bool {
			return agree(a.placeOf(listB[i]), &a.b[listB[i]], &a.c[listC[j]])
		})
		for k, l := range found {
			if l >= 0 {
				a.pair(listB[k], listC[l])
			}
		}
	}
}

func (a *aligner) pair(i, j int) { a.partner[i], a.taken[j] = j, true }

// groups lists the free effects of both sides, by group.
func (a *aligner) groups(group func(*jsonval.Value) string) (b, c map[string][]int) {
	b, c = make(map[string][]int), make(map[string][]int)
	for i := range a.b {
		if a.partner[i] < 0 {
			name := group(&a.b[i])
			b[name] = append(b[name], i)
		}
	}
	if len(b) == 0 {
		return nil, nil
	}
	for j := range a.c {
		if !a.taken[j] && !a.repeated[j] {
			name := group(&a.c[j])
			c[name] = append(c[name], j)
		}
	}
	return b, c
}

// noteRepeated finds the candidate's free effects that say again what another one said. They have no partner to be
// looked for.
func (a *aligner) noteRepeated(walk *reconciler) {
	if !slices.Contains(a.taken, false) {
		return
	}
	type said struct {
		stream string
		digest uint64
	}
	uniform := a.place.uniform(max(len(a.b), len(a.c)))
	key := func(i int, e *jsonval.Value) said {
		if !uniform {
			return said{stream: streamOf(e)}
		}
		return said{streamOf(e), digest(a.placeOf(i), e)}
	}
	paired := make(map[said][]int)
	for i, j := range a.partner {
		if j >= 0 {
			k := key(i, &a.b[i])
			paired[k] = append(paired[k], i)
		}
	}
	for j := range a.c {
		if a.taken[j] || a.repeated[j] {
			continue
		}
		like := paired[key(j, &a.c[j])]
		for _, i := range like[:min(len(like), minTries)] {
			if walk.agree(a.placeOf(i), &a.b[i], &a.c[j]) {
				a.repeated[j] = true
				break
			}
		}
	}
}

// maxSimilar is how many effects of its stream an effect is likened to.
const maxSimilar = 32

// pairSimilar pairs what may be the same effect with other contents.
func (a *aligner) pairSimilar(walk *reconciler) {
	inB, inC := a.groups(streamOf)
	for stream, listB := range inB {
		free := inC[stream]
		for _, i := range listB {
			for k, j := range free[:min(len(free), maxSimilar)] {
				if a.similar(walk, i, j) {
					a.pair(i, j)
					free = slices.Delete(free, k, k+1)
					break
				}
			}
		}
	}
}

// pairLast pairs what is left on a stream when it is one on both sides: the same with other contents.
func (a *aligner) pairLast() {
	inB, inC := a.groups(streamOf)
	for stream, listB := range inB {
		if listC := inC[stream]; len(listB) == 1 && len(listC) == 1 {
			a.pair(listB[0], listC[0])
		}
	}
}

// similar reports whether two of several effects on one stream may be the same one with other contents. Writes to one
// object always may; of messages at least half of the values have to be equal.
func (a *aligner) similar(walk *reconciler, i, j int) bool {
	if !isMessage(&a.b[i]) {
		return true
	}
	b, c := clone(a.b[i]), clone(a.c[j])
	(&reconciler{names: walk.names, wild: walk.wild}).reconcile(a.placeOf(i), "", &b, &c)
	differing := 0
	for _, d := range explain("", b.At("body"), c.At("body")) {
		differing += max(leavesOf(d.Baseline), leavesOf(d.Candidate))
	}
	return 2*differing <= max(leaves(b.At("body")), leaves(c.At("body")))
}

func leavesOf(v *jsonval.Value) int {
	if v == nil {
		return 0
	}
	return leaves(*v)
}

// findReordered notes the streams in which order counts and whose equal effects came in another order.
func (a *aligner) findReordered() {
	last := make(map[string]int)
	told := make(map[string]bool)
	for _, p := range a.pairs {
		e := &a.b[p.baseline]
		stream := streamOf(e)
		if member(e, "key") == "" || told[stream] { // messages outside of groups have no order
			continue
		}
		if before, ok := last[stream]; ok && p.candidate < before {
			a.order = append(a.order, p)
			told[stream] = true
		}
		last[stream] = p.candidate
	}
}

func (a *aligner) placeOf(i int) *place { return a.place.atIndex(i) }

// Groups of effects, from the narrowest: one object, or one group of a queue; what may be one object whose key was
// written in another way; one kind on one resource.

func streamOf(e *jsonval.Value) string {
	kind := "object\x00"
	if isMessage(e) {
		kind = "message\x00"
	}
	return kind + member(e, "resource") + "\x00" + member(e, "key")
}

func looseKeyOf(e *jsonval.Value) string {
	return resourceOf(e) + "\x00" + strings.ToLower(decodedKey(member(e, "key")))
}

func resourceOf(e *jsonval.Value) string { return member(e, "kind") + "\x00" + member(e, "resource") }

// member returns the text of an effect's kind, resource or key.
func member(e *jsonval.Value, name string) string {
	for i, n := range e.Names {
		if n == name {
			return e.Elems[i].Text
		}
	}
	return ""
}

func isMessage(e *jsonval.Value) bool { return member(e, "kind") == string(capture.MessageSend) }

func coarse(*place, *jsonval.Value) uint64 { return 0 }

func butKey(e *jsonval.Value) jsonval.Value {
	return without(e, func(i int) bool { return e.Names[i] == "key" })
}

func digestButKey(p *place, e *jsonval.Value) uint64 {
	x := butKey(e)
	return digest(p, &x)
}

func decodedKey(key string) string {
	if decoded, err := url.QueryUnescape(key); err == nil {
		return decoded
	}
	return key
}

// effectName describes an effect in a report.
func effectName(e *jsonval.Value) string { return member(e, "kind") + " " + member(e, "resource") }

// aliases returns the generated values in the effects that were put side by side.
func (a *aligner) aliases(names *renaming) (found []aliasPair) {
	for _, p := range a.pairs {
		if below := a.placeOf(p.baseline); below != nil && p.baseline >= 0 && p.candidate >= 0 {
			walk := reconciler{names: names, wild: true, keys: keyNames, found: func(p aliasPair) { found = append(found, p) }}
			walk.reconcile(below, childAt("/effects", p.baseline), &a.b[p.baseline], &a.c[p.candidate])
		}
	}
	return found
}

// explain applies the rules to the aligned effects and returns the differences that are left.
func (a *aligner) explain(walk *reconciler) []Difference {
	ignored := a.place.ignoring()
	if ignored != nil {
		walk.tally.ignore(ignored, a.b, len(a.order) > 0 || !slices.EqualFunc(a.b, a.c, jsonval.Equal))
		return nil
	}
	var found []Difference
	for _, pair := range a.pairs {
		found = append(found, a.explainPair(walk, pair)...)
	}
	for _, pair := range a.order {
		e := &a.b[pair.baseline]
		found = append(found, Difference{Path: childAt("/effects", pair.baseline), Kind: Order, Baseline: e,
			Candidate: &a.c[pair.candidate], Effect: effectName(e), Key: member(e, "key"),
			Note: "the effects on this key came in another order"})
	}
	return found
}

func (a *aligner) explainPair(walk *reconciler, pair effectPair) []Difference {
	if pair.baseline >= 0 && pair.candidate >= 0 {
		b, c := a.b[pair.baseline], a.c[pair.candidate]
		name, key := effectName(&b), member(&b, "key")
		walk.reconcile(a.placeOf(pair.baseline), "", &b, &c)
		found := explainer{keys: walk.keys}.explain(childAt("/effects", pair.baseline), b, c, surroundings{})
		for i := range found {
			found[i].Effect, found[i].Key = name, key
		}
		return found
	}
	d := Difference{Kind: Missing}
	i, e := pair.baseline, &jsonval.Value{}
	if i >= 0 {
		e = &a.b[i]
		d.Baseline = e
	} else {
		i, d.Kind = pair.candidate, Extra
		e = &a.c[i]
		d.Candidate = e
		if a.repeated[i] {
			d.Kind = Duplicate
		}
	}
	if rule := a.placeOf(i).ignoring(); rule != nil {
		walk.tally.ignore(rule, a.b[max(pair.baseline, 0):pair.baseline+1], true)
		return nil
	}
	d.Path, d.Effect, d.Key = childAt("/effects", i), effectName(e), member(e, "key")
	return []Difference{d}
}
