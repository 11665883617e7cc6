package replay

import (
	"context"
	"sync"
	"time"

	"tandem/capture"
)

// A firing is the context of one firing at one target: that of the run, with a deadline and a mark. The timer and the
// channel that a context with a deadline has are made when somebody asks for Done: a [watch] does not, and cuts off
// what is sent by [Exchange] without them. It is safe for concurrent use.
type firing struct {
	run      context.Context
	deadline time.Time
	late     error // the cause of its end at the deadline
	mark     capture.Mark

	mu     sync.Mutex
	over   bool
	made   context.Context // nil until somebody asks for it
	cancel context.CancelFunc
}

// Deadline implements [context.Context].
func (f *firing) Deadline() (time.Time, bool) { return f.deadline, true }

// Done implements [context.Context].
func (f *firing) Done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made == nil {
		f.made, f.cancel = context.WithDeadlineCause(f.run, f.deadline, f.late)
		if f.over {
			f.cancel()
		}
	}
	return f.made.Done()
}

// Err implements [context.Context]. It does not wait for Done's timer to know that the deadline has passed, because
// others go by their own.
func (f *firing) Err() error {
	f.mu.Lock()
	made, over := f.made, f.over
	f.mu.Unlock()
	var err error
	switch {
	case made != nil:
		err = made.Err()
	case f.run.Err() != nil:
		err = f.run.Err()
	case over:
		err = context.Canceled
	}
	if err == nil && !time.Now().Before(f.deadline) {
		err = context.DeadlineExceeded
	}
	return err
}

// Value implements [context.Context].
func (f *firing) Value(key any) any {
	if key == (markKey{}) {
		return f.mark
	}
	f.mu.Lock()
	made := f.made
	f.mu.Unlock()
	if made != nil {
		return made.Value(key) // which is how package context finds its own
	}
	return f.run.Value(key)
}

// end lets go of what was made.
func (f *firing) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.cancel != nil {
		f.cancel()
	}
}
