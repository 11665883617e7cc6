package replay

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A meter measures durations. It is safe for concurrent use.
type meter struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram // in microseconds
}

func newMeter() *meter { return &meter{histogram: newLatencyHistogram()} }

func (m *meter) record(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// What is beyond the range counts as its end, so that it is not lost.
	_ = m.histogram.RecordValue(min(d.Microseconds(), m.histogram.HighestTrackableValue()))
}

// spread returns nil when nothing was measured.
func (m *meter) spread() *Spread {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.histogram.TotalCount() == 0 {
		return nil
	}
	ms := func(us int64) float64 { return Milliseconds(time.Duration(us) * time.Microsecond) }
	return &Spread{
		P50: ms(m.histogram.ValueAtQuantile(50)),
		P99: ms(m.histogram.ValueAtQuantile(99)),
		Max: ms(m.histogram.Max()),
	}
}

// skew returns how far apart the targets of one invocation were fired at.
func skew(results []result) time.Duration {
	first, last := results[0].start, results[0].start
	for _, r := range results[1:] {
		if r.start.Before(first) {
			first = r.start
		}
		if r.start.After(last) {
			last = r.start
		}
	}
	return last.Sub(first)
}
