package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/gonum/stat/distuv"

	"tandem/capture"
	"tandem/replay"
)

// Durations are kept in microseconds, up to an hour, in three significant digits.
const longest = 3_600_000_000

// stopwatch has the durations of one function's invocations on both sides.
type stopwatch struct{ baseline, candidate side }

// side is what one side's invocations took. Cold starts are kept apart.
type side struct {
	warm, cold *hdrhistogram.Histogram
	used       usage
}

func newSide() side {
	return side{warm: hdrhistogram.New(1, longest, 3), cold: hdrhistogram.New(1, longest, 3)}
}

func newStopwatch() *stopwatch { return &stopwatch{baseline: newSide(), candidate: newSide()} }

func (s *stopwatch) add(t *replay.Trial, opts *Options) {
	s.baseline.add(t.Outcomes[opts.Baseline], opts.Prices[opts.Baseline])
	s.candidate.add(t.Outcomes[opts.Candidate], opts.Prices[opts.Candidate])
}

func (s *side) add(o *capture.Outcome, price *Price) {
	if o == nil || o.DurationMS <= 0 || !ran(o.Status) {
		return
	}
	into := s.warm
	if o.InitMS > 0 {
		into = s.cold
	}
	// Only what is out of the histogram's range is refused, and that does not come here.
	_ = into.RecordValue(int64(min(max(o.DurationMS*1000, 1), longest)))
	s.used.add(o, price)
}

// ran reports whether a duration is a function's and not that of a refusal on the way to it.
func ran(s capture.Status) bool {
	return s == capture.StatusOK || s == capture.StatusFunctionError || s == capture.StatusTimeout
}

func (s *stopwatch) merge(o *stopwatch) {
	for _, pair := range [][2]*side{{&s.baseline, &o.baseline}, {&s.candidate, &o.candidate}} {
		pair[0].warm.Merge(pair[1].warm)
		pair[0].cold.Merge(pair[1].cold)
		pair[0].used.merge(pair[1].used)
	}
}

// report says how long invocations took and what they used, given what the deployments of both sides have.
func (s *stopwatch) report(opts *Options, limits map[string]Limits) FunctionLatency {
	b, c := sampleOf(s.baseline.warm), sampleOf(s.candidate.warm)
	l := FunctionLatency{Baseline: b.percentiles(), Candidate: c.percentiles(), Ratio: ratios(b, c), Slower: slower(b, c)}
	l.Baseline.Cold, l.Candidate.Cold = s.baseline.cold.TotalCount(), s.candidate.cold.TotalCount()
	if l.Baseline.Cold+l.Candidate.Cold > 0 {
		b, c := sampleOf(s.baseline.cold), sampleOf(s.candidate.cold)
		l.ColdStarts = &ColdLatency{Baseline: b.percentiles(), Candidate: c.percentiles(), Ratio: ratios(b, c)}
	}
	l.Usage.Baseline = s.baseline.used.report(limits[opts.Baseline], opts.Prices[opts.Baseline])
	l.Usage.Candidate = s.candidate.used.report(limits[opts.Candidate], opts.Prices[opts.Candidate])
	return l
}

// durations is a distribution of durations: each value that occurs, in microseconds, with how many are up to it.
type durations struct {
	values []float64
	upTo   []int64
}

func sampleOf(h *hdrhistogram.Histogram) durations {
	var s durations
	n := int64(0)
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		n += bar.Count
		s.values = append(s.values, float64(bar.To))
		s.upTo = append(s.upTo, n)
	}
	return s
}

func (s durations) count() int64 {
	if len(s.upTo) == 0 {
		return 0
	}
	return s.upTo[len(s.upTo)-1]
}

// rank returns the value of the given rank, from 1.
func (s durations) rank(k int64) float64 {
	i, _ := slices.BinarySearch(s.upTo, k)
	return s.values[min(i, len(s.values)-1)]
}

// rankOf is the rank of a quantile among n values: the smallest value with at least that share up to it.
func rankOf(q float64, n int64) int64 { return min(max(int64(math.Ceil(q*float64(n)-1e-9)), 1), n) }

func (s durations) percentiles() Percentiles {
	n := s.count()
	if n == 0 {
		return Percentiles{}
	}
	at := func(q float64) float64 { return s.rank(rankOf(q, n)) / 1000 }
	return Percentiles{P50: at(.5), P95: at(.95), P99: at(.99), Count: n}
}

// resamples is how many samples the bootstrap draws.
const resamples = 2000

var quantiles = []struct {
	name string
	q    float64
}{{"p50", .5}, {"p95", .95}, {"p99", .99}}

// ratios returns, for each percentile, the interval that covers the ratio of the candidate's to the baseline's with
// 95 % confidence, by the bootstrap. A percentile that fewer than one value lies beyond is left out: nothing is known
// of its upper end.
//
// Of a sample of n that is drawn again, with replacement, the k-th smallest value has the rank n·U in the sample,
// where U has the distribution of the k-th smallest of n uniform numbers, Beta(k, n-k+1). So nothing needs to be drawn
// but that.
func ratios(b, c durations) map[string][2]float64 {
	found := make(map[string][2]float64)
	for _, quantile := range quantiles {
		if beyond := 1 - quantile.q; float64(min(b.count(), c.count()))*beyond < 1 {
			continue
		}
		source := rand.NewPCG(uint64(1000*quantile.q), 0) // the same for the same run, whoever compares it
		drawB, drawC := b.resampler(quantile.q, source), c.resampler(quantile.q, source)
		drawn := make([]float64, resamples)
		for i := range drawn {
			drawn[i] = drawC() / drawB()
		}
		slices.Sort(drawn)
		found[quantile.name] = [2]float64{drawn[resamples/40], drawn[resamples-1-resamples/40]}
	}
	return found
}

// resampler returns a function that draws a quantile of a sample that was drawn again.
func (s durations) resampler(q float64, source rand.Source) func() float64 {
	n := s.count()
	k := rankOf(q, n)
	u := distuv.Beta{Alpha: float64(k), Beta: float64(n - k + 1), Src: source}
	return func() float64 { return s.rank(min(max(int64(math.Ceil(u.Rand()*float64(n))), 1), n)) }
}

// slower compares two samples by the test of Mann and Whitney, with the normal approximation, which is corrected for
// values that are equal. It returns nil when one of them is empty.
func slower(b, c durations) *Slower {
	n, m := float64(b.count()), float64(c.count())
	if n == 0 || m == 0 {
		return nil
	}
	above, ties := 0.0, 0.0 // pairs in which the candidate's value is the larger one; halves for equal ones
	i, below := 0, 0.0      // values of the baseline below the one at hand
	for j, v := range c.values {
		count := float64(c.upTo[j])
		if j > 0 {
			count -= float64(c.upTo[j-1])
		}
		for i < len(b.values) && b.values[i] < v {
			below = float64(b.upTo[i])
			i++
		}
		equal := 0.0
		if i < len(b.values) && b.values[i] == v {
			equal = float64(b.upTo[i]) - below
		}
		above += count * (below + equal/2)
		if t := count + equal; t > 1 {
			ties += t*t*t - t
		}
	}
	for i := range b.values { // those of the baseline alone
		if _, both := slices.BinarySearch(c.values, b.values[i]); !both {
			t := float64(b.upTo[i])
			if i > 0 {
				t -= float64(b.upTo[i-1])
			}
			ties += t*t*t - t
		}
	}
	s := &Slower{Probability: above / (n * m), P: 1}
	total := n + m
	if deviation := math.Sqrt(n * m / 12 * (total + 1 - ties/(total*(total-1)))); total > 1 && deviation > 0 {
		distance := max(math.Abs(above-n*m/2)-0.5, 0) / deviation
		s.P = math.Erfc(distance / math.Sqrt2)
	}
	return s
}
