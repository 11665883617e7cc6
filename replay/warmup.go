package replay

import (
	"sync/atomic"
	"time"
)

// A warmUp decides which shots warm the targets up: the first of those that are selected. One goroutine uses it.
type warmUp struct {
	WarmUp
	log   *log
	total *atomic.Int64 // trials that the run will have
	over  bool
	until int64 // once it is over, shots before this one are warm still, though a lane held them back
	most  int64 // of those that were fired, one more than the last
}

// see tells whether sh, which is fired now, is to warm up. The first that is not ends the warm-up, which is kept in
// the run's manifest before anything that counts is fired.
func (w *warmUp) see(elapsed time.Duration, sh *shot) (warm bool, err error) {
	switch {
	case w.over:
	case w.Invocations > 0 && sh.seq >= w.Invocations:
		err = w.end(w.Invocations)
	case w.For > 0 && elapsed >= w.For:
		err = w.end(w.most)
	}
	if w.over {
		return sh.seq < w.until, err
	}
	w.most = max(w.most, sh.seq+1)
	return true, nil
}

// end ends the warm-up, if it goes on, with what is before until.
func (w *warmUp) end(until int64) error {
	if w.over {
		return nil
	}
	w.over, w.until = true, until
	if until == 0 {
		return nil
	}
	w.total.Add(-until)
	return w.log.endWarmUp(until)
}
