package wiretap

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultLimit is how much a Tap holds by default, in bytes.
	DefaultLimit = 16 << 20
	// overhead is about what a segment needs beside its data.
	overhead = 128
	// maxAsked is how much of a request that waits for its answer is kept for the next observer.
	maxAsked = 4 << 10
)

// A Tap holds copies of what has passed until an observer takes them. Its methods may be called concurrently, but
// there is one observer at a time.
type Tap struct {
	limit int
	began time.Time
	more  chan struct{} // has one element when there may be something to take

	mu      sync.Mutex
	queue   []Segment
	size    int // of the queue, in bytes
	conns   map[uint64]*line
	lastID  uint64
	dropped int64
	closed  bool
}

// A line is what a Tap knows of a connection.
type line struct {
	// At the end of the queue:
	told       bool // the observer is, or will be, told that there is one
	gap        bool // something was not copied since
	serverLast bool // who spoke last; a client has yet to begin

	// At its front, which is what the observer knows:
	taken   bool
	unknown bool   // the client has asked something that is not in asked
	asked   []byte // what the client said since the server was the last to speak
	askedAt Moment
}

// NewTap returns a tap that holds up to limit bytes; 0 is for [DefaultLimit].
func NewTap(limit int) *Tap {
	return &Tap{
		limit: cmp.Or(limit, DefaultLimit), began: time.Now(), more: make(chan struct{}, 1), conns: make(map[uint64]*line),
	}
}

func (t *Tap) now() Moment {
	now := time.Now()
	return Moment{Wall: now.UTC().Round(0), Tick: now.Sub(t.began)}
}

// Dropped returns how many bytes were not copied because the tap was full.
func (t *Tap) Dropped() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped
}

// Note puts data in order with what passes, full or not: the observer takes it after all that has passed before. Data
// must not be changed any more.
func (t *Tap) Note(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.push(Segment{Kind: Note, At: t.now(), Data: data})
	}
}

// Close ends the copying. What the tap holds can still be taken.
func (t *Tap) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.wake()
}

// Next takes what comes next, and waits until there is something. The error is io.EOF when the tap was closed and
// holds nothing, or the cause of ctx's end.
func (t *Tap) Next(ctx context.Context) (Segment, error) {
	for {
		s, ok, closed := t.take()
		if ok {
			return s, nil
		}
		if closed {
			return Segment{}, io.EOF
		}
		select {
		case <-t.more:
		case <-ctx.Done():
			return Segment{}, context.Cause(ctx)
		}
	}
}

// Restart begins anew with an observer that knows nothing: it is first told of the connections that there are, and of
// requests that wait for an answer where these are small, and then gets what the last observer has not taken.
func (t *Tap) Restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var known []Segment
	for id, l := range t.conns {
		if !l.taken {
			continue
		}
		known = append(known, Segment{Kind: Resume, Conn: id, ServerLast: !l.unknown, At: l.askedAt})
		if len(l.asked) > 0 {
			known = append(known, Segment{Kind: Client, Conn: id, At: l.askedAt, Data: l.asked})
		}
	}
	slices.SortStableFunc(known, func(a, b Segment) int { return cmp.Compare(a.Conn, b.Conn) })
	for _, s := range known {
		t.size += len(s.Data) + overhead
	}
	t.queue = append(known, t.queue...)
	t.wake()
}

// open tells of a new connection and returns its number.
func (t *Tap) open() uint64 {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	if t.closed {
		return t.lastID
	}
	l := &line{serverLast: true}
	t.conns[t.lastID] = l
	if t.fits(0) {
		l.told = true
		t.push(Segment{Kind: Open, Conn: t.lastID, At: t.now()})
	}
	return t.lastID
}

// pass copies what one side has said.
func (t *Tap) pass(conn uint64, kind Kind, data []byte) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.conns[conn]
	if t.closed || l == nil {
		return
	}
	serverLast := l.serverLast
	l.serverLast = kind != Client
	if !t.fits(len(data)) {
		l.gap = true
		t.dropped += int64(len(data))
		return
	}
	at := t.now()
	if l.gap || !l.told {
		t.push(Segment{Kind: Resume, Conn: conn, ServerLast: serverLast, At: at})
		l.gap, l.told = false, true
	}
	t.push(Segment{Kind: kind, Conn: conn, At: at, Data: bytes.Clone(data)})
}

// close tells that a connection is over.
func (t *Tap) close(conn uint64, reason error) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.conns[conn]
	switch {
	case t.closed || l == nil:
	case !l.told:
		delete(t.conns, conn)
	default: // whether it fits or not: there are no more of these than there were connections
		s := Segment{Kind: Close, Conn: conn, At: t.now()}
		if l.gap {
			t.push(Segment{Kind: Resume, Conn: conn, ServerLast: l.serverLast, At: s.At})
		}
		if reason != nil {
			s.Data = []byte(reason.Error())
		}
		t.push(s)
	}
}

// The methods below are called with t.mu held, but for take.

func (t *Tap) fits(n int) bool { return t.size+n+overhead <= t.limit }

func (t *Tap) push(s Segment) {
	t.queue = append(t.queue, s)
	t.size += len(s.Data) + overhead
	t.wake()
}

func (t *Tap) wake() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

func (t *Tap) take() (s Segment, ok, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.queue = nil // and what was its array
		return s, false, t.closed
	}
	s = t.queue[0]
	t.queue[0] = Segment{}
	t.queue = t.queue[1:]
	t.size -= len(s.Data) + overhead
	t.took(s)
	return s, true, t.closed
}

// took notes what an observer knows now.
func (t *Tap) took(s Segment) {
	l := t.conns[s.Conn]
	if l == nil {
		return
	}
	switch s.Kind {
	case Open, Resume:
		l.taken = true
		l.unknown, l.asked = s.Kind == Resume && !s.ServerLast, nil
	case Client:
		if len(l.asked)+len(s.Data) > maxAsked {
			l.unknown, l.asked = true, nil
		}
		if !l.unknown {
			if len(l.asked) == 0 {
				l.askedAt = s.At
			}
			l.asked = append(l.asked[:len(l.asked):len(l.asked)], s.Data...)
		}
	case Server, ServerEnd:
		l.unknown, l.asked = false, nil
	case Close:
		delete(t.conns, s.Conn)
	}
}
