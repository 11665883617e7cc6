package compare

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/capture"
	"tandem/replay"
)

// Durations are kept in microseconds, up to an hour, in three significant digits.
const longest = 3_600_000_000

// stopwatch has the durations of one function's invocations on both sides.
type stopwatch struct{ baseline, candidate side }

type side struct {
	warm *hdrhistogram.Histogram
	cold int64
}

func newStopwatch() *stopwatch {
	return &stopwatch{
		baseline:  side{warm: hdrhistogram.New(1, longest, 3)},
		candidate: side{warm: hdrhistogram.New(1, longest, 3)},
	}
}

func (s *stopwatch) add(t *replay.Trial, baseline, candidate string) {
	s.baseline.add(t.Outcomes[baseline])
	s.candidate.add(t.Outcomes[candidate])
}

func (s *side) add(o *capture.Outcome) {
	switch {
	case o == nil || o.DurationMS <= 0 || !ran(o.Status):
	case o.InitMS > 0:
		s.cold++
	default:
		// Only what is out of the histogram's range is refused, and that does not come here.
		_ = s.warm.RecordValue(int64(min(max(o.DurationMS*1000, 1), longest)))
	}
}

// ran reports whether a duration is a function's and not that of a refusal on the way to it.
func ran(s capture.Status) bool {
	return s == capture.StatusOK || s == capture.StatusFunctionError || s == capture.StatusTimeout
}

func (s *stopwatch) merge(o *stopwatch) {
	s.baseline.warm.Merge(o.baseline.warm)
	s.candidate.warm.Merge(o.candidate.warm)
	s.baseline.cold += o.baseline.cold
	s.candidate.cold += o.candidate.cold
}

func (s *stopwatch) report() FunctionLatency {
	l := FunctionLatency{
		Baseline: s.baseline.percentiles(), Candidate: s.candidate.percentiles(), Ratio: make(map[string][2]float64),
	}
	if l.Baseline.Count == 0 || l.Candidate.Count == 0 {
		return l
	}
	for name, q := range map[string]float64{"p50": 50, "p95": 95, "p99": 99} {
		lowB, highB := s.baseline.interval(q)
		lowC, highC := s.candidate.interval(q)
		l.Ratio[name] = [2]float64{lowC / highB, highC / lowB}
	}
	return l
}

func (s *side) percentiles() Percentiles {
	at := func(q float64) float64 { return float64(s.warm.ValueAtPercentile(q)) / 1000 }
	return Percentiles{P50: at(50), P95: at(95), P99: at(99), Count: s.warm.TotalCount(), Cold: s.cold}
}

// interval covers the true percentile with about 95 % confidence, whatever the distribution: the number of values
// below it is binomial, so its ranks lie within two standard deviations of the expected one.
func (s *side) interval(q float64) (low, high float64) {
	n, p := float64(s.warm.TotalCount()), q/100
	width := 1.96 * math.Sqrt(n*p*(1-p)) / n * 100
	low = float64(s.warm.ValueAtPercentile(max(q-width, 0)))
	high = float64(s.warm.ValueAtPercentile(min(q+width, 100)))
	return max(low, 1), max(high, 1)
}
