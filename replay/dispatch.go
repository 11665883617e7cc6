package replay

import (
	"context"
	"time"
)

// dispatch moves shots from feed to work, which it closes, each when the schedule says so, until feed is closed and all are
// done, or until firing ends and what is in flight is done.
func (e *engine) dispatch(ctx, firing context.Context, feed <-chan *shot, work chan<- *shot, done <-chan *shot) error {
	defer close(work)
	s, stop, stopped := e.schedule, firing.Done(), false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		stopped = stopped || firing.Err() != nil
		sh, wait := s.next(e.elapsed())
		if sh != nil && !stopped {
			now, err := e.elapsed(), error(nil)
			if sh.warm, err = e.warmUp.see(now, sh); err != nil {
				return err
			}
			s.fire(now, sh)
			select {
			case work <- sh: // as many as may be in flight are there to take it
			case <-ctx.Done():
				return ctx.Err()
			}
			e.opts.Progress.held(s)
			continue
		}
		in := feed
		if !s.room() {
			in = nil
		}
		if s.inFlight == 0 && (stopped || in == nil && s.held == 0) {
			return nil
		}
		var due <-chan time.Time
		if wait > 0 && !stopped {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case sh, ok := <-in:
			if !ok {
				feed = nil
				continue
			}
			s.add(e.elapsed(), sh)
		case sh := <-done:
			s.done(e.elapsed(), sh)
		case <-due:
		case <-stop:
			stop, feed = nil, nil
		case <-ctx.Done():
			return ctx.Err()
		}
		e.opts.Progress.held(s)
	}
}
