package replay

import (
	"container/heap"
	"time"
)

// A schedule decides what is fired next. It holds the shots that were read and are not fired yet, within bounds, so
// that memory does not grow with the recording, while lanes that are held up do not hold up the others.
//
// It is pure: it is told how much time has passed since the firing began, and never waits. It is not safe for
// concurrent use.
type schedule struct {
	pacer    pacer
	lanes    lanes
	ready    map[string]*shotQueue // by function, without empty ones
	waiting  int                   // shots in ready
	held     int                   // shots that were added and are not done
	bytes    int64                 // of their events
	inFlight int
	busy     map[string]int // in flight, by function

	maxInFlight int
	maxHeld     int
	maxBytes    int64
	limits      map[string][]*throttle // of the targets of each function; may be nil

	notBefore time.Duration // by MaxRate
	freed     time.Duration // when something last ended while no more could be fired
}

// room reports whether one more shot may be added. A single shot may be larger than the bound on bytes.
func (s *schedule) room() bool {
	return s.held == 0 || s.held < s.maxHeld && s.bytes < s.maxBytes
}

func (s *schedule) add(elapsed time.Duration, sh *shot) {
	s.held++
	s.bytes += int64(len(sh.inv.Event))
	sh.due = s.pacer.due(sh.pass, sh.inv.Time)
	if s.lanes.add(sh) {
		s.push(elapsed, sh)
	}
}

func (s *schedule) push(elapsed time.Duration, sh *shot) {
	if s.ready == nil {
		s.ready, s.busy = make(map[string]*shotQueue), make(map[string]int)
	}
	queue := s.ready[sh.inv.Function]
	if queue == nil {
		queue = new(shotQueue)
		s.ready[sh.inv.Function] = queue
	}
	sh.ready = elapsed
	heap.Push(queue, sh)
	s.waiting++
}

// next returns the shot to fire now, without taking it: of those that are due, whose lanes are free and whose targets
// take one more, the first of the recording. When there is none, wait is how long until there is one if nothing else
// happens; it is 0 when something has to end, or to be added, first.
func (s *schedule) next(elapsed time.Duration) (sh *shot, wait time.Duration) {
	if s.inFlight >= s.maxInFlight {
		return nil, 0
	}
	for function, queue := range s.ready {
		first := (*queue)[0]
		at, open := s.open(function)
		if !open {
			continue
		}
		at = max(at, first.due, s.notBefore)
		switch left := at - elapsed; {
		case left <= 0:
			if sh == nil || first.seq < sh.seq {
				sh = first
			}
		case wait == 0 || left < wait:
			wait = left
		}
	}
	if sh != nil {
		wait = 0
	}
	return sh, wait
}

// open reports whether the targets of a function take one more, and from when on.
func (s *schedule) open(function string) (at time.Duration, open bool) {
	for _, limit := range s.limits[function] {
		most, after := limit.now()
		if s.busy[function] >= most {
			return 0, false
		}
		at = max(at, after)
	}
	return at, true
}

// rateSlack is how far a rate may fall behind and catch up: more than timers are late.
const rateSlack = 10 * time.Millisecond

// fire takes the shot that next returned.
func (s *schedule) fire(elapsed time.Duration, sh *shot) {
	queue := s.ready[sh.inv.Function]
	heap.Pop(queue)
	if len(*queue) == 0 {
		delete(s.ready, sh.inv.Function)
	}
	s.waiting--
	s.inFlight++
	s.busy[sh.inv.Function]++
	sh.free = s.pacer.pace.timed() && sh.due >= sh.ready && sh.due >= s.freed && sh.due >= s.notBefore
	if rate := s.pacer.pace.MaxRate; rate > 0 {
		s.notBefore = max(s.notBefore, elapsed-rateSlack) + seconds(1/rate)
	}
}

func (s *schedule) done(elapsed time.Duration, sh *shot) {
	if _, open := s.open(sh.inv.Function); !open || s.inFlight >= s.maxInFlight {
		s.freed = elapsed
	}
	s.inFlight--
	s.held--
	s.bytes -= int64(len(sh.inv.Event))
	if s.busy[sh.inv.Function]--; s.busy[sh.inv.Function] == 0 {
		delete(s.busy, sh.inv.Function)
	}
	for _, next := range s.lanes.done(sh, nil) {
		s.push(elapsed, next)
	}
}

// blocked counts the shots that wait for one before them in a lane.
func (s *schedule) blocked() int { return s.held - s.waiting - s.inFlight }

// A shotQueue is a heap of shots, the first of the recording on top, which is the first that is due.
type shotQueue []*shot

func (q shotQueue) Len() int           { return len(q) }
func (q shotQueue) Less(i, j int) bool { return q[i].seq < q[j].seq }
func (q shotQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *shotQueue) Push(x any)        { *q = append(*q, x.(*shot)) }

func (q *shotQueue) Pop() any {
	old := *q
	sh := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return sh
}
