package replay

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/capture"
)

// fireFunc lets a function stand for what a platform answers.
type fireFunc func(ctx context.Context, attempt int) (*capture.Outcome, error)

type scripted struct {
	fire     fireFunc
	attempts int
}

func (s *scripted) Fire(ctx context.Context, _ *capture.Invocation) (*capture.Outcome, error) {
	s.attempts++
	return s.fire(ctx, s.attempts)
}

func TestRetry(t *testing.T) {
	errLost := errors.New("lost")
	outcome := func(s capture.Status) *capture.Outcome { return &capture.Outcome{Status: s} }
	tests := []struct {
		name     string
		fire     fireFunc
		attempts int
		status   capture.Status
		err      error
		atLeast  time.Duration
		atMost   time.Duration
	}{
		{"what answers is fired once", func(context.Context, int) (*capture.Outcome, error) {
			return outcome(capture.StatusOK), nil
		}, 1, capture.StatusOK, nil, 0, 0},
		{"a failure is fired once, because it ran", func(context.Context, int) (*capture.Outcome, error) {
			return outcome(capture.StatusFunctionError), nil
		}, 1, capture.StatusFunctionError, nil, 0, 0},
		{"a broken connection is not tried again, because it may have run", func(context.Context, int) (*capture.Outcome, error) {
			return outcome(capture.StatusTransport), nil
		}, 1, capture.StatusTransport, nil, 0, 0},
		{"an unknown outcome is not tried again", func(context.Context, int) (*capture.Outcome, error) {
			return nil, errLost
		}, 1, "", errLost, 0, 0},
		{"a throttle is tried again after the platform's delay", func(_ context.Context, n int) (*capture.Outcome, error) {
			if n < 3 {
				return nil, &ThrottledError{After: 4 * time.Second}
			}
			return outcome(capture.StatusOK), nil
		}, 3, capture.StatusOK, nil, 8 * time.Second, 8*time.Second + 300*time.Millisecond},
		{"backoff alone grows", func(_ context.Context, n int) (*capture.Outcome, error) {
			return nil, &ThrottledError{}
		}, 5, capture.StatusThrottled, nil, 750 * time.Millisecond, 1500 * time.Millisecond},
		{"a delay beyond the limit is not waited for", func(_ context.Context, n int) (*capture.Outcome, error) {
			return nil, &ThrottledError{After: 24 * time.Hour, Outcome: outcome(capture.StatusThrottled)}
		}, 5, capture.StatusThrottled, nil, 120 * time.Second, 120 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := &scripted{fire: tt.fire}
				start := time.Now()
				out, err := Retry(target, RetryPolicy{}).Fire(t.Context(), &capture.Invocation{})
				elapsed := time.Since(start)
				if !errors.Is(err, tt.err) || target.attempts != tt.attempts {
					t.Fatalf("%d attempts, error %v; want %d, %v", target.attempts, err, tt.attempts, tt.err)
				}
				if elapsed < tt.atLeast || elapsed > tt.atMost {
					t.Errorf("took %v, want %v to %v", elapsed, tt.atLeast, tt.atMost)
				}
				if tt.err == nil && (out.Status != tt.status || out.Attempts != tt.attempts) {
					t.Errorf("outcome %+v, want status %s after %d attempts", out, tt.status, tt.attempts)
				}
			})
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		target := &scripted{fire: func(context.Context, int) (*capture.Outcome, error) {
			return nil, &ThrottledError{After: 10 * time.Second}
		}}
		_, err := Retry(target, RetryPolicy{}).Fire(ctx, &capture.Invocation{})
		if !errors.Is(err, context.DeadlineExceeded) || target.attempts != 1 {
			t.Errorf("%d attempts, error %v; want one and the context's end", target.attempts, err)
		}
	})
}

func TestDurationIsOfTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &scripted{fire: func(_ context.Context, n int) (*capture.Outcome, error) {
			if n == 1 {
				return nil, &ThrottledError{}
			}
			time.Sleep(7 * time.Millisecond) // of the bubble's clock
			return &capture.Outcome{Status: capture.StatusOK}, nil
		}}
		out, err := Retry(target, RetryPolicy{}).Fire(t.Context(), &capture.Invocation{})
		if err != nil || out.DurationMS != 7 {
			t.Errorf("outcome %+v, error %v; want 7 ms", out, err)
		}
	})
}

func TestWithEffects(t *testing.T) {
	put := capture.Effect{Kind: capture.ObjectPut, Resource: "s3://b", Key: "k"}
	errGone := errors.New("ledger is gone")
	tests := []struct {
		name    string
		status  capture.Status
		effects []capture.Effect
		err     error
		taken   bool
		isNil   bool
	}{
		{"effects are the outcome's", capture.StatusOK, []capture.Effect{put}, nil, true, false},
		{"none is a list, not silence", capture.StatusFunctionError, nil, nil, true, false},
		{"what was not sent is not asked for", capture.StatusUnreplayable, nil, errGone, false, true},
		{"what was throttled is not asked for", capture.StatusThrottled, nil, errGone, false, true},
		{"effects that cannot be had make the outcome unknown", capture.StatusOK, nil, errGone, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mark := capture.Mark{Run: "r", Invocation: "i", Target: "lambda"}
			target := &scripted{fire: func(context.Context, int) (*capture.Outcome, error) {
				return &capture.Outcome{Status: tt.status}, nil
			}}
			taken := false
			take := func(_ context.Context, m capture.Mark) ([]capture.Effect, error) {
				taken = true
				if m != mark {
					t.Errorf("asked for the effects of %v", m)
				}
				return tt.effects, tt.err
			}
			out, err := WithEffects(target, take).Fire(WithMark(t.Context(), mark), &capture.Invocation{ID: "i"})
			if taken != tt.taken {
				t.Errorf("asked for effects: %v, want %v", taken, tt.taken)
			}
			if tt.taken && tt.err != nil {
				if !errors.Is(err, tt.err) || out != nil {
					t.Errorf("got %+v, %v; want the ledger's error", out, err)
				}
				return
			}
			if err != nil || (out.Effects == nil) != tt.isNil || len(out.Effects) != len(tt.effects) {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
}

func TestEffectsNeedAMark(t *testing.T) {
	target := &scripted{fire: func(context.Context, int) (*capture.Outcome, error) {
		return &capture.Outcome{Status: capture.StatusOK}, nil
	}}
	_, err := WithEffects(target, nil).Fire(t.Context(), &capture.Invocation{ID: "i7"})
	if err == nil || !strings.Contains(err.Error(), "i7") {
		t.Errorf("error %v, want one that names the invocation", err)
	}
}
