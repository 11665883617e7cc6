package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tandem/capture"
	"tandem/replay"
)

// How often progress is shown, on a terminal and as lines elsewhere.
const (
	lookEvery = 150 * time.Millisecond
	lineEvery = 10 * time.Second
)

// shownProgress shows a replay's progress until it is stopped.
type shownProgress struct {
	to   io.Writer // takes whole lines, also between bars
	lead string    // goes before a line
	quit chan struct{}
	done sync.WaitGroup
}

// startProgress shows p on w, as --progress says how; auto is bars on a terminal, else a line now and then.
func startProgress(w io.Writer, how string, p *replay.Progress) *shownProgress {
	s := &shownProgress{to: w, quit: make(chan struct{})}
	if how == "none" {
		return s
	}
	if how == "json" {
		s.done.Go(func() { showJSON(w, p, s.quit) })
		return s
	}
	if takesControls(w) {
		bars := newTargetBars(w, p)
		s.to, s.lead = bars.pool, "\r" // the cursor is behind the ^C that a terminal shows
		s.done.Go(func() { bars.show(s.quit) })
	} else {
		s.done.Go(func() { showLines(w, p, s.quit) })
	}
	return s
}

// say writes a line while progress is shown.
func (s *shownProgress) say(line string) {
	// Like all that is said on stderr, it is lost when nobody listens.
	_, _ = io.WriteString(s.to, s.lead+line+"\n")
}

func (s *shownProgress) stop() {
	close(s.quit)
	s.done.Wait()
}

// showLines writes a line every lineEvery, and the last one at the end.
func showLines(w io.Writer, p *replay.Progress, quit <-chan struct{}) {
	firing := stopwatch{time.Now()}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	lines := time.NewTicker(lineEvery)
	defer lines.Stop()
	for {
		select {
		case <-tick.C:
			firing.elapsed(p.Snapshot())
		case <-lines.C:
			if s := p.Snapshot(); s.Total > 0 {
				fmt.Fprintln(w, progressLine(s, firing.elapsed(s)))
			} else {
				fmt.Fprintln(w, reading)
			}
		case <-quit:
			if s := p.Snapshot(); s.Total > 0 {
				fmt.Fprintln(w, progressLine(s, firing.elapsed(s)))
			}
			return
		}
	}
}

const reading = "reading the recording, to see that it is sound"

// A stopwatch measures how long a replay has fired, which it does once it has read the whole recording and knows the
// total. It has to be looked at now and then, and begins with when the replay did.
type stopwatch struct{ start time.Time }

func (w *stopwatch) elapsed(s replay.Snapshot) time.Duration {
	if s.Total == 0 {
		w.start = time.Now()
	}
	return time.Since(w.start)
}

func progressLine(s replay.Snapshot, elapsed time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d invocations, %s, %s left", s.Done, s.Total, rateOf(s, elapsed), timeLeft(s, elapsed))
	if s.Blocked > 0 {
		fmt.Fprintf(&b, ", %d wait in lanes", s.Blocked)
	}
	for _, t := range s.Targets {
		fmt.Fprintf(&b, "; %s p50 %s p99 %s%s", t.Name, round(t.P50), round(t.P99), failures(t))
	}
	return b.String()
}

func rateOf(s replay.Snapshot, elapsed time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(s.Done-s.Resumed)/max(elapsed.Seconds(), 1e-3))
}

func timeLeft(s replay.Snapshot, elapsed time.Duration) string {
	fired := s.Done - s.Resumed
	if fired <= 0 {
		return "?"
	}
	left := time.Duration(float64(elapsed) / float64(fired) * float64(s.Total-s.Done))
	return left.Round(time.Second).String()
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// failures counts what is not an answer, by status.
func failures(t replay.TargetSnapshot) string {
	var b strings.Builder
	for _, status := range []capture.Status{
		capture.StatusFunctionError, capture.StatusTimeout, capture.StatusThrottled, capture.StatusTransport,
		capture.StatusUnreplayable, capture.StatusUnknown,
	} {
		if n := t.Statuses[status]; n > 0 {
			fmt.Fprintf(&b, " %d %s", n, status)
		}
	}
	return b.String()
}

// targetBars are a bar for each target. They appear once the recording has been counted.
type targetBars struct {
	progress *replay.Progress
	pool     *mpb.Progress
	firing   time.Time // when it began; not changed once there are bars
	bars     []*mpb.Bar
}

func newTargetBars(w io.Writer, p *replay.Progress) *targetBars {
	pool := mpb.New(mpb.WithOutput(w), mpb.WithWidth(barWidth), mpb.WithRefreshRate(lookEvery))
	return &targetBars{progress: p, pool: pool, firing: time.Now()}
}

func (b *targetBars) show(quit <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	slow := time.After(time.Second)
	for {
		select {
		case <-tick.C:
			b.update()
		case <-slow:
			if len(b.bars) == 0 {
				_, _ = io.WriteString(b.pool, reading+"\n")
			}
		case <-quit:
			b.update()
			b.finish()
			return
		}
	}
}

func (b *targetBars) update() {
	s := b.progress.Snapshot()
	if s.Total == 0 {
		b.firing = time.Now()
		return
	}
	for i, t := range s.Targets {
		if i == len(b.bars) {
			b.bars = append(b.bars, b.add(i, t.Name, s))
		}
		b.bars[i].SetCurrent(s.Resumed + t.Done)
	}
}

// barWidth leaves room in 80 columns for what stands beside a bar, up to a million invocations.
const barWidth = 14

func (b *targetBars) add(i int, name string, s replay.Snapshot) *mpb.Bar {
	return b.pool.AddBar(s.Total,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-9s", name)), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			return besideBar(b.progress.Snapshot(), i, time.Since(b.firing))
		})),
		mpb.BarExtender(mpb.BarFillerFunc(func(w io.Writer, _ decor.Statistics) error {
			_, err := fmt.Fprintln(w, belowBar(b.progress.Snapshot(), i))
			return err
		}), false),
	)
}

// belowBar is the line under a target's bar: latencies, what waits, and what is not an answer.
func belowBar(s replay.Snapshot, target int) string {
	t := s.Targets[target]
	line := fmt.Sprintf("          p50 %v, p99 %v", round(t.P50), round(t.P99))
	if target == 0 && s.Blocked > 0 {
		line += fmt.Sprintf(", %d wait in lanes", s.Blocked)
	}
	if t.Throttled > 0 {
		line += fmt.Sprintf(", refused %d times", t.Throttled)
	}
	if failed := failures(t); failed != "" {
		line += ";" + failed
	}
	return fit(line, 79)
}

// besideBar is what stands to the right of a target's bar: rate, errors and time left.
func besideBar(s replay.Snapshot, target int, elapsed time.Duration) string {
	t := s.Targets[target]
	errors := t.Done - t.Statuses[capture.StatusOK]
	return fmt.Sprintf(" %6s, %d errors, %s left", rateOf(s, elapsed), errors, timeLeft(s, elapsed))
}

// finish leaves the bars as they are: a run that was interrupted keeps the counts that it got to.
func (b *targetBars) finish() {
	for _, bar := range b.bars {
		bar.Abort(false)
	}
	b.pool.Wait()
}
