package compare

import (
	"slices"

	"tandem/capture/jsonval"
)

// partners has, for each member of an object, the index of the other object's member that goes with it, or -1. Nil
// stands for two objects with the same names in the same order.
type partners []int

func (p partners) of(i int) int {
	if p == nil {
		return i
	}
	return p[i]
}

// fewMembers is up to how many members a search beats a table.
const fewMembers = 16

// partnersOf finds the members of w that go with those of v: by name and, where a name is repeated, by the place
// among these.
func partnersOf(v, w *jsonval.Value) partners {
	if slices.Equal(v.Names, w.Names) {
		return nil
	}
	found := make(partners, len(v.Names))
	if len(v.Names) > fewMembers || len(w.Names) > fewMembers {
		byName := make(map[string][]int, len(w.Names))
		for j, name := range w.Names {
			byName[name] = append(byName[name], j)
		}
		for i, name := range v.Names {
			found[i] = -1
			if free := byName[name]; len(free) > 0 {
				found[i], byName[name] = free[0], free[1:]
			}
		}
		return found
	}
	var taken [fewMembers]bool
	for i, name := range v.Names {
		found[i] = -1
		for j, other := range w.Names {
			if !taken[j] && other == name {
				found[i], taken[j] = j, true
				break
			}
		}
	}
	return found
}

// unpartnered returns the indexes of the n members that p leaves without a partner, in order.
func (p partners) unpartnered(n int) []int {
	if p == nil {
		return nil
	}
	taken := make([]bool, n)
	for _, j := range p {
		if j >= 0 {
			taken[j] = true
		}
	}
	var free []int
	for j, t := range taken {
		if !t {
			free = append(free, j)
		}
	}
	return free
}

// without returns an object without some of its members. It shares nothing that can be changed with v but its values.
func without(v *jsonval.Value, drop func(i int) bool) jsonval.Value {
	kept := object(len(v.Names))
	kept.Kind, kept.Form = v.Kind, v.Form
	for i, name := range v.Names {
		if !drop(i) {
			kept.Add(name, v.Elems[i])
		}
	}
	return kept
}
