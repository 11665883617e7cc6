package replay

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"tandem/capture"
)

// A RetryPolicy says how often, and after which waits, a throttled invocation is fired again. Nothing else is ever
// fired again, because anything else may have run.
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

// Retry wraps t so that throttled invocations are fired again. It sets Attempts, and DurationMS where t left it
// open; the duration is that of the last attempt alone.
func Retry(t Target, p RetryPolicy) Target { return &retrying{t, p.withDefaults()} }

type retrying struct {
	target Target
	policy RetryPolicy
}

func (r *retrying) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	for attempt := 1; ; attempt++ {
		start := time.Now()
		out, err := r.target.Fire(ctx, inv)
		elapsed := time.Since(start)

		var throttled *ThrottledError
		if errors.As(err, &throttled) {
			if attempt < r.policy.Attempts {
				if err := sleep(ctx, r.policy.wait(attempt, throttled.After)); err != nil {
					return nil, err
				}
				continue
			}
			if out, err = throttled.Outcome, nil; out == nil {
				out = &capture.Outcome{Status: capture.StatusThrottled}
			}
		}
		if err != nil {
			return nil, err
		}
		if out.Status != capture.StatusUnreplayable {
			out.Attempts = attempt
			if out.DurationMS == 0 {
				out.DurationMS = Milliseconds(elapsed)
			}
		}
		return out, nil
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
