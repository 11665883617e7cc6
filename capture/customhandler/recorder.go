package customhandler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/capture/wiretap"
)

// A Sink takes invocations. It gets one at a time.
type Sink interface {
	Write(*capture.Invocation) error
}

// What else becomes of exchanges in a [Recorder].
const (
	LeftSample  Fate = "left out of the sample"
	LostRefused Fate = "refused by the sink"
)

// RecorderOptions say what a Recorder does. Sink is needed.
type RecorderOptions struct {
	ObserverOptions
	Sink Sink
	// Keep says which invocations are recorded; nil keeps all. It is asked about one at a time.
	Keep func(*capture.Invocation) bool
	// Completions takes the [Completion.Carrier] of each call of a trigger that answers nobody, of replays, too. Nil
	// tells nobody.
	Completions Sink
	// Logf is told of losses, each reason at its first, second, fourth, eighth … occurrence. Nil discards.
	Logf func(format string, args ...any)
}

// A Recorder records the exchanges between a Functions host and a custom handler, and counts what becomes of each. It
// is safe for concurrent use.
type Recorder struct {
	observer *Observer
	opts     RecorderOptions

	mu    sync.Mutex
	stats Stats
}

// NewRecorder checks opts.
func NewRecorder(opts RecorderOptions) (*Recorder, error) {
	observer, err := NewObserver(opts.ObserverOptions)
	if err != nil {
		return nil, err
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	return &Recorder{observer: observer, opts: opts, stats: newStats()}, nil
}

// Done records one exchange. It is the Done of a [wiretap.Observer].
func (r *Recorder) Done(x *wiretap.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Seen++
	if r.opts.Completions != nil {
		r.tell(x)
	}
	inv, fate, err := r.observer.Observe(x)
	if fate == Recordable {
		switch {
		case err == nil:
		case translate.IsTranslated(inv.Source):
			r.note("without its bytes", &r.stats.NoObject, err)
		default:
			r.note("not translated", &r.stats.Untranslated, err)
		}
		r.write(inv)
		return
	}
	if !fate.Lost() {
		r.stats.LeftOut[fate]++
		return
	}
	r.lose(fate, err)
}

// tell tells what became of a call.
func (r *Recorder) tell(x *wiretap.Exchange) {
	c, err := r.observer.Complete(x)
	if c != nil {
		err = r.opts.Completions.Write(c.Carrier())
	}
	if err != nil {
		r.note("LOST: a completion", &r.stats.Untold, err)
	} else if c != nil {
		r.stats.Told++
	}
}

func (r *Recorder) write(inv *capture.Invocation) {
	if r.opts.Keep != nil && !r.opts.Keep(inv) {
		r.stats.LeftOut[LeftSample]++
		return
	}
	if err := r.opts.Sink.Write(inv); err != nil {
		r.lose(LostRefused, fmt.Errorf("invocation %s of %s: %w", inv.Context.RequestID, inv.Function, err))
		return
	}
	r.stats.Recorded++
	if inv.Outcome == nil {
		r.stats.NoOutcome++
	}
}

func (r *Recorder) lose(fate Fate, err error) {
	n := r.stats.Lost[fate]
	r.note("lost: "+string(fate), &n, err)
	r.stats.Lost[fate] = n
}

// note counts one more and tells about it when the count is a power of two.
func (r *Recorder) note(what string, n *int64, err error) {
	*n++
	if *n&(*n-1) == 0 {
		r.opts.Logf("%s (%d so far): %v", what, *n, err)
	}
}

// Stats returns the counts so far.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.LeftOut, s.Lost = maps.Clone(s.LeftOut), maps.Clone(s.Lost)
	return s
}

// Stats count exchanges. Seen is Recorded and all that is in LeftOut and Lost.
type Stats struct {
	Seen     int64          `json:"seen"`
	Recorded int64          `json:"recorded"`
	LeftOut  map[Fate]int64 `json:"leftOut"`
	Lost     map[Fate]int64 `json:"lost"`
	// These count those whose answer is not known, whose payload is recorded as it came although there is a form of it
	// for Lambda, and whose blob's bytes could not be kept. They are in the other counts, too.
	NoOutcome    int64 `json:"noOutcome"`
	Untranslated int64 `json:"untranslated"`
	NoObject     int64 `json:"noObject"`
	// Told counts completions that Completions took, and Untold those that are not known or that it did not take.
	Told   int64 `json:"told,omitempty"`
	Untold int64 `json:"untold,omitempty"`
}

func newStats() Stats { return Stats{LeftOut: make(map[Fate]int64), Lost: make(map[Fate]int64)} }

// String says what became of all exchanges, in one line that adds up.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d exchanges: %d recorded", s.Seen, s.Recorded)
	for _, fate := range slices.Sorted(maps.Keys(s.LeftOut)) {
		fmt.Fprintf(&b, ", %d %s", s.LeftOut[fate], fate)
	}
	for _, fate := range slices.Sorted(maps.Keys(s.Lost)) {
		fmt.Fprintf(&b, ", %d LOST: %s", s.Lost[fate], fate)
	}
	if s.NoOutcome > 0 {
		fmt.Fprintf(&b, "; of the recorded, %d without an outcome", s.NoOutcome)
	}
	if s.Untranslated > 0 {
		fmt.Fprintf(&b, "; of the recorded, %d not translated", s.Untranslated)
	}
	if s.NoObject > 0 {
		fmt.Fprintf(&b, "; of the recorded, %d without the bytes of their blobs", s.NoObject)
	}
	return b.String()
}
