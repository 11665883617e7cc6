package follow

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tandem/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPauses(t *testing.T) {
	const forever = time.Duration(1<<63 - 1)
	tests := []struct {
		name              string
		n                 int
		after, left, want time.Duration
	}{
		{"the first is short", 0, 0, forever, 100 * time.Millisecond},
		{"further ones double", 3, 0, forever, 800 * time.Millisecond},
		{"up to a bound", 9, 0, forever, 5 * time.Second},
		{"after any number of questions", 1 << 30, 0, forever, 5 * time.Second},
		{"as the platform asks", 0, 10 * time.Second, forever, 10 * time.Second},
		{"within reason", 0, time.Hour, forever, 30 * time.Second},
		{"nobody is asked without a pause", 5, time.Nanosecond, forever, 100 * time.Millisecond},
		{"before the time is over, however long is asked for", 0, 10 * time.Second, 4 * time.Second, 2 * time.Second},
		{"but not forever more often", 0, time.Second, 150 * time.Millisecond, time.Second},
		{"when the time is over", 0, 0, -time.Second, 100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Pace{}).withDefaults().pause(tt.n, tt.after, tt.left); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestUntil(t *testing.T) {
	var (
		over    = errors.New("over")
		pending = &Pending{Err: errors.New("running")}
		later   = &Pending{Err: errors.New("running"), After: 7 * time.Second}
		gone    = &Missing{Err: errors.New("not there")}
	)
	const ms = time.Millisecond
	tests := []struct {
		name    string
		answers []error // the last is given for ever
		want    error   // nil for an outcome
		asked   []time.Duration
	}{
		{"work that has ended", []error{nil}, nil, []time.Duration{100 * ms}},
		{"work that goes on", []error{pending, pending, nil}, nil, []time.Duration{100 * ms, 300 * ms, 700 * ms}},
		{"a platform that asks to wait", []error{later, pending, nil}, nil, []time.Duration{100 * ms, 7100 * ms, 7500 * ms}},
		{"an answer that ends it", []error{pending, over}, over, []time.Duration{100 * ms, 300 * ms}},
		{"work that is not seen at once", []error{gone, pending, gone, nil}, nil,
			[]time.Duration{100 * ms, 300 * ms, 700 * ms, 1500 * ms}},
		{"work that is not there", []error{gone}, gone, []time.Duration{100 * ms, 300 * ms, 700 * ms}},
		{"work that never ends, to the last", []error{&Pending{Err: pending.Err, After: time.Hour}}, context.DeadlineExceeded,
			[]time.Duration{100 * ms, 30100 * ms, 45050 * ms, 52525 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				var asked []time.Duration
				ended := &capture.Outcome{Status: capture.StatusOK}
				out, err := Until(ctx, Pace{Missing: 3}, 0, func(context.Context) (*capture.Outcome, error) {
					answer := tt.answers[min(len(asked), len(tt.answers)-1)]
					asked = append(asked, time.Since(start))
					if answer != nil {
						return nil, answer
					}
					return ended, nil
				})
				if !errors.Is(err, tt.want) || (tt.want == nil) != (out == ended) {
					t.Errorf("got %+v, %v; want %v", out, err, tt.want)
				}
				if tt.want == context.DeadlineExceeded {
					asked = asked[:4] // more and more often then, down to the shortest pause
				}
				if !slices.Equal(asked, tt.asked) {
					t.Errorf("asked at %v, want %v", asked, tt.asked)
				}
			})
		})
	}
}

func TestAQuestionMayNotTakeAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		_, err := Until(t.Context(), Pace{}, 0, func(ctx context.Context) (*capture.Outcome, error) {
			if n++; n == 1 {
				<-ctx.Done()
				return nil, &Pending{Err: ctx.Err()}
			}
			return new(capture.Outcome), nil
		})
		if err != nil || n != 2 {
			t.Errorf("%d questions, %v", n, err)
		}
	})
}

func TestACancelledWaitEndsAtOnceAndSaysWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		why := errors.New("running")
		start := time.Now()
		_, err := Until(ctx, Pace{}, 0, func(context.Context) (*capture.Outcome, error) {
			cancel()
			return nil, &Pending{Err: why, After: time.Hour}
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
