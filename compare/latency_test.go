package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func durationsOf(microseconds ...int64) durations {
	s := newSide()
	for _, v := range microseconds {
		_ = s.warm.RecordValue(v)
	}
	return sampleOf(s.warm)
}

func TestMannWhitneyIsAsByHand(t *testing.T) {
	for _, tt := range []struct {
		name        string
		b, c        []int64
		probability float64
		p           float64 // by hand, as wilcox.test of R has it with exact=FALSE
	}{
		{"all of the candidate's are longer", []int64{1, 2, 3, 4}, []int64{5, 6, 7, 8}, 1, 0.03038},
		{"as long", []int64{1, 2, 3, 4}, []int64{1, 2, 3, 4}, .5, 1},
		{"shorter, with ties", []int64{5, 5, 6, 7, 9}, []int64{1, 2, 5, 5}, .1, 0.05501},
		{"one value everywhere", []int64{3, 3}, []int64{3, 3, 3}, .5, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := slower(durationsOf(tt.b...), durationsOf(tt.c...))
			if math.Abs(got.Probability-tt.probability) > 1e-9 || math.Abs(got.P-tt.p) > 1e-4 {
				t.Errorf("%+v, want %v and %v", got, tt.probability, tt.p)
			}
		})
	}
}

func TestBootstrapIntervalsCoverTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	const runs, n = 200, 400
	covered := map[string]int{}
	for range runs {
		b, c := newSide(), newSide()
		for range n {
			_ = b.warm.RecordValue(int64(1000 * (1 + 10*r.ExpFloat64())))
			_ = c.warm.RecordValue(int64(1500 * (1 + 10*r.ExpFloat64())))
		}
		for name, interval := range ratios(sampleOf(b.warm), sampleOf(c.warm)) {
			if interval[0] <= 1.5 && 1.5 <= interval[1] {
				covered[name]++
			}
		}
	}
	// 95 % of 200 are 190, with a standard deviation of 3; the 99th percentile of 400 is the fourth largest.
	for name, least := range map[string]int{"p50": 180, "p95": 178, "p99": 165} {
		if covered[name] < least {
			t.Errorf("%s is in %d of %d intervals", name, covered[name], runs)
		}
	}
}

func TestPercentilesThatNobodyCanKnowHaveNoInterval(t *testing.T) {
	few := durationsOf(1, 2, 3)
	if got := ratios(few, few); len(got) != 1 || got["p50"] == [2]float64{} {
		t.Errorf("%v", got)
	}
	if got := ratios(few, durations{}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestPercentilesAreThoseOfTheSortedList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	var list []int64
	for range 777 {
		list = append(list, 1+r.Int64N(1000)) // exact in the histogram
	}
	got := durationsOf(list...).percentiles()
	slices.Sort(list)
	at := func(q float64) float64 { return float64(list[int(math.Ceil(q*777))-1]) / 1000 }
	if got.P50 != at(.5) || got.P95 != at(.95) || got.P99 != at(.99) || got.Count != 777 {
		t.Errorf("%+v", got)
	}
}

func TestUsageIsOfWhatTheDeploymentHas(t *testing.T) {
	var lines []string
	for i := range 10 {
		lines = append(lines, line(fmt.Sprint(i), "f",
			fmt.Sprintf(`{"status":"ok","durationMs":30,"platformMs":%d,"billedMs":20,"memoryMb":%d}`, 11+i, 90+i),
			`{"status":"ok","durationMs":30}`))
	}
	lines = append(lines, line("cold", "f", `{"status":"ok","durationMs":900,"billedMs":20,"initMs":5}`, `{"status":"ok","durationMs":40}`))
	r := mustCompare(t, Options{
		Prices: map[string]*Price{
			"lambda":    {GBSecond: 0.001, Request: 0.0001},
			"functions": {GBSecond: 0.001, Request: 0.0001, MinMS: 100, StepMS: 1},
		},
		Limits: map[string]map[string]Limits{"f": {
			"lambda": {MemoryMB: 128, Timeout: 3 * time.Second}, "functions": {MemoryMB: 1024},
		}},
	}, lines...)
	b, c := r.Latency["f"].Usage.Baseline, r.Latency["f"].Usage.Candidate
	if b.LongestMS != 900 || *b.TimeoutHeadroom != 0.7 || b.MemoryMB != 99 || b.MeanBilledMS != 20 || b.Billed != 11 {
		t.Errorf("%+v", b)
	}
	if math.Abs(*b.PricePerMillion-(100+1e6*0.001*0.125*0.02)) > 1e-6 || math.Abs(*b.MemoryHeadroom-(1-99./128)) > 1e-9 {
		t.Errorf("%v, %v", *b.PricePerMillion, *b.MemoryHeadroom)
	}
	if c.MeanBilledMS != 100 || c.Billed != 0 || c.TimeoutHeadroom != nil || c.MemoryHeadroom != nil ||
		math.Abs(*c.PricePerMillion-(100+1e6*0.001*0.1)) > 1e-6 {
		t.Errorf("%+v", c)
	}
	if cold := r.Latency["f"].ColdStarts; cold == nil || cold.Baseline.Count != 1 || cold.Candidate.Count != 0 {
		t.Errorf("%+v", cold)
	}
}
