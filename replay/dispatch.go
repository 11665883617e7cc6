package replay

import (
	"context"
	"time"
)

// dispatch moves shots from feed to work, which it closes, each when the schedule says so, until feed is closed and
// all are done, or until firing ends and what is in flight is done. Workers that are done with one take the next
// themselves, if there is one; else they nudge dispatch.
func (e *engine) dispatch(ctx, firing context.Context, feed <-chan []*shot, work chan<- *shot) error {
	defer close(work)
	s, stop := e.schedule, firing.Done()
	alarm := newAlarm(s.pacer.pace.timed() && !e.opts.coarse)
	defer alarm.stop()
	for {
		stopped := firing.Err() != nil
		e.mu.Lock()
		sh, wait, err := e.take(stopped)
		in := feed
		if stopped || !s.room() {
			in = nil
		}
		e.full = in == nil
		over := s.inFlight == 0 && (stopped || in == nil && s.held == 0)
		e.mu.Unlock()
		switch {
		case err != nil:
			return err
		case sh != nil:
			select {
			case work <- sh: // as many as may be in flight are there to take it
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		case over:
			return nil
		case stopped:
			stop = nil
		}
		alarm.set(wait)
		select {
		case shots, ok := <-in:
			if !ok {
				feed = nil
				continue
			}
			e.add(shots)
		case <-e.nudge:
		case <-alarm.timer.C:
		case <-alarm.ring:
		case <-stop:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns the shot to fire now, or how long until there is one if nothing else happens. e.mu is held.
func (e *engine) take(stopped bool) (sh *shot, wait time.Duration, err error) {
	if stopped {
		return nil, 0, nil
	}
	now := e.elapsed()
	if sh, wait = e.schedule.next(now); sh == nil {
		return nil, wait, nil
	}
	if sh.warm, err = e.warmUp.see(now, sh); err != nil {
		return nil, 0, err
	}
	e.schedule.fire(now, sh)
	e.opts.Progress.held(e.schedule)
	return sh, 0, nil
}

func (e *engine) add(shots []*shot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, sh := range shots {
		e.schedule.add(e.elapsed(), sh)
	}
	e.opts.Progress.held(e.schedule)
}

// done notes that a shot is, and returns the one to fire next, nil when there is none for now.
func (e *engine) done(firing context.Context, sh *shot) (next *shot, err error) {
	stopped := firing.Err() != nil
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.schedule
	s.done(e.elapsed(), sh)
	next, _, err = e.take(stopped)
	if next == nil || e.full && s.waiting < s.maxInFlight && s.room() {
		e.opts.Progress.held(s)
		select {
		case e.nudge <- struct{}{}:
		default: // it will look anyway
		}
	}
	return next, err
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
