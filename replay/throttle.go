package replay

import (
	"sync"
	"time"
)

// A throttle is how many invocations one target may be fired at with at once. What the platform refuses for want of
// capacity halves it, and what is answered lets it climb back, by one for as many answers as may be in flight, up to
// where it began. Where it was refused last it climbs slower, because there it is most likely refused again. It is
// safe for concurrent use.
type throttle struct {
	mu      sync.Mutex
	most    float64
	limit   float64
	lowest  float64
	ceiling float64       // the limit when it was refused last
	after   time.Duration // nothing is fired before
	lowered time.Duration // when limit was last halved
	times   int64         // that the platform refused
}

func newThrottle(most int) *throttle {
	n := float64(most)
	return &throttle{most: n, limit: n, lowest: n, ceiling: n + 1, lowered: -1}
}

// now returns how many may be in flight, at least one, and before when nothing may be fired.
func (t *throttle) now() (most int, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(1, int(t.limit)), t.after
}

// refused notes that what was fired at one moment was refused at another, and for how long the platform does not want
// to be asked. Invocations that were in flight together and are refused together halve the limit once.
func (t *throttle) refused(fired, now, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times++
	t.after = max(t.after, now+wait)
	if fired < t.lowered {
		return
	}
	t.lowered = now
	t.ceiling = t.limit
	t.limit = max(1, t.limit/2)
	t.lowest = min(t.lowest, t.limit)
}

// answered notes that the platform took an invocation.
func (t *throttle) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	step := 1 / t.limit
	switch {
	case t.limit > t.ceiling: // there is room again
		t.ceiling = t.most + 1
	case t.limit >= t.ceiling-1:
		step /= nearCeiling
	}
	t.limit = min(t.most, t.limit+step)
}

// nearCeiling is how many times slower a limit climbs where it was refused last: a platform that asks for a second then
// gets some hundred answers in between.
const nearCeiling = 32

// tell puts into ref what was refused, if anything was.
func (t *throttle) tell(ref *TargetRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times > 0 {
		ref.Throttled, ref.LowestInFlight = t.times, int(t.lowest)
	}
}
