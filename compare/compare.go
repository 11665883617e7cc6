package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"time"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/capture/keylog"
	"tandem/replay"
)

// Options say how a run is compared. The zero value compares "lambda" with "functions" without any rules.
type Options struct {
	Baseline, Candidate string // names of outcomes
	Rules               []Rule
	Prices              map[string]*Price            // by the name of the outcome
	Limits              map[string]map[string]Limits // by function and name of the outcome
	// Inventory is of the recording that coverage is measured by; nil for no coverage.
	Inventory *Inventory
	// Gate says what parity takes beside that nothing differs; nil for nothing.
	Gate *Gate
	// Salvage skips lines that are not trials, and tells how many, where they are errors otherwise.
	Salvage bool
	// Events are the invocations of the recording, in its order; nil when it is not at hand. They are read once, to
	// tell what the events of a cluster have in common. When that ends in an error, it is a reason in the report.
	Events  iter.Seq2[*capture.Invocation, error]
	Workers int       // goroutines that compare; default: one a processor
	Now     time.Time // decides which rules have expired; default: now

	noteMemory int // what is noted of the run in memory, in bytes; default 8 MiB each for IDs, firings and aliases
}

func (o Options) withDefaults() Options {
	if o.Baseline == "" {
		o.Baseline = "lambda"
	}
	if o.Candidate == "" {
		o.Candidate = "functions"
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return o
}

// Run compares the trials of a run and judges them. An error means that the run could not be read, or that the
// options do not fit it; whatever the trials say is in the report. Memory does not grow with the run.
//
// The run is read once. It is read again where that takes knowing all of it: when aliases do not pair one to one, to
// tell which, and when it is calibrated, to tell noise from differences. What is known of all trials is on disk, in
// temporary files, once it takes more than some memory: see [runNotes] and [firings].
func Run(ctx context.Context, run *replay.RunReader, opts Options) (*Report, error) {
	opts = opts.withDefaults()
	return compareTrials(ctx, run, opts, againstOutcome(opts.Baseline), nil)
}

// A trialSource is what a comparison reads, as often as it takes: a run, or two that were joined.
type trialSource interface {
	Lines() iter.Seq2[journal.Line, error]
	Manifest() *replay.RunManifest // nil when nobody says how it was made
	Notices() []string             // what stands in the way of parity
}

// compareTrials is [Run]. The options are complete; against is what rules call the baseline; remarks are told as they are.
func compareTrials(ctx context.Context, run trialSource, opts Options, against Against, remarks []string) (
	*Report, error) {
	if opts.Baseline == opts.Candidate {
		return nil, fmt.Errorf("the baseline and the candidate are both %q", opts.Baseline)
	}
	rules, err := newRuleSet(opts.Rules)
	if err != nil {
		return nil, err
	}
	rules.compareWith(against)
	c := comparison{run: run, opts: opts, remarks: remarks, judge: judge{
		baseline: opts.Baseline, candidate: opts.Candidate, rules: rules,
		anyEffects: opts.Gate != nil && opts.Gate.Require.AnyEffects,
	}}
	c.free = make(chan *batch, 4*opts.Workers+2)
	c.hasher, c.countFirings = keylog.NewHasher(), true
	found, err := c.readTwice(ctx)
	if err != nil {
		return nil, err
	}
	if err := found.sum.namesKnown(opts); err != nil {
		return nil, err
	}
	r := c.report(found)
	if err := c.tellConditions(ctx, found, r); err != nil {
		return nil, err
	}
	return r, nil
}

// comparison is one call of Run.
type comparison struct {
	run     trialSource
	opts    Options
	remarks []string
	judge   judge
	notes   *runNotes   // in the first pass
	free    chan *batch // that are done with
	hasher  *keylog.Hasher
	// countFirings says that invocations may have been fired again, as far as is known.
	countFirings bool
}

// findings are what one pass over a run found.
type findings struct {
	sum      *summary
	again    map[string]invocations // by function, where some were fired again
	skipped  int64
	clusters []gathered // once there is a report
}

// readTwice compares every trial, and does so once more if only the whole run shows what to make of them.
func (c *comparison) readTwice(ctx context.Context) (*findings, error) {
	c.notes = newRunNotes(c.opts.noteMemory)
	defer c.notes.close()
	found, err := c.pass(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.refuseDuplicates(ctx); err != nil {
		return nil, err
	}
	broken, err := c.notes.contradictions(ctx)
	if err != nil {
		return nil, err
	}
	defer broken.close()
	again := broken.any()
	if again {
		c.judge.contradicted = broken.why
	}
	if len(found.sum.noise.fields) > 0 {
		c.judge.noise, again = found.sum.noise.judge(), true
	}
	if !again {
		return found, nil
	}
	c.notes.close()
	c.notes, c.countFirings = nil, found.again != nil
	if found, err = c.pass(ctx); err != nil {
		return nil, err
	}
	return found, broken.err()
}

// pass compares every trial.
func (c *comparison) pass(ctx context.Context) (*findings, error) {
	f := &findings{sum: newSummary(len(c.judge.rules.rules))}
	var fired *firings
	if c.countFirings {
		fired = newFirings(c.opts.noteMemory)
		defer fired.close()
	}
	line := uint64(0)
	sums, err := c.each(ctx, func(r parsed) error {
		line++
		if r.skipped {
			f.skipped++
			return nil
		}
		if err := fired.add(r.firing); err != nil {
			return err
		}
		return c.notes.add(line, r.noted)
	})
	if err != nil {
		return nil, err
	}
	if f.again, err = fired.count(ctx); err != nil {
		return nil, err
	}
	for _, s := range sums {
		f.sum.merge(s)
	}
	return f, nil
}

// readLine compares the trial in a line. Of the result, the class and the aliases are good. An error says that the line
// is no trial.
func (c *comparison) readLine(line []byte, w *worker) (*replay.Trial, result, error) {
	if t, aliases, ok := c.glance(line, w); ok {
		return t, result{class: matched, aliases: aliases}, nil
	}
	t, err := replay.ParseTrial(line)
	if err != nil {
		return nil, result{}, err
	}
	made := c.judge.drafts(t)
	r := c.judge.compareDrafts(t, made, w.tally)
	four := c.judge.calibrate(t, made, &r)
	if four != nil {
		w.noise.add(t.Function, trialID(t), four)
		w.twice++
	}
	r = c.judge.sift(t, r, four)
	w.add(t, c.opts, r)
	return t, r, nil
}

// glance compares a trial by the shortcut. Ok is false where the obvious way has to, which is for most of what does
// not match. What it returns is good until the next line.
func (c *comparison) glance(line []byte, w *worker) (t *replay.Trial, aliases []aliasPair, ok bool) {
	if c.judge.noise != nil || !w.text.Read(line) {
		return nil, nil, false
	}
	four := c.judge.ofFour()
	for i := range w.text.Outcomes {
		switch o := &w.text.Outcomes[i]; {
		case o.Name == c.judge.baseline || o.Name == c.judge.candidate:
		case slices.Contains(four[:], o.Name) || !o.IsPlain():
			return nil, nil, false // its noise counts, or the line may be no trial
		}
	}
	b, candidate := w.text.Outcome(c.judge.baseline), w.text.Outcome(c.judge.candidate)
	if b == nil || candidate == nil {
		return nil, nil, false
	}
	t = w.text.Facts()
	rules := c.judge.rules.of(situationOf(t, t.Outcomes[c.judge.baseline], t.Outcomes[c.judge.candidate]))
	aliases, ok = w.way.matched(rules, len(w.tally.hits), b, candidate)
	if !ok || len(c.judge.contradictions(aliases)) > 0 {
		return nil, nil, false
	}
	w.tally.add(w.way.tally)
	w.add(t, c.opts, result{class: matched})
	return t, aliases, true
}

// refuseDuplicates refuses two trials of one invocation. It reads the run again to tell where they are.
func (c *comparison) refuseDuplicates(ctx context.Context) error {
	found, err := c.notes.ids.Find(ctx)
	if err != nil || found.Count == 0 {
		return err
	}
	var places [2]capture.Place
	var ids [2]string
	n, wanted := uint64(0), [2]uint64{found.Examples[0].First, found.Examples[0].Again}
	for line, err := range c.run.Lines() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		n++
		for i := range wanted {
			if n != wanted[i] {
				continue
			}
			places[i] = capture.Place{File: line.File, Line: line.Number}
			t, err := replay.ParseTrial(line.Data)
			if err != nil {
				return notATrial(places[i], err)
			}
			ids[i] = trialID(t)
		}
		if n == wanted[1] {
			break
		}
	}
	if ids[0] == "" || ids[0] != ids[1] {
		return errors.New("the run has changed while it was read")
	}
	return fmt.Errorf("%s: invocation %s has two trials (the first at %s): delete one of the lines",
		places[1], ids[1], places[0])
}

func (c *comparison) report(f *findings) *Report {
	s, again := f.sum, f.again
	r := &Report{
		Version: ReportVersion, Baseline: c.opts.Baseline, Candidate: c.opts.Candidate, Reasons: []string{}, Clusters: []Cluster{},
		Functions: make(map[string]FunctionReport, len(s.functions)),
		Latency:   make(map[string]FunctionLatency, len(s.functions)),
		Rules:     c.judge.rules.report(s.tally, c.opts.Now), RulesHash: c.judge.rules.hash(),
		Unchecked: Unchecked{Leaves: s.tally.leaves, Ignored: s.tally.ignored},
	}
	if r.Unchecked.Leaves > 0 {
		r.Unchecked.Share = float64(r.Unchecked.Ignored) / float64(r.Unchecked.Leaves)
	}
	compared, differed := make(map[string]int64), make(map[string]int64)
	for name, f := range s.functions {
		r.Trials.add(f.counts)
		differed[name] = f.counts.Differed
		compared[name] = f.counts.Matched + f.counts.Differed
		of := invocationsOf(f.counts)
		if again != nil {
			of = again[name]
		}
		r.invocations.add(of)
		r.Functions[name] = FunctionReport{
			Trials: f.counts, Shapes: f.kinds.shapes.forget(), DifferedShapes: f.differed.forget(), Repeats: f.repeats,
			MismatchUpperBound95: of.bound(), invocations: of,
		}
		r.Latency[name] = f.stopwatch.report(&c.opts, c.opts.Limits[name])
	}
	r.Calibrated, r.WithoutEffects = s.twice, s.halfKnown
	if c.opts.Inventory != nil {
		r.Coverage = c.opts.Inventory.coverage(s.functions)
	}
	f.clusters = s.clusters.clusters(compared, differed)
	for _, c := range f.clusters {
		r.Clusters = append(r.Clusters, c.Cluster)
	}
	r.Noise = s.noise.report(c.judge.noise)
	r.Proposals = s.noise.proposals(c.opts, r.Noise)
	incomplete := c.incomplete(f)
	r.decide(append(inconclusiveReasons(f), incomplete...))
	r.Reasons = append(r.Reasons, unsent(s.unsent.forget())...)
	if m := c.run.Manifest(); m != nil {
		r.Reasons = append(r.Reasons, leftOut(m)...)
	}
	r.Reasons = append(r.Reasons, c.remarks...)
	for _, rule := range r.Rules {
		if rule.Expired {
			r.reason("the rule at %s has expired (%s)", rule.At, rule.Until)
		}
	}
	if c.opts.Gate != nil {
		r.judge(c.opts.Gate, c.opts.Inventory, incomplete)
	}
	return r
}

// unsent says why invocations could not be sent, the most frequent reasons first.
func unsent(reasons map[string]int64) []string {
	const told = 3
	order := sortedKeys(reasons)
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(reasons[b], reasons[a]) })
	var list []string
	rest := int64(0)
	for i, reason := range order {
		if i < told && reason != others {
			list = append(list, fmt.Sprintf("%s could not be sent: %s", plural(int(reasons[reason]), "trial"), reason))
		} else {
			rest += reasons[reason]
		}
	}
	if rest > 0 {
		list = append(list, fmt.Sprintf("%s could not be sent for other reasons", plural(int(rest), "trial")))
	}
	return list
}

// leftOut says what the replay was told not to look at.
func leftOut(m *replay.RunManifest) []string {
	var list []string
	if n := m.Counts.LeftOut; n > 0 {
		list = append(list, fmt.Sprintf("%d of %d invocations were left out: %s", n, m.Recording.Invocations, m.Plan))
	}
	if n := m.Counts.WarmedUp; n > 0 {
		list = append(list, fmt.Sprintf("%s were fired to warm up and not compared", plural(int(n), "invocation")))
	}
	return list
}

// inconclusiveReasons says why trials are inconclusive.
func inconclusiveReasons(f *findings) []string {
	var list []string
	for _, reason := range sortedKeys(f.sum.reasons) {
		list = append(list, fmt.Sprintf("%s inconclusive: %s", plural(int(f.sum.reasons[reason]), "trial"), reason))
	}
	return list
}

// incomplete says what stands between the trials that there are and the whole recording. What cannot be sent is told
// too, but is known, so it is left to the caller's eye and to gates.
func (c *comparison) incomplete(f *findings) []string {
	var list []string
	if m := c.run.Manifest(); m != nil {
		planned := m.Planned()
		missing := planned
		for _, f := range f.sum.functions {
			missing -= f.counts.Total
		}
		if missing > 0 {
			list = append(list, fmt.Sprintf("%d of %d invocations have no trial", missing, planned))
		}
	}
	list = append(list, c.run.Notices()...)
	if f.skipped > 0 {
		list = append(list, fmt.Sprintf("%d lines of the run are not trials and were skipped", f.skipped))
	}
	return list
}
