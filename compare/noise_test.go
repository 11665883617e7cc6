package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A source makes the value of one field for one of the four firings of a trial, as JSON. Candidate and second say whose
// it is and which.
type source func(r *rand.Rand, trial int, candidate, second bool) string

// calibratedRun returns the lines of a run in which every invocation was fired twice at each target. The fields of its
// answers come from sources.
func calibratedRun(seed uint64, trials int, fields map[string]source) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	names := sortedKeys(fields)
	lines := make([]string, 0, trials)
	for i := range trials {
		var outcomes []string
		for _, o := range []struct {
			name              string
			candidate, second bool
		}{{"lambda", false, false}, {"lambda#2", false, true}, {"functions", true, false}, {"functions#2", true, true}} {
			var members []string
			for _, name := range names {
				if v := fields[name](r, i, o.candidate, o.second); v != "" {
					members = append(members, fmt.Sprintf("%q:%s", name, v))
				}
			}
			outcomes = append(outcomes, fmt.Sprintf(`%q:{"status":"ok","http":{"status":200,"body":{"json":{%s}}}}`,
				o.name, strings.Join(members, ",")))
		}
		lines = append(lines, fmt.Sprintf(`{"invocation":"i%05d","function":"f","shape":"s","outcomes":{%s}}`,
			i, strings.Join(outcomes, ",")))
	}
	return lines
}

func uuid(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.UintN(1<<16), r.UintN(1<<12), r.UintN(1<<12), r.Uint64()>>16)
}

// The sources below behave alike on both sides.

func steadyTotal(_ *rand.Rand, trial int, _, _ bool) string { return fmt.Sprint(100 + trial%7) }

func freshID(r *rand.Rand, _ int, _, _ bool) string { return `"` + uuid(r) + `"` }

// disturbed disagrees with itself in the given share of trials.
func disturbed(share float64) source {
	each := 1 - sqrt(1-share)
	return func(r *rand.Rand, trial int, _, _ bool) string {
		if r.Float64() < each {
			return fmt.Sprint(1000 + r.IntN(1_000_000))
		}
		return fmt.Sprint(trial + 1)
	}
}

func sqrt(x float64) float64 {
	y := x
	for range 60 {
		y = (y + x/y) / 2
	}
	return y
}

func oneOf(values ...string) source {
	return func(r *rand.Rand, _ int, _, _ bool) string { return values[r.IntN(len(values))] }
}

func atTimes(share float64, s source) source {
	return func(r *rand.Rand, trial int, candidate, second bool) string {
		if r.Float64() > share {
			return ""
		}
		return s(r, trial, candidate, second)
	}
}

// clock has whole seconds: the first firings of both targets happen together, and so do the second ones.
func clock(r *rand.Rand, trial int, candidate, second bool) string {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(trial) * 700 * time.Millisecond)
	if second {
		at = at.Add(900 * time.Millisecond)
	}
	at = at.Add(time.Duration(r.IntN(30)) * time.Millisecond)
	return `"` + at.Format(time.RFC3339) + `"`
}

func shuffled(r *rand.Rand, _ int, _, _ bool) string {
	list := []string{`"a"`, `"b"`, `"c"`}
	r.Shuffle(3, func(i, j int) { list[i], list[j] = list[j], list[i] })
	return "[" + strings.Join(list, ",") + "]"
}

// counter grows with each firing; each side has its own.
func counter(r *rand.Rand, trial int, candidate, second bool) string {
	n := 2*trial + r.IntN(2)
	if candidate {
		n += 17
	}
	if second {
		n += 3
	}
	return fmt.Sprint(n)
}

var noiseOfAllKinds = map[string]source{
	"total": steadyTotal, "id": freshID, "some": disturbed(.2), "most": disturbed(.6), "rare": disturbed(.05),
	"node": oneOf(`"a"`, `"b"`, `"cc"`), "flag": oneOf("true", "false"), "note": atTimes(.5, steadyTotal), "at": clock,
	"list": shuffled, "jitter": func(r *rand.Rand, _ int, _, _ bool) string { return fmt.Sprintf("%.3f", 10+r.Float64()/100) },
}

func TestSidesThatAreAlikeDoNotDifferHoweverNoisy(t *testing.T) {
	for seed := range uint64(5) {
		r := mustCompare(t, Options{}, calibratedRun(seed, 300, noiseOfAllKinds)...)
		if r.Verdict != Inconclusive || r.Trials.Differed != 0 || r.Trials.Noisy != 300 {
			t.Fatalf("seed %d: %s, %+v, %+v", seed, r.Verdict, r.Trials, r.Clusters)
		}
	}
}

func TestAFreshValueThatIsThereAtTimesIsNoise(t *testing.T) {
	for seed := range uint64(20) { // in some of these the first outcomes alone have one, both of them
		r := mustCompare(t, Options{}, calibratedRun(seed, 200, map[string]source{"x": atTimes(.08, freshID)})...)
		if r.Verdict != Inconclusive || r.Trials.Differed != 0 {
			t.Fatalf("seed %d: %s, %+v, %+v", seed, r.Verdict, r.Trials, r.Clusters)
		}
	}
}

// faulty lets change touch the candidate's value in the given share of trials, the same ones in both firings.
func faulty(s source, share float64, change func(value string) string) source {
	return func(r *rand.Rand, trial int, candidate, second bool) string {
		v := s(r, trial, candidate, second)
		if candidate && float64(trial*7919%1000) < share*1000 {
			return change(v)
		}
		return v
	}
}

func TestFaultsAreFoundUnderNoise(t *testing.T) {
	constant := func(v string) source {
		return func(r *rand.Rand, trial int, candidate, second bool) string {
			if candidate {
				return v
			}
			return freshID(r, trial, candidate, second)
		}
	}
	tests := []struct {
		name, field string
		source      source
		path        string
	}{
		{"a field without noise differs once in a thousand trials", "total",
			faulty(steadyTotal, .001, func(v string) string { return v + "0" }), "/body/total"},
		{"a fault in 2 % of trials in a field with 20 % of noise", "some",
			faulty(disturbed(.2), .02, func(v string) string { return v + "00" }), "/body/some"},
		{"another type in 2 % of trials in such a field", "some",
			faulty(disturbed(.2), .02, func(v string) string { return `"` + v + `"` }), "/body/some"},
		{"a lost value in 2 % of trials in such a field", "some",
			faulty(disturbed(.2), .02, func(string) string { return "" }), "/body/some"},
		{"another value in 1 % of trials, where there is one at times", "note",
			faulty(atTimes(.6, steadyTotal), .01, func(v string) string {
				if v == "" {
					return v
				}
				return v + "0"
			}), "/body/note"},
		{"a lost value in 4 % of trials where there is none at times", "note",
			faulty(atTimes(.89, steadyTotal), .04, func(string) string { return "" }), "/body/note"},
		{"a value that is none of the set, in 2 % of trials", "node",
			faulty(oneOf("1", "2", "3"), .02, func(string) string { return "4" }), "/body/node"},
		{"a constant where the baseline has fresh IDs", "id", constant(`"00000000-0000-4000-a000-000000000000"`), "/body/id"},
		{"IDs of another form", "id", func(r *rand.Rand, trial int, candidate, second bool) string {
			id := freshID(r, trial, candidate, second)
			if candidate {
				return strings.ReplaceAll(id, "-", "")
			}
			return id
		}, "/body/id"},
		{"a value that is always the first of a set", "node", func(r *rand.Rand, trial int, candidate, second bool) string {
			if candidate {
				return `"a"`
			}
			return oneOf(`"a"`, `"b"`, `"cc"`)(r, trial, candidate, second)
		}, "/body/node"},
		{"random values where the baseline has none", "total", func(r *rand.Rand, trial int, candidate, second bool) string {
			if candidate {
				return fmt.Sprint(r.IntN(100))
			}
			return steadyTotal(r, trial, candidate, second)
		}, "/body/total"},
		{"the candidate alone answers a second firing as it did the first", "state",
			func(_ *rand.Rand, trial int, candidate, second bool) string {
				if second && !candidate {
					return `"exists"`
				}
				return fmt.Sprintf(`"created %d"`, trial)
			}, "/body/state"},
		{"another zone in a time that is noisy", "at", func(r *rand.Rand, trial int, candidate, second bool) string {
			at := clock(r, trial, candidate, second)
			if candidate {
				return strings.Replace(at, "Z", "+01:00", 1)
			}
			return at
		}, "/body/at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(1) {
				fields := map[string]source{"fresh": freshID, "set": oneOf("1", "2"), tt.field: tt.source}
				r := mustCompare(t, Options{}, calibratedRun(seed, 1000, fields)...)
				if r.Verdict != Differs || len(r.Clusters) == 0 {
					t.Fatalf("seed %d: %s, %+v", seed, r.Verdict, r.Trials)
				}
				for _, c := range r.Clusters {
					if c.Path != tt.path {
						t.Errorf("seed %d: found in %s, too: %+v", seed, c.Path, c)
					}
				}
			}
		})
	}
}

func TestStateExcusesAFaultNoLongerThanChanceDoes(t *testing.T) {
	// The second firing finds what the first has made. Of an answer to the first that is another one, once, nothing says
	// that it is no noise of either side.
	for _, tt := range []struct {
		faulty  int
		verdict Verdict
	}{{1, Inconclusive}, {3, Inconclusive}, {20, Differs}} {
		state := func(_ *rand.Rand, trial int, candidate, second bool) string {
			switch {
			case second:
				return `"exists"`
			case candidate && trial < tt.faulty:
				return `"creating"`
			}
			return `"created"`
		}
		r := mustCompare(t, Options{}, calibratedRun(1, 100, map[string]source{"state": state})...)
		differed := int64(0)
		if tt.verdict == Differs {
			differed = int64(tt.faulty)
		}
		if r.Verdict != tt.verdict || r.Trials.Differed != differed || r.Trials.Matched != int64(100-tt.faulty) {
			t.Errorf("%d of 100: %s: %+v", tt.faulty, r.Verdict, r.Trials)
		}
	}
}

func TestStateThatBothSidesKeepAlikeIsParity(t *testing.T) {
	state := func(_ *rand.Rand, trial int, _, second bool) string {
		return map[bool]string{false: `"created"`, true: `"exists"`}[second]
	}
	for _, trials := range []int{1, 100} {
		r := mustCompare(t, Options{}, calibratedRun(1, trials, map[string]source{"state": state})...)
		if r.Verdict != Parity || r.Trials.Matched != int64(trials) || len(r.Noise) != 1 || len(r.Proposals) != 0 {
			t.Errorf("%d trials: %s: %+v, %+v", trials, r.Verdict, r.Trials, r.Noise)
		}
	}
}

func TestCountsThatEachSideKeepsForItselfAreNoise(t *testing.T) {
	// The sides count on their own, each firing by one or two, so that they are in step for a while, and then are not.
	var counts [2]int
	drifting := func(r *rand.Rand, _ int, candidate, _ bool) string {
		n := &counts[0]
		if candidate {
			n = &counts[1]
		}
		*n += 1 + r.IntN(2)
		return fmt.Sprint(1000 + *n)
	}
	versions := func(share float64) source { // of one thing: 1, then 2
		return func(_ *rand.Rand, trial int, candidate, second bool) string {
			n := 1
			if second {
				n = 2
			}
			if candidate && float64(trial*7919%1000) < share*1000 {
				n += 3
			}
			return fmt.Sprint(n)
		}
	}
	for seed := range uint64(5) {
		counts = [2]int{}
		r := mustCompare(t, Options{}, calibratedRun(seed, 1000, map[string]source{"sequence": drifting, "version": versions(0)})...)
		if r.Verdict != Inconclusive || r.Trials.Differed != 0 {
			t.Errorf("seed %d: %s, %+v %+v", seed, r.Verdict, r.Trials, r.Clusters)
		}
	}
	r := mustCompare(t, Options{}, calibratedRun(1, 1000, map[string]source{"version": versions(.02)})...)
	if r.Verdict != Differs || r.Trials.Differed != 20 {
		t.Errorf("%s: %+v", r.Verdict, r.Trials)
	}
}

func TestWritesToOneKeyThatComeInAnyOrderAreNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	run := func(candidate func(swap bool) bool) *Report {
		var lines []string
		for i := range 300 {
			outcome := func(swap bool) string {
				a, b := "1", "2"
				if swap {
					a, b = b, a
				}
				const put = `{"kind":"object.put","resource":"r","key":"k","body":{"json":%s}}`
				return `{"status":"ok","effects":[` + fmt.Sprintf(put+","+put, a, b) + `]}`
			}
			any := func() bool { return r.IntN(2) == 0 }
			lines = append(lines, fmt.Sprintf(`{"invocation":"i%03d","function":"f","outcomes":{"lambda":%s,"lambda#2":%s,`+
				`"functions":%s,"functions#2":%s}}`, i, outcome(any()), outcome(any()), outcome(candidate(any())), outcome(candidate(any()))))
		}
		return mustCompare(t, Options{}, lines...)
	}
	if got := run(func(swap bool) bool { return swap }); got.Verdict != Inconclusive || got.Trials.Differed != 0 {
		t.Errorf("any order on both sides: %s, %+v %+v", got.Verdict, got.Trials, got.Clusters)
	}
	if got := run(func(bool) bool { return false }); got.Verdict != Differs {
		t.Errorf("any order, where the candidate has one: %s, %+v", got.Verdict, got.Trials)
	}
}

// TestWhatATestAttainsIsNoMoreThanItsLevel holds the exact tests to what they promise, for all outcomes that they have.
func TestWhatATestAttainsIsNoMoreThanItsLevel(t *testing.T) {
	for _, chance := range []float64{1. / 2, 1. / 3, 1. / 6} {
		for n := range int64(60) {
			one := noiseTest{n: n, chance: chance, sides: 1}
			for _, level := range []float64{1e-3, 1e-5, 1e-7} {
				attained := one.attains(level)
				k := int64(0)
				for k <= n && one.pOf(k) > level {
					k++
				}
				if want := 0.; attained > level || k <= n && attained != one.pOf(k) || k > n && attained != want {
					t.Errorf("n %d, chance %.2f, level %g: %g", n, chance, level, attained)
				}
			}
		}
	}
}

func TestNoiseThatLuckHidesIsNotParity(t *testing.T) {
	// The first outcomes agree in all trials, and one second one does not.
	once := func(_ *rand.Rand, trial int, candidate, second bool) string {
		return fmt.Sprint(candidate && second && trial == 3)
	}
	r := mustCompare(t, Options{}, calibratedRun(1, 50, map[string]source{"x": once})...)
	if r.Verdict != Inconclusive || r.Trials.Noisy != 1 {
		t.Errorf("%s: %+v", r.Verdict, r.Trials)
	}
}

func TestProposalsSettleTheNoiseOfTheirField(t *testing.T) {
	tests := []struct {
		name   string
		source source
		kind   noiseKind
		treat  Treatment
	}{
		{"UUIDs", freshID, uuidNoise, Alias},
		{"times", clock, timeNoise, Time},
		{"a counter", counter, counterNoise, Alias},
		{"an order", shuffled, orderNoise, Unordered},
		{"a few values", oneOf(`"a"`, `"b"`, `"cc"`), pickNoise, Pattern},
		{"true and false", oneOf("true", "false"), pickNoise, Type},
		{"jitter", noiseOfAllKinds["jitter"], numberNoise, Tolerance},
		{"hashes", func(r *rand.Rand, _ int, _, _ bool) string {
			return `"` + strings.ReplaceAll(uuid(r)+uuid(r), "-", "") + `"`
		}, hashNoise, Alias},
		{"texts of one form", func(r *rand.Rand, _ int, _, _ bool) string {
			return fmt.Sprintf(`"worker-%d.eu (x)"`, r.IntN(10_000))
		}, textNoise, Pattern},
		{"there at times", atTimes(.5, steadyTotal), absentNoise, Ignore},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := calibratedRun(3, 400, map[string]source{"total": steadyTotal, "x": tt.source})
			r := mustCompare(t, Options{}, lines...)
			if len(r.Proposals) != 1 || r.Noise[0].Kind != string(tt.kind) || r.Proposals[0].Rule.Treat != tt.treat {
				t.Fatalf("noise %+v, proposals %+v, trials %+v", r.Noise, r.Proposals, r.Trials)
			}
			rule := r.Proposals[0].Rule
			if rule.Validate() == nil {
				t.Error("a proposal is a rule without a person's reason")
			}
			rule.Why = "noise"
			r = mustCompare(t, Options{Rules: []Rule{rule}}, lines...)
			if r.Verdict != Parity {
				t.Errorf("with %+v: %s, %+v %+v", rule, r.Verdict, r.Trials, r.Noise)
			}
		})
	}
}

func TestOneRuleIsProposedForAnIDWhereverItStands(t *testing.T) {
	var lines []string
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 50 {
		outcome := func() string {
			id := uuid(r)
			return fmt.Sprintf(`{"status":"ok","http":{"status":201,"headers":{"location":["/orders/%[1]s"]},"body":{"json":{"id":"%[1]s"}}},`+
				`"effects":[{"kind":"object.put","resource":"orders","key":"orders/%[1]s.json","body":{"json":{"id":"%[1]s","x":1}}}]}`, id)
		}
		lines = append(lines, fmt.Sprintf(`{"invocation":"i%02d","function":"f","shape":"s","outcomes":{"lambda":%s,"lambda#2":%s,`+
			`"functions":%s,"functions#2":%s}}`, i, outcome(), outcome(), outcome(), outcome()))
	}
	report := mustCompare(t, Options{}, lines...)
	if len(report.Proposals) != 1 || report.Proposals[0].Rule.At != "/body/id" {
		t.Fatalf("%+v", report.Proposals)
	}
	rule := report.Proposals[0].Rule
	rule.Why = "each call generates one"
	if report = mustCompare(t, Options{Rules: []Rule{rule}}, lines...); report.Verdict != Parity {
		t.Errorf("%s: %+v %+v", report.Verdict, report.Trials, report.Noise)
	}
}

func TestAProposalSaysWhichEffectItIsAbout(t *testing.T) {
	var lines []string
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 100 {
		outcome := func() string {
			var effects []string
			for _, resource := range []string{"orders", "refunds"} {
				if r.IntN(2) == 0 {
					effects = append(effects, fmt.Sprintf(`{"kind":"message.send","resource":%q}`, resource))
				}
			}
			return fmt.Sprintf(`{"status":"ok","effects":[%s]}`, strings.Join(effects, ","))
		}
		lines = append(lines, fmt.Sprintf(`{"invocation":"i%02d","function":"f","shape":"s","outcomes":{"lambda":%s,"lambda#2":%s,`+
			`"functions":%s,"functions#2":%s}}`, i, outcome(), outcome(), outcome(), outcome()))
	}
	var about []string
	for _, p := range mustCompare(t, Options{}, lines...).Proposals {
		if p.Rule.Treat != "" {
			t.Errorf("what a function does is ignored by %+v", p.Rule)
		}
		about = append(about, p.Effect)
	}
	slices.Sort(about)
	if !slices.Equal(about, []string{"message.send orders", "message.send refunds"}) {
		t.Errorf("%q", about)
	}
}

// diffy decides as Diffy does: a field is shown when it differs in a larger share of trials than it does between the
// two outcomes of the baseline, by more than 20 % of the two shares' sum, and in more than 0.03 % of the trials.
// Source: https://github.com/opendiffy/diffy, DifferenceAnalyzer and its flags' defaults.
func diffy(raw, noise, trials int64) bool {
	return float64(raw) > float64(noise) && float64(raw-noise)/float64(raw+noise)*100 > 20 &&
		float64(raw)/float64(trials)*100 > 0.03
}

func TestWhatDiffyMasksIsFound(t *testing.T) {
	for _, tt := range []struct {
		name   string
		source source
	}{
		{"5 % in a field with 20 % of noise", faulty(disturbed(.2), .05, func(v string) string { return v + "00" })},
		{"a constant for fresh IDs", func(r *rand.Rand, trial int, candidate, second bool) string {
			if candidate {
				return `"0"`
			}
			return freshID(r, trial, candidate, second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mustCompare(t, Options{}, calibratedRun(7, 1000, map[string]source{"x": tt.source})...)
			i := slices.IndexFunc(r.Noise, func(n NoiseReport) bool { return n.Path == "/body/x" })
			if n := r.Noise[i]; diffy(n.First, n.Baseline, n.Trials) || r.Verdict != Differs {
				t.Errorf("Diffy shows it: %t; %s %+v", diffy(n.First, n.Baseline, n.Trials), r.Verdict, n)
			}
		})
	}
}
