package compare

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// A noiseKind says what the values of a noisy field are, as far as samples tell.
type noiseKind string

const (
	unknownNoise noiseKind = ""
	uuidNoise    noiseKind = "uuid"
	idNoise      noiseKind = "id"      // other long identifiers of letters and digits
	hashNoise    noiseKind = "hash"    // hexadecimal digits, as many as a digest has
	timeNoise    noiseKind = "time"    // instants that are close to each other
	counterNoise noiseKind = "counter" // whole numbers that grow
	orderNoise   noiseKind = "order"   // the same elements in another order
	pickNoise    noiseKind = "pick"    // one of a few values, the same few on both sides
	numberNoise  noiseKind = "number"  // other numbers
	textNoise    noiseKind = "text"    // other texts
	absentNoise  noiseKind = "absent"  // there at times, and at times not
)

// maxSamples is how many trials are kept of each field, and maxPick how many values may be "a few".
const (
	maxSamples = 60
	maxPick    = 12
	maxSample  = 500 // bytes of a value
)

// A sample is what one trial had in a field: the values of b1, b2, c1 and c2, nil where they are not known or not
// there.
type sample struct {
	trial  string
	values [4]*jsonval.Value
	kind   Kind
}

// samples are those of the trials whose IDs have the smallest hashes, so that they do not depend on the order in which
// trials come. They are sorted by these.
type samples []sample

func (s *samples) add(one sample) {
	at, _ := slices.BinarySearchFunc(*s, one, compareSamples)
	if at >= maxSamples {
		return
	}
	for i, v := range one.values {
		if v != nil {
			v := clone(*v)
			one.values[i] = &v
		}
	}
	*s = slices.Insert(*s, at, one)
	*s = (*s)[:min(len(*s), maxSamples)]
}

func compareSamples(a, b sample) int {
	return cmp.Or(cmp.Compare(hash64(a.trial), hash64(b.trial)), cmp.Compare(a.trial, b.trial))
}

func (s *samples) merge(o samples) {
	for _, one := range o {
		s.add(one)
	}
}

// The forms that texts are told by.
var (
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	hashForm = regexp.MustCompile(`^([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})$`)
)

// kind tells what the sampled values have in common.
func (s samples) kind() noiseKind {
	var baseline, candidate []jsonval.Value
	absent, ordered := 0, 0
	for _, one := range s {
		if one.kind == Order {
			ordered++
		}
		for i, v := range one.values {
			switch {
			case v == nil && one.kind != Changed && one.kind != TypeOf:
				absent++
			case v == nil:
			case i < 2:
				baseline = append(baseline, *v)
			default:
				candidate = append(candidate, *v)
			}
		}
	}
	all := slices.Concat(baseline, candidate)
	switch {
	case len(all) == 0:
		return unknownNoise
	case ordered == len(s):
		return orderNoise
	case absent > 0:
		return absentNoise
	case every(all, isText(uuidForm.MatchString)):
		return uuidNoise
	case every(all, isTime) && s.close():
		return timeNoise
	case every(all, isText(hashForm.MatchString)):
		return hashNoise
	case len(s) >= minFresh && every(all, isCount) && s.grows(): // which numbers that are close may do by chance
		return counterNoise
	case every(all, func(v jsonval.Value) bool { return v.Kind == jsonval.Number }) && s.widest() <= closeNumbers:
		return numberNoise
	case samePick(baseline, candidate):
		return pickNoise
	case every(all, isCount) && s.grows():
		return counterNoise
	case every(all, isText(isID)), fresh(all):
		return idNoise
	case every(all, func(v jsonval.Value) bool { return v.Kind == jsonval.Number }):
		return numberNoise
	case every(all, isText(func(string) bool { return true })):
		return textNoise
	}
	return unknownNoise
}

func every(values []jsonval.Value, is func(jsonval.Value) bool) bool {
	return !slices.ContainsFunc(values, func(v jsonval.Value) bool { return !is(v) })
}

func isText(is func(string) bool) func(jsonval.Value) bool {
	return func(v jsonval.Value) bool { return v.Kind == jsonval.String && is(v.Text) }
}

func isTime(v jsonval.Value) bool {
	_, ok := momentOf(v)
	return ok
}

// momentOf reads an instant: a timestamp with its zone, or seconds or milliseconds since 1970.
func momentOf(v jsonval.Value) (time.Time, bool) {
	if !leafKind(v) {
		return time.Time{}, false
	}
	if t, err := instant(v.Text); err == nil {
		return t, true
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	switch {
	case err != nil:
	case len(v.Text) == 10 && n > 1e9:
		return time.Unix(n, 0), true
	case len(v.Text) == 13 && n > 1e12:
		return time.UnixMilli(n), true
	}
	return time.Time{}, false
}

// nearby is how far apart instants that were written down in one trial may be: two firings take a while.
const nearby = 15 * time.Minute

// spread is the longest time between two instants of one trial.
func (s samples) spread() (longest time.Duration) {
	for _, one := range s {
		var first time.Time
		for _, v := range one.values {
			if v == nil {
				continue
			}
			t, _ := momentOf(*v)
			if first.IsZero() {
				first = t
			}
			longest = max(longest, t.Sub(first).Abs())
		}
	}
	return longest
}

func (s samples) close() bool { return s.spread() <= nearby }

// closeNumbers is the share up to which two numbers are taken for one with an error.
const closeNumbers = 0.05

// widest is how far apart two numbers of one trial are at the most, as a share of the larger one.
func (s samples) widest() (share float64) {
	for _, one := range s {
		for i, v := range one.values {
			for _, w := range one.values[i+1:] {
				if v != nil && w != nil {
					share = max(share, distance(v.Text, w.Text))
				}
			}
		}
	}
	return share
}

// distance is how far apart two numbers are, as a share of the larger one; 1 where that cannot be said.
func distance(a, b string) float64 {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	larger := max(math.Abs(x), math.Abs(y))
	switch {
	case errX != nil || errY != nil:
		return 1
	case larger == 0:
		return 0
	}
	return math.Abs(x-y) / larger
}

func isCount(v jsonval.Value) bool {
	if !leafKind(v) || v.Text == "" || len(v.Text) > 18 {
		return false
	}
	return strings.Trim(v.Text, "0123456789") == ""
}

// grows reports whether the second firing always has the larger number, on both sides.
func (s samples) grows() bool {
	seen := false
	for _, one := range s {
		for side := 0; side < 4; side += 2 {
			x, y := one.values[side], one.values[side+1]
			if x == nil || y == nil {
				continue
			}
			a, _ := strconv.ParseInt(x.Text, 10, 64)
			b, _ := strconv.ParseInt(y.Text, 10, 64)
			if a >= b {
				return false
			}
			seen = true
		}
	}
	return seen
}

// fresh reports whether all values are texts of one length without white space, and none occurs twice.
func fresh(values []jsonval.Value) bool {
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		ok := v.Kind == jsonval.String && len(v.Text) >= minFresh && len(v.Text) == len(values[0].Text)
		if !ok || seen[v.Text] || strings.ContainsAny(v.Text, " \t\n/") {
			return false
		}
		seen[v.Text] = true
	}
	return len(values) >= minFresh
}

// minFresh is how long an identifier is at the least, and how many of them it takes to tell.
const minFresh = 8

// samePick reports whether both sides have the same few values, each often enough that these are likely all.
func samePick(baseline, candidate []jsonval.Value) bool {
	count := func(values []jsonval.Value) map[string]int {
		counts := make(map[string]int)
		for _, v := range values {
			if !leafKind(v) && v.Kind != jsonval.Bool {
				return nil
			}
			counts[v.String()]++
		}
		return counts
	}
	b, c := count(baseline), count(candidate)
	if len(b) < 2 || len(b) > maxPick || len(b) != len(c) {
		return false
	}
	for v, n := range b {
		if n < 2 || c[v] < 2 {
			return false
		}
	}
	return true
}

// formOf writes a text or a number with what may vary left out: what the letters and digits are, and of numbers all
// but whether they are whole. Two values of one generator have one form, or a few.
func formOf(v jsonval.Value) string {
	if v.Kind == jsonval.Number {
		if strings.ContainsAny(v.Text, ".eE") {
			return "a number with decimals"
		}
		return "a whole number"
	}
	if uuidForm.MatchString(v.Text) {
		return "UUID" + letterCase(v.Text)
	}
	if len(v.Text) > maxSample {
		return "a long text"
	}
	if isID(v.Text) || hashForm.MatchString(v.Text) {
		return "ID of " + strconv.Itoa(len(v.Text)) + letterCase(v.Text)
	}
	return skeleton(v.Text)
}

func letterCase(s string) string {
	switch {
	case s == strings.ToLower(s):
		return ", lower case"
	case s == strings.ToUpper(s):
		return ", upper case"
	}
	return ", mixed case"
}

// skeleton has one 9 for each run of digits and one a or A for each of letters; everything else stays.
func skeleton(s string) string {
	var b strings.Builder
	var last rune
	for _, r := range s {
		class := r
		switch {
		case '0' <= r && r <= '9':
			class = '9'
		case 'a' <= r && r <= 'z':
			class = 'a'
		case 'A' <= r && r <= 'Z':
			class = 'A'
		}
		if class != last || class == r && class != '9' && class != 'a' && class != 'A' {
			b.WriteRune(class)
		}
		last = class
	}
	return b.String()
}
