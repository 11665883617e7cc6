package jsonval

import (
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Equal reports whether a and b mean the same: numbers by value, objects whatever the order of their names. Members
// that repeat a name must be repeated alike, in the same order. Values of two forms are never equal.
func Equal(a, b Value) bool {
	if a.Kind != b.Kind || a.Form != b.Form || len(a.Elems) != len(b.Elems) {
		return false
	}
	switch a.Kind {
	case Null:
		return true
	case Number:
		return EqualNumbers(a.Text, b.Text)
	case Array:
		for i := range a.Elems {
			if !Equal(a.Elems[i], b.Elems[i]) {
				return false
			}
		}
		return true
	case Object:
		return equalObjects(a, b)
	default:
		return a.Text == b.Text
	}
}

func equalObjects(a, b Value) bool {
	if slices.Equal(a.Names, b.Names) {
		for i := range a.Elems {
			if !Equal(a.Elems[i], b.Elems[i]) {
				return false
			}
		}
		return true
	}
	order := byName(b)
	for i, j := range byName(a) {
		k := order[i]
		if a.Names[j] != b.Names[k] || !Equal(a.Elems[j], b.Elems[k]) {
			return false
		}
	}
	return true
}

// byName returns the indexes of an object's members, sorted by name and, for one name, as written.
func byName(v Value) []int {
	order := make([]int, len(v.Names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(v.Names[i], v.Names[j]) })
	return order
}

// EqualNumbers reports whether two JSON numbers have the same value. It never rounds.
func EqualNumbers(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := normalize(a)
	y, okY := normalize(b)
	return okX && okY && x == y
}

// HashNumber returns the same for JSON numbers that [EqualNumbers] takes as equal.
func HashNumber(seed maphash.Seed, number string) uint64 {
	d, ok := normalize(number)
	if !ok {
		d.digits = number
	}
	return maphash.Comparable(seed, d)
}

// decimal is ±0.digits × 10^exp. Digits neither start nor end with a zero; zero has none.
type decimal struct {
	negative bool
	digits   string
	exp      int64
}

// normalize returns the only decimal that has the value of a JSON number. ok is false when the exponent is beyond
// what an int64 holds; such numbers equal only what is written alike.
func normalize(number string) (d decimal, ok bool) {
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa, exponent := number, ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa, exponent = number[:i], number[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.exp = int64(len(digits) - len(fraction))
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 64)
		if err != nil || e > math.MaxInt64/2 || e < math.MinInt64/2 {
			return decimal{}, false
		}
		d.exp += e
	}
	return d, true
}
