package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"tandem/capture"
)

// Capture reads the logs of functions and writes their invocations to the sink, one function after the other, and
// then, with Follow, goes on with what comes. Where the recording in Dir has a part already, it begins behind that,
// and records nothing twice, however the capture before it was stopped.
//
// The report is there with every error but those about options, and says what was done until then. When ctx ends,
// what is known is recorded and the error is ctx's, except with Follow, which is meant to be ended so.
func Capture(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &capturing{opts: opts.withDefaults(time.Now())}
	c.reader = &reader{client: c.opts.Client, quota: newQuota(c.opts.Rate), delay: c.opts.RetryDelay, logf: c.opts.Logf}
	if err := c.begin(); err != nil {
		return nil, err
	}
	err := c.history(ctx)
	if err == nil && c.opts.Follow {
		err = c.follow(ctx)
	}
	if err == nil {
		err = c.tails(ctx)
	}
	interrupted := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if ferr := c.finish(err == nil || c.opts.Dir == ""); ferr != nil && (err == nil || interrupted) {
		return c.report(), ferr
	}
	if interrupted && c.opts.Follow {
		err = nil
	}
	return c.report(), err
}

// A capturing is one capture under way.
type capturing struct {
	opts    Options
	reader  *reader
	tracks  []*track
	cursors *cursorFile
	known   int64           // the first so many invocations in the recording were there when the cursor was saved
	skip    map[string]bool // those behind them that did not come again yet
	written int64           // invocations in the recording
	saved   time.Time
}

// A track is the capture of one function.
type track struct {
	*joiner
	position int64            // everything before it was read, by this run or the one that it goes on from
	read     int64            // where this run has got to, earlier while it reads again what is not recorded yet
	lost     int64            // so many of the missing were counted in the manifest
	forgetAt int              // how many attempts are known when it is time to forget some
	tail     map[string]int64 // when the log events at the end of what was read were, by ID, for Follow
}

// begin makes the tracks, from the cursor where there is one.
func (c *capturing) begin() error {
	from, until := c.opts.From.UnixMilli(), int64(math.MaxInt64)
	if !c.opts.To.IsZero() {
		until = c.opts.To.UnixMilli()
	}
	if err := c.load(); err != nil {
		return err
	}
	p := newPattern(c.opts.Pattern)
	for _, f := range c.opts.Functions {
		t := &track{position: from, read: from, tail: make(map[string]int64)}
		t.joiner = newJoiner(f, &c.opts, p, window{from, until}, c.write)
		c.tracks = append(c.tracks, t)
		cur := c.cursors.Functions[f.Name]
		if cur == nil {
			continue
		}
		if err := cur.check(f, from); err != nil {
			return err
		}
		t.restore(cur)
		t.position, t.read, t.lost = cur.Position, cur.Reread, cur.Lost
		c.opts.Logf("%s: going on at %s", f.Name, clock(t.position))
	}
	return c.save(true) // so that what is recorded from now on is known to be
}

// load reads the cursors, and what was recorded after they were saved.
func (c *capturing) load() error {
	c.cursors = &cursorFile{}
	if c.opts.Dir == "" {
		return nil
	}
	var err error
	if c.cursors, err = loadCursors(c.opts.Dir); err != nil {
		return err
	}
	c.known = math.MaxInt64
	for _, f := range c.opts.Functions {
		if cur := c.cursors.Functions[f.Name]; cur != nil {
			c.known = min(c.known, cur.Recorded)
		}
	}
	if c.skip, c.written, err = recordedAfter(c.opts.Dir, c.known, c.opts.Identities); err != nil {
		return fmt.Errorf("go on with %s: %w", c.opts.Dir, err)
	}
	return nil
}

// write records an invocation that is not in the recording yet.
func (c *capturing) write(inv *capture.Invocation) error {
	if c.skip[inv.ID] {
		delete(c.skip, inv.ID)
		return nil
	}
	if err := c.opts.Sink.Write(inv); err != nil {
		return err
	}
	c.written++
	return nil
}

// history reads what was logged until now.
func (c *capturing) history(ctx context.Context) error {
	for _, t := range c.tracks {
		end := min(time.Now().UnixMilli(), t.until)
		if t.read >= end {
			continue
		}
		err := c.read(ctx, t, window{t.read, end}, func(to int64) error {
			t.reached(to)
			if err := t.advance(t.final(to)); err != nil {
				return err
			}
			return c.save(false)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reached notes that everything before to was read.
func (t *track) reached(to int64) {
	t.read = to
	t.position = max(t.position, to)
}

// final returns the log time before which nothing can appear any more, when everything before to was read.
func (t *track) final(to int64) int64 {
	if t.opts.Follow {
		return to - ms(t.opts.Overlap)
	}
	return to
}

// follow reads what is logged from now on, until the range ends or ctx does.
func (c *capturing) follow(ctx context.Context) error {
	for {
		more := false
		now := time.Now().UnixMilli()
		for _, t := range c.tracks {
			from := max(t.read-ms(c.opts.Overlap), t.from)
			end := min(now, t.until)
			if end > from {
				if err := c.poll(ctx, t, window{from, end}); err != nil {
					return err
				}
			}
			more = more || now < t.until || now-t.until < ms(c.opts.Overlap)
		}
		if !more {
			return nil
		}
		if err := c.save(false); err != nil {
			return err
		}
		if err := sleep(ctx, c.opts.Poll); err != nil {
			return err
		}
	}
}

// poll reads a window of which the beginning was read before.
func (c *capturing) poll(ctx context.Context, t *track, w window) error {
	if err := c.read(ctx, t, w, func(int64) error { return nil }); err != nil {
		return err
	}
	t.reached(w.to)
	for id, at := range t.tail {
		if at < t.read-2*ms(c.opts.Overlap) {
			delete(t.tail, id)
		}
	}
	return t.advance(t.final(t.read))
}

// tails reads on behind the range for as long as invocations of the range are running.
func (c *capturing) tails(ctx context.Context) error {
	for _, t := range c.tracks {
		last := min(t.until+ms(c.opts.Grace), time.Now().UnixMilli())
		for at, step := t.until, firstWindow; at < last && t.running(); step *= 2 {
			to := min(at+step, last)
			if err := c.read(ctx, t, window{at, to}, func(int64) error { return nil }); err != nil {
				return err
			}
			if err := t.advance(to); err != nil {
				return err
			}
			at = to
		}
	}
	return nil
}

// finish ends the recording as far as it got: with all of what is pending if nothing more will be read.
func (c *capturing) finish(all bool) error {
	for _, t := range c.tracks {
		if err := t.finish(all); err != nil {
			return err
		}
		c.opts.Sink.AddLost(t.counts.Missing - t.lost)
		t.lost = t.counts.Missing
	}
	return c.save(true)
}

// save saves the cursors, when there is somewhere to save them and it is time.
func (c *capturing) save(now bool) error {
	if c.opts.Dir == "" || !now && time.Since(c.saved) < c.opts.saveEvery {
		return nil
	}
	if err := c.opts.Sink.Flush(); err != nil {
		return err
	}
	if len(c.skip) == 0 {
		c.known = c.written
	}
	for _, t := range c.tracks {
		cur := t.cursor(t.position, t.rereadFrom())
		cur.Recorded, cur.Lost = c.known, t.lost
		c.cursors.Functions[t.function.Name] = cur
	}
	c.saved = time.Now()
	return c.cursors.save(c.opts.Dir)
}

// rereadFrom is where a capture that is resumed has to begin even if nothing is pending.
func (t *track) rereadFrom() int64 {
	if t.opts.Follow {
		return max(t.read-ms(t.opts.Overlap), t.from)
	}
	return t.read
}

// report says how complete the capture is.
func (c *capturing) report() *Report {
	r := &Report{Functions: make(map[string]*Completeness), Complete: true}
	r.Requests, r.Throttled = c.reader.quota.counts()
	for _, t := range c.tracks {
		counts := t.counts
		counts.From, counts.To = time.UnixMilli(t.from).UTC(), time.UnixMilli(t.position).UTC()
		for _, a := range t.pending {
			if !a.done && a.started {
				counts.Invocations++
				counts.Open++
			}
		}
		r.Complete = r.Complete && counts.Missing+counts.Open+counts.Unjoined == 0 &&
			(t.position >= t.until || c.opts.Follow)
		r.Functions[t.function.Name] = &counts
	}
	return r
}
