package main

import (
	"math/rand/v2"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// A change makes another value of v, and reports whether it did: not where v is none that it could change.
type change func(v *jsonval.Value, r *rand.Rand) bool

// A mutation does so to an outcome's JSON form.
type mutation func(outcome *jsonval.Value, r *rand.Rand) bool

// spot is where a member or an element is: at in parent.Elems.
type spot struct {
	parent *jsonval.Value
	at     int
}

func (s spot) value() *jsonval.Value { return &s.parent.Elems[s.at] }

func (s spot) remove() {
	p := s.parent
	p.Elems = append(p.Elems[:s.at:s.at], p.Elems[s.at+1:]...)
	if p.Kind == jsonval.Object {
		p.Names = append(p.Names[:s.at:s.at], p.Names[s.at+1:]...)
	}
}

// find returns the spots of a place, the last ones first, so that one can be removed and the others stay. A segment of a
// place is a member's name, * for all members or elements, "first" for one of these, or name=value for the elements
// that have a member like that.
func find(v *jsonval.Value, place string) []spot {
	segment, rest, more := strings.Cut(place, "/")
	var spots []spot
	for i := len(v.Elems) - 1; i >= 0; i-- {
		e := &v.Elems[i]
		name, value, selects := strings.Cut(segment, "=")
		switch {
		case segment == "*", segment == "first" && i == 0:
		case selects && e.At(name).Text == value:
		case v.Kind == jsonval.Object && v.Names[i] == segment:
		default:
			continue
		}
		if more {
			spots = append(spots, find(e, rest)...)
		} else {
			spots = append(spots, spot{v, i})
		}
	}
	return spots
}

// on changes all values at the place.
func on(place string, c change) mutation {
	return func(o *jsonval.Value, r *rand.Rand) bool {
		changed := false
		for _, s := range find(o, place) {
			changed = c(s.value(), r) || changed
		}
		return changed
	}
}

// without drops what is at the place.
func without(place string) mutation {
	return func(o *jsonval.Value, _ *rand.Rand) bool {
		spots := find(o, place)
		for _, s := range spots {
			s.remove()
		}
		return len(spots) > 0
	}
}

// twice has the last element at the place a second time.
func twice(place string) mutation {
	return func(o *jsonval.Value, _ *rand.Rand) bool {
		spots := find(o, place)
		if len(spots) == 0 {
			return false
		}
		s := spots[0]
		s.parent.Elems = append(s.parent.Elems, *s.value())
		return true
	}
}

// all does several at once, where at least one can be done.
func all(mutations ...mutation) mutation {
	return func(o *jsonval.Value, r *rand.Rand) bool {
		changed := false
		for _, m := range mutations {
			changed = m(o, r) || changed
		}
		return changed
	}
}

// where does so in outcomes alone that have a text or a number at the place.
func where(place, text string, m mutation) mutation {
	return func(o *jsonval.Value, r *rand.Rand) bool {
		for _, s := range find(o, place) {
			if s.value().Text == text {
				return m(o, r)
			}
		}
		return false
	}
}

// having does so in outcomes alone that have something at the place.
func having(place string, m mutation) mutation {
	return func(o *jsonval.Value, r *rand.Rand) bool { return len(find(o, place)) > 0 && m(o, r) }
}

// renamed gives a member of an object another name.
func renamed(from, to string) change {
	return func(v *jsonval.Value, _ *rand.Rand) bool {
		at := slices.Index(v.Names, from)
		if at >= 0 {
			v.Names[at] = to
		}
		return at >= 0
	}
}

// to makes any other value of a value.
func to(json string) change {
	other, err := jsonval.Parse([]byte(json))
	if err != nil {
		panic(err) // it is a constant of this program
	}
	return func(v *jsonval.Value, _ *rand.Rand) bool {
		if jsonval.Equal(*v, other) {
			return false
		}
		*v = other
		return true
	}
}

// texts changes texts and the digits of numbers.
func texts(f func(string) string) change {
	return func(v *jsonval.Value, _ *rand.Rand) bool {
		if v.Kind != jsonval.String && v.Kind != jsonval.Number {
			return false
		}
		before := *v
		v.Text = f(v.Text)
		return !jsonval.Equal(*v, before)
	}
}

// lists changes lists that have so many elements.
func lists(least int, f func([]jsonval.Value) []jsonval.Value) change {
	return func(v *jsonval.Value, _ *rand.Rand) bool {
		if v.Kind != jsonval.Array || len(v.Elems) < least {
			return false
		}
		before := *v
		v.Elems = f(append([]jsonval.Value(nil), v.Elems...))
		return !jsonval.Equal(*v, before)
	}
}
