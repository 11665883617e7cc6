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
	off    bool   // there will be no worker
	logged map[string]int64
}

// saw counts one more invocation.
func (l *ledger) saw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if l.off { // which was told, and is told again at the end
		l.past.lose(reasonOff, 1)
	}
}

// account returns how many invocations Lambda has told about, and what the worker has no part in: how many of them
// earlier workers have settled, and lost.
func (l *ledger) account() (seen, settled, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen, l.past.settled(), l.past.lost()
}

// warm tells whether the runtime has been given events.
func (l *ledger) warm() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen > 0
}

// reported takes what the worker says.
func (l *ledger) reported(r report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = r
	l.tell()
}

// died closes the account of a worker that is gone, and tells how much it had settled. What it had not, another one
// may still see.
func (l *ledger) died() (settled int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	settled = l.now.settled()
	l.now.Waiting = 0
	l.past.add(l.now)
	l.now = report{}
	return settled
}

// turnOff says that there will be no worker any more.
func (l *ledger) turnOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	l.loseRest()
}

// isOff tells whether there will be no worker.
func (l *ledger) isOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.off
}

// end says what became of all invocations, in one line that adds up.
func (l *ledger) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loseRest()
	total := l.total()
	// Where Lambda tells of none, those that were seen are all that is known.
	line := fmt.Sprintf("%d invocations: %d recorded", max(l.seen, total.settled()), total.Recorded)
	for _, c := range []struct {
		n    int64
		what string
	}{
		{total.Sampled, "not sampled"},
		{total.Replays, "from a replay"},
		{total.lost(), "lost"},
	} {
		if c.n > 0 {
			line += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return line + total.completions()
}

// The methods below are called with l.mu held.

// loseRest puts all that nobody has settled down as lost.
func (l *ledger) loseRest() {
	total := l.total()
	if n := l.seen - total.settled(); n > 0 {
		l.past.lose(lostUnseen, n)
	}
	l.tell()
}

func (l *ledger) total() report {
	total := report{}
	total.add(l.past)
	total.add(l.now)
	return total
}

// tell logs what was lost since it was last called.
func (l *ledger) tell() {
	total := l.total()
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
