package compare

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"tandem/capture"
	"tandem/replay"
)

// batchSize is how many trials, and batchBytes how many bytes of them, workers are given at a time.
const (
	batchSize  = 256
	batchBytes = 1 << 20
)

// parsed is what a worker made of one line.
type parsed struct {
	noted
	firing
	skipped bool // it is not a trial
}

// batch is some lines of a run on their way through the workers.
type batch struct {
	text   []byte
	ends   []int // where each line ends in text
	places []capture.Place
	result []parsed
	pairs  []pairKeys // of the aliases in result
	err    error
	done   chan struct{}
}

// A worker is what one goroutine that compares has to itself.
type worker struct {
	*summary
	text *replay.TrialText
	way  shortcut
}

// each reads the run, lets workers compare its trials, each with a summary of its own, and hands what they made to
// collect, in the order of the run. It returns the workers' summaries.
func (c *comparison) each(ctx context.Context, collect func(parsed) error) ([]*summary, error) {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *batch, c.opts.Workers)
	inOrder := make(chan *batch, 2*c.opts.Workers)
	g.Go(func() error {
		defer close(todo)
		defer close(inOrder)
		return c.read(ctx, todo, inOrder)
	})
	sums := make([]*summary, c.opts.Workers)
	for i := range sums {
		sums[i] = newSummary(len(c.judge.rules.rules))
		w := &worker{summary: sums[i], text: replay.NewTrialText()}
		g.Go(func() error {
			for b := range todo {
				c.work(b, w)
			}
			return nil
		})
	}
	g.Go(func() error {
		for b := range inOrder {
			select {
			case <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if b.err != nil {
				return b.err
			}
			for _, r := range b.result {
				if err := collect(r); err != nil {
					return err
				}
			}
			c.letGo(b)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return sums, nil
}

func (c *comparison) read(ctx context.Context, todo, inOrder chan<- *batch) error {
	b := c.newBatch()
	send := func() error {
		if len(b.ends) == 0 {
			return nil
		}
		for _, to := range []chan<- *batch{todo, inOrder} {
			select {
			case to <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		b = c.newBatch()
		return nil
	}
	for line, err := range c.run.Lines() {
		if err != nil {
			return err
		}
		b.text = append(b.text, line.Data...)
		b.ends = append(b.ends, len(b.text))
		b.places = append(b.places, capture.Place{File: line.File, Line: line.Number})
		if len(b.ends) >= batchSize || len(b.text) >= batchBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// newBatch returns an empty batch, with the memory of one before where that is free again.
func (c *comparison) newBatch() *batch {
	b := new(batch)
	select {
	case b = <-c.free:
	default:
		b.text = make([]byte, 0, batchBytes+batchBytes/4)
	}
	b.done = make(chan struct{})
	return b
}

// letGo frees a batch, of which nothing is needed any more.
func (c *comparison) letGo(b *batch) {
	if cap(b.text) > 2*batchBytes { // grown for a long line
		return
	}
	*b = batch{text: b.text[:0], ends: b.ends[:0], places: b.places[:0], result: b.result[:0], pairs: b.pairs[:0]}
	select {
	case c.free <- b:
	default:
	}
}

func (c *comparison) work(b *batch, w *worker) {
	defer close(b.done)
	start := 0
	for i, end := range b.ends {
		var r parsed
		trial, found, err := c.readLine(b.text[start:end], w)
		start = end
		switch {
		case err == nil:
			r.noted, b.pairs = c.notes.keysOf(trial, found.aliases, b.pairs)
			if c.countFirings {
				r.firing = firingOf(c.hasher, trial, found.class)
			}
		case c.opts.Salvage:
			r.skipped = true
		default:
			b.err = notATrial(b.places[i], err)
			return
		}
		b.result = append(b.result, r)
	}
}

func notATrial(at capture.Place, err error) error {
	return fmt.Errorf("%s: not a trial: %w; fix or delete the line, or --salvage to skip it", at, err)
}

// trialID tells a trial from all others of its run. It is written as in marks; no ID has white space in it.
func trialID(t *replay.Trial) string {
	if t.Repeat > 0 {
		return fmt.Sprintf("%s %d", t.Invocation, t.Repeat)
	}
	return t.Invocation
}
