package cloudwatch

import (
	"context"
	"sync"
	"time"
)

// A quota spaces out the requests of all who share it. The quota of an account is shared with others whom it cannot
// see, so it halves its rate when a request is throttled and takes it back up while requests succeed. It is safe for
// concurrent use.
type quota struct {
	mu        sync.Mutex
	max, rate float64 // requests a second
	next      time.Time
	requests  int64
	throttles int64
}

const slowest = 0.2 // requests a second

func newQuota(rate float64) *quota { return &quota{max: rate, rate: rate} }

// wait returns when the next request may be made, or with ctx's error when it ends.
func (q *quota) wait(ctx context.Context) error {
	return sleep(ctx, q.reserve(time.Now()))
}

// reserve takes the next free slot and returns how far it is from now.
func (q *quota) reserve(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next.Before(now) {
		q.next = now
	}
	at := q.next
	q.next = at.Add(time.Duration(float64(time.Second) / q.rate))
	q.requests++
	return at.Sub(now)
}

// throttled slows everybody down: those who have no slot yet wait for at least pause.
func (q *quota) throttled(now time.Time, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.throttles++
	q.rate = max(q.rate/2, min(slowest, q.max))
	if until := now.Add(pause); q.next.Before(until) {
		q.next = until
	}
}

func (q *quota) succeeded() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rate = min(q.rate+q.max/50, q.max)
}

func (q *quota) counts() (requests, throttles int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.requests, q.throttles
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
