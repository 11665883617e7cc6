package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/capture/customhandler"
)

const (
	// hubPause is waited before a hub or a partition that could not be read is tried again.
	hubPause = time.Second
	// hubBatchWait is for how long more events are waited for once there is one.
	hubBatchWait = 20 * time.Millisecond
)

// eventHubFile is extensions.eventHubs of host.json:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-event-hubs#host-json.
type eventHubFile struct {
	MaxEventBatchSize    *int `json:"maxEventBatchSize"`
	InitialOffsetOptions struct {
		Type string `json:"type"`
	} `json:"initialOffsetOptions"`
}

// eventHubSettings say how event hubs are read.
type eventHubSettings struct {
	maxBatch int
	fromEnd  bool // what is there when the host starts is passed over
}

// settings fills in the host's defaults, which are those of EventHubOptions.cs. Errors name the field.
func (f *eventHubFile) settings() (eventHubSettings, error) {
	s := eventHubSettings{maxBatch: 100}
	if n := f.MaxEventBatchSize; n != nil {
		if *n < 1 {
			return s, fmt.Errorf("maxEventBatchSize: %d is less than 1", *n)
		}
		s.maxBatch = *n
	}
	switch strings.ToLower(f.InitialOffsetOptions.Type) {
	case "", "fromstart":
	case "fromend":
		s.fromEnd = true
	default:
		return s, fmt.Errorf("initialOffsetOptions: type is %q; this host knows fromStart and fromEnd",
			f.InitialOffsetOptions.Type)
	}
	return s, nil
}

// A hubPoller is the listener of one function's Event Hubs trigger. It works on one batch of a partition after the
// other and, whatever a function answers, goes on behind it, as EventHubListener.PartitionProcessor.cs does: an event
// that a function failed on does not come again. How far it is, it only remembers: a host that is started again
// begins where initialOffsetOptions in host.json says.
type hubPoller struct {
	f       *Functions
	fn      *azureFunction
	client  *azeventhubs.ConsumerClient
	context customhandler.PartitionContext // without a partition
}

// newHubPollers returns one poller for each enabled Event Hubs trigger whose connection is among the app's own
// settings.
func (f *Functions) newHubPollers() ([]*hubPoller, error) {
	var pollers []*hubPoller
	for _, fn := range f.app.functions {
		connection := setting(f.opts.Env, fn.trigger.Connection)
		if fn.disabled || !strings.EqualFold(fn.trigger.Type, "eventHubTrigger") || connection == "" {
			continue
		}
		p := &hubPoller{f: f, fn: fn, context: customhandler.PartitionContext{
			EventHubName:  expand(fn.trigger.EventHubName, f.opts.Env),
			ConsumerGroup: expand(fn.trigger.ConsumerGroup, f.opts.Env),
		}}
		if p.context.ConsumerGroup == "" {
			p.context.ConsumerGroup = azeventhubs.DefaultConsumerGroup
		}
		props, err := azeventhubs.ParseConnectionString(connection)
		if err != nil {
			return nil, p.badConnection()
		}
		p.context.FullyQualifiedNamespace = props.FullyQualifiedNamespace
		hub := p.context.EventHubName
		if props.EntityPath != nil {
			p.context.EventHubName, hub = *props.EntityPath, "" // it is not to be given twice
		}
		p.client, err = azeventhubs.NewConsumerClientFromConnectionString(connection, hub, p.context.ConsumerGroup,
			&azeventhubs.ConsumerClientOptions{ApplicationID: "tandem"})
		if err != nil {
			return nil, p.badConnection()
		}
		pollers = append(pollers, p)
	}
	return pollers, nil
}

// badConnection does not say what the SDK does: it may quote the key.
func (p *hubPoller) badConnection() error {
	return fmt.Errorf("function %s: the connection of event hub %s is no connection string of Event Hubs", p.fn.name,
		p.context.EventHubName)
}

// poll works on events until ctx ends, and returns once those that were begun with have ended.
func (p *hubPoller) poll(ctx context.Context) {
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
		defer cancel()
		_ = p.client.Close(closing) // nothing more is read
	}()
	p.f.log.printf("%s: reading event hub %s", p.fn.name, p.context.EventHubName)
	for {
		props, err := p.client.GetEventHubProperties(ctx, nil)
		if err == nil {
			var partitions sync.WaitGroup
			for _, id := range props.PartitionIDs {
				partitions.Go(func() { p.pollPartition(ctx, id) })
			}
			partitions.Wait()
			return
		}
		if ctx.Err() != nil {
			return
		}
		p.f.log.printf("%s: event hub %s: %v", p.fn.name, p.context.EventHubName, err)
		if !wait(ctx, hubPause) {
			return
		}
	}
}

// pollPartition reads one partition, and opens it again when it breaks.
func (p *hubPoller) pollPartition(ctx context.Context, id string) {
	from := azeventhubs.StartPosition{Earliest: to.Ptr(true)}
	if p.f.app.hubs.fromEnd {
		from = azeventhubs.StartPosition{Latest: to.Ptr(true)}
	}
	for {
		err := p.read(ctx, id, &from)
		if ctx.Err() != nil {
			return
		}
		p.f.log.printf("%s: partition %s of event hub %s: %v", p.fn.name, id, p.context.EventHubName, err)
		if !wait(ctx, hubPause) {
			return
		}
	}
}

// read works on the events of a partition from a position, which it moves on, until it cannot be read any more.
func (p *hubPoller) read(ctx context.Context, id string, from *azeventhubs.StartPosition) error {
	client, err := p.client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: *from})
	if err != nil {
		return err
	}
	defer client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is read
	for {
		first, err := client.ReceiveEvents(ctx, 1, nil)
		if len(first) == 0 {
			return err
		}
		events := first
		if p.f.app.hubs.maxBatch > 1 {
			short, cancel := context.WithTimeout(ctx, hubBatchWait)
			more, _ := client.ReceiveEvents(short, p.f.app.hubs.maxBatch-1, nil) // an error would come again
			cancel()
			events = append(events, more...)
		}
		if err := p.dispatch(ctx, id, events); err != nil {
			return err
		}
		*from = azeventhubs.StartPosition{SequenceNumber: to.Ptr(events[len(events)-1].SequenceNumber)}
	}
}

// dispatch calls the function with all events at once, or with one after the other. What it does with them changes
// nothing; an error says that the host ends.
func (p *hubPoller) dispatch(ctx context.Context, id string, events []*azeventhubs.ReceivedEventData) error {
	batches := [][]*azeventhubs.ReceivedEventData{events}
	if !p.fn.trigger.many() {
		batches = nil
		for i := range events {
			batches = append(batches, events[i:i+1])
		}
	}
	for _, batch := range batches {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.invoke(ctx, id, batch); errors.Is(err, errFunctionsClosed) {
			return err
		} else if err != nil {
			p.f.log.printf("%s: %v", p.fn.name, err)
		}
	}
	return nil
}

// invoke calls the function. The end of ctx does not stop one that runs.
func (p *hubPoller) invoke(ctx context.Context, id string, events []*azeventhubs.ReceivedEventData) error {
	trigger := customhandler.EventHubTrigger{
		Many: p.fn.trigger.many(), Binary: p.fn.trigger.binary(), Context: p.context,
	}
	trigger.Context.PartitionID = id
	for _, e := range events {
		trigger.Events = append(trigger.Events, hubEvent(e))
	}
	inv := &invocation{function: p.fn.name, id: customhandler.NewInvocationID()}
	if inv.tag = tagOf(events); inv.tag == "" {
		inv.tag = inv.id
	}
	p.f.log.printf("Trigger Details: PartitionId: %s, Offset: %s-%s, SequenceNumber: %d-%d, Count: %d (Id=%s)", id,
		events[0].Offset, events[len(events)-1].Offset, events[0].SequenceNumber,
		events[len(events)-1].SequenceNumber, len(events), inv.id)
	req := trigger.Request(p.fn.trigger.Name, customhandler.NewSys(p.fn.name, time.Now()))
	_, err := p.f.call(context.WithoutCancel(ctx), inv, req)
	return err
}

func hubEvent(e *azeventhubs.ReceivedEventData) customhandler.HubEvent {
	h := customhandler.HubEvent{
		Body: e.Body, Offset: e.Offset, SequenceNumber: e.SequenceNumber, Properties: e.Properties,
		SystemProperties: e.SystemProperties,
	}
	if e.PartitionKey != nil {
		h.PartitionKey = *e.PartitionKey
	}
	if e.EnqueuedTime != nil {
		h.Enqueued = *e.EnqueuedTime
	}
	return h
}

// tagOf returns the mark that all events have, "" when they differ.
func tagOf(events []*azeventhubs.ReceivedEventData) string {
	tag := ""
	for i, e := range events {
		mark, _ := e.Properties[capture.MarkHeader].(string)
		if i > 0 && mark != tag {
			return ""
		}
		tag = mark
	}
	return tag
}
