package completion

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"golang.org/x/sync/errgroup"

	"tandem/capture/eventhub"
)

// logsName is what the reports of [Logs] call their source.
const logsName = "logs"

const (
	// openPatience bounds how long it takes until each partition is being read.
	openPatience = time.Minute
	logsBatch    = 200
	logsWait     = 20 * time.Millisecond // for more events, once there is one
	closeWait    = 10 * time.Second
)

// Logs is the source that reads FunctionAppLogs from an event hub, where a diagnostic setting of the app sends them. It
// sees what the host made of each invocation, minutes later, and not of all: their delivery is not lossless. The log
// names messages and blobs, the latter without ETags, and neither events of Event Grid nor of Event Hubs.
//
// Partitions are read from where they end when it is opened, by sequence number, so nothing is missed whenever the
// receivers come to be there. It keeps no checkpoints and takes no partition from others; a consumer group of its own
// keeps it below the five readers that a group may have.
type Logs struct {
	access eventhub.Access
	client *azeventhubs.ConsumerClient
	parts  []logPartition

	mu    sync.Mutex
	join  *joiner
	stats LogStats
}

// A logPartition is one that is being read.
type logPartition struct {
	id     string
	client *azeventhubs.PartitionClient
	first  []*azeventhubs.ReceivedEventData // that were received when it was opened
}

// LogStats count what was read.
type LogStats struct {
	Events int64 // of the hub
	Lines  int64 // of the host, about invocations
	Unread int64 // events that are not, or not wholly, logs in a form that is known
}

// NewLogs returns a source that reads the hub of access once it is opened. The container for checkpoints is not used.
func NewLogs(access eventhub.Access) *Logs { return &Logs{access: access, join: newJoiner()} }

// Name says which hub it reads.
func (l *Logs) Name() string { return logsName + " in event hub " + l.access.Hub }

// Stats returns what was read so far.
func (l *Logs) Stats() LogStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Open finds where each partition ends. The last event of each is received, which proves that it can be read; of one
// that is empty there is no proof but that the hub answers.
func (l *Logs) Open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience, fmt.Errorf("nothing was received in %v", openPatience))
	defer cancel()
	if l.client, err = eventhub.NewConsumer(l.access); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.close(ctx)
		}
	}()
	hub, err := l.client.GetEventHubProperties(ctx, nil)
	if err != nil {
		return l.failure(ctx, "", err)
	}
	l.parts = make([]logPartition, len(hub.PartitionIDs))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range hub.PartitionIDs {
		group.Go(func() error {
			var err error
			l.parts[i], err = l.openPartition(ctx, id)
			return err
		})
	}
	return group.Wait()
}

func (l *Logs) openPartition(ctx context.Context, id string) (p logPartition, err error) {
	p.id = id
	props, err := l.client.GetPartitionProperties(ctx, id, nil)
	if err != nil {
		return p, l.failure(ctx, id, err)
	}
	from := azeventhubs.StartPosition{SequenceNumber: to.Ptr(props.LastEnqueuedSequenceNumber), Inclusive: true}
	if props.IsEmpty {
		from = azeventhubs.StartPosition{Earliest: to.Ptr(true)}
	}
	p.client, err = l.client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: from})
	if err != nil || props.IsEmpty {
		return p, err
	}
	if p.first, err = p.client.ReceiveEvents(ctx, 1, nil); err != nil {
		return p, l.failure(ctx, id, err)
	}
	return p, nil
}

func (l *Logs) failure(ctx context.Context, partition string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if partition != "" {
		return fmt.Errorf("read partition %s of event hub %s: %w", partition, l.access.Hub, eventhub.Explain(err))
	}
	return fmt.Errorf("read event hub %s: %w", l.access.Hub, eventhub.Explain(err))
}

// Run reads until ctx ends; see [Source]. What fails for good in one partition ends it.
func (l *Logs) Run(ctx context.Context, b *Board) error {
	defer l.close(ctx)
	group, reading := errgroup.WithContext(ctx)
	for i := range l.parts {
		group.Go(func() error { return l.read(reading, &l.parts[i], b) })
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (l *Logs) read(ctx context.Context, p *logPartition, b *Board) error {
	l.take(p.first, b)
	p.first = nil
	for {
		events, err := p.client.ReceiveEvents(ctx, 1, nil)
		l.take(events, b)
		if err != nil {
			return l.failure(ctx, p.id, err)
		}
		short, cancel := context.WithTimeout(ctx, logsWait)
		more, _ := p.client.ReceiveEvents(short, logsBatch, nil) // an error would come again
		cancel()
		l.take(more, b)
	}
}

// take tells the board what events say.
func (l *Logs) take(events []*azeventhubs.ReceivedEventData, b *Board) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		lines, err := eventhub.HostLines(e.Body)
		l.stats.Events++
		l.stats.Lines += int64(len(lines))
		if err != nil {
			l.stats.Unread++
		}
		for _, line := range lines {
			for _, r := range l.join.add(line) {
				b.Report(r)
			}
		}
	}
}

// close lets go of the hub.
func (l *Logs) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	for _, p := range l.parts {
		if p.client != nil {
			p.client.Close(ctx) //nolint:errcheck // nothing more is read
		}
	}
	l.client.Close(ctx) //nolint:errcheck // likewise
}
