package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/capture/collector"
)

// A sink takes invocations out of the environment. It is used by one goroutine at a time.
type sink interface {
	// send makes a batch durable and returns how many of it, from the front, are. What is not will be sent again, first
	// of all. Lost is how many invocations this recorder has lost so far; a batch may be empty to tell that.
	send(ctx context.Context, batch []*capture.Invocation, lost int64) (int, error)
	close() error
}

// What a loss is put down to.
const (
	lostNotJSON  = "not JSON"
	lostTooLarge = "larger than TANDEM_MAX_EVENT"
	lostBuffer   = "the sink was too slow or down"
	lostRefused  = "refused by the sink"
	lostAtEnd    = "the sink had not taken them at the end"
	lostCut      = "cut off or failed in recording"
	lostUnseen   = "not seen whole by the recorder"
)

const (
	maxBatchBytes = 4 << 20 // so that a batch compresses in little memory, unless one invocation is larger
	firstRetry    = 50 * time.Millisecond
	// After a flush that failed the sink is left alone for a while, which doubles each time, because trying costs the
	// function time.
	firstRest   = time.Second
	longestRest = time.Minute
)

// A spool holds invocations until the sink has taken them. Its methods may be called concurrently.
type spool struct {
	sink     sink
	sinkName string
	limit    int              // bytes
	redactor capture.Redactor // nil for none
	log      *log.Logger
	// longestRest bounds for how long a sink that fails is left alone.
	longestRest time.Duration

	requests chan flushRequest
	done     chan struct{}

	mu      sync.Mutex
	before  int64 // what earlier workers have lost
	waiting []*capture.Invocation
	bytes   int // of waiting
	held    bool
	durable int64
	lost    map[string]int64
	closed  bool

	// For the flushing goroutine.
	rest    time.Duration
	retryAt time.Time
}

type flushRequest struct {
	ctx   context.Context
	final bool          // try even if the sink is being left alone
	done  chan struct{} // closed at the end, unless nil
}

func newSpool(s sink, c config, log *log.Logger) *spool {
	sp := &spool{
		sink: s, sinkName: c.sink.Redacted(), limit: c.buffer, log: log,
		requests: make(chan flushRequest, 1), done: make(chan struct{}), lost: make(map[string]int64),
		longestRest: cmp.Or(c.longestRest, longestRest),
	}
	if c.sink.Scheme != "file" { // a recording does that itself, and counts it
		sp.redactor = c.redactor
	}
	go sp.run(c.flushTimeout)
	return sp
}

// Write takes an invocation, or counts it as lost: recording does not fail for the recorder. It never waits for the
// sink.
func (s *spool) Write(inv *capture.Invocation) error {
	inv.ID = ulid.Make().String()
	if inv.Function == "" {
		inv.Function = "unknown"
	}
	valid := json.Valid(inv.Event)
	if valid && s.redactor != nil {
		inv, _ = s.redactor.Redact(inv)
	}
	size := sizeOf(inv)

	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !valid:
		s.lost[lostNotJSON]++
		return nil
	case s.closed:
		s.lost[lostAtEnd]++
		return nil
	case len(s.waiting) > 0 && s.bytes+size > s.limit:
		s.lost[lostBuffer]++
		return nil
	}
	s.waiting = append(s.waiting, inv)
	s.bytes += size
	if !s.held || s.bytes > s.limit/4 {
		s.nudge()
	}
	return nil
}

// nudge has what waits sent soon, unless the sink is being left alone. It must not be called once the spool is closed.
func (s *spool) nudge() {
	select {
	case s.requests <- flushRequest{}:
	default: // there is one already
	}
}

// sizeOf returns about what an invocation needs in memory.
func sizeOf(inv *capture.Invocation) int {
	n := len(inv.Event) + 1000
	if o := inv.Outcome; o != nil {
		n += len(o.Result.Bytes())
		if o.HTTP != nil {
			n += len(o.HTTP.Body.Bytes())
		}
	}
	return n
}

// hold says whether somebody will flush soon. If nobody will, what is written is flushed at once.
func (s *spool) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// flush returns when what waits is durable, when the sink cannot have it now, or when ctx ends.
func (s *spool) flush(ctx context.Context, final bool) {
	req := flushRequest{ctx: ctx, final: final, done: make(chan struct{})}
	select {
	case s.requests <- req:
	case <-ctx.Done():
		return
	}
	select {
	case <-req.done:
	case <-ctx.Done():
	}
}

// tellTime is what the sink gets, at the end, to hear of the last losses.
const tellTime = 200 * time.Millisecond

// close flushes for the last time, counts what is left as lost, and lets go of the sink. It is called once, and no
// flush after it. Ctx must have a deadline.
func (s *spool) close(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	last, cancel := context.WithDeadline(ctx, deadline.Add(-tellTime))
	defer cancel()
	s.flush(last, true)
	s.lose(lostAtEnd)
	s.flush(ctx, true) // to tell
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.requests)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// lose counts all that waits as lost.
func (s *spool) lose(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.waiting); n > 0 {
		s.lost[why] += int64(n)
		s.waiting, s.bytes = nil, 0
	}
}

// lostBefore tells how many invocations earlier workers have lost.
func (s *spool) lostBefore(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = n
}

// addLost counts invocations that were lost elsewhere.
func (s *spool) addLost(why string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 {
		s.lost[why] += n
	}
}

// counts returns what has become of what was written.
func (s *spool) counts() (durable, waiting int64, lost map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable, int64(len(s.waiting)), maps.Clone(s.lost)
}

func (s *spool) run(timeout time.Duration) {
	defer close(s.done)
	told := int64(0)
	for req := range s.requests {
		ctx, cancel := req.ctx, func() {}
		if ctx == nil {
			ctx, cancel = context.WithTimeout(context.Background(), timeout)
		}
		if req.final || !time.Now().Before(s.retryAt) {
			told = s.drain(ctx, req.final, told)
		}
		cancel()
		if req.done != nil {
			close(req.done)
		}
	}
	if err := s.sink.close(); err != nil {
		s.log.Printf("close %s: %v", s.sinkName, err)
	}
}

// drain sends all that waits, and returns how many losses the sink knows of.
func (s *spool) drain(ctx context.Context, final bool, told int64) int64 {
	var cause error
	for retry := firstRetry; ; {
		batch, lost := s.batch()
		if len(batch) == 0 && (!final || lost == told) {
			return told
		}
		n, err := s.send(ctx, batch, lost)
		refused := errors.Is(err, collector.ErrRefused)
		if refused {
			s.settle(len(batch), lostRefused)
		} else {
			s.settle(n, "")
		}
		if err == nil {
			told = lost
			s.rest, s.retryAt = 0, time.Time{}
			if len(batch) == 0 {
				return told
			}
			continue
		}
		if cause == nil || ctx.Err() == nil {
			cause = err // that time is up says less
		}
		select {
		case <-time.After(retry):
			retry *= 2
			if refused {
				s.log.Printf("%s: %v", s.sinkName, err)
			}
			continue
		case <-ctx.Done():
		}
		if s.rest == 0 { // it is told once until the sink works again
			s.log.Printf("cannot write to %s: %v", s.sinkName, cause)
		}
		s.rest = min(max(2*s.rest, firstRest), s.longestRest)
		s.retryAt = time.Now().Add(s.rest)
		return told
	}
}

// send keeps a panic in a sink from the recorder.
func (s *spool) send(ctx context.Context, batch []*capture.Invocation, lost int64) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fmt.Errorf("panic: %v", p)
		}
	}()
	return s.sink.send(ctx, batch, lost)
}

// batch returns what is to be sent next.
func (s *spool) batch() (batch []*capture.Invocation, lost int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost = s.before
	for _, n := range s.lost {
		lost += n
	}
	size := 0
	for i, inv := range s.waiting {
		if size += sizeOf(inv); i > 0 && size > maxBatchBytes {
			return s.waiting[:i:i], lost
		}
	}
	return s.waiting[:len(s.waiting):len(s.waiting)], lost
}

// settle lets go of the first n that wait. They are durable, or lost if there is a reason.
func (s *spool) settle(n int, lostBecause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inv := range s.waiting[:n] {
		s.bytes -= sizeOf(inv)
	}
	if s.waiting = s.waiting[n:]; len(s.waiting) == 0 {
		s.waiting = nil // and its array
	}
	if lostBecause != "" {
		s.lost[lostBecause] += int64(n)
	} else {
		s.durable += int64(n)
	}
}
