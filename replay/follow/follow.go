// Package follow asks how work is getting on that goes on after its start was answered, until it has ended.
package follow

import (
	"context"
	"fmt"
	"time"

	"tandem/capture"
)

// A Pace says how often is asked. The zero value works.
type Pace struct {
	Min time.Duration // between the first questions, doubled for each further one; default 100 ms
	Max time.Duration // default 5 s
	// Longest is the most that a platform's wish to be asked later is heeded; default 30 s.
	Longest time.Duration
	// Question is how long one question may take; default 1 minute.
	Question time.Duration
	// Missing is how often in a row work may be said not to be there before that is taken for true: what has just
	// begun need not be seen everywhere yet. Default 8, which is about 13 s.
	Missing int
}

func (p Pace) withDefaults() Pace {
	if p.Min <= 0 {
		p.Min = 100 * time.Millisecond
	}
	if p.Max <= 0 {
		p.Max = 5 * time.Second // as Durable Functions asks for
	}
	if p.Longest <= 0 {
		p.Longest = 30 * time.Second
	}
	if p.Question <= 0 {
		p.Question = time.Minute
	}
	if p.Missing <= 0 {
		p.Missing = 8
	}
	return p
}

// pause returns how long to wait before the question after n others, when the platform asks to wait for after, 0 if
// it did not say. Where that is longer than what is left, half of the rest is waited instead, so that work which ends
// late is still seen to.
func (p Pace) pause(n int, after, left time.Duration) time.Duration {
	wait := p.Max
	if n < 30 && p.Min<<n < p.Max {
		wait = p.Min << n
	}
	if after > 0 {
		wait = min(max(after, p.Min), p.Longest)
	}
	if wait >= left && left/2 >= p.Min {
		return left / 2
	}
	return wait
}

// A Pending error is an answer that does not tell yet: ask again.
type Pending struct {
	After time.Duration // how long the platform asks to wait; 0 when it did not say
	Err   error         // what is known
}

func (e *Pending) Error() string { return e.Err.Error() }
func (e *Pending) Unwrap() error { return e.Err }

// A Missing error is the answer that there is no such work.
type Missing struct{ Err error }

func (e *Missing) Error() string { return e.Err.Error() }
func (e *Missing) Unwrap() error { return e.Err }

// An Ask asks once. It returns the outcome of work that has ended; or a [*Pending] or [*Missing] error, unwrapped; or
// another error, which says that asking further is of no use.
type Ask func(ctx context.Context) (*capture.Outcome, error)

// Until waits for as long as the platform asked to wait in after, if it did, and asks until the work has ended. An
// error means that its outcome is not known; when ctx has ended, it wraps ctx's.
func Until(ctx context.Context, p Pace, after time.Duration, ask Ask) (*capture.Outcome, error) {
	p = p.withDefaults()
	last := fmt.Errorf("it was not asked how the work is getting on")
	missing := 0
	for n := 0; ; n++ {
		if err := sleep(ctx, p.pause(n, after, left(ctx))); err != nil {
			return nil, fmt.Errorf("%w: %w", err, last)
		}
		out, err := once(ctx, p.Question, ask)
		after = 0
		switch err := err.(type) {
		case nil:
			return out, nil
		case *Pending:
			after, last, missing = err.After, err, 0
		case *Missing:
			if missing++; missing >= p.Missing {
				return nil, err
			}
			last = err
		default:
			return nil, err
		}
	}
}

func once(ctx context.Context, limit time.Duration, ask Ask) (*capture.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return ask(ctx)
}

// left is the time until ctx's deadline, or longer than anything when it has none.
func left(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 1<<63 - 1
	}
	return time.Until(deadline)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
