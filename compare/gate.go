package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Gate is a name for how much evidence parity takes.
type Gate struct {
	Name    string
	Require Requirements
}

// Requirements say what a gate takes to be passed. The zero value requires that all is known, that every function was
// compared and that nothing differs, and that no rule has expired. Shares are from 0 to 1.
type Requirements struct {
	// MismatchUpperBound is how many invocations may still differ, with 95 % confidence, and FunctionMismatchUpperBound
	// how many of each function. What is not known counts as different. With one of them, trials may differ.
	MismatchUpperBound, FunctionMismatchUpperBound *float64
	// Mismatches is how many trials may differ. Nil is none without a bound, and any number with one.
	Mismatches *int64
	// Unknown is which share of trials may be inconclusive, and Unreplayable which could not be sent.
	Unknown, Unreplayable float64
	// AnyEffects takes trials whose effects were watched on one side only as compared, where they are inconclusive
	// otherwise: recordings seldom have effects.
	AnyEffects   bool
	PerShape     int64 // trials of each shape that the recording has
	Coverage     CoverageShares
	Unchecked    *float64 // share of values that rules may leave unchecked
	ExpiredRules int64    // rules that may have expired
	Calibrate    bool     // each trial is of four outcomes
	// Latency has the candidate's durations over the baseline's, at most; 0 where that does not matter.
	Latency struct{ P50, P95, P99 float64 }
	// Headroom is what the candidate leaves of its limits; nil where that does not matter.
	Headroom   struct{ Timeout, Memory *float64 }
	PriceRatio float64 // the candidate's price over the baseline's, at most; 0 where that does not matter
}

// CoverageShares are the shares of what the recording has seen that were compared; 0 where that does not matter.
type CoverageShares struct{ Shapes, Formats, Statuses float64 }

// A Result says whether a requirement holds.
type Result string

const (
	Passed  Result = "passed"
	Failed  Result = "failed"  // it is known not to hold
	Unknown Result = "unknown" // what was seen does not tell
)

// A GateReport says what came of each requirement of a gate. Failed ones make the verdict [Differs], those that are not
// known [Inconclusive].
type GateReport struct {
	Name         string              `json:"name"`
	Requirements []RequirementReport `json:"requirements"`
}

// A RequirementReport says what came of a requirement, for one function or for all together.
type RequirementReport struct {
	Name     string `json:"name"` // its key in the config: "coverage.shapes"
	Function string `json:"function,omitempty"`
	Result   Result `json:"result"`
	Want     string `json:"want"`
	Measured string `json:"measured"`
	// Missing is what it takes to tell, and Trials how many more trials at least, where that is known.
	Missing string `json:"missing,omitempty"`
	Trials  int64  `json:"trials,omitempty"`
}

// judge replaces the verdict by that of a gate. Incomplete says what the run did not get to.
func (r *Report) judge(g *Gate, inv *Inventory, incomplete []string) {
	j := gateJudge{r: r, require: g.Require, inventory: inv}
	j.complete(incomplete)
	j.compared()
	j.unknown()
	j.mismatches()
	j.bound()
	j.functionBound()
	j.unreplayable()
	j.effects()
	j.perShape()
	j.coverage()
	j.rules()
	j.calibrated()
	j.latency()
	j.headroom()
	j.price()
	r.Gate = &GateReport{Name: g.Name, Requirements: j.found}
	r.conclude()
}

// conclude sets the verdict to what the requirements amount to.
func (r *Report) conclude() {
	not := make(map[Result][]string)
	for _, q := range r.Gate.Requirements {
		if !slices.Contains(not[q.Result], q.Name) {
			not[q.Result] = append(not[q.Result], q.Name)
		}
	}
	var summary string
	switch {
	case len(not[Failed]) > 0:
		r.Verdict = Differs
		summary = "the gate " + r.Gate.Name + " is not passed: " + strings.Join(not[Failed], ", ")
	case len(not[Unknown]) > 0:
		r.Verdict = Inconclusive
		summary = "the gate " + r.Gate.Name + " is not decided: " + strings.Join(not[Unknown], ", ")
	default:
		r.Verdict = Parity
		summary = "the gate " + r.Gate.Name + " is passed"
	}
	r.Reasons = slices.Insert(r.Reasons, 0, summary)
}

// gateJudge is one judgement.
type gateJudge struct {
	r         *Report
	require   Requirements
	inventory *Inventory // nil when the recording is not known
	found     []RequirementReport
}

func (j *gateJudge) add(q RequirementReport) { j.found = append(j.found, q) }

// of makes a requirement's report where what was measured is certain.
func of(name, want, measured string, holds bool, otherwise Result) RequirementReport {
	q := RequirementReport{Name: name, Want: want, Measured: measured, Result: Passed}
	if !holds {
		q.Result = otherwise
	}
	return q
}

// countsOf are how many trials were compared, how many of these differ, and how many are not known.
func countsOf(c Counts) (compared, differed, unknown int64) {
	return c.Matched + c.Differed, c.Differed, c.Noisy + c.Inconclusive
}

func (j *gateJudge) complete(incomplete []string) {
	q := of("complete", "the whole run", "it is whole", len(incomplete) == 0, Unknown)
	if q.Result != Passed {
		q.Measured = strings.Join(incomplete, "; ")
		q.Missing = "the rest of the run"
	}
	j.add(q)
}

// compared requires that something is known of every function.
func (j *gateJudge) compared() {
	names := sortedKeys(j.r.Functions)
	if j.inventory != nil {
		names = append(names, sortedKeys(j.inventory.functions)...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	var without []string
	for _, name := range names {
		if n, _, _ := countsOf(j.r.Functions[name].Trials); n == 0 {
			without = append(without, name)
		}
	}
	n, _, _ := countsOf(j.r.Trials)
	q := of("compared", "every function", fmt.Sprintf("%s of %s", plural(int(n), "trial"),
		plural(len(names)-len(without), "function")), n > 0 && len(without) == 0, Unknown)
	if q.Result != Passed {
		q.Trials = int64(max(len(without), 1))
		q.Missing = "a trial that can be compared"
		if len(without) > 0 {
			q.Missing += " of " + list(without)
		}
	}
	j.add(q)
}

func (j *gateJudge) unknown() {
	_, _, unknown := countsOf(j.r.Trials)
	q := shareOf("unknown", unknown, j.r.Trials.Total, j.require.Unknown)
	if q.Result != Passed {
		q.Missing = "their outcomes; the reasons above say what stands in the way"
	}
	j.add(q)
}

func (j *gateJudge) unreplayable() {
	q := shareOf("unreplayable", j.r.Trials.Unreplayable, j.r.Trials.Total, j.require.Unreplayable)
	if q.Result != Passed {
		q.Missing = "a way to send them; the reasons above say what stands in it"
	}
	j.add(q)
}

// effects says where they were not compared, which is no secret where a gate allows it.
func (j *gateJudge) effects() {
	if !j.require.AnyEffects {
		return
	}
	n, _, _ := countsOf(j.r.Trials)
	j.add(of("effects", "where both sides know them", fmt.Sprintf("not compared in %d of %s", j.r.WithoutEffects,
		plural(int(n), "trial")), true, Passed))
}

// shareOf requires that n of all trials are no larger a share than most. More of them is no proof of a difference.
func shareOf(name string, n, all int64, most float64) RequirementReport {
	measured := fmt.Sprintf("%d of %s", n, plural(int(all), "trial"))
	return of(name, atMost(most), measured, float64(n) <= most*float64(all), Unknown)
}

// mismatches are none unless the gate says otherwise.
func (j *gateJudge) mismatches() {
	most := int64(0)
	switch {
	case j.require.Mismatches != nil:
		most = *j.require.Mismatches
	case j.require.MismatchUpperBound != nil || j.require.FunctionMismatchUpperBound != nil:
		return
	}
	n, differed, _ := countsOf(j.r.Trials)
	want := fmt.Sprintf("at most %d", most)
	if most == 0 {
		want = "none"
	}
	q := of("mismatches", want, fmt.Sprintf("%d of %s", differed, plural(int(n), "trial")), differed <= most, Failed)
	if n == 0 {
		q.Result, q.Missing, q.Trials = Unknown, "a trial that can be compared", 1
	}
	j.add(q)
}

// bound requires that in all, few enough invocations may differ. A function or a shape that certainly has more than
// that is not made up for by others.
func (j *gateJudge) bound() {
	most := j.require.MismatchUpperBound
	if most == nil {
		return
	}
	q := boundOf("mismatch-upper-bound", j.r.invocations, *most)
	parts := j.parts()
	for _, p := range parts {
		if p.lowerBound(0.05/float64(len(parts))) > *most && q.Result != Failed {
			q.Result, q.Missing, q.Trials = Failed, "", 0
			q.Measured += fmt.Sprintf("; %d of %s of %s differ, which is more than that for certain",
				p.differed, plural(int(p.compared), "invocation"), p.name)
		}
	}
	j.add(q)
}

// A portion is the invocations of a function or of one of its shapes.
type portion struct {
	name               string
	compared, differed int64
}

// lowerBound is how many of the portion's invocations differ at least, with the given chance that it is wrong.
func (p portion) lowerBound(chance float64) float64 {
	return LowerBound(p.differed, p.compared, chance)
}

func (j *gateJudge) parts() []portion {
	var parts []portion
	for _, name := range sortedKeys(j.r.Functions) {
		f := j.r.Functions[name]
		parts = append(parts, portion{name, f.invocations.compared, f.invocations.differed})
		trials, _, _ := countsOf(f.Trials)
		// Which trials of a shape are of one invocation is not known: they are taken to be so in equal parts.
		once := float64(f.invocations.compared) / float64(max(trials, 1))
		for _, shape := range sortedKeys(f.Shapes) {
			if shape != others && shape != "" {
				n := int64(math.Ceil(float64(f.Shapes[shape]) * once))
				differed := min(int64(float64(f.DifferedShapes[shape])*once), n)
				parts = append(parts, portion{name + ", shape " + shape, n, differed})
			}
		}
	}
	return parts
}

func (j *gateJudge) functionBound() {
	most := j.require.FunctionMismatchUpperBound
	if most == nil {
		return
	}
	for _, name := range sortedKeys(j.r.Functions) {
		q := boundOf("function-mismatch-upper-bound", j.r.Functions[name].invocations, *most)
		q.Function = name
		j.add(q)
	}
}

// boundOf judges how many invocations may differ. What is not known counts as different.
func boundOf(name string, total invocations, most float64) RequirementReport {
	k, n := total.doubtful, total.fired
	bound := UpperBound95(k, n)
	measured := fmt.Sprintf("%s, as %d of %s differ", percent(bound), total.differed,
		plural(int(total.compared), "invocation"))
	if may := k - total.differed; may > 0 {
		measured += fmt.Sprintf(" and %d may", may)
	}
	q := of(name, atMost(most), measured, bound <= most, Unknown)
	if q.Result == Passed {
		return q
	}
	if LowerBound(total.differed, n, 0.05) > most {
		q.Result = Failed
		return q
	}
	more, ok := TrialsUntil(k, n, most)
	if !ok {
		q.Missing = "no number of trials brings it there"
		return q
	}
	q.Trials = more
	q.Missing = fmt.Sprintf("%s that do not differ", plural(int(more), "more invocation"))
	return q
}

func (j *gateJudge) rules() {
	if most := j.require.Unchecked; most != nil {
		q := of("unchecked", atMost(*most), fmt.Sprintf("%s of %d values", percent(j.r.Unchecked.Share),
			j.r.Unchecked.Leaves), j.r.Unchecked.Share <= *most, Unknown)
		if q.Result != Passed {
			q.Missing = "rules that check more"
		}
		j.add(q)
	}
	var expired []string
	for _, rule := range j.r.Rules {
		if rule.Expired {
			expired = append(expired, rule.At)
		}
	}
	want := "none"
	if j.require.ExpiredRules > 0 {
		want = fmt.Sprintf("at most %d", j.require.ExpiredRules)
	}
	measured := "none"
	if len(expired) > 0 {
		measured = list(expired)
	}
	j.add(of("expired-rules", want, measured, int64(len(expired)) <= j.require.ExpiredRules, Failed))
}

func (j *gateJudge) calibrated() {
	if !j.require.Calibrate {
		return
	}
	n := j.r.Trials.Matched + j.r.Trials.Differed + j.r.Trials.Noisy
	q := of("calibrate", "each trial fired twice", fmt.Sprintf("%d of %s", j.r.Calibrated, plural(int(n), "trial")),
		n > 0 && j.r.Calibrated == n, Unknown)
	if q.Result != Passed {
		q.Missing = "a run that was made with --calibrate"
	}
	j.add(q)
}

// list names the first few.
func list(names []string) string {
	const told = 3
	if len(names) > told {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:told], ", "), len(names)-told)
	}
	return strings.Join(names, ", ")
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func atMost(share float64) string { return "at most " + percent(share) }
