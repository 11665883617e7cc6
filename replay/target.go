package replay

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
)

// A Target is one deployment that invocations can be fired at. Fire is called from many goroutines at once.
type Target interface {
	// Fire delivers inv once and returns what the target did with it. It sends the mark in ctx (see [MarkFrom]) with
	// every request. A function that failed is an outcome, not an error; so is a target that cannot be reached.
	//
	// An error means that the outcome is not known, with two exceptions: a [*ThrottledError] says that the platform
	// did not run the function, and a [*SetupError] that it never will as things are configured.
	Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error)
}

// A Checker is a Target that can tell beforehand that an invocation cannot be sent to it. Such an invocation is fired
// at none of its targets: an outcome without its counterpart proves nothing, and may cost a side effect.
type Checker interface {
	// Check returns why inv cannot be sent, or nil. It sends nothing.
	Check(inv *capture.Invocation) error
}

// A Preparer is a Target that keeps what it made of an invocation to check it, and need not make it again to fire it.
type Preparer interface {
	// Prepare returns the target to fire inv at, and nothing else, in place of this one: any number of times, but not
	// concurrently. Its error is that of [Checker]. It sends nothing.
	Prepare(inv *capture.Invocation) (Target, error)
}

// prepare returns what to fire inv at, or why inv cannot be sent to t.
func prepare(t Target, inv *capture.Invocation) (Target, error) {
	switch t := t.(type) {
	case Preparer:
		return t.Prepare(inv)
	case Checker:
		if err := t.Check(inv); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// A ThrottledError says that the platform refused to run the function, so that the invocation may be fired again.
type ThrottledError struct {
	After time.Duration // how long the platform asked to wait; 0 when it did not say
	// Outcome is what the trial is given once there are no attempts left. Its status is [capture.StatusThrottled].
	Outcome *capture.Outcome
}

func (e *ThrottledError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("throttled; try again after %v", e.After)
	}
	return "throttled"
}

// A SetupError says that a target cannot work as it is configured: the function does not exist, the credentials are
// refused. It ends the run, because every further invocation would fail alike.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }
func (e *SetupError) Unwrap() error { return e.Err }

// Unreplayable returns the outcome of an invocation that was not sent, and why.
func Unreplayable(format string, args ...any) *capture.Outcome {
	return &capture.Outcome{
		Status: capture.StatusUnreplayable,
		Error:  &capture.Error{Message: fmt.Sprintf(format, args...)},
	}
}

// TransportFailure returns what err, the failure of a request, says of its outcome: when ctx has ended nobody knows,
// and it is an error; else the target could not be reached or cut its answer off. URLs, which may hold keys, are left
// out.
func TransportFailure(ctx context.Context, err error) (*capture.Outcome, error) {
	text, cause := err.Error(), err
	var withURL *url.Error
	if errors.As(err, &withURL) {
		cause = withURL.Err
		text = strings.Replace(text, withURL.Error(), cause.Error(), 1)
	}
	if ctx.Err() != nil {
		return nil, cause
	}
	return &capture.Outcome{Status: capture.StatusTransport, Error: &capture.Error{Message: text}}, nil
}

type markKey struct{}

// WithMark returns a context that carries the mark that a target sends with its requests.
func WithMark(ctx context.Context, m capture.Mark) context.Context {
	return context.WithValue(ctx, markKey{}, m)
}

// MarkFrom returns the mark in ctx. ok is false when there is none; then nothing is sent.
func MarkFrom(ctx context.Context) (m capture.Mark, ok bool) {
	if f, ok := ctx.(*firing); ok {
		return f.mark, true
	}
	m, ok = ctx.Value(markKey{}).(capture.Mark)
	return m, ok
}
