package compare

import (
	"slices"

	"tandem/capture/jsonval"
)

// An edit is one step from a list to another: an element changed, removed (candidate is -1) or inserted (baseline is
// -1).
type edit struct{ baseline, candidate int }

// maxEdits is up to how many removals and insertions a minimal script is looked for, past what the lists have in
// common at both ends. Beyond it, elements are compared by position.
const maxEdits = 500

// edits returns the steps from one list to another, so that one insertion is one edit and not a change of all that
// comes after. Within a stretch without common elements the first goes with the first.
func edits(b, c []jsonval.Value) []edit {
	idB, idC, distinct := identify(b, c)
	start := 0
	for start < min(len(b), len(c)) && idB[start] == idC[start] {
		start++
	}
	endB, endC := len(b), len(c)
	for endB > start && endC > start && idB[endB-1] == idC[endC-1] {
		endB, endC = endB-1, endC-1
	}
	var script []edit
	i, j := start, start
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
			script = append(script, e)
		}
	}
	if distinct > 1 {
		for _, same := range common(idB[start:endB], idC[start:endC]) {
			gap(start+same.baseline, start+same.candidate)
			i, j = i+1, j+1
		}
	}
	gap(endB, endC)
	return slices.DeleteFunc(script, func(e edit) bool { // by position, equal elements may have met
		return e.baseline >= 0 && e.candidate >= 0 && idB[e.baseline] == idC[e.candidate]
	})
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

// common returns a longest common subsequence of two lists, or none when it would take more than maxEdits edits to
// get from one to the other. It is the greedy algorithm of E. Myers, "An O(ND) Difference Algorithm and Its
// Variations".
func common(b, c []int) []edit {
	limit := min(len(b)+len(c), maxEdits)
	furthest := make([]int, 2*limit+3) // by diagonal b-c, from limit+1
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(furthest))
		for k := -d; k <= d; k += 2 {
			x := reach(furthest, limit+1+k, k == -d, k == d)
			for x < len(b) && x-k < len(c) && b[x] == c[x-k] {
				x++
			}
			furthest[limit+1+k] = x
			if x >= len(b) && x-k >= len(c) {
				return backtrack(trace, len(b), len(c), limit)
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
