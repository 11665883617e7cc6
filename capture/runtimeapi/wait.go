package runtimeapi

import (
	"context"
	"time"
)

const (
	// goneAfter is how long a runtime may have no connection open until it is taken for dead. Runtimes that open a
	// connection for each request are taken for dead while they work, too.
	goneAfter = 100 * time.Millisecond
	// missedAfter is how long an event may take to come to a runtime that waits for it.
	missedAfter = time.Second
)

// maxEnded bounds what is remembered of invocations that nobody waits for.
const maxEnded = 1000

// Wait returns when the runtime is done with an invocation and it is with the sink, or had ended so since Wait was
// last called for that ID; the event need not have been delivered yet. It reports false when it cannot tell: ctx has
// ended; the runtime seems to be gone, because it has no connection open; or it is done with something that was not
// seen, because it waits for an event. It has no connection when it has crashed, and when the platform has killed it
// at its deadline; when it never had one, nobody has told it where to find the tap. The recorder must have been told of
// what passed before the call.
func (r *Recorder) Wait(ctx context.Context, requestID string) bool {
	var over <-chan time.Time // when there is no use in waiting any more
	before := unused
	for asks := -1; ; {
		r.mu.Lock()
		changed, ended, now := r.changed, r.takeEnd(requestID), r.state()
		if asks < 0 {
			asks = r.asks
		}
		again := r.asks != asks
		r.mu.Unlock()
		switch {
		case ended:
			return true
		case now == unused, now == idle && again: // then it was at work on what was not seen, and is done
			return false
		case now != before:
			over = now.patience()
		}
		before = now
		select {
		case <-changed:
		case <-over:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// A state is what a runtime seems to be doing.
type state int

const (
	unused state = iota // no runtime has ever come
	gone
	idle // it waits for an event
	working
)

// patience ends when a runtime in that state has to have done something else.
func (s state) patience() <-chan time.Time {
	switch s {
	case gone:
		return time.After(goneAfter)
	case idle:
		return time.After(missedAfter)
	default:
		return nil
	}
}

// state tells what the runtime seems to be doing. The caller holds r.mu.
func (r *Recorder) state() state {
	switch {
	case !r.used:
		return unused
	case r.conns == 0:
		return gone
	case r.asking > 0 && len(r.pending) == 0:
		return idle
	default:
		return working
	}
}

// takeEnd tells whether an invocation has ended since it was last asked. The caller holds r.mu.
func (r *Recorder) takeEnd(requestID string) bool {
	n := r.ended[requestID]
	if n > 1 {
		r.ended[requestID]--
	} else {
		delete(r.ended, requestID)
	}
	return n > 0
}

// noteEnd tells whoever waits for an invocation, or will, that it has ended.
func (r *Recorder) noteEnd(requestID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) >= maxEnded {
		clear(r.ended)
	}
	r.ended[requestID]++
	r.broadcast()
}

// countConns counts the connections of the runtime.
func (r *Recorder) countConns(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns += n
	r.used = true
	r.broadcast()
}

// ask counts the requests for an event that have no answer yet.
func (r *Recorder) ask(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking += n
	if n > 0 {
		r.asks++
	}
	r.broadcast()
}

// broadcast wakes everyone who waits for a change. The caller holds r.mu.
func (r *Recorder) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}
