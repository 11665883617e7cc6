package replay

import "context"

// A schedule decides what is fired next. It holds the shots that were read and are not fired yet, within bounds, so
// that memory does not grow with the recording, while lanes that are held up do not hold up the others.
type schedule struct {
	lanes    lanes
	ready    []*shot
	held     int   // shots that were added and are not done
	bytes    int64 // of their events
	inFlight int

	maxHeld  int
	maxBytes int64
}

// room reports whether one more shot may be added. A single shot may be larger than the bound on bytes.
func (s *schedule) room() bool {
	return s.held == 0 || s.held < s.maxHeld && s.bytes < s.maxBytes
}

func (s *schedule) add(sh *shot) {
	s.held++
	s.bytes += int64(len(sh.inv.Event))
	if s.lanes.add(sh) {
		s.ready = append(s.ready, sh)
	}
}

// next returns the shot to fire, without taking it; nil when none may be fired.
func (s *schedule) next() *shot {
	if len(s.ready) == 0 {
		return nil
	}
	return s.ready[0]
}

func (s *schedule) fired() {
	s.ready[0] = nil
	s.ready = s.ready[1:]
	s.inFlight++
}

func (s *schedule) done(sh *shot) {
	s.inFlight--
	s.held--
	s.bytes -= int64(len(sh.inv.Event))
	s.ready = s.lanes.done(sh, s.ready)
}

// blocked counts the shots that wait for one before them in a lane.
func (s *schedule) blocked() int { return s.held - len(s.ready) - s.inFlight }

// run moves shots from feed to work, which it closes, until feed is closed and all are done, or until firing ends and
// what is in flight is done.
func (s *schedule) run(ctx, firing context.Context, feed <-chan *shot, work chan<- *shot, done <-chan *shot,
	progress *Progress) error {
	defer close(work)
	stop, stopped := firing.Done(), false
	for {
		in, out, next := feed, work, s.next()
		if !s.room() {
			in = nil
		}
		if next == nil || stopped {
			out = nil
		}
		if in == nil && out == nil && s.inFlight == 0 {
			return nil
		}
		select {
		case sh, ok := <-in:
			if !ok {
				feed = nil
				continue
			}
			s.add(sh)
		case out <- next:
			s.fired()
		case sh := <-done:
			s.done(sh)
		case <-stop:
			stop, stopped, feed = nil, true, nil
		case <-ctx.Done():
			return ctx.Err()
		}
		progress.inFlight.Store(int64(s.inFlight))
		progress.blocked.Store(int64(s.blocked()))
	}
}
