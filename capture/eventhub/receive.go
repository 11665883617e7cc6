package eventhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// A batch is what a partition's receiver hands to the collector. The first of a partition has no events.
type batch struct {
	ledger *ledger
	client *azeventhubs.ProcessorPartitionClient
	events []*azeventhubs.ReceivedEventData

	begin *azeventhubs.PartitionProperties // of the first one
	done  bool                             // nothing of the range is left in the partition
	lost  bool                             // the partition is another process's now, or will be opened anew
}

const (
	batchEvents = 200
	batchWait   = 500 * time.Millisecond
	closeWait   = 10 * time.Second
)

// receive reads one partition until ctx ends or the partition is lost. It closes the client.
func (c *capturing) receive(ctx context.Context, client *azeventhubs.ProcessorPartitionClient) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
		defer cancel()
		client.Close(ctx) //nolint:errcheck // nothing more is read
	}()
	l := &ledger{partition: client.PartitionID(), saved: c.store.checkpoint(client.PartitionID())}
	props, err := c.opts.Client.GetPartitionProperties(ctx, l.partition, nil)
	if err != nil {
		return c.broken(ctx, l, err)
	}
	if err := checkPosition(l, &props); err != nil {
		return err
	}
	if !c.send(ctx, batch{ledger: l, client: client, begin: &props}) {
		return nil
	}
	end := ending{until: c.opts.Until, last: -2}
	seen := c.before(l, &props)
	for {
		events, err := receiveSome(ctx, client)
		if len(events) > 0 {
			seen = events[len(events)-1].SequenceNumber
		}
		kept, done := end.cut(events)
		if len(kept) > 0 && !c.send(ctx, batch{ledger: l, client: client, events: kept}) {
			return nil
		}
		if err != nil {
			return c.broken(ctx, l, err)
		}
		if !done {
			if done, err = end.reached(ctx, c.opts.Client, l.partition, seen); err != nil {
				return c.broken(ctx, l, err)
			}
		}
		if done {
			c.send(ctx, batch{ledger: l, client: client, done: true})
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// before returns the sequence number behind which a partition is begun, as far as it matters for its end.
func (c *capturing) before(l *ledger, props *azeventhubs.PartitionProperties) int64 {
	from := c.opts.From
	if l.saved < 0 && (from.Latest || props.LastEnqueuedOn.Before(from.Time)) {
		return props.LastEnqueuedSequenceNumber
	}
	return l.saved
}

// receiveSome waits a moment for events. No events, and no error, is what it returns when there are none.
func receiveSome(ctx context.Context, client *azeventhubs.ProcessorPartitionClient) (
	[]*azeventhubs.ReceivedEventData, error) {
	wait, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	events, err := client.ReceiveEvents(wait, batchEvents, nil)
	if wait.Err() != nil {
		return events, nil
	}
	return events, err
}

// broken tells the collector that a partition cannot be read any further for now. It returns the errors that end the
// capture.
func (c *capturing) broken(ctx context.Context, l *ledger, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	var known *azeventhubs.Error
	code := azeventhubs.ErrorCode("")
	if errors.As(err, &known) {
		code = known.Code
	}
	switch code {
	case azeventhubs.ErrorCodeUnauthorizedAccess:
		return fmt.Errorf("read partition %s of %s: %w", l.partition, c.opts.Hub, explain(err))
	case azeventhubs.ErrorCodeOwnershipLost:
		c.opts.Logf("partition %s is read by another process now", l.partition)
	default:
		c.opts.Logf("partition %s: %v; it is opened again", l.partition, err)
	}
	c.send(ctx, batch{ledger: l, lost: true})
	return nil
}

// send hands a batch to the collector. It is false when ctx ended.
func (c *capturing) send(ctx context.Context, b batch) bool {
	select {
	case c.batches <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// checkPosition finds a checkpoint that is not one of this hub: nothing would ever be read behind it.
func checkPosition(l *ledger, props *azeventhubs.PartitionProperties) error {
	if l.saved > max(props.LastEnqueuedSequenceNumber, props.BeginningSequenceNumber) {
		return fmt.Errorf("partition %s ends at %d, before its checkpoint at %d: the hub was made anew; "+
			"give another container for checkpoints", l.partition, props.LastEnqueuedSequenceNumber, l.saved)
	}
	return nil
}

// An ending finds out when a partition has nothing more from before a time. The zero time never comes.
type ending struct {
	until time.Time
	last  int64 // the last event that can be from before; -2 while that is not known
}

// cut leaves out the events from until on. Done is true when there were some.
func (e *ending) cut(events []*azeventhubs.ReceivedEventData) (kept []*azeventhubs.ReceivedEventData, done bool) {
	if e.until.IsZero() {
		return events, false
	}
	for i, ev := range events {
		if ev.EnqueuedTime != nil && !ev.EnqueuedTime.Before(e.until) {
			return events[:i], true
		}
	}
	return events, false
}

// clockSlack is how much later than here it may be at the service.
const clockSlack = 2 * time.Second

// reached reports whether the events up to seen are all that were enqueued before until.
func (e *ending) reached(ctx context.Context, client *azeventhubs.ConsumerClient, partition string, seen int64) (
	bool, error) {
	if e.until.IsZero() || time.Since(e.until) < clockSlack {
		return false, nil
	}
	if e.last == -2 {
		props, err := client.GetPartitionProperties(ctx, partition, nil)
		if err != nil {
			return false, err
		}
		e.last = props.LastEnqueuedSequenceNumber
		if props.IsEmpty {
			e.last = -1
		}
	}
	return seen >= e.last, nil
}
