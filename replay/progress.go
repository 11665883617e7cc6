package replay

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/capture"
)

// Progress counts what a run has done. The zero value is ready; give it to one [Run] and call Snapshot from anywhere
// meanwhile.
type Progress struct {
	total, resumed, done, warm atomic.Int64
	inFlight, blocked          atomic.Int64
	late                       atomic.Pointer[meter]
	targets                    atomic.Pointer[[]*targetProgress]
}

// statuses fixes where targetProgress keeps the count of each.
var statuses = [...]capture.Status{
	capture.StatusOK, capture.StatusFunctionError, capture.StatusTimeout, capture.StatusThrottled,
	capture.StatusTransport, capture.StatusUnreplayable, capture.StatusUnknown,
}

type targetProgress struct {
	name      string
	fired     atomic.Int64
	throttled atomic.Int64
	byStatus  [len(statuses)]atomic.Int64

	mu      sync.Mutex
	latency *hdrhistogram.Histogram // of DurationMS, in microseconds
	classes Distribution            // of the same, each counted in its own class alone
}

// A Snapshot is a Progress at one moment. Its counts were not all read at once, so they may disagree by a few.
type Snapshot struct {
	Total    int64   // trials that the run will have; 0 until they are counted
	Resumed  int64   // trials that the run had when it was resumed
	Done     int64   // trials, with Resumed
	WarmedUp int64   // invocations that were fired to warm up, which are not among Total
	InFlight int64   // invocations that are being fired
	Blocked  int64   // invocations that were read and wait for one before them in their lane
	Late     *Spread // how long after they were due invocations were fired; nil when none was due at a time
	Targets  []TargetSnapshot
}

// A TargetSnapshot is what one target has been fired at in this session.
type TargetSnapshot struct {
	Name      string
	Fired     int64 // including what is in flight
	Throttled int64 // requests that were refused for want of capacity
	Done      int64
	Statuses  map[capture.Status]int64
	P50, P99  time.Duration // of answers; 0 until there is one
	Latency   Distribution
}

// LatencyBounds are the upper bounds of the classes of a Distribution, in seconds.
var LatencyBounds = [...]float64{
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900,
}

// A Distribution counts the durations of answers by class.
type Distribution struct {
	UpTo  [len(LatencyBounds)]int64 // that bound, with those of lower classes
	Count int64
	Sum   time.Duration
}

// Snapshot returns the counts as they are now.
func (p *Progress) Snapshot() Snapshot {
	s := Snapshot{
		Total: p.total.Load(), Resumed: p.resumed.Load(), Done: p.done.Load(),
		WarmedUp: p.warm.Load(), InFlight: p.inFlight.Load(), Blocked: p.blocked.Load(),
	}
	if late := p.late.Load(); late != nil {
		s.Late = late.spread()
	}
	targets := p.targets.Load()
	if targets == nil {
		return s
	}
	for _, t := range *targets {
		s.Targets = append(s.Targets, t.snapshot())
	}
	return s
}

// held notes what a schedule holds.
func (p *Progress) held(s *schedule) {
	p.inFlight.Store(int64(s.inFlight))
	p.blocked.Store(int64(s.blocked()))
}

func (p *Progress) start(names []string) map[string]*targetProgress {
	byName := make(map[string]*targetProgress, len(names))
	list := make([]*targetProgress, 0, len(names))
	for _, name := range names {
		t := &targetProgress{name: name, latency: newLatencyHistogram()}
		byName[name] = t
		list = append(list, t)
	}
	p.targets.Store(&list)
	return byName
}

// newLatencyHistogram holds microseconds up to an hour with two significant digits, in about 25 KB.
func newLatencyHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Hour.Microseconds(), 2)
}

func (t *targetProgress) record(out *capture.Outcome) {
	for i, status := range statuses {
		if status == out.Status {
			t.byStatus[i].Add(1)
		}
	}
	if out.Attempts == 0 {
		return // it was not sent, or nobody knows
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// A duration beyond the range is left out of the histogram, which is for people to look at.
	_ = t.latency.RecordValue(int64(out.DurationMS * 1000))
	t.classes.Count++
	t.classes.Sum += time.Duration(out.DurationMS * float64(time.Millisecond))
	if class, _ := slices.BinarySearch(LatencyBounds[:], out.DurationMS/1000); class < len(LatencyBounds) {
		t.classes.UpTo[class]++
	}
}

func (t *targetProgress) snapshot() TargetSnapshot {
	s := TargetSnapshot{
		Name: t.name, Fired: t.fired.Load(), Throttled: t.throttled.Load(), Statuses: make(map[capture.Status]int64),
	}
	for i, status := range statuses {
		if n := t.byStatus[i].Load(); n > 0 {
			s.Statuses[status] = n
			s.Done += n
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.P50 = time.Duration(t.latency.ValueAtQuantile(50)) * time.Microsecond
	s.P99 = time.Duration(t.latency.ValueAtQuantile(99)) * time.Microsecond
	s.Latency = t.classes
	for i := 1; i < len(s.Latency.UpTo); i++ {
		s.Latency.UpTo[i] += s.Latency.UpTo[i-1]
	}
	return s
}
