package main

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
)

const reasonOff = "the recorder is off"

// A ledger accounts for every invocation that Lambda has told the extension about, over all workers. Its methods may
// be called concurrently.
type ledger struct {
	log *log.Logger

	mu     sync.Mutex
	seen   int64  // invocations
	past   report // of workers that are gone
	now    report // the last of the worker that there is
	since  int64  // invocations that the worker has been told about
	off    string // why there is no worker; "" if there is one
	logged map[string]int64
}

// saw counts one more invocation.
func (l *ledger) saw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if l.off != "" {
		l.past.lose(l.off, 1)
		l.tell()
		return
	}
	l.since++
}

// told returns how many invocations the worker is to know of.
func (l *ledger) told() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// reported takes what the worker says.
func (l *ledger) reported(r report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = r
	l.tell()
}

// died closes the account of a worker that is gone. What it had not settled is lost.
func (l *ledger) died() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past.add(l.now)
	if n := l.since - l.now.settled(); n > 0 {
		l.past.lose(lostWorker, n)
	}
	l.now, l.since = report{}, 0
	l.tell()
}

// note says that there will be no worker.
func (l *ledger) note(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = why
}

// isOff tells whether there will be no worker.
func (l *ledger) isOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.off != ""
}

// before returns what was lost by workers that are gone, and whether the runtime has been given events.
func (l *ledger) before() (lost int64, warm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past.lost(), l.seen > 0
}

// tell logs what was lost since it was last called. The caller holds l.mu.
func (l *ledger) tell() {
	total := report{}
	total.add(l.past)
	total.add(l.now)
	var n int64
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(total.Lost)) {
		if more := total.Lost[reason] - l.logged[reason]; more > 0 {
			n += more
			reasons = append(reasons, fmt.Sprintf("%d %s", more, reason))
		}
	}
	if n > 0 {
		l.log.Printf("lost %d invocations: %s", n, strings.Join(reasons, "; "))
		l.logged = total.Lost
	}
}

// String says what became of all invocations, in one line that adds up.
func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := report{}
	total.add(l.past)
	total.add(l.now)
	line := fmt.Sprintf("%d invocations: %d recorded", l.seen, total.Recorded)
	for _, c := range []struct {
		n    int64
		what string
	}{
		{total.Sampled, "not sampled"},
		{total.Replays, "from a replay"},
		{total.lost(), "lost"},
		{total.Waiting, "not finished"},
	} {
		if c.n > 0 {
			line += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return line
}

func (r *report) add(other report) {
	r.Recorded += other.Recorded
	r.Sampled += other.Sampled
	r.Replays += other.Replays
	r.Waiting += other.Waiting
	for reason, n := range other.Lost {
		r.lose(reason, n)
	}
}

func (r *report) lose(reason string, n int64) {
	if r.Lost == nil {
		r.Lost = make(map[string]int64)
	}
	r.Lost[reason] += n
}

func (r *report) lost() (n int64) {
	for _, lost := range r.Lost {
		n += lost
	}
	return n
}
