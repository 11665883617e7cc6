package runtimeapi

import (
	"context"
	"net"
	"net/http"
	"time"
)

// goneAfter is how long a runtime may have no connection open until it is taken for dead, and how long it may take an
// event to come to it. Runtimes that open a connection for each request are taken for dead while they work, too.
const goneAfter = 100 * time.Millisecond

// maxEnded bounds what is remembered of invocations that nobody waits for.
const maxEnded = 1000

// Wait returns when the runtime is done with an invocation and it is with the sink, or had ended so since Wait was
// last called for that ID; the event need not have been delivered yet. It reports false when it cannot tell: ctx has
// ended, or the runtime seems to be gone, because it has no connection open, or to be done, because it waits for an
// event. It has no connection when it has crashed, when the platform has killed it at its deadline, and when it does
// not use this proxy.
func (r *Recorder) Wait(ctx context.Context, requestID string) bool {
	var gone <-chan time.Time
	for {
		r.mu.Lock()
		changed := r.changed
		atWork := r.conns > 0 && (r.asking == 0 || len(r.pending) > 0)
		ended := r.ended[requestID]
		switch {
		case ended > 1:
			r.ended[requestID]--
		case ended == 1:
			delete(r.ended, requestID)
		}
		r.mu.Unlock()
		switch {
		case ended > 0:
			return true
		case atWork:
			gone = nil
		case gone == nil:
			gone = time.After(goneAfter)
		}
		select {
		case <-changed:
		case <-gone:
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

// connState counts the connections of the runtime.
func (r *Recorder) connState(_ net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case http.StateNew:
		r.conns++
	case http.StateClosed, http.StateHijacked:
		r.conns--
	default:
		return
	}
	r.broadcast()
}

// ask counts the requests for an event that have no answer yet.
func (r *Recorder) ask(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking += n
	r.broadcast()
}

// broadcast wakes everyone who waits for a change. The caller holds r.mu.
func (r *Recorder) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}
