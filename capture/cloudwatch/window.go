package cloudwatch

import (
	"sync"
	"time"
)

// A window is a range of log time in milliseconds, of which to is no part.
type window struct{ from, to int64 }

// A planner splits a range into windows. It makes them as long as it takes for a few pages each: reading windows in
// parallel gains little when they are long, as they are taken in order, and costs requests when they are short. It is
// safe for concurrent use.
type planner struct {
	mu     sync.Mutex
	at, to int64
	length int64 // of the next window
}

const (
	firstWindow = int64(time.Minute / time.Millisecond)
	minWindow   = int64(time.Second / time.Millisecond)
	maxWindow   = int64(6 * time.Hour / time.Millisecond)
	windowPages = 4 // what a window should have
)

func newPlanner(w window) *planner { return &planner{at: w.from, to: w.to, length: firstWindow} }

// next returns the next window. ok is false after the last.
func (p *planner) next() (w window, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at >= p.to {
		return w, false
	}
	w = window{p.at, min(p.at+p.length, p.to)}
	p.at = w.to
	return w, true
}

// learn adapts the length of windows to come to how many pages w took.
func (p *planner) learn(w window, pages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	length := w.to - w.from
	if fit := length * windowPages / int64(max(pages, 1)); fit > p.length {
		p.length = min(fit, 4*p.length, maxWindow)
	} else if pages > windowPages {
		p.length = max(fit, p.length/8, minWindow)
	}
}
