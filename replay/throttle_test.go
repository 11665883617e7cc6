package replay

import (
	"testing"
	"time"

	"tandem/capture"
)

func TestThrottle(t *testing.T) {
	const s = time.Second
	answer := func(n int) func(*throttle) {
		return func(t *throttle) {
			for range n {
				t.answered()
			}
		}
	}
	refuse := func(fired, now, wait time.Duration) func(*throttle) {
		return func(t *throttle) { t.refused(fired, now, wait) }
	}
	tests := []struct {
		name   string
		events []func(*throttle)
		most   int
		after  time.Duration
		times  int64
	}{
		{"nothing is refused", []func(*throttle){answer(100)}, 16, 0, 0},
		{"a refusal halves it", []func(*throttle){refuse(1*s, 2*s, 0)}, 8, 2 * s, 1},
		{"refusals of what was in flight together halve it once",
			[]func(*throttle){refuse(1*s, 2*s, 0), refuse(1*s, 3*s, 0), refuse(s, 3*s, 0)}, 8, 3 * s, 3},
		{"a refusal of what was fired since halves it again",
			[]func(*throttle){refuse(1*s, 2*s, 0), refuse(3*s, 4*s, 0)}, 4, 4 * s, 2},
		{"it never gets below one", []func(*throttle){
			refuse(1*s, 2*s, 0), refuse(3*s, 4*s, 0), refuse(5*s, 6*s, 0), refuse(7*s, 8*s, 0), refuse(9*s, 10*s, 0),
			refuse(11*s, 12*s, 0),
		}, 1, 12 * s, 6},
		{"so long is not asked as the platform says", []func(*throttle){refuse(1*s, 2*s, 5*s), refuse(1*s, 3*s, 0)}, 8, 7 * s, 2},
		{"it climbs by one for as many answers as may be in flight",
			[]func(*throttle){refuse(1*s, 2*s, 0), answer(9)}, 9, 2 * s, 1},
		{"and slower where it was refused", []func(*throttle){refuse(1*s, 2*s, 0), answer(400)}, 15, 2 * s, 1},
		{"and fast again beyond it", []func(*throttle){
			refuse(1*s, 2*s, 0), refuse(3*s, 4*s, 0), answer(26 + 7*32 + 50), // 4 to 7, slowly to 8, then on
		}, 14, 4 * s, 2},
		{"it climbs up to where it began", []func(*throttle){refuse(1*s, 2*s, 0), answer(1000)}, 16, 2 * s, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := newThrottle(16)
			for _, event := range tt.events {
				event(limit)
			}
			most, after := limit.now()
			if most != tt.most || after != tt.after || limit.times != tt.times {
				t.Errorf("%d in flight from %v on, %d refused; want %d, %v, %d", most, after, limit.times,
					tt.most, tt.after, tt.times)
			}
		})
	}
}

func TestAThrottledFunctionHoldsUpNoOther(t *testing.T) {
	slow, fast := newThrottle(1), newThrottle(8)
	s := &schedule{
		lanes: make(lanes), maxInFlight: 4, maxHeld: 100, maxBytes: 1 << 20,
		limits: map[string][]*throttle{"slow": {fast, slow}, "fast": {fast, fast}},
	}
	for i, function := range []string{"slow", "slow", "slow", "fast"} {
		s.add(0, &shot{seq: int64(i), inv: &capture.Invocation{Function: function}})
	}
	var first *shot
	for _, want := range []int64{0, 3} {
		sh, _ := s.next(0)
		if sh == nil || sh.seq != want {
			t.Fatalf("next is %+v, want %d", sh, want)
		}
		s.fire(0, sh)
		if first == nil {
			first = sh
		}
	}
	if sh, wait := s.next(0); sh != nil || wait != 0 {
		t.Fatalf("next is %+v after %v, want none until one has ended", sh, wait)
	}
	slow.refused(0, time.Second, 4*time.Second)
	s.done(time.Second, first)
	if sh, wait := s.next(2 * time.Second); sh != nil || wait != 3*time.Second {
		t.Errorf("next is %+v after %v, want none for the 3 s that are left of the platform's delay", sh, wait)
	}
	if sh, _ := s.next(5 * time.Second); sh == nil || sh.seq != 1 {
		t.Errorf("next is %+v after the delay", sh)
	}
}

func TestMaxRateHoldsForWhatIsLateToo(t *testing.T) {
	s := &schedule{
		pacer: pacer{pace: Pace{MaxRate: 100}}, lanes: make(lanes), maxInFlight: 1000, maxHeld: 1000, maxBytes: 1 << 20,
	}
	for i := range 500 {
		s.add(0, &shot{seq: int64(i), inv: &capture.Invocation{}})
	}
	var fired []time.Duration
	for now := time.Duration(0); now < 3*time.Second; now += 7 * time.Millisecond { // a clock that is always late
		if now > time.Second && now < 2*time.Second {
			continue // and once very late
		}
		for sh, _ := s.next(now); sh != nil; sh, _ = s.next(now) {
			s.fire(now, sh)
			fired = append(fired, now)
		}
	}
	for i := range fired {
		for j := i + 1; j < len(fired); j++ {
			if n, most := j-i+1, 2.01+100*(fired[j]-fired[i]).Seconds(); float64(n) > most {
				t.Fatalf("%d are fired from %v to %v", n, fired[i], fired[j])
			}
		}
	}
	if n := len(fired); n < 195 || n > 205 {
		t.Errorf("%d are fired in two seconds at 100 a second", n)
	}
}
