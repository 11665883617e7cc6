package functions

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

// Bounds on an event: https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas. The room is for its properties
// and for how AMQP writes them.
const (
	maxHubEvent  = 1 << 20
	hubEventRoom = 2 << 10
	maxHubKey    = 128 // characters of a partition key
)

// Application properties of events, beside the mark and the ID.
const (
	sequenceProperty = "aws-sequence-number"
	shardProperty    = "aws-event-id"
)

// EventHubOptions say which event hub a target sends to. Connection or Namespace with a credential, the hub's name
// unless the connection string has it, are needed.
type EventHubOptions struct {
	Connection string // a connection string with the right to send
	Namespace  string // ns.servicebus.windows.net
	Credential azcore.TokenCredential
	Name       string
	// Attempts is how often the function is called with an event that it fails on: 1, the default, unless its
	// function.json has a retry policy.
	Attempts int
	// Board has what is heard of the events, by their IDs; see [completion.Event]. Nil when nobody tells: then what
	// becomes of them is unknown once they were sent.
	Board *completion.Board
}

// An EventHub is a function with an Event Hubs trigger, fired through its hub. It is safe for concurrent use.
//
// Each record of a Kinesis event becomes one event, with its data, its partition key and, as application properties,
// the mark, its ID and its sequence number. Those of one partition key are sent together, in their order. Nothing is
// sent twice, whatever becomes of a connection. The trigger moves its checkpoint on behind events that the function
// failed on, so what became of one is known from the board alone.
type EventHub struct {
	opts    EventHubOptions
	address string
	senders senders
}

// NewEventHub returns the target that opts describe. It sends nothing. Close ends it.
func NewEventHub(opts EventHubOptions) (*EventHub, error) {
	opts.Attempts = max(opts.Attempts, 1)
	namespace := opts.Namespace
	if opts.Connection != "" {
		props, err := azeventhubs.ParseConnectionString(opts.Connection)
		if err != nil {
			// The SDK's error may quote the key.
			return nil, errors.New("connection: this is not a connection string of Event Hubs")
		}
		namespace = props.FullyQualifiedNamespace
		switch {
		case props.EntityPath == nil:
		case opts.Name != "" && opts.Name != *props.EntityPath:
			return nil, fmt.Errorf("connection: it is of the event hub %s, and name is %s", *props.EntityPath, opts.Name)
		default:
			opts.Name = *props.EntityPath
		}
		opts.Connection = withoutEntityPath(opts.Connection)
	}
	switch {
	case namespace == "" || opts.Name == "":
		return nil, errors.New("an Event Hubs trigger needs its namespace and the hub's name")
	case opts.Connection == "" && opts.Credential == nil:
		return nil, errors.New("namespace: there are no credentials for it; give a connection string")
	}
	h := &EventHub{opts: opts, address: "sb://" + namespace + "/" + opts.Name}
	h.senders.opts = &h.opts
	return h, nil
}

// withoutEntityPath leaves the hub out of a connection string, for it is not to be given twice.
func withoutEntityPath(connection string) string {
	var kept []string
	for part := range strings.SplitSeq(connection, ";") {
		if name, _, _ := strings.Cut(part, "="); !strings.EqualFold(name, "EntityPath") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}

// Address is the hub's, without secrets.
func (h *EventHub) Address() string { return h.address }

// Close ends the connections. No Fire may be going on, and none may come after.
func (h *EventHub) Close() error {
	h.senders.close()
	return nil
}

// Check refuses what an event hub cannot carry as it is; see [replay.Checker].
func (h *EventHub) Check(inv *capture.Invocation) error {
	_, err := parseKinesis(inv)
	return err
}

// A kinesisRecord is one record of a Kinesis event: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html.
type kinesisRecord struct {
	EventID string `json:"eventID"` // shard and sequence number
	Kinesis struct {
		PartitionKey   string `json:"partitionKey"`
		SequenceNumber string `json:"sequenceNumber"`
		Data           string `json:"data"`
	} `json:"kinesis"`

	data []byte
	id   string // of the event that it becomes
}

// aggregated begins a record in which the Kinesis Producer Library has put several:
// https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md.
var aggregated = []byte{0xf3, 0x89, 0x9a, 0xc2}

// parseKinesis reads the records of a Kinesis event that an event hub can carry.
func parseKinesis(inv *capture.Invocation) ([]*kinesisRecord, error) {
	switch inv.Format {
	case capture.FormatKinesis:
	case capture.FormatDynamoDB:
		return nil, errNoDynamoDB
	default:
		return nil, fmt.Errorf("an event hub carries what Kinesis does, not events of the format %s", inv.Format)
	}
	var event struct{ Records []*kinesisRecord }
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		return nil, fmt.Errorf("the event is not a Kinesis event: %w", err)
	}
	if len(event.Records) == 0 {
		return nil, errNoRecords
	}
	seen := make(map[string]bool, len(event.Records))
	for i, r := range event.Records {
		if r == nil || r.Kinesis.SequenceNumber == "" {
			return nil, fmt.Errorf("record %d has no sequenceNumber", i)
		}
		n := r.Kinesis.SequenceNumber
		var err error
		if r.data, err = base64.StdEncoding.DecodeString(r.Kinesis.Data); err != nil {
			return nil, fmt.Errorf("record %s: data is not base64: %w", n, err)
		}
		switch key := utf8.RuneCountInString(r.Kinesis.PartitionKey); {
		case seen[n]:
			return nil, fmt.Errorf("record %s is in the event twice", n)
		case key == 0 || key > maxHubKey:
			return nil, fmt.Errorf("record %s has a partition key of %d characters; Event Hubs takes 1 to %d", n, key,
				maxHubKey)
		case len(r.data)+hubEventRoom > maxHubEvent:
			return nil, fmt.Errorf("record %s has %d bytes, and with its properties it is over the %d of Event Hubs", n,
				len(r.data), maxHubEvent)
		case bytes.HasPrefix(r.data, aggregated):
			return nil, fmt.Errorf("record %s has several records that the Kinesis Producer Library put into one, "+
				"which who sends to Event Hubs would not do", n)
		}
		seen[n] = true
	}
	return event.Records, nil
}

// byKey groups records by partition key, each group in their order.
func byKey(records []*kinesisRecord) [][]*kinesisRecord {
	var groups [][]*kinesisRecord
	at := make(map[string]int)
	for _, r := range records {
		key := r.Kinesis.PartitionKey
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// properties are the application properties of the event that r becomes.
func (r *kinesisRecord) properties(ctx context.Context) map[string]any {
	properties := map[string]any{
		capture.EventIDProperty: r.id, sequenceProperty: r.Kinesis.SequenceNumber, shardProperty: r.EventID,
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		properties[capture.MarkHeader] = mark.String()
	}
	return properties
}

// Fire sends the records of a Kinesis event and waits for what becomes of them; see [replay.Target].
func (h *EventHub) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	records, err := parseKinesis(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	prefix, ids := eventPrefix(ctx), make([]string, len(records))
	for i, r := range records {
		r.id = eventID(prefix, i)
		ids[i] = r.id
	}
	if h.opts.Board == nil {
		if out, err := h.senders.send(ctx, byKey(records)); out != nil || err != nil {
			return out, err
		}
		return nil, nobodyTells("event hub " + h.opts.Name)
	}
	wait := expectEvents(h.opts.Board, ids)
	defer wait.Close()
	if out, err := h.senders.send(ctx, byKey(records)); out != nil || err != nil {
		return out, err
	}
	return h.await(ctx, wait, records)
}

// await tells the fates of records. Dead-lettered is one that the function failed on: the host goes on behind it,
// where Lambda would try the batch again.
func (h *EventHub) await(ctx context.Context, wait *completion.Wait, records []*kinesisRecord) (
	*capture.Outcome, error) {
	ids, names := make([]string, len(records)), make([]string, len(records))
	for i, r := range records {
		ids[i], names[i] = r.id, "record "+r.Kinesis.SequenceNumber
	}
	findings, err := awaitEvents(ctx, wait, ids, names, h.opts.Attempts)
	if err != nil {
		return nil, fmt.Errorf("event hub %s: %w", h.opts.Name, err)
	}
	out := &capture.Outcome{Status: capture.StatusOK, Records: make(map[string]capture.Fate, len(records))}
	acked := 0
	var failed *capture.Outcome
	for i, f := range findings {
		out.Records[records[i].Kinesis.SequenceNumber] = f.Fate
		if f.Fate == capture.Acked {
			acked++
		} else if failed == nil {
			failed = f.failure()
		}
	}
	if failed != nil {
		out.Error = failed.Error
	}
	if failed != nil && acked == 0 {
		out.Status = failed.Status
	}
	return out, nil
}
