package compare

import (
	"slices"

	"tandem/capture/jsonval"
)

// An edit is one step from a list to another: an element changed, removed (candidate is -1) or inserted (baseline is
// -1).
type edit struct{ baseline, candidate int }

const (
	// maxEdits is up to how many removals and insertions a minimal script is looked for, past what the lists have in
	// common at both ends. Beyond it, elements are compared by position.
	maxEdits = 500
	// maxRuledEdits is the same where rules say which elements are the same, which takes longer to tell.
	maxRuledEdits = 100
)

// edits returns the steps from one list to another, so that one insertion is one edit and not a change of all that
// comes after.
func edits(b, c []jsonval.Value) []edit {
	idB, idC, distinct := identify(b, c)
	limit := maxEdits
	if distinct <= 1 {
		limit = 0
	}
	script := alignment(len(b), len(c), limit, func(i, j int) bool { return idB[i] == idC[j] })
	return slices.DeleteFunc(script, func(e edit) bool {
		return e.baseline >= 0 && e.candidate >= 0 && idB[e.baseline] == idC[e.candidate]
	})
}

// alignment puts two lists side by side, given their lengths and which elements are the same. Within a stretch
// without the same elements the first goes with the first. Past the ends that the lists have in common it looks for
// up to limit removals and insertions, and beyond that compares by position.
func alignment(b, c, limit int, same func(i, j int) bool) []edit {
	list := make([]edit, 0, max(b, c))
	i, j := 0, 0
	together := func() {
		list = append(list, edit{i, j})
		i, j = i+1, j+1
	}
	gap := func(toB, toC int) {
		for i < toB || j < toC {
			e := edit{-1, -1}
			if i < toB {
				e.baseline = i
				i++
			}
			if j < toC {
				e.candidate = j
				j++
			}
			list = append(list, e)
		}
	}
	for i < min(b, c) && same(i, j) {
		together()
	}
	start, endB, endC := i, b, c
	for endB > start && endC > start && same(endB-1, endC-1) {
		endB, endC = endB-1, endC-1
	}
	if limit > 0 {
		inside := func(i, j int) bool { return same(start+i, start+j) }
		for _, e := range common(endB-start, endC-start, limit, inside) {
			gap(start+e.baseline, start+e.candidate)
			together()
		}
	}
	gap(endB, endC)
	for i < b {
		together()
	}
	return list
}

// identify numbers the elements of two lists so that equal ones have one number.
func identify(b, c []jsonval.Value) (idB, idC []int, distinct int) {
	known := make(map[uint64][]int) // by digest, indexes in values
	var values []*jsonval.Value
	number := func(list []jsonval.Value) []int {
		ids := make([]int, len(list))
		for i := range list {
			d := digest(nil, &list[i])
			ids[i] = -1
			for _, id := range known[d] {
				if jsonval.Equal(*values[id], list[i]) {
					ids[i] = id
				}
			}
			if ids[i] < 0 {
				ids[i] = len(values)
				known[d] = append(known[d], ids[i])
				values = append(values, &list[i])
			}
		}
		return ids
	}
	return number(b), number(c), len(values)
}

// common returns a longest common subsequence of two lists, given by their lengths, or none when it would take more
// than limit edits to get from one to the other. It is the greedy algorithm of E. Myers, "An O(ND) Difference
// Algorithm and Its Variations".
func common(b, c, limit int, same func(i, j int) bool) []edit {
	limit = min(b+c, limit)
	furthest := make([]int, 2*limit+3) // by diagonal b-c, from limit+1
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(furthest))
		for k := -d; k <= d; k += 2 {
			x := reach(furthest, limit+1+k, k == -d, k == d)
			for x < b && x-k < c && same(x, x-k) {
				x++
			}
			furthest[limit+1+k] = x
			if x >= b && x-k >= c {
				return backtrack(trace, b, c, limit)
			}
		}
	}
	return nil
}

// reach returns how far a diagonal is entered from one of its neighbours.
func reach(furthest []int, at int, first, last bool) int {
	if first || !last && furthest[at-1] < furthest[at+1] {
		return furthest[at+1]
	}
	return furthest[at-1] + 1
}

func backtrack(trace [][]int, x, y, limit int) []edit {
	var same []edit
	for d := len(trace) - 1; d >= 0; d-- {
		k := x - y
		entered := 0
		if d > 0 {
			entered = reach(trace[d], limit+1+k, k == -d, k == d)
		}
		for x > entered {
			x, y = x-1, y-1
			same = append(same, edit{x, y})
		}
		if d > 0 {
			if at := limit + 1 + k; k == -d || k != d && trace[d][at-1] < trace[d][at+1] {
				y--
			} else {
				x--
			}
		}
	}
	slices.Reverse(same)
	return same
}
