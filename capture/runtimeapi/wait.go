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
// at its deadline; when it never had one, nobody has told it where to find the tap.
func (r *Recorder) Wait(ctx context.Context, requestID string) bool {
	type state int
	const (
		working state = iota
		idle
		gone
	)
	before := working
	var over <-chan time.Time
	var asks int
	for first := true; ; first = false {
		r.mu.Lock()
		changed := r.changed
		ended := r.ended[requestID]
		switch {
		case ended > 1:
			r.ended[requestID]--
		case ended == 1:
			delete(r.ended, requestID)
		}
		if first {
			asks = r.asks
		}
		anew, used := r.asks != asks, r.used
		now := working
		switch {
		case r.conns == 0:
			now = gone
		case r.asking > 0 && len(r.pending) == 0:
			now = idle
		}
		r.mu.Unlock()
		switch {
		case ended > 0:
			return true
		case !used, now == idle && anew: // it was at work on what was not seen, and is done
			return false
		case now == before:
		case now == idle:
			over = time.After(missedAfter)
		case now == gone:
			over = time.After(goneAfter)
		default:
			over = nil
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
