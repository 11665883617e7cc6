package completion

import (
	"context"
	"maps"
	"sync"
)

const (
	// unclaimed bounds the reports that are kept for things that nobody expects yet: the report of a message may
	// overtake the answer to the request that sent it.
	unclaimed = 10_000
	// remembered bounds the keys whose waits have ended that are still known, so that what comes late is told from
	// what is about others.
	remembered = 50_000
)

// A Board brings reports to those who wait for them. It is safe for concurrent use.
type Board struct {
	mu       sync.Mutex
	waits    map[Key]*Wait
	early    map[Key][]Report
	arrivals []Key // of early, the oldest first
	past     map[Key]*past
	ended    []Key // of past, the oldest first
	stats    Stats
}

// A past is what is known of a key whose wait has ended.
type past struct {
	settled     bool            // what became of it was heard
	invocations map[string]bool // that worked on it
}

// Stats count what a board was told: each report is in one of Claimed, Duplicates, Unclaimed, Late and Ambiguous.
type Stats struct {
	Reports    int64            `json:"reports"`              // in all
	Sources    map[string]int64 `json:"sources,omitempty"`    // by who told it
	Claimed    int64            `json:"claimed"`              // brought to somebody who waited
	Duplicates int64            `json:"duplicates,omitempty"` // told again by the same source
	Unclaimed  int64            `json:"unclaimed,omitempty"`  // about things that nobody waited for: those of others
	Late       int64            `json:"late,omitempty"`       // about things whose wait had ended
	// Ambiguous reports may be about one of several uploads of a blob, and were used for none.
	Ambiguous int64 `json:"ambiguous,omitempty"`
	Lost      int64 `json:"lost,omitempty"` // completions that a source says that it could not tell of
}

// NewBoard returns a board on which nothing is expected.
func NewBoard() *Board {
	return &Board{
		waits: make(map[Key]*Wait), early: make(map[Key][]Report), past: make(map[Key]*past),
		stats: Stats{Sources: make(map[string]int64)},
	}
}

// Stats returns what the board was told so far.
func (b *Board) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Unclaimed += int64(len(b.arrivals))
	s.Sources = maps.Clone(s.Sources)
	return s
}

// Lost counts completions that a source knows of no more than that it lost them.
func (b *Board) Lost(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Lost += n
}

// Report hands r to who expects it.
func (b *Board) Report(r Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Reports++
	b.stats.Sources[r.Source]++
	if w := b.waits[r.Key]; w != nil {
		w.add(r)
		return
	}
	if b.past[r.Key] != nil {
		b.stats.Late++
		return
	}
	if len(b.arrivals) == unclaimed {
		b.forgetOldest()
	}
	b.early[r.Key] = append(b.early[r.Key], r)
	b.arrivals = append(b.arrivals, r.Key)
}

func (b *Board) forgetOldest() {
	oldest := b.arrivals[0]
	b.arrivals = b.arrivals[1:]
	b.stats.Unclaimed++
	if rest := b.early[oldest][1:]; len(rest) > 0 {
		b.early[oldest] = rest
	} else {
		delete(b.early, oldest)
	}
}

// Expect waits for reports on keys, which are of one thing or of several, and has those that came already. Two waits
// cannot be for one key at a time: the later gets the reports. If the key is that of any upload of a blob, none does,
// nor does a wait that follows one that ended before the earlier upload was settled. Close ends it.
func (b *Board) Expect(keys ...Key) *Wait {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &Wait{
		board: b, keys: keys, reports: make(map[Key][]Report), deaf: make(map[Key]bool), news: make(chan struct{}, 1),
	}
	found := false
	for _, k := range keys {
		if other := b.waits[k]; other != nil && other != w && k.shared() {
			other.deaf[k], w.deaf[k] = true, true
		}
		if p := b.past[k]; p != nil && !p.settled && k.shared() {
			w.deaf[k] = true
		}
		b.waits[k] = w
		for _, r := range b.early[k] {
			w.add(r)
			found = true
		}
		delete(b.early, k)
	}
	if found {
		b.arrivals = trim(b.arrivals, b.early)
	}
	return w
}

// trim returns the arrivals whose reports are still there.
func trim(arrivals []Key, early map[Key][]Report) []Key {
	kept := arrivals[:0]
	for _, k := range arrivals {
		if len(early[k]) > 0 {
			kept = append(kept, k)
		}
	}
	return kept
}

// A Wait is what was heard of a few things. It is used by one goroutine.
type Wait struct {
	board *Board
	keys  []Key
	news  chan struct{}

	// All below are guarded by board.mu.
	reports map[Key][]Report
	deaf    map[Key]bool // keys whose reports may be about another thing
	settled bool         // Await has said so
}

// add is called with board.mu held.
func (w *Wait) add(r Report) {
	stats := &w.board.stats
	for i := range w.reports[r.Key] {
		if r.again(&w.reports[r.Key][i]) {
			stats.Duplicates++
			return
		}
	}
	switch p := w.board.past[r.Key]; {
	case w.deaf[r.Key]:
		stats.Ambiguous++
		return
	case p != nil && p.invocations[r.Invocation]: // the thing that had the key before
		stats.Late++
		return
	}
	stats.Claimed++
	w.reports[r.Key] = append(w.reports[r.Key], r)
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Reports returns what was heard of k so far, in the order of its arrival.
func (w *Wait) Reports(k Key) []Report {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	if w.deaf[k] {
		return nil
	}
	return w.reports[k][:len(w.reports[k]):len(w.reports[k])]
}

// News is readable when something was heard since it was last read.
func (w *Wait) News() <-chan struct{} { return w.news }

// Await returns nil once settled says that enough was heard, and the cause of ctx's end before that. Settled is asked
// at once and after each report.
func (w *Wait) Await(ctx context.Context, settled func(*Wait) bool) error {
	for !settled(w) {
		select {
		case <-w.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	w.settled = true
	return nil
}

// Close ends the wait. What is reported of its keys from now on comes late.
func (w *Wait) Close() { w.close(true) }

// Withdraw ends the wait for things that were not sent after all, so that nothing will be reported of them.
func (w *Wait) Withdraw() { w.close(false) }

func (w *Wait) close(sent bool) {
	b := w.board
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &past{settled: w.settled || w.heardTheEnd(), invocations: make(map[string]bool)}
	for _, k := range w.keys {
		for _, r := range w.reports[k] {
			if r.Invocation != "" {
				p.invocations[r.Invocation] = true
			}
		}
	}
	for _, k := range w.keys {
		if b.waits[k] != w {
			continue
		}
		delete(b.waits, k)
		if sent {
			b.remember(k, p)
		}
	}
}

// heardTheEnd tells whether the reports, of whichever key, say what became of the thing.
func (w *Wait) heardTheEnd() bool {
	var all []Report
	for _, k := range w.keys {
		all = append(all, w.reports[k]...)
	}
	_, settled, err := Judge(all, 0)
	return settled && err == nil
}

func (b *Board) remember(k Key, p *past) {
	if b.past[k] == nil {
		if len(b.ended) == remembered {
			delete(b.past, b.ended[0])
			b.ended = b.ended[1:]
		}
		b.ended = append(b.ended, k)
	} else {
		maps.Copy(p.invocations, b.past[k].invocations)
	}
	b.past[k] = p
}
