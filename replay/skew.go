package replay

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A skewMeter measures how far apart the targets of one invocation are fired at.
type skewMeter struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram // in microseconds
}

func (m *skewMeter) record(results []result) {
	if len(results) < 2 {
		return
	}
	first, last := results[0].start, results[0].start
	for _, r := range results[1:] {
		if r.start.Before(first) {
			first = r.start
		}
		if r.start.After(last) {
			last = r.start
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// More than the hour that the histogram reaches to cannot be, short of a suspended machine.
	_ = m.histogram.RecordValue(last.Sub(first).Microseconds())
}

func (m *skewMeter) summary() Skew {
	m.mu.Lock()
	defer m.mu.Unlock()
	ms := func(us int64) float64 { return Milliseconds(time.Duration(us) * time.Microsecond) }
	return Skew{
		P50: ms(m.histogram.ValueAtQuantile(50)),
		P99: ms(m.histogram.ValueAtQuantile(99)),
		Max: ms(m.histogram.Max()),
	}
}
