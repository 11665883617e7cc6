package compare

import (
	"slices"

	"tandem/capture/jsonval"
)

// keyNames are members that often name an element of a list, the likeliest first.
var keyNames = []string{
	"id", "_id", "Id", "ID", "@id", "uuid", "key", "Key", "sku", "messageId", "code", "name", "Name",
}

// partnersByKey returns, for each element of b, the index of c's element of the same name, or -1. It fails where
// there is no member by which all elements can be told apart, or where no element of one list is one of the other, as
// when each side has generated its names.
func partnersByKey(b, c []jsonval.Value, names []string) (partner []int, ok bool) {
	if len(b) == 0 || len(c) == 0 || b[0].Kind != jsonval.Object {
		return nil, false
	}
	for _, name := range names {
		keysB, okB := keysOf(name, b)
		if !okB {
			continue
		}
		keysC, okC := keysOf(name, c)
		if !okC {
			continue
		}
		idB, idC, distinct := identify(keysB, keysC)
		if !unique(idB, distinct) || !unique(idC, distinct) || distinct == len(b)+len(c) {
			continue
		}
		return matchingIDs(idB, idC, distinct), true
	}
	return nil, false
}

// partnersBy pairs up the elements that have equal values under a name, in their order. Elements without it have no
// partner.
func partnersBy(name string, b, c []jsonval.Value) []int {
	keysB, keysC := make([]jsonval.Value, len(b)), make([]jsonval.Value, len(c))
	hasB, hasC := make([]bool, len(b)), make([]bool, len(c))
	for i := range b {
		keysB[i], hasB[i] = b[i].Get(name)
	}
	for j := range c {
		keysC[j], hasC[j] = c[j].Get(name)
	}
	idB, idC, distinct := identify(keysB, keysC)
	for i := range idB {
		if !hasB[i] {
			idB[i] = -1
		}
	}
	for j := range idC {
		if !hasC[j] {
			idC[j] = -1
		}
	}
	return matchingIDs(idB, idC, distinct)
}

// matchingIDs pairs up equal numbers below distinct, in their order.
func matchingIDs(b, c []int, distinct int) []int {
	at := make([][]int, distinct)
	for j, id := range c {
		if id >= 0 {
			at[id] = append(at[id], j)
		}
	}
	partner := slices.Repeat([]int{-1}, len(b))
	for i, id := range b {
		if id >= 0 && len(at[id]) > 0 {
			partner[i], at[id] = at[id][0], at[id][1:]
		}
	}
	return partner
}

// keysOf returns the values under a name, if every element has one that is a text or a number.
func keysOf(name string, list []jsonval.Value) ([]jsonval.Value, bool) {
	keys := make([]jsonval.Value, len(list))
	for i := range list {
		key, ok := list[i].Get(name)
		if !ok || !leafKind(key) || key.Text == "" {
			return nil, false
		}
		keys[i] = key
	}
	return keys, true
}

func unique(ids []int, distinct int) bool {
	seen := make([]bool, distinct)
	for _, id := range ids {
		if seen[id] {
			return false
		}
		seen[id] = true
	}
	return true
}

// keyedScript makes a script of elements that were paired by their names. What has no partner goes with what has none
// on the other side, in order, where the two are alike but for their names.
func keyedScript(b, c []jsonval.Value, partner []int) (script []edit, ordered bool) {
	ordered = true
	last := -1
	for _, j := range partner {
		if j >= 0 {
			ordered = ordered && j > last
			last = j
		}
	}
	freeB, freeC := free(partner, len(c))
	for k := range min(len(freeB), len(freeC)) {
		if i, j := freeB[k], freeC[k]; alike(b[i], c[j]) {
			partner[i] = j
		}
	}
	for i, j := range partner {
		if j < 0 || !jsonval.Equal(b[i], c[j]) {
			script = append(script, edit{i, j})
		}
	}
	_, freeC = free(partner, len(c))
	for _, j := range freeC {
		script = append(script, edit{-1, j})
	}
	return script, ordered
}

// alike reports whether at least half of two elements is equal: member by member, without looking into these.
func alike(b, c jsonval.Value) bool {
	same := 0
	pairs := partnersOf(&b, &c)
	for i := range b.Names {
		if j := pairs.of(i); j >= 0 && jsonval.Equal(b.Elems[i], c.Elems[j]) {
			same += leaves(b.Elems[i])
		}
	}
	return 2*same >= max(leaves(b), leaves(c))
}
