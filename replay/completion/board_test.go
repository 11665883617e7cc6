package completion

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"tandem/capture"
)

func about(k Key, r Report) Report {
	r.Key = k
	return r
}

func TestAReportReachesWhoeverExpectsIt(t *testing.T) {
	for _, when := range []string{"before", "while", "after"} {
		b := NewBoard()
		if when == "before" {
			b.Report(about("k", ok("logs", 1, "a")))
		}
		w := b.Expect("k", "other")
		if when != "before" {
			b.Report(about("k", ok("logs", 1, "a")))
		}
		if when == "after" {
			w.Close()
			b.Report(about("k", ok("logs", 1, "b")))
		}
		if got := w.Reports("k"); len(got) != 1 || got[0].Invocation != "a" || len(w.Reports("other")) != 0 {
			t.Errorf("%s: %+v", when, got)
		}
		s := b.Stats()
		if late := when == "after"; s.Claimed != 1 || s.Unclaimed != 0 || (s.Late == 1) != late {
			t.Errorf("%s: %+v", when, s)
		}
	}
}

func TestWhatIsToldTwiceCountsOnce(t *testing.T) {
	b := NewBoard()
	w := b.Expect("k")
	defer w.Close()
	for range 3 {
		b.Report(about("k", ok("logs", 1, "a")))
		b.Report(about("k", ok("recorder", 1, "a")))
		b.Report(about("k", ok("logs", 2, "b")))
	}
	b.Report(about("k", failed("logs", 1, "a"))) // it contradicts what was said before, and is not the same
	if got := w.Reports("k"); len(got) != 4 {
		t.Errorf("%d reports: %+v", len(got), got)
	}
	if s := b.Stats(); s.Duplicates != 6 || s.Claimed != 4 || s.Reports != 10 || s.Sources["recorder"] != 3 {
		t.Errorf("%+v", s)
	}
}

func TestAWaitEndsWhenItsTimeIsOver(t *testing.T) {
	b := NewBoard()
	w := b.Expect("k")
	defer w.Close()
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		b.Report(about("k", failed("logs", 1, "a")))
		cancel(over)
	}()
	err := w.Await(ctx, func(w *Wait) bool { return len(w.Reports("k")) > 1 })
	if !errors.Is(err, over) {
		t.Errorf("%v", err)
	}
	b.Report(about("k", ok("logs", 2, "b")))
	if err := w.Await(t.Context(), func(w *Wait) bool { return len(w.Reports("k")) > 1 }); err != nil {
		t.Error(err)
	}
}

// Logs do not tell the ETag, so several uploads of one blob have one key there.
func TestWhatMayBeAboutAnotherUploadIsUsedForNone(t *testing.T) {
	any := Blob("c", "a.csv", "")
	settle := func(w *Wait, r Report) {
		w.board.Report(about(any, r))
		w.Close()
	}
	t.Run("an upload whose end was not heard came before", func(t *testing.T) {
		b := NewBoard()
		settle(b.Expect(Blob("c", "a.csv", "1"), any), failed("logs", 1, "a"))
		w := b.Expect(Blob("c", "a.csv", "2"), any)
		b.Report(about(any, ok("logs", 2, "b"))) // the second attempt of the first upload, perhaps
		b.Report(about(Blob("c", "a.csv", `"2"`), ok("recorder", 0, "c")))
		if got := w.Reports(any); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		if got := w.Reports(Blob("c", "a.csv", "2")); len(got) != 1 {
			t.Errorf("a report that has the ETag: %+v", got)
		}
		if s := b.Stats(); s.Ambiguous != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("the upload before has ended", func(t *testing.T) {
		b := NewBoard()
		settle(b.Expect(any), ok("logs", 1, "a"))
		w := b.Expect(any)
		b.Report(about(any, ok("logs", 1, "a"))) // once more
		b.Report(about(any, failed("logs", 1, "b")))
		if got := w.Reports(any); len(got) != 1 || got[0].Invocation != "b" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("another source has told of the invocation", func(t *testing.T) {
		b := NewBoard()
		w := b.Expect(Blob("c", "a.csv", "1"), any)
		b.Report(about(Blob("c", "a.csv", "1"), ok("recorder", 0, "a")))
		w.Close()
		w = b.Expect(Blob("c", "a.csv", "2"), any)
		b.Report(about(any, ok("logs", 1, "a")))
		if got := w.Reports(any); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("two at a time", func(t *testing.T) {
		b := NewBoard()
		one, two := b.Expect(any), b.Expect(any)
		b.Report(about(any, ok("logs", 1, "a")))
		if len(one.Reports(any)) != 0 || len(two.Reports(any)) != 0 {
			t.Error("a report is used that may be about either")
		}
	})
	t.Run("the upload before was not sent", func(t *testing.T) {
		b := NewBoard()
		b.Expect(any).Withdraw()
		w := b.Expect(any)
		b.Report(about(any, ok("logs", 1, "a")))
		if len(w.Reports(any)) != 1 {
			t.Error("not heard")
		}
	})
}

func TestABoardForgetsWhatNobodyWants(t *testing.T) {
	b := NewBoard()
	for i := range unclaimed + 100 {
		b.Report(about(Message(fmt.Sprint(i)), ok("logs", 1, "a")))
	}
	if s := b.Stats(); s.Unclaimed != unclaimed+100 || len(b.early) != unclaimed || len(b.arrivals) != unclaimed {
		t.Errorf("%+v, %d kept", s, len(b.early))
	}
	if w := b.Expect(Message("0")); len(w.Reports(Message("0"))) != 0 {
		t.Error("the oldest is still there")
	}
	if w := b.Expect(Message("100")); len(w.Reports(Message("100"))) != 1 {
		t.Error("the newest are gone")
	}
	for i := range remembered + 10 {
		b.Expect(Event(fmt.Sprint(i))).Close()
	}
	if len(b.past) != remembered || len(b.ended) != remembered {
		t.Errorf("%d keys are remembered", len(b.past))
	}
}

// Each of many things gets its own reports, whoever is first, and every report is counted once.
func TestReportsAreNeitherLostNorMixedUp(t *testing.T) {
	const things, sources = 300, 3
	b := NewBoard()
	var told []Report
	for i := range things {
		for s := range sources {
			r := ok(fmt.Sprint("s", s), 1, fmt.Sprint("i", i))
			if i%3 == 0 {
				r = failed(fmt.Sprint("s", s), 1, fmt.Sprint("i", i))
			}
			told = append(told, about(Message(fmt.Sprint(i)), r), about(Message(fmt.Sprint(i)), r),
				about(Event(fmt.Sprint("other", i)), r))
		}
	}
	rand.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
	var all sync.WaitGroup
	for n := range 3 {
		all.Go(func() {
			for i := n; i < len(told); i += 3 {
				b.Report(told[i])
			}
		})
	}
	for i := range things {
		all.Go(func() {
			k := Message(fmt.Sprint(i))
			w := b.Expect(k)
			defer w.Close()
			err := w.Await(t.Context(), func(w *Wait) bool { return len(w.Reports(k)) == sources })
			want := capture.Acked
			if i%3 == 0 {
				want = capture.DeadLettered
			}
			f, settled, jerr := Judge(w.Reports(k), 1)
			if err != nil || jerr != nil || !settled || f.Fate != want {
				t.Errorf("%d: %+v, %v, %v", i, f, err, jerr)
			}
		})
	}
	all.Wait()
	s := b.Stats()
	if s.Claimed != things*sources || s.Reports != int64(len(told)) ||
		s.Reports != s.Claimed+s.Duplicates+s.Unclaimed+s.Late+s.Ambiguous {
		t.Errorf("%+v does not add up", s)
	}
}
