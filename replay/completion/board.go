package completion

import (
	"context"
	"sync"
)

// unclaimed bounds the reports that are kept for things that nobody expects yet: the report of a message may overtake
// the answer to the request that sent it.
const unclaimed = 10_000

// A Board brings reports to those who wait for them. It is safe for concurrent use.
type Board struct {
	mu       sync.Mutex
	waits    map[Key]*Wait
	early    map[Key][]Report
	arrivals []Key // of early, the oldest first
	stats    Stats
}

// Stats count what a board was told.
type Stats struct {
	Reports    int64 // in all
	Duplicates int64 // told again by the same source
	Unclaimed  int64 // about things that nobody waited for: those of others, and those that came too late
}

// NewBoard returns a board on which nothing is expected.
func NewBoard() *Board {
	return &Board{waits: make(map[Key]*Wait), early: make(map[Key][]Report)}
}

// Stats returns what the board was told so far.
func (b *Board) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Report hands r to who expects it.
func (b *Board) Report(r Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Reports++
	if w := b.waits[r.Key]; w != nil {
		w.add(r, &b.stats)
		return
	}
	if len(b.arrivals) == unclaimed {
		oldest := b.arrivals[0]
		b.arrivals = b.arrivals[1:]
		b.stats.Unclaimed++
		if rest := b.early[oldest][1:]; len(rest) > 0 {
			b.early[oldest] = rest
		} else {
			delete(b.early, oldest)
		}
	}
	b.early[r.Key] = append(b.early[r.Key], r)
	b.arrivals = append(b.arrivals, r.Key)
}

// Expect waits for reports on keys, and has those that came already. Two waits cannot be for one key at a time: the
// later gets the reports. Close ends it.
func (b *Board) Expect(keys ...Key) *Wait {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &Wait{board: b, keys: keys, reports: make(map[Key][]Report), news: make(chan struct{}, 1)}
	for _, k := range keys {
		b.waits[k] = w
		for _, r := range b.early[k] {
			w.add(r, &b.stats)
		}
		delete(b.early, k)
	}
	b.arrivals = trim(b.arrivals, b.early)
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
	board   *Board
	keys    []Key
	news    chan struct{}
	reports map[Key][]Report // guarded by board.mu
}

func (w *Wait) add(r Report, stats *Stats) {
	for _, known := range w.reports[r.Key] {
		if known.Source == r.Source && known.Invocation == r.Invocation && known.Attempt == r.Attempt &&
			known.Settled == r.Settled && (known.Outcome == nil) == (r.Outcome == nil) {
			stats.Duplicates++
			return
		}
	}
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
	return nil
}

// Close ends the wait. What is reported of its keys from now on is unclaimed.
func (w *Wait) Close() {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	for _, k := range w.keys {
		if w.board.waits[k] == w {
			delete(w.board.waits, k)
		}
	}
}
