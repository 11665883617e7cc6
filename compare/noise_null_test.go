package compare

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"tandem/capture/jsonval"
)

// A process makes the four values of a trial's field, of b1, b2, c1 and c2: "" is for one that is not there. Its sides
// are alike: whatever it does for the candidate in a turn, it could have done for the baseline.
type process func(r *rand.Rand, trial int) [4]string

// each draws for each of the four, by turn: 0 or 1.
func each(draw func(r *rand.Rand, trial, turn int) string) func() process {
	return func() process {
		return func(r *rand.Rand, trial int) (v [4]string) {
			for i := range v {
				v[i] = draw(r, trial, i%2)
			}
			return v
		}
	}
}

// inTurns draws both turns for both sides together, and gives what it draws to either side with the same chance.
func inTurns(draw func(r *rand.Rand, trial, turn int) (one, other string)) func() process {
	return func() process {
		return func(r *rand.Rand, trial int) (v [4]string) {
			for turn := range 2 {
				one, other := draw(r, trial, turn)
				if r.IntN(2) == 0 {
					one, other = other, one
				}
				v[turn], v[2+turn] = one, other
			}
			return v
		}
	}
}

func chosen(r *rand.Rand, chance float64, one, other string) string {
	if r.Float64() < chance {
		return one
	}
	return other
}

// firedAt is when the four were fired: trials come every 137 ms, and the second turn comes gap after the first. The
// candidate takes lag longer than the baseline, the second time a quarter of that.
func firedAt(r *rand.Rand, trial int, gap, lag time.Duration) (at [4]time.Time) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(trial) * 137 * time.Millisecond)
	for i := range at {
		at[i] = start.Add(time.Duration(r.IntN(int(30 * time.Millisecond))))
		if i%2 == 1 {
			at[i] = at[i].Add(gap + lag)
		}
	}
	at[2], at[3] = at[2].Add(lag), at[3].Add(lag/4)
	return at
}

func clockOf(gap, lag time.Duration, write func(*rand.Rand, time.Time) string) func() process {
	return func() process {
		return func(r *rand.Rand, trial int) (v [4]string) {
			for i, at := range firedAt(r, trial, gap, lag) {
				v[i] = write(r, at)
			}
			return v
		}
	}
}

func seconds(_ *rand.Rand, at time.Time) string { return at.Format(time.RFC3339) }

func suffixed(r *rand.Rand, at time.Time) string {
	return at.Format(time.RFC3339) + chosen(r, .35, "-"+string(rune('a'+r.IntN(3))), "")
}

func hashed(_ *rand.Rand, at time.Time) string {
	n := uint64(at.Unix())
	return fmt.Sprintf("%016x%016x", n*0x9e3779b97f4a7c15, n*0xbf58476d1ce4e5b9)
}

// clean are processes whose sides are alike, with all that makes turns, trials and firings depend on each other.
var clean = map[string]func() process{
	"one of three": each(func(r *rand.Rand, _, _ int) string { return string("aab c"[r.IntN(5)]) }),
	"two thirds noise": each(func(r *rand.Rand, trial, _ int) string {
		return chosen(r, .42, fmt.Sprint(r.Uint32()), fmt.Sprint(trial%5))
	}),
	"seldom a fresh value": each(func(r *rand.Rand, trial, _ int) string {
		return chosen(r, .01, fmt.Sprint(r.Uint32()), fmt.Sprint(trial%5))
	}),
	"a cache that the first turn fills": each(func(r *rand.Rand, _, turn int) string {
		return chosen(r, []float64{.6, .98}[turn], "HIT", "MISS")
	}),
	"a cache that is warm for some": func() process {
		return func(r *rand.Rand, _ int) [4]string {
			warm := r.Float64()
			return [4]string{chosen(r, warm, "HIT", "MISS"), "HIT", chosen(r, warm, "HIT", "MISS"), "HIT"}
		}
	},
	"a choice that the second turn hardly has": each(func(r *rand.Rand, _, turn int) string {
		if turn == 1 {
			return chosen(r, .05, "x", "a")
		}
		return string("abcd"[r.IntN(4)])
	}),
	"a time in seconds":                  clockOf(900*time.Millisecond, 0, seconds),
	"a time, of one that takes longer":   clockOf(20*time.Millisecond, 80*time.Millisecond, seconds),
	"a time in a text with a suffix":     clockOf(900*time.Millisecond, 0, suffixed),
	"such a text, turns a second apart":  clockOf(1100*time.Millisecond, 0, suffixed),
	"a hash of the time":                 clockOf(900*time.Millisecond, 0, hashed),
	"a hash, turns a second apart":       clockOf(1100*time.Millisecond, 0, hashed),
	"a local time, turns a second apart": clockOf(1100*time.Millisecond, 0, func(_ *rand.Rand, at time.Time) string { return at.Format(time.DateTime) }),
	"counters of each side": func() process {
		var n [2]int
		return func(r *rand.Rand, _ int) (v [4]string) {
			for i := range v {
				n[i/2] += 1 + r.IntN(2)
				v[i] = fmt.Sprint(1000 + n[i/2])
			}
			return v
		}
	},
	"one counter for both": func() process {
		n := 1000
		return inTurns(func(*rand.Rand, int, int) (string, string) {
			n += 2
			return fmt.Sprint(n), fmt.Sprint(n + 1)
		})()
	},
	"two nodes that take turns": inTurns(func(*rand.Rand, int, int) (string, string) { return "a", "b" }),
	"the first of both makes it": inTurns(func(_ *rand.Rand, _, turn int) (string, string) {
		if turn == 0 {
			return "created", "exists"
		}
		return "exists", "exists"
	}),
	"a rate that changes": inTurns(func(r *rand.Rand, _, _ int) (string, string) {
		rate := fmt.Sprintf("1.%04d", r.IntN(10_000))
		return rate, chosen(r, .1, fmt.Sprintf("1.%04d", r.IntN(10_000)), rate)
	}),
	"created and exists, with races": each(func(r *rand.Rand, _, turn int) string {
		return chosen(r, .04, "conflict", []string{"created", "exists"}[turn])
	}),
	"there at times":           each(func(r *rand.Rand, _, _ int) string { return chosen(r, .3, "x", "") }),
	"fresh and there at times": each(func(r *rand.Rand, _, _ int) string { return chosen(r, .3, uuid(r), "") }),
	"there the first time":     each(func(r *rand.Rand, _, turn int) string { return chosen(r, []float64{.9, .2}[turn], "x", "") }),
	"in any order":             each(func(r *rand.Rand, _, _ int) string { return shuffled(r, 0, false, false) }),
	"milliseconds":             each(func(r *rand.Rand, _, _ int) string { return fmt.Sprint(20 + int(10*r.ExpFloat64())) }),
	"a number of few decimals": each(func(r *rand.Rand, _, _ int) string { return fmt.Sprintf("%.1f", 10+r.NormFloat64()/20) }),
	"numbers, some of them of another unit": each(func(r *rand.Rand, trial, turn int) string {
		n := 40 + trial%9
		return chosen(r, .3, fmt.Sprintf("%d.%02d", n+r.IntN(2), 50+turn), chosen(r, .3, fmt.Sprint(100*n), fmt.Sprint(n)))
	}),
	"there at times, and twice at times": func() process {
		return func(r *rand.Rand, _ int) (v [4]string) {
			for i := range v {
				v[i] = strings.Repeat(chosen(r, .1, "b", "a"), []int{0, 1, 1, 2}[r.IntN(4)])
			}
			return v
		}
	},
	"one of two things, each twice at times": each(func(r *rand.Rand, _, _ int) string {
		return "ab" + chosen(r, .5, "", chosen(r, .5, "a", "b"))
	}),
	"twice the second time, mostly": each(func(r *rand.Rand, _, turn int) string {
		return strings.Repeat(chosen(r, .1, string("bcd"[r.IntN(3)]), "a"), 1+int(btoi(r.Float64() < []float64{.1, .8}[turn])))
	}),
	"forms that vary": each(func(r *rand.Rand, _, _ int) string {
		return chosen(r, .3, fmt.Sprint(r.IntN(1000)), fmt.Sprintf("%.2f", 10*r.Float64()))
	}),
}

// addCopies counts a trial's four lists of a field, with a letter for each element, as comparing them by pairs does.
func (c calibrated) addCopies(path string, v [4]string) {
	for bit, pair := range pairsOfFour {
		for i, letter := range []string{"a", "b", "c", "d"} {
			value := jsonval.Text(letter)
			d := Difference{Path: fmt.Sprintf("%s/%d", path, i)}
			switch b, c := strings.Count(v[pair[0]], letter), strings.Count(v[pair[1]], letter); {
			case b == c:
				continue
			case b > c:
				d.Kind, d.Baseline = Missing, &value
			case b == 0:
				d.Kind, d.Candidate = Extra, &value
			default:
				d.Kind, d.Candidate = Duplicate, &value
			}
			c.note("f", split(1)<<bit, pair, &d)
		}
	}
}

// add counts a trial's four values of a field.
func (c calibrated) add(path string, v [4]string) {
	if strings.Contains(path, "twice") {
		c.addCopies(path, v)
		return
	}
	f := field{function: "f", path: path}
	d, there := &disagreement{kind: Changed, path: path}, &disagreement{kind: Missing, path: path}
	for i, text := range v {
		if text != "" {
			value := jsonval.Text(text)
			if _, ok := rational(text); ok {
				value = jsonval.Value{Kind: jsonval.Number, Text: text}
			}
			d.values[i], there.values[i] = &value, &value
		}
	}
	for bit, pair := range pairsOfFour {
		switch a, b := v[pair[0]], v[pair[1]]; {
		case a == b:
		case a == "" || b == "":
			there.split |= split(1) << bit
		default:
			d.split |= split(1) << bit
		}
	}
	if d.split != 0 {
		c[f] = d
	}
	if there.split != 0 {
		c[f.in(presence)] = there
	}
}

// noiseOf is the noise of a run of trials whose fields the processes make.
func noiseOf(r *rand.Rand, trials int, processes map[string]process) *noise {
	n := newNoise()
	names := sortedKeys(processes)
	for i := range trials {
		c := make(calibrated)
		for _, name := range names {
			c.add(name, processes[name](r, i))
		}
		c.settle()
		n.add("f", fmt.Sprint(i), c)
	}
	return n
}

// alarms are the fields in which a run is said to differ.
func (n *noise) alarms() (fields []string) {
	for f, is := range n.judge() {
		differ := n.fields[f].count(func(s split) bool { return s.has(firstSplit) }) > 0
		if is.evidence != noEvidence || f.of != forms && differ && !is.excused() {
			fields = append(fields, fmt.Sprintf("%s (%d, %q)", f.path, f.of, is.evidence))
		}
	}
	return fields
}

// runsOfAlike is how many clean runs are made, each with a field of every process: with TANDEM_SOAK=1 as many as it takes
// to tell a level of one in a thousand.
func runsOfAlike() int64 {
	if os.Getenv("TANDEM_SOAK") != "" {
		return 3000
	}
	return 40
}

func TestSidesThatAreAlikeRaiseAnAlarmInOneRunOfAThousandAtMost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	alarms, runs := int64(0), runsOfAlike()
	levels := []float64{.2, .05, .01, .001}
	small := make(map[string][]int64) // by field and evidence, how many p-values there are, and how many at each level
	for range runs {
		all := make(map[string]process)
		for name, begin := range clean {
			all[name] = begin()
		}
		n := noiseOf(r, 60, all)
		if at := n.alarms(); len(at) > 0 {
			alarms++
			t.Log(strings.Join(at, "; "))
		}
		for key, p := range n.smallest() {
			if small[key] == nil {
				small[key] = make([]int64, 1+len(levels))
			}
			small[key][0]++
			for i, level := range levels {
				small[key][1+i] += btoi(p <= level)
			}
		}
	}
	if p := upperTail(alarms, runs, falseAlarms); p < .01 {
		t.Errorf("%d alarms in %d runs: p = %.2g", alarms, runs, p)
	}
	t.Logf("%d alarms in %d runs, so up to %.2g of them (95 %% confidence)", alarms, runs, UpperBound95(alarms, runs))
	for key, counts := range small {
		for i, level := range levels {
			if p := upperTail(counts[1+i], counts[0], level); p < 1e-4 {
				t.Errorf("%s: %d of %d p-values are %g or less: p = %.2g", key, counts[1+i], counts[0], level, p)
			}
		}
	}
}

// smallest are the p-values of the run by field and evidence: of several, the smallest one times their number.
func (n *noise) smallest() map[string]float64 {
	p, tests := make(map[string]float64), make(map[string]float64)
	for key, f := range n.fields {
		for _, one := range f.tests(key, f.samples.kind(), nil) {
			name := fmt.Sprintf("%s (%d): %s", key.path, key.of, one.says)
			if tests[name]++; tests[name] == 1 || one.p < p[name] {
				p[name] = one.p
			}
		}
	}
	for name := range p {
		p[name] *= tests[name]
	}
	return p
}

// hit lets a fault change what the candidate has in the given share of trials.
func hit(begin func() process, share float64, fault func(string) string) func() process {
	return func() process {
		alike := begin()
		return func(r *rand.Rand, trial int) [4]string {
			v := alike(r, trial)
			if r.Float64() < share {
				v[2], v[3] = fault(v[2]), fault(v[3])
			}
			return v
		}
	}
}

// calm has a fixed value that noise makes another one of, so that two firings disagree in the given share of trials.
func calm(disagreeing float64, another func(*rand.Rand) string) func() process {
	share := 1 - sqrt(1-disagreeing)
	return each(func(r *rand.Rand, trial, _ int) string { return chosen(r, share, another(r), fmt.Sprint(trial%7)) })
}

func TestFaultsAreEvidenceHoweverNoisyTheField(t *testing.T) {
	freshly := func(r *rand.Rand) string { return fmt.Sprint(1000 + r.IntN(1_000_000)) }
	picked := func(r *rand.Rand) string { return fmt.Sprint(20 + r.IntN(3)) }
	appended := func(v string) string { return v + "00" }
	constant := func(string) string { return "0" }
	tests := []struct {
		name   string
		faulty func() process
	}{
		{"2 % of trials, 20 % of fresh values", hit(calm(.2, freshly), .02, appended)},
		{"5 % of trials, 20 % of picked values", hit(calm(.2, picked), .05, appended)},
		{"5 % of trials, 20 % of fresh values", hit(calm(.2, freshly), .05, appended)},
		{"20 % of trials, two thirds noise", hit(calm(2./3, freshly), .2, appended)},
		{"2 % of trials, a cent where noise is of whole units", hit(
			each(func(r *rand.Rand, trial, _ int) string {
				return fmt.Sprintf("%d.50", 20+trial%90+int(btoi(r.Float64() < .11))*(1+r.IntN(3)))
			}), .02, func(v string) string { return strings.Replace(v, ".50", ".51", 1) })},
		{"2 % of trials have twice what is there most times", hit(
			each(func(r *rand.Rand, _, _ int) string { return chosen(r, .89, "a", "") }), .02,
			func(v string) string { return v + v })},
		{"a constant for fresh IDs", hit(each(func(r *rand.Rand, _, _ int) string { return uuid(r) }), 1, constant)},
		{"a constant for fresh IDs in 5 % of trials", hit(each(func(r *rand.Rand, _, _ int) string { return uuid(r) }), .05, constant)},
		{"3 % of trials, a state besides", hit(clean["created and exists, with races"], .03, func(v string) string {
			return strings.Replace(v, "ed", "ing", 1)
		})},
		{"a cache that is never filled", func() process {
			return func(r *rand.Rand, trial int) [4]string {
				v := clean["a cache that the first turn fills"]()(r, trial)
				v[3] = chosen(r, .6, "HIT", "MISS")
				return v
			}
		}},
		{"a text with a time that has lost its zone, in 3 % of trials", hit(clean["a time in a text with a suffix"], .03,
			func(v string) string { return strings.Replace(v, "Z", "", 1) })},
		{"a node that never serves, where two take turns", hit(clean["two nodes that take turns"], .1,
			func(string) string { return "c" })},
		{"5 % of trials lack what is there most times", hit(each(func(r *rand.Rand, _, _ int) string { return chosen(r, .9, "x", "") }), .05,
			func(string) string { return "" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := "faulty"
			if strings.Contains(tt.name, "twice") {
				name += " twice"
			}
			processes := map[string]process{name: tt.faulty()}
			for _, name := range []string{"one of three", "two thirds noise", "in any order", "there at times"} {
				processes[name] = clean[name]()
			}
			found := noiseOf(rand.New(rand.NewPCG(1, 2)), 1000, processes).alarms()
			if len(found) == 0 {
				t.Error("not found")
			}
			for _, at := range found {
				if !strings.HasPrefix(at, "faulty") {
					t.Errorf("found in %s", at)
				}
			}
		})
	}
}
