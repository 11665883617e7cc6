package replay

import (
	"context"
	"time"
)

// dispatch moves shots from feed to work, which it closes, each when the schedule says so, until feed is closed and
// all are done, or until firing ends and what is in flight is done.
func (e *engine) dispatch(ctx, firing context.Context, feed <-chan *shot, work chan<- *shot,
	done <-chan *shot) error {
	defer close(work)
	s, stop := e.schedule, firing.Done()
	alarm := newAlarm(s.pacer.pace.timed() && !e.opts.coarse)
	defer alarm.stop()
	for {
		stopped := firing.Err() != nil
		now := e.elapsed()
		sh, wait := s.next(now)
		if sh != nil && !stopped {
			var err error
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
		if stopped || !s.room() {
			in = nil
		}
		if s.inFlight == 0 && (stopped || in == nil && s.held == 0) {
			return nil
		}
		if stopped {
			stop, wait = nil, 0
		}
		alarm.set(wait)
		select {
		case sh, ok := <-in:
			if !ok {
				feed = nil
				continue
			}
			s.add(e.elapsed(), sh)
		case sh := <-done:
			s.done(e.elapsed(), sh)
		case <-alarm.timer.C:
		case <-alarm.ring:
		case <-stop:
		case <-ctx.Done():
			return ctx.Err()
		}
		e.opts.Progress.held(s)
	}
}

// An alarm rings, once, when a time is over. It may ring when there is no time to wait for any more.
type alarm struct {
	timer *time.Timer
	fine  *fineTimer      // nil where the timer has to do
	ring  <-chan struct{} // of fine
}

func newAlarm(fine bool) *alarm {
	a := &alarm{timer: time.NewTimer(time.Hour)}
	a.timer.Stop()
	if fine {
		if a.fine = newFineTimer(); a.fine != nil {
			a.ring = a.fine.ring
		}
	}
	return a
}

// set has it ring after d, or not at all when d is 0.
func (a *alarm) set(d time.Duration) {
	if d <= 0 {
		a.timer.Stop()
		return
	}
	a.timer.Reset(d)
	if a.fine != nil {
		a.fine.set(d)
	}
}

func (a *alarm) stop() {
	a.timer.Stop()
	if a.fine != nil {
		a.fine.stop()
	}
}
