package replay

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/replay/rewrite"
)

// A Forecast says what a run would be, had it been made: a dry run. Its counts add up as those of the run would:
// (Invocations - LeftOut) · repeat = Trials + WarmedUp.
type Forecast struct {
	Recording RecordingRef `json:"recording"`
	Plan      Plan         `json:"plan"`
	Pace      PaceRef      `json:"pace"`
	InFlight  int          `json:"inFlight"`
	StopOn    []string     `json:"stopOn,omitempty"`

	Invocations int64 `json:"invocations"` // in the recording
	LeftOut     int64 `json:"leftOut"`     // of them, by the selection
	Trials      int64 `json:"trials"`
	WarmedUp    int64 `json:"warmedUp"` // fired to warm up, where a number says it
	// WarmUpMS is how long it would warm up, where a time says it. These invocations have no trials.
	WarmUpMS float64 `json:"warmUpMs,omitempty"`
	// DurationMS is when the last invocation would be due, where a schedule says it; answers take longer. Absent when
	// invocations are fired as fast as targets answer.
	DurationMS float64 `json:"durationMs,omitempty"`

	Lanes       int64 `json:"lanes"`       // that invocations would be kept in order in
	LongestLane int64 `json:"longestLane"` // invocations in the lane that has most
	EventBytes  int64 `json:"eventBytes"`  // of the invocations that are selected, each once

	Functions []FunctionForecast `json:"functions"`
	// Refused says why nothing would be fired at all; see [Options.AllowProduction].
	Refused []string `json:"refused,omitempty"`
}

// A FunctionForecast says what would be fired at the targets of one function: Selected = Fired + NotFired. It counts
// invocations, each once.
type FunctionForecast struct {
	Function   string           `json:"function"`
	Selected   int64            `json:"selected"`
	Fired      int64            `json:"fired"`    // at all of its targets
	NotFired   int64            `json:"notFired"` // because a target cannot be sent it, or there is none
	EventBytes int64            `json:"eventBytes"`
	Targets    []TargetForecast `json:"targets"` // none when the config has none for it
}

// A TargetForecast says what would be sent to one target: Selected = Fired + those in Cannot + Withheld.
type TargetForecast struct {
	TargetRef
	// Sent is how many times invocations would be fired at it, with repeats, calibration and warm-up, and without
	// what is fired again.
	Sent int64 `json:"sent"`
	// Cannot counts what it cannot be sent, by reason.
	Cannot map[string]int64 `json:"cannot,omitempty"`
	// Withheld is what another target of the function cannot be sent, so that this one is not.
	Withheld int64 `json:"withheld"`
}

// Foresee returns what [Run] would do with opts, whose Dir and Resume are not looked at. It reads the recording and
// asks the targets what they cannot be sent; it fires nothing, opens no connection and writes nothing.
func Foresee(ctx context.Context, opts Options) (*Forecast, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	selected, err := opts.Select.selector()
	if err != nil {
		return nil, err
	}
	recording, taken, err := checkRecording(ctx, &opts, selected)
	if err != nil {
		return nil, err
	}
	if err := opts.checkWarmUp(taken * int64(opts.Repeat)); err != nil {
		return nil, err
	}
	shift, err := opts.timeShift(ctx, selected)
	if err != nil {
		return nil, err
	}
	f := newForeseer(&opts, rewrite.Options{Run: ulid.Make().String(), Shift: shift}) // a run's IDs are as long
	if err := f.read(ctx, selected); err != nil {
		return nil, err
	}
	out := &Forecast{
		Recording: recording, Plan: opts.plan(), Pace: opts.Pace.ref(), InFlight: opts.InFlight, StopOn: opts.stopRules(),
		Invocations: recording.Invocations, LeftOut: recording.Invocations - taken,
		WarmedUp: opts.WarmUp.Invocations, WarmUpMS: Milliseconds(opts.WarmUp.For),
		Trials: taken*int64(opts.Repeat) - opts.WarmUp.Invocations,
	}
	f.tell(out)
	for _, err := range opts.forbidden(selected) {
		out.Refused = append(out.Refused, err.Error())
	}
	return out, nil
}

// A foreseer reads a recording as a run would.
type foreseer struct {
	opts      *Options
	targets   map[string][]chain
	functions map[string]*FunctionForecast
	pacer     pacer
	due       time.Duration // of the last

	seed  maphash.Seed
	lanes map[uint64]int64 // invocations by the hash of their lane, which takes less memory
}

func newForeseer(opts *Options, rewriting rewrite.Options) *foreseer {
	f := &foreseer{
		opts: opts, targets: make(map[string][]chain), functions: make(map[string]*FunctionForecast),
		pacer: pacer{pace: opts.Pace}, seed: maphash.MakeSeed(), lanes: make(map[uint64]int64),
	}
	for _, ref := range opts.targetRefs() {
		function := f.function(ref.Function)
		function.Targets = append(function.Targets, TargetForecast{TargetRef: ref, Cannot: make(map[string]int64)})
	}
	for function, deployments := range opts.Targets {
		for _, d := range deployments {
			c := chain{name: d.Name, target: d.Target}
			if len(d.Rewrite) > 0 {
				c.rewriting = newRewriting(d.Target, d.Rewrite, rewriting)
				c.target = c.rewriting
			}
			f.targets[function] = append(f.targets[function], c)
		}
	}
	return f
}

func (f *foreseer) function(name string) *FunctionForecast {
	function := f.functions[name]
	if function == nil {
		function = &FunctionForecast{Function: name, Targets: []TargetForecast{}}
		f.functions[name] = function
	}
	return function
}

// read reads the recording once, and again for each repeat if when it is due depends on recorded times.
func (f *foreseer) read(ctx context.Context, selected *selector) error {
	for pass := range f.opts.Repeat {
		if pass > 0 && f.opts.Pace.Speed == 0 {
			break
		}
		for inv, err := range f.opts.Recording.Invocations() {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			lanes := LanesOf(inv)
			if !selected.has(inv, lanes) {
				continue
			}
			f.due = f.pacer.due(pass, inv.Time)
			if pass == 0 {
				f.add(inv, lanes)
			}
		}
	}
	return nil
}

func (f *foreseer) add(inv *capture.Invocation, lanes []string) {
	for _, lane := range lanes {
		f.lanes[maphash.String(f.seed, lane)]++
	}
	function := f.function(inv.Function)
	function.Selected++
	function.EventBytes += int64(len(inv.Event))
	inv.Parse()
	_, reasons := ready(f.targets[inv.Function], inv)
	if len(function.Targets) > 0 && reasons == nil {
		function.Fired++
		return
	}
	function.NotFired++
	for i := range function.Targets {
		target := &function.Targets[i]
		if reasons[i] == nil {
			target.Withheld++
			continue
		}
		addReason(target.Cannot, reasons[i].Error())
	}
}

// tell fills in what was counted.
func (f *foreseer) tell(out *Forecast) {
	for _, name := range slices.Sorted(maps.Keys(f.functions)) {
		function := f.functions[name]
		out.EventBytes += function.EventBytes
		for i := range function.Targets {
			if r := f.targets[name][i].rewriting; r != nil {
				tellRules(function.Targets[i].Rewrite, r.checked)
			}
			function.Targets[i].Sent = function.Fired * int64(f.opts.Repeat) * int64(f.opts.rounds())
		}
		out.Functions = append(out.Functions, *function)
	}
	out.Lanes = int64(len(f.lanes))
	for _, n := range f.lanes {
		out.LongestLane = max(out.LongestLane, n)
	}
	n := float64(out.Trials + out.WarmedUp)
	if f.opts.Pace.Rate > 0 {
		f.due = f.pacer.dueAtRate(n - 1)
	}
	if rate := f.opts.Pace.MaxRate; rate > 0 {
		f.due = max(f.due, seconds((n-1)/rate))
	}
	out.DurationMS, out.Pace.CutMS = Milliseconds(f.due), Milliseconds(f.pacer.cut)
}
