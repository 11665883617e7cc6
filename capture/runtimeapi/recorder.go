package runtimeapi

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tandem/capture"
	"tandem/capture/wiretap"
)

// A Sink keeps invocations, and names them: those that a Recorder hands it have no ID yet. A Recorder calls Write from
// one goroutine at a time and does not touch inv afterwards. A [capture.Writer] is a Sink.
type Sink interface {
	Write(inv *capture.Invocation) error
}

// RecorderOptions says what a Recorder records. Sink must be set.
type RecorderOptions struct {
	Sink Sink
	// Function is the name that invocations are recorded under. By default it is taken from the function's ARN.
	Function string
	// Source is the invocations' Source; by default "runtime-api".
	Source string
	// RecordReplays also records the invocations that a replay fired, which are known by their [capture.Mark].
	RecordReplays bool
	// Keep tells whether an invocation whose outcome is known, or known to be missing, goes to the sink. It is called
	// from one goroutine at a time. Nil keeps all.
	Keep func(inv *capture.Invocation) bool
	// Warm says that the runtime has been given events already, before the Recorder was there.
	Warm bool
	// Concurrency is how many invocations the runtime works on at once; by default one, as Lambda has it unless
	// AWS_LAMBDA_MAX_CONCURRENCY is set. A runtime that asks for more has given up on the oldest one.
	Concurrency int
	// MaxEvent is how large an event is recorded, in bytes; by default [MaxPayload]. Larger ones are counted.
	MaxEvent int
	// Effects returns what an invocation did to the world and the objects that it read. It is called once, when the
	// outcome is known or known to be missing. Nil means that nobody watched.
	Effects func(requestID string) ([]capture.Effect, []capture.Object)
	// Log gets what goes wrong with recording; by default slog.Default().
	Log *slog.Logger
}

func (o RecorderOptions) withDefaults() RecorderOptions {
	if o.Source == "" {
		o.Source = "runtime-api"
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	if o.MaxEvent == 0 {
		o.MaxEvent = MaxPayload
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// A Recorder notes every invocation that passes on the Runtime API, with its outcome, from what a wiretap sees. It is
// not in the way of anything: what it does, or fails at, makes no difference to the function.
//
// All methods may be called by several goroutines at once, but what Observer returns by one at a time.
type Recorder struct {
	opts RecorderOptions

	mu      sync.Mutex
	warm    bool       // an event has been delivered
	pending []*pending // in the order in which they were delivered
	stats   Stats
	used    bool           // a runtime has come
	conns   int            // connections that it has open
	asking  int            // requests for an event that have no answer yet
	asks    int            // requests for an event so far
	ended   map[string]int // how often an invocation has ended that Wait was not yet asked for
	changed chan struct{}  // closed and replaced whenever one of the five above changes

	writing sync.Mutex // held while the sink is called
}

// Stats counts the invocations that have passed a Recorder.
type Stats struct {
	Pending  int // the function has been given them and has not answered
	Recorded int // the sink took them
	Lost     int // the sink refused them, or their events were not seen to the end
	TooLarge int // left out because of MaxEvent
	Skipped  int // left out by Keep
	Replays  int // left out because a replay fired them
}

// pending is an invocation that the function has been given and has not answered.
type pending struct {
	inv    *capture.Invocation // without what the event says
	event  wiretap.Body
	broken error // why the event is not whole; else nil
	since  wiretap.Moment
	noted  time.Time // by the clock of this process
	replay bool      // not to be recorded
}

// NewRecorder returns a Recorder. Close it when done.
func NewRecorder(opts RecorderOptions) *Recorder {
	opts = opts.withDefaults()
	return &Recorder{
		opts: opts, warm: opts.Warm, ended: make(map[string]int), changed: make(chan struct{}),
	}
}

// MaxBody is how much of a body a wiretap has to keep for r, in bytes.
func (r *Recorder) MaxBody() int { return max(r.opts.MaxEvent, MaxPayload) }

// Stats returns the counts so far.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	for _, p := range r.pending {
		if !p.replay {
			stats.Pending++
		}
	}
	return stats
}

// Abort records an invocation whose function will not answer any more, such as one that ran out of time, with the
// outcome that the platform gave it; nil where that is not known. An invocation that is not pending is left alone.
func (r *Recorder) Abort(requestID string, outcome *capture.Outcome) {
	r.end(requestID, nil, func(*capture.Invocation) *capture.Outcome { return outcome })
}

// AbortAll is Abort for every invocation that is pending, with the response that the platform gives in the runtime's
// place; nil where that is not known.
func (r *Recorder) AbortAll(response *Response) {
	if response == nil {
		r.giveUp(0, noOutcome)
		return
	}
	r.giveUp(0, func(inv *capture.Invocation) *capture.Outcome {
		return capture.LambdaOutcome(inv.Format, inv.Event, response.Payload, response.FunctionError)
	})
}

// Close records what is pending as invocations without an outcome. It does not close the sink.
func (r *Recorder) Close() { r.giveUp(0, noOutcome) }

func noOutcome(*capture.Invocation) *capture.Outcome { return nil }

// end records an invocation if it is pending, and tells whoever waits for it. At is nil when it is not known from what
// has passed.
func (r *Recorder) end(requestID string, at *wiretap.Moment, outcome func(*capture.Invocation) *capture.Outcome) {
	r.mu.Lock()
	var p *pending
	i := slices.IndexFunc(r.pending, func(p *pending) bool { return p.inv.Context.RequestID == requestID })
	if i >= 0 {
		p = r.pending[i]
		r.pending = slices.Delete(r.pending, i, i+1)
	}
	r.mu.Unlock()
	if p != nil {
		r.record(p, at, outcome)
	}
	r.noteEnd(requestID)
}

// giveUp records the oldest pending invocations, until at most keep are left.
func (r *Recorder) giveUp(keep int, outcome func(*capture.Invocation) *capture.Outcome) {
	r.mu.Lock()
	n := max(len(r.pending)-keep, 0)
	gone := slices.Clone(r.pending[:n])
	r.pending = slices.Delete(r.pending, 0, n)
	r.mu.Unlock()
	for _, p := range gone {
		r.record(p, nil, outcome)
		r.noteEnd(p.inv.Context.RequestID)
	}
}

// record hands an invocation to the sink and counts what became of it.
func (r *Recorder) record(p *pending, at *wiretap.Moment, outcome func(*capture.Invocation) *capture.Outcome) {
	defer r.recover()
	if p.replay {
		return
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	counter, err := &r.stats.Lost, error(nil)
	defer func() { r.count(counter, p.inv.Function, err) }()

	switch {
	case p.event.Size > int64(r.opts.MaxEvent) || p.event.Cut():
		counter = &r.stats.TooLarge
		return
	case !p.event.Whole:
		err = fmt.Errorf("the event of invocation %s: %w", p.inv.Context.RequestID, p.broken)
		return
	}
	r.complete(p, at, outcome)
	if r.opts.Keep != nil && !r.opts.Keep(p.inv) {
		counter = &r.stats.Skipped
		return
	}
	if err = r.opts.Sink.Write(p.inv); err == nil {
		counter = &r.stats.Recorded
	}
}

// complete fills in what is known now that the invocation has ended.
func (r *Recorder) complete(p *pending, at *wiretap.Moment, outcome func(*capture.Invocation) *capture.Outcome) {
	inv := p.inv
	inv.Event = p.event.Bytes
	inv.Trigger, inv.Format = capture.Detect(inv.Event)
	inv.Outcome = outcome(inv)
	var effects []capture.Effect
	if r.opts.Effects != nil {
		effects, inv.Objects = r.opts.Effects(inv.Context.RequestID)
	}
	if inv.Outcome != nil {
		took := time.Since(p.noted)
		if at != nil {
			took = at.Sub(p.since)
		}
		inv.Outcome.DurationMS = float64(took.Microseconds()) / 1000
		inv.Outcome.Effects = effects
	}
}

// count adds one to a counter of r.stats. The first loss is told.
func (r *Recorder) count(counter *int, function string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
	if counter == &r.stats.Lost && r.stats.Lost == 1 {
		r.opts.Log.Warn("invocations are being lost", "function", function, "error", err)
	}
}

// recover keeps a mistake in recording from whoever observes.
func (r *Recorder) recover() {
	if p := recover(); p != nil {
		r.opts.Log.Error("recording failed", "panic", p)
	}
}
