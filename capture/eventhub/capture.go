package eventhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"golang.org/x/sync/errgroup"

	"tandem/capture"
)

// Capture reads a hub and writes the invocations that its events tell of to the sink, until ctx ends, which is no
// error, or the range does. A partition is begun at its checkpoint, and checkpoints are moved behind what is safe on
// disk, so that a capture that was stopped in whatever way goes on where it was; what comes again is not recorded
// again. Other processes with the same hub, consumer group and checkpoint store share the partitions with this one.
//
// The report is there with every error but those about options, and says what was done until then.
func Capture(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c, err := newCapturing(opts.withDefaults())
	if err != nil {
		return nil, err
	}
	props, err := c.opts.Client.GetEventHubProperties(ctx, nil)
	if err != nil {
		if ctx.Err() != nil {
			return c.report, nil
		}
		return c.report, fmt.Errorf("read event hub %s: %w", c.opts.Hub, Explain(err))
	}
	c.partitions = props.PartitionIDs
	processor, err := azeventhubs.NewProcessor(c.opts.Client, c.store, &azeventhubs.ProcessorOptions{
		LoadBalancingStrategy:       azeventhubs.ProcessorStrategyGreedy,
		UpdateInterval:              c.opts.Balance,
		PartitionExpirationDuration: c.opts.Expire,
		StartPositions:              azeventhubs.StartPositions{Default: c.opts.From.position()},
	})
	if err != nil {
		return c.report, err
	}
	return c.run(ctx, processor)
}

// A capturing is one capture under way. All but its receivers is the collector's.
type capturing struct {
	opts       Options
	store      *store
	reader     *reader
	joiner     *joiner
	report     *Report
	known      *known
	batches    chan batch
	partitions []string

	ledgers   map[string]*reading  // the partitions that are read, by ID
	absent    map[string]time.Time // since when those that this process has are not read
	lastEvent time.Time
	saved     time.Time
	unsaved   error // why the last checkpoint could not be moved
}

// A reading is a partition that is read.
type reading struct {
	*ledger
	client *azeventhubs.ProcessorPartitionClient
	next   int64 // the sequence number that comes next, -1 while that is not known
	seen   int64 // the last that was read, or that was there before what is wanted
	done   bool
}

func newCapturing(opts Options) (*capturing, error) {
	c := &capturing{
		opts: opts, store: newStore(opts.Checkpoints), report: newReport(opts.Hub), known: newKnown(opts.Known),
		batches: make(chan batch), ledgers: make(map[string]*reading), absent: make(map[string]time.Time),
		lastEvent: time.Now(), saved: time.Now(),
	}
	m, err := newMaker(&c.opts)
	if err != nil {
		return nil, err
	}
	c.reader = &reader{opts: &c.opts, make: m}
	c.joiner = newJoiner(&c.opts, m, c.known, c.report, c.record)
	if opts.Recorded != nil {
		for id, err := range opts.Recorded {
			if err != nil {
				return nil, fmt.Errorf("find out what is recorded: %w", err)
			}
			c.known.add(id)
		}
	}
	return c, nil
}

// run captures until ctx ends, the range does, or something fails.
func (c *capturing) run(ctx context.Context, processor *azeventhubs.Processor) (*Report, error) {
	// Partitions are given back only when the last checkpoints were saved.
	balancing, stopBalancing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBalancing()
	balanced := make(chan error, 1)
	go func() { balanced <- processor.Run(balancing) }()

	stopping, stop := context.WithCancel(ctx)
	defer stop()
	group, reading := errgroup.WithContext(stopping)
	ended := false
	group.Go(func() error {
		defer stop()
		var err error
		ended, err = c.collect(reading)
		return err
	})
	group.Go(func() error {
		for {
			client := processor.NextPartitionClient(reading)
			if client == nil {
				return nil
			}
			group.Go(func() error { return c.receive(reading, client) })
		}
	})
	group.Go(func() error {
		select {
		case err := <-balanced:
			balanced <- err
			if err != nil {
				err = fmt.Errorf("share out the partitions of %s: %w", c.opts.Hub, Explain(err))
			}
			return err
		case <-reading.Done():
			return nil
		}
	})
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	err = errors.Join(err, c.finish(ctx, ended))
	stopBalancing()
	<-balanced
	return c.report, err
}

// tick is how often the collector looks at the time.
const tick = 200 * time.Millisecond

// collect takes what the receivers read. It returns with ended set when the range has ended.
func (c *capturing) collect(ctx context.Context) (ended bool, err error) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case b := <-c.batches:
			err = c.take(ctx, b)
		case now := <-ticker.C:
			ended, err = c.look(ctx, now)
		}
		if ended || err != nil {
			return ended, err
		}
	}
}

// take takes one batch.
func (c *capturing) take(ctx context.Context, b batch) error {
	r := c.ledgers[b.ledger.partition]
	if b.begin != nil {
		c.begin(b)
		return nil
	}
	if r == nil || r.ledger != b.ledger {
		return nil
	}
	r.done = r.done || b.done
	if b.lost {
		c.joiner.drop(b.ledger)
		delete(c.ledgers, b.ledger.partition)
		return nil
	}
	for _, ev := range b.events {
		if err := c.event(ctx, r, ev); err != nil {
			return err
		}
	}
	return c.joiner.advance(time.Now())
}

// begin notes a partition that is read from now on.
func (c *capturing) begin(b batch) {
	id := b.ledger.partition
	if old := c.ledgers[id]; old != nil {
		c.joiner.drop(old.ledger)
	}
	r := &reading{ledger: b.ledger, client: b.client, next: -1, seen: c.before(b.ledger, b.begin)}
	c.ledgers[id] = r
	p := c.report.Partitions[id]
	if p == nil {
		p = &Partition{From: -1, To: -1, Checkpoint: b.ledger.saved}
		c.report.Partitions[id] = p
	}
	if b.ledger.saved < 0 {
		return
	}
	r.next = b.ledger.saved + 1
	first := b.begin.BeginningSequenceNumber
	if b.begin.IsEmpty {
		first = b.begin.LastEnqueuedSequenceNumber + 1
	}
	c.expire(r, first)
}

// expire notes that a partition goes on at a sequence number: what was to come before it is gone from the hub.
func (c *capturing) expire(r *reading, sequence int64) {
	if r.next >= 0 && sequence > r.next {
		c.report.Partitions[r.partition].Expired += sequence - r.next
		c.opts.Logf("partition %s: events %d to %d do not come: most likely their retention has ended", r.partition,
			r.next, sequence-1)
		r.next = sequence
	}
}

// event takes one event of a partition.
func (c *capturing) event(ctx context.Context, r *reading, ev *azeventhubs.ReceivedEventData) error {
	c.lastEvent = time.Now()
	c.expire(r, ev.SequenceNumber)
	if ev.SequenceNumber < r.next {
		return nil // it has come before
	}
	r.next, r.seen = ev.SequenceNumber+1, ev.SequenceNumber
	p := c.report.Partitions[r.partition]
	if p.From < 0 {
		p.From = ev.SequenceNumber
	}
	p.To = max(p.To, ev.SequenceNumber)
	p.Events++
	c.report.Events++
	e := newEvent(r.partition, ev)
	entry := r.add(ev.SequenceNumber, ev.Offset)
	for _, f := range c.reader.read(e) {
		if err := c.find(ctx, f, e, entry); err != nil {
			return fmt.Errorf("event %s: %w", e.place(), err) // it stays open, so that no checkpoint passes it
		}
	}
	entry.release()
	return nil
}

// newEvent takes what is of interest of an event. One whose body is not one piece of bytes has them put together.
func newEvent(partition string, ev *azeventhubs.ReceivedEventData) *event {
	e := &event{partition: partition, sequence: ev.SequenceNumber, body: ev.Body}
	if ev.EnqueuedTime != nil {
		e.at = ev.EnqueuedTime.UTC()
	}
	if ev.ContentType != nil {
		e.contentType = *ev.ContentType
	}
	for _, name := range []string{"MessageId", "message-id", "messageId"} {
		if id, ok := ev.Properties[name].(string); ok && e.messageID == "" {
			e.messageID = id
		}
	}
	if raw := ev.RawAMQPMessage; e.body == nil && raw != nil {
		for _, data := range raw.Body.Data {
			e.body = append(e.body, data...)
		}
		switch value := raw.Body.Value.(type) {
		case string:
			e.body = []byte(value)
		case []byte:
			e.body = value
		}
	}
	return e
}

// find takes what one document of an event says.
func (c *capturing) find(ctx context.Context, f finding, e *event, from *entry) error {
	if f.kind != "" {
		c.report.Documents[f.kind]++
	}
	var object *objectError
	switch {
	case errors.As(f.err, &object):
		return f.err
	case f.left != "":
		if c.report.leave(f, e) {
			c.opts.Logf("event %s: %s", e.place(), f.describe())
		}
		return nil
	case f.part != nil:
		return c.joiner.add(f.part, from, time.Now())
	case f.whole == nil:
		c.report.Other++
		return nil
	case c.known.has(f.whole.ID):
		c.report.Repeated++
		return nil
	}
	counts := c.report.function(f.whole.Function)
	if f.pin != nil {
		found, err := f.pin.fetch(ctx, &c.opts, f.whole)
		if err != nil {
			return err
		}
		count(&counts.Unpinned, !found)
	}
	if known, err := c.record(f.whole); known || err != nil {
		return err
	}
	counts.recorded(f.whole)
	return nil
}

// describe says why nothing is made of a document, without what is in it.
func (f *finding) describe() string {
	var h hint
	if errors.As(f.err, &h) {
		return fmt.Sprintf("%s: %s", f.left, h)
	}
	return string(f.left)
}

// record writes an invocation that is not in the recording yet.
func (c *capturing) record(inv *capture.Invocation) (known bool, err error) {
	if c.known.has(inv.ID) {
		c.report.Repeated++
		return true, nil
	}
	if err := c.opts.Sink.Write(inv); err != nil {
		return false, err
	}
	c.known.add(inv.ID)
	return false, nil
}

// finish records what is whole, or with all, everything, and moves the checkpoints a last time.
func (c *capturing) finish(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*closeWait)
	defer cancel()
	err := c.joiner.finish(all)
	if err == nil {
		err = errors.Join(c.save(ctx), c.unsaved)
	}
	open := make(map[string]int64)
	for _, a := range c.joiner.pending {
		open[c.opts.name(a.function)]++
	}
	c.report.close(open)
	c.opts.Sink.AddLost(c.report.Lost())
	return err
}
