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
	batchWait   = 20 * time.Millisecond // for more, once there is one
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
	return c.read(ctx, l, client, c.before(l, &props))
}

// read hands on the events of a partition. Seen is the sequence number behind which it begins.
func (c *capturing) read(ctx context.Context, l *ledger, client *azeventhubs.ProcessorPartitionClient,
	seen int64) error {
	end := ending{until: c.opts.Until, last: -2}
	for ctx.Err() == nil {
		done, err := end.reached(ctx, c.opts.Client, l.partition, seen)
		var events []*azeventhubs.ReceivedEventData
		if !done && err == nil {
			events, err = receiveSome(ctx, client, end.when())
		}
		if len(events) > 0 {
			seen = events[len(events)-1].SequenceNumber
			if events, done = end.cut(events); len(events) > 0 {
				c.send(ctx, batch{ledger: l, client: client, events: events})
			}
		}
		if err != nil {
			return c.broken(ctx, l, err)
		}
		if done {
			c.send(ctx, batch{ledger: l, client: client, done: true})
			<-ctx.Done()
		}
	}
	return nil
}

// before returns the sequence number behind which a partition is begun, as far as it matters for its end.
func (c *capturing) before(l *ledger, props *azeventhubs.PartitionProperties) int64 {
	from := c.opts.From
	if l.saved < 0 && (from.Latest || props.LastEnqueuedOn.Before(from.Time)) {
		return props.LastEnqueuedSequenceNumber
	}
	return l.saved
}

// receiveSome waits until there are events, or until it is time to see whether there will be any, and then returns
// without an error. What the client tries again meanwhile is not seen.
func receiveSome(ctx context.Context, client *azeventhubs.ProcessorPartitionClient, until time.Time) (
	[]*azeventhubs.ReceivedEventData, error) {
	wait, cancel := ctx, func() {}
	if time.Now().Before(until) {
		wait, cancel = context.WithDeadline(ctx, until)
	}
	defer cancel()
	first, err := client.ReceiveEvents(wait, 1, nil)
	if len(first) == 0 {
		if wait.Err() != nil {
			err = nil
		}
		return nil, err
	}
	short, cancelShort := context.WithTimeout(ctx, batchWait)
	defer cancelShort()
	more, _ := client.ReceiveEvents(short, batchEvents-1, nil) // an error would come again
	return append(first, more...), nil
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
	switch {
	case code == azeventhubs.ErrorCodeUnauthorizedAccess || isMissing(err):
		return fmt.Errorf("read partition %s of %s: %w", l.partition, c.opts.Hub, Explain(err))
	case code == azeventhubs.ErrorCodeOwnershipLost:
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

// when is the time to ask [ending.reached], the zero time for that it is never too late.
func (e *ending) when() time.Time {
	if e.until.IsZero() {
		return time.Time{}
	}
	return e.until.Add(clockSlack)
}

// clockSlack is how much later than here it may be at the service.
const clockSlack = 2 * time.Second

// reached reports whether the events up to seen are all that were enqueued before until.
func (e *ending) reached(ctx context.Context, client *azeventhubs.ConsumerClient, partition string, seen int64) (
	bool, error) {
	if e.until.IsZero() || time.Now().Before(e.when()) {
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
