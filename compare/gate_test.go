package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

func TestTrialsUntilIsTheSmallestNumberThatSuffices(t *testing.T) {
	for _, tt := range []struct {
		k, n  int64
		share float64
		more  int64
		ok    bool
	}{
		{0, 0, 0.001, 2995, true}, // ln 0.05 / ln 0.999
		{0, 2995, 0.001, 0, true},
		{0, 2994, 0.001, 1, true},
		{0, 0, 0.05, 59, true},
		{1, 100, 0.01, 373, true}, // 473 trials, as tables of reliability testing have it
		{3, 3, 1, 0, true},
		{0, 10, 0, 0, false},
	} {
		more, ok := TrialsUntil(tt.k, tt.n, tt.share)
		if more != tt.more || ok != tt.ok {
			t.Errorf("%d of %d until %v: %d, %v; want %d, %v", tt.k, tt.n, tt.share, more, ok, tt.more, tt.ok)
		}
		if ok && more > 0 && (UpperBound95(tt.k, tt.n+more) > tt.share || UpperBound95(tt.k, tt.n+more-1) <= tt.share) {
			t.Errorf("%d of %d until %v: %d is not the smallest", tt.k, tt.n, tt.share, more)
		}
	}
}

func TestTheLowerBoundMirrorsTheUpperOne(t *testing.T) {
	for n := int64(1); n < 60; n++ {
		for k := int64(0); k <= n; k++ {
			if low, up := LowerBound(k, n, 0.05), UpperBound95(n-k, n); math.Abs(low-(1-up)) > 1e-12 {
				t.Fatalf("%d of %d: %v, and %v of the rest", k, n, low, up)
			}
		}
	}
}

func share(v float64) *float64 { return &v }
func atMostOf(n int64) *int64  { return &n }

// alike are trials of which the last ones are of other values.
func agreeing(function, shape string, from, n, differ int) (lines []string) {
	for i := range n {
		c := answer("1")
		if i >= n-differ {
			c = answer("2")
		}
		l := line(fmt.Sprintf("%s-%d", function, from+i), function, answer("1"), c)
		lines = append(lines, strings.Replace(l, `"shape":"s"`, fmt.Sprintf(`"shape":%q`, shape), 1))
	}
	return lines
}

func requirementOf(t *testing.T, r *Report, name, function string) RequirementReport {
	t.Helper()
	for _, q := range r.Gate.Requirements {
		if q.Name == name && q.Function == function {
			return q
		}
	}
	t.Fatalf("there is no %s of %q among %+v", name, function, r.Gate.Requirements)
	return RequirementReport{}
}

func TestRequirementsOnMismatches(t *testing.T) {
	unknown := line("u", "f", answer("1"), `{"status":"unknown"}`)
	unsent := line("x", "f", answer("1"), `{"status":"unreplayable"}`)
	for _, tt := range []struct {
		name, reason string
		lines        []string
		require      Requirements
		at, function string
		want         Result
		trials       int64
		verdict      Verdict
	}{
		{"nothing is said", "parity of what there is", agreeing("f", "s", 0, 3, 0), Requirements{}, "mismatches", "", Passed, 0, Parity},
		{"nothing is said, one differs", "none may", agreeing("f", "s", 0, 3, 1), Requirements{}, "mismatches", "", Failed, 0, Differs},
		{"no trial", "no news is no parity", nil, Requirements{}, "compared", "", Unknown, 1, Inconclusive},
		{"one may differ", "", agreeing("f", "s", 0, 3, 1), Requirements{Mismatches: atMostOf(1)}, "mismatches", "", Passed, 0, Parity},
		{"enough for the bound", "", agreeing("f", "s", 0, 59, 0), Requirements{MismatchUpperBound: share(.05)},
			"mismatch-upper-bound", "", Passed, 0, Parity},
		{"one too few for the bound", "", agreeing("f", "s", 0, 58, 0), Requirements{MismatchUpperBound: share(.05)},
			"mismatch-upper-bound", "", Unknown, 1, Inconclusive},
		{"some differ, within the bound", "it allows that", agreeing("f", "s", 0, 200, 2), Requirements{MismatchUpperBound: share(.05)},
			"mismatch-upper-bound", "", Passed, 0, Parity},
		{"some differ, and none may", "", agreeing("f", "s", 0, 200, 2), Requirements{MismatchUpperBound: share(.05), Mismatches: atMostOf(0)},
			"mismatches", "", Failed, 0, Differs},
		{"more differ than the bound for certain", "", agreeing("f", "s", 0, 20, 10), Requirements{MismatchUpperBound: share(.05)},
			"mismatch-upper-bound", "", Failed, 0, Differs},
		{"all of one shape differ", "others do not make up for it",
			append(agreeing("f", "s", 0, 500, 0), agreeing("f", "rare", 1000, 4, 4)...), Requirements{MismatchUpperBound: share(.05)},
			"mismatch-upper-bound", "", Failed, 0, Differs},
		{"what is not known counts as different", "", append(agreeing("f", "s", 0, 59, 0), unknown),
			Requirements{MismatchUpperBound: share(.05), Unknown: .5}, "mismatch-upper-bound", "", Unknown, 33, Inconclusive},
		{"not known, and not said", "", append(agreeing("f", "s", 0, 59, 0), unknown), Requirements{}, "unknown", "", Unknown, 0, Inconclusive},
		{"not known, as may be", "", append(agreeing("f", "s", 0, 59, 0), unknown), Requirements{Unknown: .02}, "unknown", "", Passed, 0, Parity},
		{"not sent, and not said", "", append(agreeing("f", "s", 0, 59, 0), unsent), Requirements{}, "unreplayable", "", Unknown, 0, Inconclusive},
		{"not sent, as may be", "", append(agreeing("f", "s", 0, 59, 0), unsent), Requirements{Unreplayable: .02}, "unreplayable", "", Passed, 0, Parity},
		{"a function alone", "others have enough", append(agreeing("f", "s", 0, 59, 0), agreeing("g", "s", 0, 50, 0)...),
			Requirements{FunctionMismatchUpperBound: share(.05)}, "function-mismatch-upper-bound", "g", Unknown, 9, Inconclusive},
		{"a function that was never compared", "", append(agreeing("f", "s", 0, 59, 0), line("g", "g", answer("1"), `{"status":"unreplayable"}`)),
			Requirements{Unreplayable: 1}, "compared", "", Unknown, 1, Inconclusive},
		{"nothing was fired twice", "", agreeing("f", "s", 0, 3, 0), Requirements{Calibrate: true}, "calibrate", "", Unknown, 0, Inconclusive},
		{"shapes of nobody knows what", "", agreeing("f", "s", 0, 3, 0), Requirements{PerShape: 1}, "per-shape", "", Unknown, 0, Inconclusive},
		{"coverage of nobody knows what", "", agreeing("f", "s", 0, 3, 0), Requirements{Coverage: CoverageShares{Shapes: 1}},
			"coverage.shapes", "", Unknown, 0, Inconclusive},
	} {
		r := mustCompare(t, Options{Gate: &Gate{Name: "g", Require: tt.require}}, tt.lines...)
		q := requirementOf(t, r, tt.at, tt.function)
		if q.Result != tt.want || q.Trials != tt.trials || r.Verdict != tt.verdict {
			t.Errorf("%s: %s with %+v; want %s, %s and %d more trials", tt.name, r.Verdict, q, tt.verdict, tt.want, tt.trials)
		}
		if q.Result == Unknown && q.Missing == "" {
			t.Errorf("%s: nobody says what is missing: %+v", tt.name, q)
		}
	}
}

// The report without a gate is as it was: what a gate requires is its own.
func TestWithoutAGateTheVerdictIsOfTheTrialsAlone(t *testing.T) {
	r := mustCompare(t, Options{Inventory: inventoryOf(t, event("f", "1", 200), event("f", `{"a":1}`, 200))},
		agreeing("f", "s", 0, 1, 0)...)
	if r.Verdict != Parity || r.Gate != nil {
		t.Errorf("%s, %+v", r.Verdict, r.Gate)
	}
	if r.Coverage.Shapes.Compared != 0 || r.Coverage.Shapes.Seen != 2 {
		t.Errorf("%+v", r.Coverage.Shapes)
	}
}

func event(function, json string, status int) capture.Invocation {
	return capture.Invocation{Function: function, Event: []byte(json), Format: capture.Format("of-" + function), Trigger: "http",
		Outcome: &capture.Outcome{Status: capture.StatusOK, HTTP: &capture.HTTPAnswer{Status: status}}}
}

func inventoryOf(t *testing.T, invs ...capture.Invocation) *Inventory {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.jsonl")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range invs {
		invs[i].ID = fmt.Sprint("i-", i)
		if err := w.Write(&invs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	inv, err := TakeInventory(t.Context(), rec, path)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestCoverageIsOfWhatTheRecordingHasSeen(t *testing.T) {
	small, large := `{"a":1}`, `{"a":1,"b":"x"}`
	inv := inventoryOf(t, event("f", small, 200), event("f", small, 404), event("f", large, 200), event("g", small, 200))
	shape := capture.Shape([]byte(small))
	compared := func(id, function, shape string, status int) string {
		out := fmt.Sprintf(`{"status":"ok","http":{"status":%d}}`, status)
		return fmt.Sprintf(`{"invocation":%q,"function":%q,"shape":%q,"format":"of-%s","outcomes":{"lambda":%s,"functions":%s}}`,
			id, function, shape, function, out, out)
	}
	gate := &Gate{Name: "g", Require: Requirements{
		PerShape: 3, Coverage: CoverageShares{Shapes: .9, Formats: .5, Statuses: 1},
	}}
	r := mustCompare(t, Options{Inventory: inv, Gate: gate},
		compared("a", "f", shape, 200), compared("b", "f", shape, 200))
	c := r.Coverage
	for name, got := range map[string]string{
		"1 of 3 true": fmt.Sprintf("%d of %d %v", c.Shapes.Compared, c.Shapes.Seen, len(c.Shapes.Missing) == 2),
		"1 of 2":      fmt.Sprintf("%d of %d", c.Formats.Compared, c.Formats.Seen),
		"1 of 3":      fmt.Sprintf("%d of %d", c.Statuses.Compared, c.Statuses.Seen),
		"f 4xx 1":     fmt.Sprint(c.Statuses.Missing[0].Function, " ", c.Statuses.Missing[0].Name, " ", c.Statuses.Missing[0].Invocations),
	} {
		if got != name {
			t.Errorf("%s, want %s", got, name)
		}
	}
	for name, trials := range map[string]int64{"per-shape": 7, "coverage.shapes": 2, "coverage.statuses": 2} {
		if q := requirementOf(t, r, name, ""); q.Result != Unknown || q.Trials != trials {
			t.Errorf("%+v, want %d more trials", q, trials)
		}
	}
	if q := requirementOf(t, r, "coverage.formats", ""); q.Result != Passed {
		t.Errorf("%+v", q)
	}
	if q := requirementOf(t, r, "compared", ""); q.Result != Unknown || !strings.Contains(q.Missing, "of g") {
		t.Errorf("a function of the recording that has no trial: %+v", q)
	}
}

func TestRequirementsOnLatencyAndCost(t *testing.T) {
	out := func(ms float64) string { return fmt.Sprintf(`{"status":"ok","durationMs":%v,"memoryMb":64}`, ms) }
	var lines, few []string
	for i := range 400 {
		lines = append(lines, line(fmt.Sprint(i), "f", out(10+float64(i%7)), out(20+float64(i%7))))
	}
	few = lines[:10]
	limits := map[string]map[string]Limits{"f": {"functions": {MemoryMB: 128, Timeout: 100 * time.Millisecond}, "lambda": {MemoryMB: 128}}}
	prices := map[string]*Price{"lambda": {GBSecond: 1}, "functions": {GBSecond: 1}}
	require := func(change func(*Requirements)) Requirements {
		var r Requirements
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name, at string
		lines    []string
		require  Requirements
		limits   bool
		want     Result
	}{
		{"slower, as may be", "latency.p99-ratio", lines, require(func(r *Requirements) { r.Latency.P99 = 3 }), false, Passed},
		{"slower than may be", "latency.p99-ratio", lines, require(func(r *Requirements) { r.Latency.P99 = 1.2 }), false, Failed},
		{"too few to tell", "latency.p99-ratio", few, require(func(r *Requirements) { r.Latency.P99 = 3 }), false, Unknown},
		{"time left", "headroom.timeout", lines, require(func(r *Requirements) { r.Headroom.Timeout = share(.5) }), true, Passed},
		{"too little time left", "headroom.timeout", lines, require(func(r *Requirements) { r.Headroom.Timeout = share(.9) }), true, Failed},
		{"no timeout is known", "headroom.timeout", lines, require(func(r *Requirements) { r.Headroom.Timeout = share(0) }), false, Unknown},
		{"memory left", "headroom.memory", lines, require(func(r *Requirements) { r.Headroom.Memory = share(.5) }), true, Passed},
		{"no memory is known", "headroom.memory", lines, require(func(r *Requirements) { r.Headroom.Memory = share(0) }), false, Unknown},
		{"dearer than may be", "price-ratio", lines, require(func(r *Requirements) { r.PriceRatio = 1.5 }), true, Failed},
		{"dearer, as may be", "price-ratio", lines, require(func(r *Requirements) { r.PriceRatio = 2 }), true, Passed},
		{"no price is known", "price-ratio", lines, require(func(r *Requirements) { r.PriceRatio = 2 }), false, Unknown},
	} {
		opts := Options{Gate: &Gate{Name: "g", Require: tt.require}}
		if tt.limits {
			opts.Limits, opts.Prices = limits, prices
		}
		r := mustCompare(t, opts, tt.lines...)
		q := requirementOf(t, r, tt.at, "f")
		if q.Result != tt.want || q.Result == Unknown && q.Missing == "" {
			t.Errorf("%s: %+v, want %s", tt.name, q, tt.want)
		}
		if want := map[Result]Verdict{Passed: Parity, Failed: Differs, Unknown: Inconclusive}[tt.want]; r.Verdict != want {
			t.Errorf("%s: %s, want %s", tt.name, r.Verdict, want)
		}
	}
}

// What is replayed again and again shows nothing of invocations that nobody has seen.
func TestRepeatsDoNotBringTheBoundDown(t *testing.T) {
	var lines []string
	for i, l := range agreeing("f", "s", 0, 59, 0) {
		repeated := strings.Replace(l, `"function"`, fmt.Sprintf(`"repeat":%d,"function"`, i%3), 1)
		lines = append(lines, strings.Replace(repeated, fmt.Sprintf(`"f-%d"`, i), fmt.Sprintf(`"f-%d"`, i/3), 1))
	}
	r := mustCompare(t, Options{Gate: &Gate{Require: Requirements{MismatchUpperBound: share(.05)}}}, lines...)
	if q := requirementOf(t, r, "mismatch-upper-bound", ""); q.Result != Unknown || q.Trials != 39 {
		t.Errorf("%+v, want 39 more beside the 20 that there are", q)
	}
}

func TestEffectsThatOneSideKnowsAreNotComparedWhereTheGateAllowsIt(t *testing.T) {
	half := line("a", "f", `{"status":"ok","result":{"json":1}}`, `{"status":"ok","result":{"json":1},"effects":[]}`)
	other := line("b", "f", `{"status":"ok","result":{"json":1}}`, `{"status":"ok","result":{"json":2},"effects":[]}`)
	put := `{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"k","body":{"text":"x"}}]}`
	both := line("c", "f", put, `{"status":"ok","effects":[]}`)
	for _, tt := range []struct {
		name  string
		lines []string
		any   bool
		want  Verdict
	}{
		{"not allowed", []string{half}, false, Inconclusive},
		{"allowed", []string{half}, true, Parity},
		{"the rest differs", []string{half, other}, true, Differs},
		{"both sides know, and differ", []string{half, both}, true, Differs},
	} {
		r := mustCompare(t, Options{Gate: &Gate{Require: Requirements{AnyEffects: tt.any}}}, tt.lines...)
		if r.Verdict != tt.want {
			t.Errorf("%s: %s, %q", tt.name, r.Verdict, r.Reasons)
		}
		if tt.any {
			if q := requirementOf(t, r, "effects", ""); !strings.HasPrefix(q.Measured, fmt.Sprintf("not compared in %d of", r.WithoutEffects)) || r.WithoutEffects == 0 {
				t.Errorf("%s: %+v", tt.name, q)
			}
		}
	}
}

func TestAnIntervalThatHoldsTheLimitDoesNotTell(t *testing.T) {
	l := FunctionLatency{Ratio: map[string][2]float64{"p99": {1.2, 1.8}}}
	l.Baseline.Count, l.Candidate.Count = 150, 120
	for most, want := range map[float64]Result{1.1: Failed, 1.3: Unknown, 1.7: Unknown, 1.8: Passed} {
		q := latencyOf(l, "p99", most)
		if q.Result != want || (q.Trials > 0) != (want == Unknown) {
			t.Errorf("at most %v: %+v, want %s", most, q, want)
		}
	}
}

func TestAnExpiredRuleFailsTheGate(t *testing.T) {
	rule := Rule{At: "/body", Treat: Ignore, Why: "w", Until: "2025-12-31"}
	for _, allowed := range []int64{0, 1} {
		r := mustCompare(t, Options{Rules: []Rule{rule}, Gate: &Gate{Require: Requirements{ExpiredRules: allowed}}},
			agreeing("f", "s", 0, 3, 0)...)
		want := Failed
		if allowed == 1 {
			want = Passed
		}
		if q := requirementOf(t, r, "expired-rules", ""); q.Result != want {
			t.Errorf("%d allowed: %+v", allowed, q)
		}
	}
}

func TestTooMuchUncheckedIsNoParity(t *testing.T) {
	rule := Rule{At: "/body", Treat: Ignore, Why: "w"}
	for most, want := range map[float64]Verdict{0.1: Inconclusive, 0.5: Parity} {
		r := mustCompare(t, Options{Rules: []Rule{rule}, Gate: &Gate{Require: Requirements{Unchecked: &most}}},
			agreeing("f", "s", 0, 3, 0)...)
		if r.Verdict != want {
			t.Errorf("at most %v of %v: %s", most, r.Unchecked, r.Verdict)
		}
	}
}

func TestAGatesReportDoesNotDependOnWorkersOrOrder(t *testing.T) {
	inv := inventoryOf(t, event("f", `{"a":1}`, 200), event("g", `{"a":2,"b":1}`, 500), event("g", `[]`, 404))
	var lines []string
	for i := range 40 {
		lines = append(lines, agreeing(fmt.Sprint("f", i%3), fmt.Sprint("s", i%7), 100*i, 13, i%2)...)
	}
	require := Requirements{
		MismatchUpperBound: share(.01), FunctionMismatchUpperBound: share(.5), PerShape: 50, Coverage: CoverageShares{Shapes: 1, Statuses: 1},
		Unchecked: share(.1), AnyEffects: true,
	}
	require.Latency.P50 = 2
	var want []byte
	random := rand.New(rand.NewPCG(5, 6))
	for _, workers := range []int{1, 2, 7} {
		r := mustCompare(t, Options{Workers: workers, Inventory: inv, Gate: &Gate{Name: "g", Require: require}}, lines...)
		got, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && !bytes.Equal(want, got) {
			t.Errorf("with %d workers the report is another:\n%s\n%s", workers, got, want)
		}
		want = got
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
}
