package cloudwatch

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A reading is a window that is being read ahead of the joiner.
type reading struct {
	window
	pages chan []logEvent
	err   error // set before pages is closed
}

// pagesAhead is how many pages of each window may wait for the joiner.
const pagesAhead = 2 * windowPages

// read gives the joiner the log events of w, in order of time. It reads several windows at once, and calls done after
// each, with its end.
func (c *capturing) read(ctx context.Context, t *track, w window, done func(to int64) error) error {
	group, ctx := errgroup.WithContext(ctx)
	plan := newPlanner(w)
	queue := make(chan *reading, c.opts.Windows-1)
	group.Go(func() error {
		defer close(queue)
		var readers sync.WaitGroup
		defer readers.Wait()
		free := make(chan struct{}, c.opts.Windows)
		for {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			w, ok := plan.next()
			if !ok {
				return nil
			}
			r := &reading{window: w, pages: make(chan []logEvent, pagesAhead)}
			select {
			case queue <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
			readers.Go(func() {
				defer func() { <-free }()
				r.err = c.readWindow(ctx, t.function.Group, plan, r)
				close(r.pages)
			})
		}
	})
	group.Go(func() error {
		for r := range queue {
			if err := c.join(ctx, t, r); err != nil {
				return err
			}
			if err := done(r.to); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}

// readWindow sends the pages of a window.
func (c *capturing) readWindow(ctx context.Context, group string, plan *planner, r *reading) error {
	p := c.reader.newPager(group, r.window)
	for more := true; more; {
		var events []logEvent
		var err error
		if events, more, err = p.next(ctx); err != nil {
			return err
		}
		if len(events) == 0 {
			continue
		}
		select {
		case r.pages <- events:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	plan.learn(r.window, p.pages)
	return nil
}

// holdBack is how far log events may be out of order, in milliseconds, to be put in order for the joiner.
const holdBack = 2_000

// join gives the joiner the events of one window.
func (c *capturing) join(ctx context.Context, t *track, r *reading) error {
	var held []logEvent
	for events := range r.pages {
		held = append(held, events...)
		slices.SortStableFunc(held, func(a, b logEvent) int { return cmp.Compare(a.at, b.at) })
		limit := held[len(held)-1].at - holdBack
		n, _ := slices.BinarySearchFunc(held, limit, func(e logEvent, at int64) int { return cmp.Compare(e.at, at) })
		if err := t.addAll(held[:n]); err != nil {
			return err
		}
		held = slices.Delete(held, 0, n)
	}
	if r.err != nil {
		return r.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.addAll(held)
}

// addAll gives the joiner events that are in order and that it did not have.
func (t *track) addAll(events []logEvent) error {
	if len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if t.opts.Follow {
			if _, twice := t.tail[e.id]; twice && e.id != "" {
				continue
			}
			t.tail[e.id] = e.at
		}
		t.add(e)
	}
	last := events[len(events)-1].at
	if t.opts.Follow {
		for id, at := range t.tail {
			if at < last-2*ms(t.opts.Overlap) {
				delete(t.tail, id)
			}
		}
	}
	if err := t.advance(t.final(last)); err != nil {
		return err
	}
	if t.known > t.forgetAt {
		t.forget(t.oldest(t.final(last)) - ms(t.opts.Settle))
		t.forgetAt = 2*t.known + 1000
	}
	return nil
}
