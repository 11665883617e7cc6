package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds on what is read ahead of the firing.
const (
	readAhead      = 1024
	readAheadBytes = 64 << 20
)

// Run replays a recording and returns the manifest of the run as it is in Dir.
//
// Nothing is fired before the whole recording was read once and found to be sound; when firing ends meanwhile, there is
// an error. When firing ends later, or a rule of StopOn ends it, nothing more is fired and what is in flight may finish;
// the run then is not complete and can be resumed, and there is no error. When ctx ends, what is in flight is cut off,
// its trials are not written, so that a resumed run fires these invocations again, and ctx's error is returned. The
// manifest is nil if the run did not begin.
func Run(ctx, firing context.Context, opts Options) (*RunManifest, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		return nil, errors.New("no folder for the run")
	}
	selected, err := opts.Select.selector()
	if err != nil {
		return nil, err
	}
	if err := opts.checkEnvironments(selected); err != nil {
		return nil, err
	}
	if err := firing.Err(); err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(firing, stop)() // before the first is fired, there is nothing to wait for
	l, err := openLog(reading, &opts, selected)
	if err != nil {
		return nil, err
	}
	e := newEngine(&opts, l, selected)
	err = e.run(ctx, firing)
	return l.close(e.tell, err)
}

// An engine fires what a schedule hands it.
type engine struct {
	opts      *Options
	log       *log
	selected  *selector
	names     []string // of outcomes
	targets   map[string][]chain
	limits    map[string][]*throttle // of the targets of each function
	progress  map[string]*targetProgress
	crew      chan *single // to goroutines that stay, because the stacks of new ones would have to grow each time
	tripwires []*tripwire

	mu       sync.Mutex // guards what follows
	schedule *schedule
	warmUp   warmUp
	full     bool          // dispatch adds nothing to the schedule for want of room
	nudge    chan struct{} // to dispatch, that it looks again

	noAnswer          error     // of a target within its time
	start             time.Time // of the firing
	skew, late, error *meter
	stop              context.CancelCauseFunc // ends the firing
	stopped           error                   // why the firing ended
}

// A chain is a deployment's target with retry and effects around it.
type chain struct {
	name   string
	target Target
	// rewriting is what target begins with; nil without rules.
	rewriting *rewriting
}

func newEngine(opts *Options, l *log, selected *selector) *engine {
	e := &engine{
		opts: opts, log: l, selected: selected, start: time.Now(),
		targets: make(map[string][]chain), limits: make(map[string][]*throttle),
		noAnswer: fmt.Errorf("no answer within %v", opts.TargetTimeout),
		crew:     make(chan *single), nudge: make(chan struct{}, 1), skew: newMeter(), late: newMeter(), error: newMeter(),
		warmUp: warmUp{
			WarmUp: opts.WarmUp, log: l, total: &opts.Progress.total, over: l.warmed >= 0 || opts.WarmUp == WarmUp{},
		},
	}
	for round := range opts.rounds() {
		for _, target := range opts.targetNames() {
			e.names = append(e.names, outcomeName(target, round))
		}
	}
	e.progress = opts.Progress.start(e.names)
	opts.Progress.late.Store(e.late)
	for function, deployments := range opts.Targets {
		for _, d := range deployments {
			limit := newThrottle(opts.InFlight)
			if d.InFlight > 0 {
				limit = newThrottle(min(d.InFlight, opts.InFlight))
			}
			e.limits[function] = append(e.limits[function], limit)
			e.targets[function] = append(e.targets[function], e.chain(d, limit))
		}
	}
	e.schedule = &schedule{
		pacer: pacer{pace: opts.Pace}, lanes: make(lanes), limits: e.limits,
		maxInFlight: opts.InFlight, maxHeld: readAhead + opts.InFlight, maxBytes: readAheadBytes,
	}
	for _, rule := range opts.StopOn {
		e.tripwires = append(e.tripwires, &tripwire{rule: rule})
	}
	opts.Progress.total.Store(l.manifest.Planned())
	opts.Progress.resumed.Store(l.manifest.Counts.Trials)
	opts.Progress.done.Store(l.manifest.Counts.Trials)
	return e
}

func (e *engine) chain(d Deployment, limit *throttle) chain {
	var target Target = &retrying{
		target: d.Target, policy: e.opts.Retry.withDefaults(), safe: d.RetrySafe, limit: limit, elapsed: e.elapsed,
		refused: &e.progress[d.Name].throttled,
	}
	if d.Effects != nil {
		target = WithEffects(target, d.Effects)
	}
	c := chain{name: d.Name, target: target}
	if len(d.Rewrite) > 0 {
		c.rewriting = newRewriting(target, d.Rewrite, e.log.manifest.rewriteOptions())
		c.target = c.rewriting
	}
	return c
}

// elapsed is how long the firing has gone on.
func (e *engine) elapsed() time.Duration { return time.Since(e.start) }

func (e *engine) run(ctx, firing context.Context) error {
	firing, e.stop = context.WithCancelCause(firing)
	defer e.stop(nil)
	defer context.AfterFunc(ctx, func() { e.stop(ctx.Err()) })()
	e.start = time.Now()

	group, ctx := errgroup.WithContext(ctx)
	feed, work := make(chan []*shot), make(chan *shot)
	group.Go(func() error {
		defer close(feed)
		return e.read(ctx, firing, feed)
	})
	group.Go(func() error { return e.dispatch(ctx, firing, feed, work) })
	workers, most := new(sync.WaitGroup), 1
	for _, targets := range e.targets {
		most = max(most, len(targets))
	}
	for range e.opts.InFlight {
		workers.Add(1)
		group.Go(func() error {
			defer workers.Done()
			return e.work(ctx, firing, work)
		})
		for range most - 1 { // who fires at the further targets of what the worker fires
			group.Go(func() error {
				for one := range e.crew {
					e.fireOne(ctx, one)
					one.done.Done()
				}
				return nil
			})
		}
	}
	group.Go(func() error {
		workers.Wait()
		close(e.crew)
		return nil
	})
	err := group.Wait()
	e.stopped = context.Cause(firing)
	if err == nil && e.stopped == nil {
		err = e.warmUp.end(e.warmUp.most)
	}
	return err
}

// read sends every invocation that is selected and has no trial yet to feed, pass after pass in the order of the
// recording.
func (e *engine) read(ctx, firing context.Context, feed chan<- []*shot) error {
	seq := int64(-1)
	b := batch{to: feed, ctx: ctx, firing: firing}
	for pass := range e.opts.Repeat {
		n := int64(-1)
		for inv, err := range e.opts.Recording.Invocations() {
			if err != nil {
				return fmt.Errorf("recording: %w", err)
			}
			n++
			if goOn, err := b.pass(); !goOn {
				return err
			}
			lanes := LanesOf(inv)
			if !e.selected.has(inv, lanes) {
				continue
			}
			seq++
			if seq < e.log.warmed || e.log.done.has(position(e.log.manifest.Recording.Invocations, n, pass)) {
				continue
			}
			b.shots = append(b.shots, &shot{n: n, pass: pass, seq: seq, inv: inv, lanes: lanes})
			b.bytes += len(inv.Event)
		}
	}
	_, err := b.send()
	return err
}

// A batch is shots that are handed on together, because handing on takes about as long as reading one. It is not held
// back for many more of the recording's lines.
type batch struct {
	to          chan<- []*shot
	ctx, firing context.Context

	shots []*shot
	bytes int // of their events
	lines int // that were read since it was begun
}

const (
	batchShots = 32
	batchBytes = 64 << 10
	batchLines = 4 * batchShots
)

// pass notes that a line was read, and sends what is enough. GoOn says whether the firing goes on.
func (b *batch) pass() (goOn bool, err error) {
	b.lines++
	if len(b.shots) < batchShots && b.bytes < batchBytes && b.lines < batchLines {
		return true, nil
	}
	return b.send()
}

func (b *batch) send() (goOn bool, err error) {
	b.lines = 0
	if len(b.shots) == 0 {
		return true, nil
	}
	select {
	case b.to <- b.shots:
		b.shots, b.bytes = nil, 0
		return true, nil
	case <-b.firing.Done():
		return false, nil
	case <-b.ctx.Done():
		return false, b.ctx.Err()
	}
}

func (e *engine) work(ctx, firing context.Context, work <-chan *shot) error {
	var buf []byte
	for sh := range work {
		for sh != nil {
			var err error
			if buf, err = e.shoot(ctx, sh, buf[:0]); err == nil {
				err = ctx.Err()
			}
			if err == nil {
				sh, err = e.done(firing, sh)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// shoot fires a shot and writes its trial, in buf's memory, which it returns for the next one.
func (e *engine) shoot(ctx context.Context, sh *shot, buf []byte) ([]byte, error) {
	trial, err := e.fire(ctx, sh)
	if err != nil {
		return buf, err
	}
	if sh.warm {
		e.log.warm(trial)
		e.opts.Progress.warm.Add(1)
	} else {
		if buf, err = e.log.append(buf, trial); err != nil {
			return buf, err
		}
		e.opts.Progress.done.Add(1)
	}
	for _, wire := range e.tripwires {
		if why := wire.see(e.elapsed(), trial); why != "" {
			e.stop(errors.New(why))
		}
	}
	return buf, nil
}

// tell completes the manifest with what was measured.
func (e *engine) tell(m *RunManifest) {
	if spread := e.skew.spread(); spread != nil {
		m.SkewMS = *spread
	}
	if m.Completions = nil; e.opts.Completions != nil {
		m.Completions = e.opts.Completions()
	}
	m.Pace.CutMS = Milliseconds(e.schedule.pacer.cut)
	m.Pace.LateMS, m.Pace.ErrorMS = e.late.spread(), e.error.spread()
	for i := range m.Targets {
		ref := &m.Targets[i]
		for j, d := range e.opts.Targets[ref.Function] {
			if d.Name == ref.Name {
				e.limits[ref.Function][j].tell(ref)
				if r := e.targets[ref.Function][j].rewriting; r != nil {
					tellRules(ref.Rewrite, r.fired)
				}
			}
		}
	}
	switch {
	case m.Complete:
	case errors.Is(e.stopped, context.Canceled):
		m.Stopped = "interrupted"
	case e.stopped != nil:
		m.Stopped = e.stopped.Error()
	}
}
