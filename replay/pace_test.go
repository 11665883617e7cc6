package replay

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// at is a recorded time, so many seconds after some moment.
func at(seconds float64) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// upTo is a random time below d.
func upTo(rnd *rand.Rand, d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }

func TestPace(t *testing.T) {
	s := time.Second
	tests := []struct {
		name  string
		pace  Pace
		times []time.Time
		want  []time.Duration
	}{
		{"without one, all is due at once", Pace{}, []time.Time{at(0), at(9), {}}, []time.Duration{0, 0, 0}},
		{"as recorded", Pace{Speed: 1}, []time.Time{at(5), at(6), at(8.5)}, []time.Duration{0, s, 3500 * time.Millisecond}},
		{"ten times as fast", Pace{Speed: 10}, []time.Time{at(5), at(6), at(8.5)},
			[]time.Duration{0, s / 10, 350 * time.Millisecond}},
		{"half as fast", Pace{Speed: 0.5}, []time.Time{at(0), at(1)}, []time.Duration{0, 2 * s}},
		{"what is out of order is due with what is before it, and shifts nothing", Pace{Speed: 1},
			[]time.Time{at(0), at(3), at(1), at(2), at(4)}, []time.Duration{0, 3 * s, 3 * s, 3 * s, 4 * s}},
		{"what has no time is due with what is before it", Pace{Speed: 1},
			[]time.Time{{}, at(0), {}, at(2), {}}, []time.Duration{0, 0, 0, 2 * s, 2 * s}},
		{"nothing has a time", Pace{Speed: 1}, []time.Time{{}, {}}, []time.Duration{0, 0}},
		{"a night is not waited for", Pace{Speed: 1, MaxGap: 10 * time.Second},
			[]time.Time{at(0), at(1), at(30_000), at(30_001)}, []time.Duration{0, s, 11 * s, 12 * s}},
		{"a time far in the future stalls nothing", Pace{Speed: 1, MaxGap: 10 * time.Second},
			[]time.Time{at(0), at(1), at(1e9), at(2), at(3)}, []time.Duration{0, s, 11 * s, 11 * s, 12 * s}},
		{"a recording of the same hours that was put behind takes its own time", Pace{Speed: 1, MaxGap: 10 * time.Second},
			[]time.Time{at(0), at(9), at(18), at(0), at(5)}, []time.Duration{0, 9 * s, 18 * s, 18 * s, 23 * s}},
		{"at a rate, times do not matter", Pace{Rate: 4}, []time.Time{at(9), at(0), {}}, []time.Duration{0, s / 4, s / 2}},
		{"a ramp climbs to the rate", Pace{Rate: 2, Ramp: 4 * s}, // 4 are due by the end of it
			make([]time.Time, 7), []time.Duration{0, 2 * s, 2828427125, 3464101616, 4 * s, 4500 * time.Millisecond, 5 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pace, err := tt.pace.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			p := pacer{pace: pace}
			for i, recorded := range tt.times {
				if got := p.due(0, recorded); got < tt.want[i] || got > tt.want[i]+2 {
					t.Errorf("%d is due after %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}

func TestEachPassOverARecordingTakesItsTime(t *testing.T) {
	p := pacer{pace: Pace{Speed: 1, MaxGap: time.Hour}}
	for i, want := range []time.Duration{0, 2, 5, 5, 7, 10} {
		if got := p.due(i/3, []time.Time{at(0), at(2), at(5)}[i%3]); got != want*time.Second {
			t.Errorf("%d is due after %v, want %v s", i, got, want)
		}
	}
}

func TestCutSilenceIsCounted(t *testing.T) {
	p := pacer{pace: Pace{Speed: 2, MaxGap: time.Minute}}
	p.due(0, at(0))
	p.due(0, at(3600))
	if p.cut != 59*time.Minute {
		t.Errorf("%v were cut", p.cut)
	}
}

// By any moment, no more are due than the rate allows, and, but for one, no fewer.
func TestAsManyAreDueAsTheRateSays(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		pace := Pace{Rate: math.Exp(rnd.Float64()*14 - 4)}
		if seed%2 == 0 {
			pace.Ramp = upTo(rnd, 100*time.Second)
		}
		p := pacer{pace: pace}
		allowed := func(t float64) float64 {
			if ramp := pace.Ramp.Seconds(); t < ramp {
				return pace.Rate * t * t / (2 * ramp)
			}
			return pace.Rate * (t - pace.Ramp.Seconds()/2)
		}
		for n := range 1000 {
			due := p.due(0, time.Time{}).Seconds()
			if most := allowed(due); float64(n) > most+1e-3 || float64(n) < most-1e-3-pace.Rate*1e-8 {
				t.Fatalf("%+v: %d is due after %g s, when %g are allowed", pace, n, due, most)
			}
		}
	}
}

func TestDueNeverDecreasesAndNeverWaitsLongerThanAGap(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		pace := Pace{Speed: math.Exp(rnd.Float64()*6 - 3), MaxGap: 1 + upTo(rnd, 100*time.Second)}
		p := pacer{pace: pace}
		var before time.Duration
		recorded := at(0)
		for n := range 200 {
			switch rnd.IntN(10) {
			case 0:
				recorded = time.Time{}
			case 1:
				recorded = time.Unix(rnd.Int64(), 0)
			default:
				recorded = recorded.Add(upTo(rnd, 20*time.Second) - 3*time.Second)
			}
			due := p.due(0, recorded)
			longest := time.Duration(float64(pace.MaxGap)/pace.Speed) + time.Microsecond
			if due < before || due > before+longest {
				t.Fatalf("seed %d: %d is due after %v, the one before after %v; the longest gap is %v",
					seed, n, due, before, longest)
			}
			before = due
		}
	}
}

func TestPaceRefuses(t *testing.T) {
	tests := []struct {
		name string
		pace Pace
		want string
	}{
		{"two ways to say when", Pace{Speed: 1, Rate: 2}, "not both"},
		{"a ramp to nowhere", Pace{Speed: 1, Ramp: time.Second}, "needs the rate"},
		{"a rate below 0", Pace{MaxRate: -1}, "above 0"},
		{"a rate that is no number", Pace{Rate: math.NaN()}, "above 0"},
		{"a time below 0", Pace{Rate: 1, Ramp: -1}, "below 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.pace.withDefaults(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}
