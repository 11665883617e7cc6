package compare

import (
	"cmp"
	"slices"

	"tandem/capture/jsonval"
)

// ordersOf names how a list was put in another order.
func ordersOf(b, c jsonval.Value) []string {
	causes := []string{}
	n := len(c.Elems)
	if c.Kind == jsonval.Array && n > 1 && len(b.Elems) == n {
		if slices.IsSortedFunc(c.Elems, ascending) && !slices.IsSortedFunc(b.Elems, ascending) {
			causes = append(causes, "sorted")
		}
		reversed := true
		for i := range b.Elems {
			reversed = reversed && jsonval.Equal(b.Elems[i], c.Elems[n-1-i])
		}
		if reversed {
			causes = append(causes, "reversed")
		}
	}
	return append(causes, "the same elements in another order")
}

// ascending orders texts and numbers. Others are before and after one another, so that no list of them is sorted.
func ascending(a, b jsonval.Value) int {
	if a.Kind == jsonval.String && b.Kind == jsonval.String {
		return cmp.Compare(a.Text, b.Text)
	}
	if x, y, ok := twoNumbers(a, b); ok {
		return x.Cmp(y)
	}
	return 1
}

// nameLosses hints at which elements of a list are lost, where they alone are.
func nameLosses(found []Difference, b, c jsonval.Value) []Difference {
	lost := len(b.Elems) - len(c.Elems)
	if lost <= 0 || len(found) != lost || slices.ContainsFunc(found, func(d Difference) bool { return d.Kind != Missing }) {
		return found
	}
	hint := ""
	switch {
	case len(c.Elems) == 0:
		hint = "all elements are lost"
	case isPrefix(c.Elems, b.Elems) && lost == 1:
		hint = "the last element is lost"
	case isPrefix(c.Elems, b.Elems):
		hint = "the last elements are lost"
	case isPrefix(c.Elems, b.Elems[lost:]) && lost == 1:
		hint = "the first element is lost"
	case isPrefix(c.Elems, b.Elems[lost:]):
		hint = "the first elements are lost"
	case onceEach(b.Elems, c.Elems):
		hint = "repeated elements are lost"
	default:
		return found
	}
	for i := range found {
		found[i].hints = []string{hint}
		if onceEach(b.Elems, c.Elems) && hint != "repeated elements are lost" {
			found[i].hints = append(found[i].hints, "repeated elements are lost")
		}
	}
	return found
}

func isPrefix(p, of []jsonval.Value) bool {
	return len(p) <= len(of) && slices.EqualFunc(p, of[:len(p)], jsonval.Equal)
}

// onceEach reports whether c has each of the different elements of b once.
func onceEach(b, c []jsonval.Value) bool {
	_, ids, distinct := identify(b, c)
	seen := make(map[int]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			return false
		}
		seen[id] = true
	}
	return len(ids) == distinct
}
