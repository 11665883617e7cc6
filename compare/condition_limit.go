package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxOneOf is how many values a condition names.
const maxOneOf = 4

// valueSets returns, for each field with few values, that it is one of those that most of the cluster's trials have and
// most others have not, and how many sets there were to choose from.
func (t *table) valueSets(in bitset) (found []condition, tried int) {
	for _, path := range sortedKeys(t.columns) {
		c := t.columns[path]
		if len(c.values) > 2 {
			tried += 1 << len(c.values)
		}
		var values []string
		holds := newBitset(len(t.trials))
		for _, v := range sortedKeys(c.values) {
			if has := c.values[v]; 2*has.and(in).count() > has.count() {
				values = append(values, v)
				for i := range holds {
					holds[i] |= has[i]
				}
			}
		}
		if len(values) > 1 && len(values) <= maxOneOf && len(values) < len(c.values) {
			found = append(found, condition{
				says(path, "is", "one of "+strings.Join(values, ", ")), path, 24 + 5*len(values), holds})
		}
	}
	return found, tried
}

// limits returns, for what is measured, the limit that tells the cluster's trials best from the others, and how many there
// were to choose from.
func (t *table) limits(in bitset) (found []condition, tried int) {
	for _, path := range sortedKeys(t.columns) {
		c := t.columns[path]
		for s := range scales {
			if c.scales[s] == nil {
				continue
			}
			limit, over, ok := t.limit(c.scales[s], in, &tried)
			if !ok {
				continue
			}
			holds := newBitset(len(t.trials))
			for i, x := range c.scales[s] {
				if x > limit == over && !math.IsNaN(x) {
					holds.set(i)
				}
			}
			found = append(found, condition{s.says(path, limit, over), path, 30, holds})
		}
	}
	return found, tried
}

// limit returns the limit with the fewest mistakes, and whether the cluster's trials are those over it.
func (t *table) limit(of []float64, in bitset, tried *int) (limit float64, over, ok bool) {
	var order []int
	for i, x := range of {
		if !math.IsNaN(x) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	inside, hits, fewest := 0, 0, math.MaxInt
	for _, i := range order {
		if in.has(i) {
			inside++
		}
	}
	for n, i := range order {
		if in.has(i) {
			hits++
		}
		if n+1 == len(order) || of[order[n+1]] == of[i] {
			continue
		}
		*tried += 2
		above := n + 1 - hits + inside - hits
		for _, way := range []struct {
			over     bool
			mistakes int
		}{{true, above}, {false, len(order) - above}} {
			if way.mistakes < fewest {
				limit, over, fewest, ok = roundBetween(of[order[n+1]], of[i]), way.over, way.mistakes, true
			}
		}
	}
	return limit, over, ok
}

// roundBetween returns the roundest number from low up to, but without, high.
func roundBetween(low, high float64) float64 {
	for _, special := range []float64{0, math.MaxInt32, 1<<53 - 1} {
		if low <= special && special < high {
			return special
		}
	}
	for exp := 15; exp >= -6; exp-- {
		unit := math.Pow10(exp)
		if x := math.Ceil(low/unit) * unit; low <= x && x < high {
			return x
		}
	}
	return low
}

func (s scale) says(path string, limit float64, over bool) string {
	number := strconv.FormatFloat(limit, 'f', -1, 64)
	verb, what := "is", "over "+number
	switch s {
	case size:
		verb, what = "has", "more than "+number+" elements"
		if limit == 1 {
			what = "more than 1 element"
		}
	case characters:
		what = "longer than " + number + " characters"
	}
	if over {
		return says(path, verb, what)
	}
	if verb == "has" && !strings.Contains(path, "[]") {
		return path + " has at most " + strings.TrimPrefix(what, "more than ")
	}
	return denies(path, verb, what)
}
