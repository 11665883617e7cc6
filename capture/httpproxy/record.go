package httpproxy

import (
	"fmt"
	"sync"
)

// Stats count requests. Seen is the sum of all the others but NoOutcome.
type Stats struct {
	Seen     int64
	Pending  int64 // being answered, or waiting for the sink
	Recorded int64
	// NoOutcome counts those of Recorded whose answer was cut off, by the upstream or because the client had gone.
	// The event is whole, and what the function answered is not known.
	NoOutcome int64
	Dropped   int64 // the sink was too slow
	Failed    int64 // the sink did not take it
	TooLarge  int64 // a body was larger than MaxBody
	Cut       int64 // the request's body was not read to its end, because the client or the upstream broke off
	Marked    int64 // sent by a replay
	Upgraded  int64 // websockets and the like
	Unrouted  int64 // no route matches
}

// Lost returns how many requests should have been recorded and were not.
func (s Stats) Lost() int64 { return s.Dropped + s.Failed + s.TooLarge + s.Cut }

// String says what became of all requests, in one line that adds up.
func (s Stats) String() string {
	noun := "requests"
	if s.Seen == 1 {
		noun = "request"
	}
	line := fmt.Sprintf("%d %s: %d recorded", s.Seen, noun, s.Recorded)
	for _, c := range []struct {
		n    int64
		what string
	}{
		{s.Dropped, "dropped, because the disk was too slow"},
		{s.Failed, "refused by the recording"},
		{s.TooLarge, "too large"},
		{s.Cut, "cut off by the client"},
		{s.Marked, "from a replay"},
		{s.Upgraded, "upgraded to another protocol"},
		{s.Unrouted, "without a route"},
		{s.Pending, "not finished"},
	} {
		if c.n > 0 {
			line += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return line
}

// A recorder makes invocations of exchanges and writes them to the sink, on a goroutine of its own.
type recorder struct {
	opts  Options
	queue chan queued
	done  chan struct{}

	mu       sync.Mutex // guards what follows, and sends to queue
	closed   bool
	stats    Stats
	bytes    int64 // of the bodies in queue
	dropping int64 // dropped since something was last queued
	err      error // the sink's first
}

type queued struct {
	x       *exchange
	verdict verdict
}

func (q queued) size() int64 { return int64(len(q.x.body) + len(q.x.reply)) }

func startRecorder(opts Options) *recorder {
	r := &recorder{opts: opts, queue: make(chan queued, opts.Queue), done: make(chan struct{})}
	go r.run()
	return r
}

func (r *recorder) run() {
	defer close(r.done)
	for q := range r.queue {
		err := r.write(q)
		if r.written(q, err) {
			r.opts.Logf("not recorded: %v", err)
		}
	}
}

func (r *recorder) write(q queued) error {
	inv, err := q.x.invocation(r.opts, q.verdict)
	if err != nil {
		return err
	}
	if err := r.opts.Sink.Write(inv); err != nil {
		return fmt.Errorf("record %s: %w", q.x, err)
	}
	return nil
}

// written counts q, which write returned err for. It says whether that is the first error.
func (r *recorder) written(q queued, err error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= q.size()
	switch {
	case err != nil:
		r.stats.Failed++
		first = r.err == nil
		if first {
			r.err = err
		}
	case q.verdict == noOutcome:
		r.stats.NoOutcome++
		fallthrough
	default:
		r.stats.Recorded++
	}
	return first
}

// finish judges an exchange and queues it if it is worth recording. It never waits for the sink.
func (r *recorder) finish(x *exchange) {
	if news := r.take(queued{x: x, verdict: x.settle()}); news != "" {
		r.opts.Logf("%s: %s", x, news)
	}
}

// take queues or counts q, and returns what there is to say about it.
func (r *recorder) take(q queued) (news string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch q.verdict {
	case cut:
		r.stats.Cut++
		return ""
	case tooLarge:
		r.stats.TooLarge++
		return fmt.Sprintf("not recorded: a body is larger than %d bytes", r.opts.MaxBody)
	}
	if r.closed || r.bytes+q.size() > r.opts.QueueBytes || len(r.queue) == cap(r.queue) {
		r.stats.Dropped++
		if r.dropping++; r.dropping == 1 {
			return "not recorded: the sink cannot keep up; from here on invocations are dropped"
		}
		return ""
	}
	r.bytes += q.size()
	r.queue <- q // there is room, and only holders of mu send
	if dropped := r.dropping; dropped > 0 {
		r.dropping = 0
		return fmt.Sprintf("recorded again, after %d dropped invocations", dropped)
	}
	return ""
}

func (r *recorder) count(add func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.stats)
}

func (r *recorder) snapshot() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Pending = s.Seen - (s.Recorded + s.Dropped + s.Failed + s.TooLarge + s.Cut + s.Marked + s.Upgraded + s.Unrouted)
	return s
}

// close stops taking exchanges and waits until those in the queue are written.
func (r *recorder) close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return fmt.Errorf("%d invocations not recorded: %w", r.stats.Failed, r.err)
	}
	return nil
}
