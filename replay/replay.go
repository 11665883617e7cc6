package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"tandem/capture"
	"tandem/capture/journal"
)

// Options say what [Run] fires at what. Recording, Targets and Dir are needed.
type Options struct {
	Recording     *capture.Recording
	RecordingPath string // for the manifest
	// Targets has the deployments of each function. An invocation of another function gets a trial that says that
	// it is unreplayable.
	Targets map[string][]Deployment
	Dir     string // the run's folder, which is made
	// Resume goes on with the run in Dir, if there is one. It must be of the same recording, and of the same config
	// unless NewConfig is set.
	Resume    bool
	NewConfig bool

	// InFlight is how many invocations are fired at once, each at all of its targets; default 8, which keeps two
	// cores busy and is below what new accounts may run at once in Lambda (10).
	InFlight int
	// TargetTimeout is how long one target may take for one invocation, with retries and effects, until its outcome
	// is unknown; default 20 minutes, which is more than any function may run for.
	TargetTimeout time.Duration
	Retry         RetryPolicy

	// Journal says when trials are written, and whom they are encrypted to. Its Append is not used.
	Journal journal.WriterOptions
	// Identities open the trials of an encrypted run that is gone on with.
	Identities []age.Identity
	Progress   *Progress
	ConfigHash string
	Tool       string // name and version of what makes the run
}

// A Deployment is a target with its effects and with what the manifest says of it.
type Deployment struct {
	Name    string // in trials: "lambda", "functions"
	Kind    string // "lambda", "http", "handler"
	Address string // without secrets
	Target  Target
	// Effects gives what an invocation did to the world; nil when nobody watches.
	Effects EffectsFunc
}

func (o Options) withDefaults() (Options, error) {
	for function, deployments := range o.Targets {
		seen := make(map[string]bool)
		for _, d := range deployments {
			if d.Name == "" || seen[d.Name] {
				return o, fmt.Errorf("function %s: its targets need names that differ, not %q", function, d.Name)
			}
			seen[d.Name] = true
		}
	}
	switch {
	case o.Recording == nil:
		return o, errors.New("no recording to replay")
	case o.Dir == "":
		return o, errors.New("no folder for the run")
	case len(o.targetNames()) == 0:
		return o, errors.New("no targets to replay at")
	}
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.TargetTimeout <= 0 {
		o.TargetTimeout = 20 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	return o, nil
}

// targetNames returns the names of all targets of all functions, sorted.
func (o *Options) targetNames() []string {
	names := make(map[string]bool)
	for _, deployments := range o.Targets {
		for _, d := range deployments {
			names[d.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (o *Options) targetRefs() []TargetRef {
	var refs []TargetRef
	for _, function := range slices.Sorted(maps.Keys(o.Targets)) {
		for _, d := range o.Targets[function] {
			refs = append(refs, TargetRef{Function: function, Name: d.Name, Kind: d.Kind, Address: d.Address})
		}
	}
	return refs
}

// Bounds on what is read ahead of the firing.
const (
	readAhead      = 1024
	readAheadBytes = 64 << 20
)

// Run replays a recording and returns the manifest of the run as it is in Dir.
//
// Nothing is fired before the whole recording was read once and found to be sound; when firing ends meanwhile, there is
// an error. When firing ends later, nothing more is fired and what is in flight may finish; the run then is not complete
// and can be resumed, and there is no error. When ctx ends, what is in flight is cut off, its trials are not written, so
// that a resumed run fires these invocations again, and ctx's error is returned. The manifest is nil if the run did not
// begin.
func Run(ctx, firing context.Context, opts Options) (*RunManifest, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := firing.Err(); err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(firing, stop)() // before the first is fired, there is nothing to wait for
	l, err := openLog(reading, &opts)
	if err != nil {
		return nil, err
	}
	e := newEngine(&opts, l)
	err = e.run(ctx, firing)
	return l.close(e.skew.summary(), err)
}

// An engine fires what a schedule hands it.
type engine struct {
	opts     *Options
	log      *log
	names    []string
	targets  map[string][]chain
	progress map[string]*targetProgress
	skew     skewMeter
}

// A chain is a deployment's target with retry and effects around it.
type chain struct {
	name   string
	target Target
	check  func(*capture.Invocation) error
}

func newEngine(opts *Options, l *log) *engine {
	e := &engine{
		opts: opts, log: l, names: opts.targetNames(), targets: make(map[string][]chain),
		skew: skewMeter{histogram: newLatencyHistogram()},
	}
	e.progress = opts.Progress.start(e.names)
	for function, deployments := range opts.Targets {
		for _, d := range deployments {
			target := Retry(d.Target, opts.Retry)
			if d.Effects != nil {
				target = WithEffects(target, d.Effects)
			}
			c := chain{d.Name, target, func(*capture.Invocation) error { return nil }}
			if checker, ok := d.Target.(Checker); ok {
				c.check = checker.Check
			}
			e.targets[function] = append(e.targets[function], c)
		}
	}
	opts.Progress.total.Store(l.manifest.Recording.Invocations)
	opts.Progress.resumed.Store(l.manifest.Counts.Trials)
	opts.Progress.done.Store(l.manifest.Counts.Trials)
	return e
}

func (e *engine) run(ctx, firing context.Context) error {
	firing, cancel := context.WithCancel(firing)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()

	group, ctx := errgroup.WithContext(ctx)
	feed, work, done := make(chan *shot), make(chan *shot), make(chan *shot)
	group.Go(func() error {
		defer close(feed)
		return e.read(ctx, firing, feed)
	})
	group.Go(func() error {
		s := schedule{lanes: make(lanes), maxHeld: readAhead + e.opts.InFlight, maxBytes: readAheadBytes}
		return s.run(ctx, firing, feed, work, done, e.opts.Progress)
	})
	for range e.opts.InFlight {
		group.Go(func() error { return e.work(ctx, work, done) })
	}
	return group.Wait()
}

// read sends every invocation that has no trial yet to feed, in the order of the recording.
func (e *engine) read(ctx, firing context.Context, feed chan<- *shot) error {
	n := int64(-1)
	for inv, err := range e.opts.Recording.Invocations() {
		if err != nil {
			return fmt.Errorf("recording: %w", err)
		}
		if n++; e.log.done.has(n) {
			continue
		}
		select {
		case feed <- &shot{n: n, inv: inv, lanes: LanesOf(inv)}:
		case <-firing.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e *engine) work(ctx context.Context, work <-chan *shot, done chan<- *shot) error {
	var buf []byte
	for sh := range work {
		trial, err := e.fire(ctx, sh)
		if err != nil {
			return err
		}
		if buf, err = e.log.append(buf[:0], trial); err != nil {
			return err
		}
		e.opts.Progress.done.Add(1)
		select {
		case done <- sh:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fire fires one invocation at all of its targets. An error means that there is no trial to write.
func (e *engine) fire(ctx context.Context, sh *shot) (*Trial, error) {
	trial := &Trial{
		N: sh.n, Invocation: sh.inv.ID, Function: sh.inv.Function, Trigger: sh.inv.Trigger, Format: sh.inv.Format,
		Shape: capture.Shape(sh.inv.Event), Time: time.Now().UTC(), Outcomes: make(map[string]*capture.Outcome),
	}
	if len(sh.lanes) > 0 {
		trial.Lane = sh.lanes[0]
	}
	targets := e.targets[sh.inv.Function]
	for _, name := range e.names {
		trial.Outcomes[name] = Unreplayable("function %s has no target %s in the config", sh.inv.Function, name)
	}
	var results []result
	if !refused(targets, sh.inv, trial.Outcomes) {
		results = e.fireAll(ctx, targets, sh.inv)
	}
	for i, r := range results {
		out, err := r.outcome, r.err
		var setup *SetupError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &setup):
			return nil, fmt.Errorf("function %s, target %s: %w", sh.inv.Function, targets[i].name, err)
		default:
			out = &capture.Outcome{Status: capture.StatusUnknown, Error: &capture.Error{Message: err.Error()}}
		}
		trial.Outcomes[targets[i].name] = out
	}
	for name, out := range trial.Outcomes {
		e.progress[name].record(out)
	}
	return trial, nil
}

// refused reports whether a target cannot be sent inv, and gives all targets the outcomes that follow.
func refused(targets []chain, inv *capture.Invocation, outcomes map[string]*capture.Outcome) bool {
	var by []string
	for _, t := range targets {
		if err := t.check(inv); err != nil {
			outcomes[t.name] = Unreplayable("%v", err)
			by = append(by, t.name)
		}
	}
	if len(by) == 0 {
		return false
	}
	for _, t := range targets {
		if !slices.Contains(by, t.name) {
			outcomes[t.name] = Unreplayable("not sent, because it cannot be sent to %s", strings.Join(by, ", "))
		}
	}
	return true
}

type result struct {
	outcome *capture.Outcome
	err     error
	start   time.Time
}

// fireAll fires inv at all targets at the same moment: no request is made before everything is ready to make all.
func (e *engine) fireAll(ctx context.Context, targets []chain, inv *capture.Invocation) []result {
	results := make([]result, len(targets))
	gate := make(chan struct{})
	var ready, done sync.WaitGroup
	for i, t := range targets {
		ready.Add(1)
		done.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, e.opts.TargetTimeout,
				fmt.Errorf("no answer within %v", e.opts.TargetTimeout))
			defer cancel()
			ctx = WithMark(ctx, capture.Mark{Run: e.log.session, Invocation: inv.ID, Target: t.name})
			ready.Done()
			<-gate
			r := &results[i]
			r.start = time.Now()
			e.progress[t.name].fired.Add(1)
			r.outcome, r.err = t.target.Fire(ctx, inv)
			if r.err != nil && errors.Is(r.err, context.DeadlineExceeded) {
				r.err = fmt.Errorf("%w: %w", context.Cause(ctx), r.err)
			}
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	e.skew.record(results)
	return results
}
