package replay

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"tandem/capture"
)

// A RetryPolicy says how often, and after which waits, a throttled invocation is fired again. Nothing else is fired
// again, because anything else may have run, unless its deployment is said to be safe for that.
type RetryPolicy struct {
	Attempts int           // in all; default 5
	MinWait  time.Duration // before the second attempt, doubled for each further one; default 100 ms
	MaxWait  time.Duration // default 30 s; bounds what a platform may ask for, too
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Attempts <= 0 {
		p.Attempts = 5 // with the waits below, about three seconds: longer than a burst of cold starts
	}
	if p.MinWait <= 0 {
		p.MinWait = 100 * time.Millisecond
	}
	if p.MaxWait <= 0 {
		p.MaxWait = 30 * time.Second
	}
	return p
}

// wait returns how long to wait after the given number of attempts: at least what the platform asked for, and some
// random time more, so that throttled invocations do not come back all at once.
func (p RetryPolicy) wait(attempts int, after time.Duration) time.Duration {
	backoff := p.MaxWait
	if shift := attempts - 1; shift < 30 && p.MinWait<<shift < p.MaxWait {
		backoff = p.MinWait << shift
	}
	jitter := backoff/2 + rand.N(backoff/2+1)
	return min(after+jitter, p.MaxWait)
}

// Retry wraps t so that throttled invocations are fired again. It sets Attempts and Tries, and DurationMS where t
// left it open; the duration is that of the last attempt alone.
func Retry(t Target, p RetryPolicy) Target { return &retrying{target: t, policy: p.withDefaults()} }

type retrying struct {
	target  Target
	policy  RetryPolicy
	safe    bool          // what may have run is fired again, too
	limit   *throttle     // learns what is refused; may be nil
	refused *atomic.Int64 // counts it; may be nil
	elapsed func() time.Duration
}

// Prepare implements [Preparer].
func (r *retrying) Prepare(inv *capture.Invocation) (Target, error) {
	target, err := prepare(r.target, inv)
	if err != nil {
		return nil, err
	}
	prepared := *r
	prepared.target = target
	return &prepared, nil
}

// Fire implements [Target].
func (r *retrying) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	var tries []capture.Try
	for attempt := 1; ; attempt++ {
		begin := r.now()
		start := time.Now()
		out, err := r.target.Fire(ctx, inv)
		elapsed := time.Since(start)
		var wait time.Duration
		again := attempt < r.policy.Attempts
		var throttled *ThrottledError
		switch {
		case errors.As(err, &throttled):
			wait = r.policy.wait(attempt, throttled.After)
			r.note(begin, min(throttled.After, r.policy.MaxWait))
			if out, err = throttled.Outcome, nil; out == nil {
				out = &capture.Outcome{Status: capture.StatusThrottled}
			}
		case err != nil:
			return nil, err
		case r.safe && out.Status == capture.StatusTransport:
			wait = r.policy.wait(attempt, 0)
		default:
			again = false
			if r.limit != nil {
				r.limit.answered()
			}
		}
		if out.Status != capture.StatusUnreplayable {
			out.Attempts, out.Tries = attempt, tries
			if out.DurationMS == 0 {
				out.DurationMS = Milliseconds(elapsed)
			}
		}
		if !again {
			return out, nil
		}
		tries = append(tries, capture.Try{
			Status: out.Status, Error: out.Error, DurationMS: out.DurationMS, WaitMS: Milliseconds(wait),
		})
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (r *retrying) now() time.Duration {
	if r.limit == nil {
		return 0
	}
	return r.elapsed()
}

// note notes a refusal of what was fired at begin.
func (r *retrying) note(begin, wait time.Duration) {
	if r.limit != nil {
		r.limit.refused(begin, r.elapsed(), wait)
		r.refused.Add(1)
	}
}

// Milliseconds returns d in the unit of outcomes.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
