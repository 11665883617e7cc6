package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// numbers changes numbers, and writes them as money is.
func numbers(f func(float64) float64) change {
	return texts(func(s string) string {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return s
		}
		return strconv.FormatFloat(math.Round(f(x)*100)/100, 'f', -1, 64)
	})
}

func times(factor float64) change {
	return numbers(func(x float64) float64 { return x * factor })
}

func plus(n float64) change {
	return numbers(func(x float64) float64 { return x + n })
}

// floated writes a sum as binary floating point may: 30.30 as 30.299999999999997.
func floated(s string) string {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(math.Nextafter(x, math.Inf(-1)), 'f', -1, 64)
}

func asText(v *jsonval.Value, _ *rand.Rand) bool {
	*v = jsonval.Text(v.String())
	return true
}

func asTextOfItself(v *jsonval.Value, _ *rand.Rand) bool {
	*v = jsonval.Text(v.Text)
	return true
}

// single is what becomes of one element where a serializer does not write lists of one.
func single(v *jsonval.Value, _ *rand.Rand) bool {
	if v.Kind != jsonval.Array || len(v.Elems) != 1 {
		return false
	}
	*v = v.Elems[0]
	return true
}

// emptied turns lists without elements into something else.
func emptied(json string) change {
	become := to(json)
	return func(v *jsonval.Value, r *rand.Rand) bool {
		return v.Kind == jsonval.Array && len(v.Elems) == 0 && become(v, r)
	}
}

func reversed(list []jsonval.Value) []jsonval.Value {
	slices.Reverse(list)
	return list
}

func rotated(list []jsonval.Value) []jsonval.Value { return append(list[1:], list[0]) }

func byText(list []jsonval.Value) []jsonval.Value {
	slices.SortFunc(list, func(a, b jsonval.Value) int { return strings.Compare(a.String(), b.String()) })
	return list
}

func lastLost(list []jsonval.Value) []jsonval.Value { return list[:len(list)-1] }

func firstLost(list []jsonval.Value) []jsonval.Value { return list[1:] }

func lastTwice(list []jsonval.Value) []jsonval.Value { return append(list, list[len(list)-1]) }

// retimed writes an instant in another way.
func retimed(f func(time.Time) string) change {
	return texts(func(s string) string {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return s
		}
		return f(t)
	})
}

func shifted(by time.Duration) change {
	return retimed(func(t time.Time) string { return t.Add(by).Format(time.RFC3339) })
}

func laidOut(layout string) change {
	return retimed(func(t time.Time) string { return t.Format(layout) })
}

func sinceEpoch(v *jsonval.Value, _ *rand.Rand) bool {
	t, err := time.Parse(time.RFC3339, v.Text)
	if err != nil {
		return false
	}
	*v = jsonval.Value{Kind: jsonval.Number, Text: fmt.Sprint(t.Unix())}
	return true
}

// misread is UTF-8 that was read as Latin-1.
func misread(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// asciiOnly has a question mark for what is not in ASCII.
func asciiOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 127 {
			return '?'
		}
		return r
	}, s)
}

func replaced(old, new string) change {
	return texts(func(s string) string { return strings.ReplaceAll(s, old, new) })
}

// freshOrder has another order's ID for the one that is there.
func freshOrder(v *jsonval.Value, r *rand.Rand) bool {
	before := v.Text
	v.Text = orderID.ReplaceAllString(v.Text, newOrderID(r))
	return v.Text != before
}
