package eventhub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"golang.org/x/sync/errgroup"
)

// look does what is to be done from time to time. It returns with ended set when the range has ended.
func (c *capturing) look(ctx context.Context, now time.Time) (ended bool, err error) {
	if err := c.joiner.advance(now); err != nil {
		return false, err
	}
	if now.Sub(c.saved) >= c.opts.Checkpoint {
		c.saved = now
		if err := c.save(ctx); err != nil {
			return false, err
		}
	}
	if err := c.stuck(ctx, now); err != nil {
		return false, err
	}
	return c.ended(ctx, now)
}

// save moves the checkpoints behind what is safe on disk. The error is the sink's; a checkpoint that cannot be moved
// only means that more comes again.
func (c *capturing) save(ctx context.Context) error {
	type move struct {
		*reading
		to *entry
	}
	var moves []move
	for _, id := range slices.Sorted(maps.Keys(c.ledgers)) {
		r := c.ledgers[id]
		if to := r.covered(); to != nil && to.sequence > r.saved {
			moves = append(moves, move{r, to})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	if err := c.opts.Sink.Sync(); err != nil {
		return err
	}
	before := c.unsaved
	errs := make([]error, len(moves))
	var group errgroup.Group
	group.SetLimit(8)
	for i, m := range moves {
		group.Go(func() error {
			at := &azeventhubs.ReceivedEventData{SequenceNumber: m.to.sequence, Offset: m.to.offset}
			errs[i] = m.client.UpdateCheckpoint(ctx, at, nil)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // they are in errs
	c.unsaved = nil
	for i, m := range moves {
		if errs[i] != nil {
			c.unsaved = fmt.Errorf("move the checkpoint of partition %s: %w", m.partition, Explain(errs[i]))
			continue
		}
		m.saved = m.to.sequence
		c.report.Partitions[m.partition].Checkpoint = m.saved
	}
	if c.unsaved != nil && before == nil && ctx.Err() == nil {
		c.opts.Logf("%v; it is tried again", c.unsaved)
	}
	return nil
}

// ended reports whether the range has ended: every partition is read to its end, here or by another process that is
// alive.
func (c *capturing) ended(ctx context.Context, now time.Time) (bool, error) {
	if c.opts.Until.IsZero() && c.opts.Idle == 0 || !c.shared(now) {
		return false, nil
	}
	done := !c.opts.Until.IsZero()
	for _, r := range c.ledgers {
		done = done && r.done
	}
	if done {
		return true, nil
	}
	if c.opts.Idle == 0 || now.Sub(c.lastEvent) < c.opts.Idle {
		return false, nil
	}
	c.lastEvent = now // to be idle again, unless it is at its end
	return c.atEnd(ctx)
}

// atEnd reports whether there is nothing in the hub that was not read. That nothing comes may also mean that the
// service cannot be reached for now.
func (c *capturing) atEnd(ctx context.Context) (bool, error) {
	for id, r := range c.ledgers {
		props, err := c.opts.Client.GetPartitionProperties(ctx, id, nil)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read event hub %s: %w", c.opts.Hub, Explain(err))
		}
		if !r.done && !props.IsEmpty && props.LastEnqueuedSequenceNumber > r.seen {
			return false, nil
		}
	}
	return true, nil
}

// shared reports whether every partition is read, here or elsewhere. A claim that is not renewed may be one of a
// process that is gone, whose partitions are this one's before long. Until all are read, nobody is idle.
func (c *capturing) shared(now time.Time) bool {
	for _, id := range c.partitions {
		if c.ledgers[id] == nil && !c.store.elsewhere(id, now.Add(-c.opts.Expire)) {
			c.lastEvent = now
			return false
		}
	}
	return true
}

// stuck finds the partitions that this process has and cannot read: the processor tells nobody.
func (c *capturing) stuck(ctx context.Context, now time.Time) error {
	if err := c.store.err(); err != nil {
		return fmt.Errorf("read checkpoints: %w", Explain(err))
	}
	for id := range c.store.claims() {
		if c.ledgers[id] != nil {
			delete(c.absent, id)
			continue
		}
		since, ok := c.absent[id]
		if !ok {
			c.absent[id] = now
			continue
		}
		if now.Sub(since) > 3*c.opts.Balance {
			return fmt.Errorf("partition %s of %s cannot be read: %w", id, c.opts.Hub, Explain(c.probe(ctx, id)))
		}
	}
	return nil
}

// probe finds out why a partition cannot be read.
func (c *capturing) probe(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	client, err := c.opts.Client.NewPartitionClient(id, nil)
	if err != nil {
		return err
	}
	defer client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is read
	if _, err = client.ReceiveEvents(ctx, 1, nil); err == nil || errors.Is(err, ctx.Err()) {
		err = errors.New("the processor does not open it")
	}
	return err
}
