package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// A noiseKind says how a field that disagrees with itself does.
type noiseKind string

const (
	noNoise  noiseKind = ""
	pick     noiseKind = "pick"   // one of a few values
	fresh    noiseKind = "fresh"  // a value of its own each time
	jitter   noiseKind = "jitter" // a little more or less
	shuffle  noiseKind = "shuffle"
	absences noiseKind = "absent" // not there at times
)

// picks is how many other values one is picked from.
const picks = 3

// disturbance is how a firing disturbs a field.
type disturbance struct {
	place string
	kind  noiseKind
	share float64 // of firings
}

// disturbs returns a disturbance by which two firings of one trial disagree in the given share of trials, or, where that
// cannot be, as often as they can.
func disturbs(place string, kind noiseKind, level float64) disturbance {
	low, high := 0., 1.
	if kind == absences {
		high = .5
	}
	for range 40 {
		if mid := (low + high) / 2; disagreeing(kind, mid) < level {
			low = mid
		} else {
			high = mid
		}
	}
	return disturbance{place, kind, low}
}

// disagreeing is the chance that two firings disagree of which the given share is disturbed.
func disagreeing(kind noiseKind, share float64) float64 {
	calm := 1 - share
	switch kind {
	case pick:
		return 1 - calm*calm - share*share/picks
	case absences:
		return 2 * share * calm
	case shuffle: // of three elements, which may come out as they were
		calm += share / 6
		return 1 - calm*calm - 5*(share/6)*(share/6)
	}
	return 1 - calm*calm
}

// disturb lets a firing be disturbed.
func (d disturbance) disturb(outcome *jsonval.Value, r *rand.Rand) {
	if r.Float64() >= d.share {
		return
	}
	for _, s := range find(outcome, d.place) {
		switch v := s.value(); d.kind {
		case absences:
			s.remove()
		case shuffle:
			r.Shuffle(len(v.Elems), func(i, j int) { v.Elems[i], v.Elems[j] = v.Elems[j], v.Elems[i] })
		default:
			v.Text = d.kind.another(v, r)
		}
	}
}

// another is another value for a text or a number.
func (k noiseKind) another(v *jsonval.Value, r *rand.Rand) string {
	if v.Kind == jsonval.Number {
		x, _ := strconv.ParseFloat(v.Text, 64)
		switch k {
		case pick:
			x += float64(1 + r.IntN(picks))
		case fresh:
			x = 100 + float64(r.IntN(1_000_000))/100
		case jitter:
			x *= 1 + (r.Float64()-.5)/500
		}
		decimals := 0
		if strings.Contains(v.Text, ".") {
			decimals = 2
		}
		return strconv.FormatFloat(x, 'f', decimals, 64)
	}
	if at, err := time.Parse(time.RFC3339, v.Text); err == nil && k == jitter {
		return at.Add(time.Duration(1+r.IntN(20)) * time.Second).Format(time.RFC3339)
	}
	if k == pick {
		return v.Text + "-" + string(rune('a'+r.IntN(picks)))
	}
	return fmt.Sprintf("%s-%08x", v.Text, r.Uint32())
}

// noisesOf are the kinds of noise that a field with such a value can have.
func noisesOf(v jsonval.Value) []noiseKind {
	_, notTime := time.Parse(time.RFC3339, v.Text)
	switch {
	case v.Kind == jsonval.Number && strings.Contains(v.Text, "."):
		return []noiseKind{fresh, pick, jitter, absences}
	case v.Kind == jsonval.Number:
		return []noiseKind{fresh, pick, absences}
	case v.Kind == jsonval.String && orderID.MatchString(v.Text):
		return nil // all else goes by it
	case v.Kind == jsonval.String && notTime == nil:
		return []noiseKind{jitter, pick, absences}
	case v.Kind == jsonval.String:
		return []noiseKind{fresh, pick, absences}
	case v.Kind == jsonval.Array && len(v.Elems) > 1:
		return []noiseKind{shuffle, absences}
	}
	return []noiseKind{absences}
}

// noisyFields are there in the answers of all runs with noise: for each kind one, in answers and in what is stored.
func noisyFields(level float64) []disturbance {
	if level == 0 {
		return nil
	}
	var list []disturbance
	for place, kind := range map[string]noiseKind{
		answered + "/node": pick, answered + "/quota": fresh, answered + "/score": jitter, answered + "/labels": shuffle,
		answered + "/hint": absences, stored + "/shard": pick, stored + "/labels": shuffle, stored + "/revision": fresh,
		"http/headers/x-served-by/first": pick, sent + "/body/json/attempt": pick,
	} {
		list = append(list, disturbs(place, kind, level))
	}
	return list
}

// addNoisyFields adds them, with values that are not disturbed, and some that are never the same twice.
func addNoisyFields(outcome *jsonval.Value, f firing) {
	number := func(n int) jsonval.Value { return jsonval.Int(n) }
	labels := jsonval.List(jsonval.Text("a"), jsonval.Text("b"), jsonval.Text("c"))
	for _, s := range find(outcome, answered) {
		v := s.value()
		v.Add("node", jsonval.Text("a"))
		v.Add("quota", number(1000+f.trial%7))
		v.Add("score", jsonval.Value{Kind: jsonval.Number, Text: fmt.Sprintf("%d.50", 10+f.trial%5)})
		v.Add("labels", labels)
		v.Add("hint", jsonval.Text("see below"))
		v.Add("requestId", jsonval.Text(fmt.Sprintf("%08x-%04x-4000-8000-%012x", f.Uint32(), f.UintN(1<<16), f.Uint64()>>16)))
		v.Add("servedAt", jsonval.Text(f.time.Format(time.RFC3339)))
		v.Add("sequence", number(f.sequence))
	}
	for _, s := range find(outcome, stored) {
		v := s.value()
		v.Add("shard", jsonval.Text("0"))
		v.Add("labels", labels)
		v.Add("revision", number(1))
	}
	for _, s := range find(outcome, sent+"/body/json") {
		s.value().Add("attempt", number(1))
	}
	for _, s := range find(outcome, "http/headers") {
		s.value().Add("x-served-by", jsonval.List(jsonval.Text("a")))
	}
}
