package replay

import (
	"context"
	"sync"
	"time"
)

// A watch cuts connections off when the time of the requests on them is up: their run ends, or their deadlines pass.
// It has one timer, and one function to run at the end of a run, where each request would have both otherwise.
type watch struct {
	mu     sync.Mutex
	conns  []*wireConn // in use, each at conn.watched.at
	groups map[context.Context]*watchGroup
	timer  *time.Timer
	rings  time.Time // when timer does; zero when it does not
}

// A watchGroup is the requests of one run.
type watchGroup struct {
	conns int
	over  bool
	stop  func() bool
}

// watched is what a watch knows of a connection that is in use.
type watched struct {
	at    int
	group *watchGroup
	until time.Time
	cut   bool
}

// longAgo is the deadline of a connection that is cut off.
var longAgo = time.Unix(1, 0)

// add has conn cut off when the run ends, and at until.
func (w *watch) add(conn *wireConn, run context.Context, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	group := w.groups[run]
	if group == nil {
		group = &watchGroup{}
		group.stop = context.AfterFunc(run, func() { w.end(group) })
		if w.groups == nil {
			w.groups = make(map[context.Context]*watchGroup)
		}
		w.groups[run] = group
	}
	group.conns++
	conn.watched = watched{at: len(w.conns), group: group, until: until}
	w.conns = append(w.conns, conn)
	if group.over {
		conn.cutOff()
	}
	if w.rings.IsZero() || until.Before(w.rings) {
		w.ringAt(until)
	}
}

// remove reports whether conn was not cut off, and will not be.
func (w *watch) remove(conn *wireConn, run context.Context) (whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.conns[len(w.conns)-1]
	w.conns[conn.watched.at], last.watched.at = last, conn.watched.at
	w.conns[len(w.conns)-1] = nil
	w.conns = w.conns[:len(w.conns)-1]
	group := conn.watched.group
	if group.conns--; group.conns == 0 {
		group.stop()
		delete(w.groups, run)
	}
	return !conn.watched.cut
}

// end cuts off what belongs to a run that has ended.
func (w *watch) end(group *watchGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	group.over = true
	for _, conn := range w.conns {
		if conn.watched.group == group {
			conn.cutOff()
		}
	}
}

func (w *watch) ringAt(at time.Time) {
	w.rings = at
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(at), w.ring)
		return
	}
	w.timer.Reset(time.Until(at))
}

// ring cuts off what has no time left.
func (w *watch) ring() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next time.Time
	for now, i := time.Now(), 0; i < len(w.conns); i++ {
		switch conn := w.conns[i]; {
		case !conn.watched.until.After(now):
			conn.cutOff()
		case next.IsZero() || conn.watched.until.Before(next):
			next = conn.watched.until
		}
	}
	if w.rings = next; !next.IsZero() {
		w.ringAt(next)
	}
}

// cutOff ends what waits for the connection. The watch's lock is held.
func (c *wireConn) cutOff() {
	c.watched.cut = true
	_ = c.SetDeadline(longAgo)
}
