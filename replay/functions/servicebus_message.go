package functions

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/go-amqp"

	"tandem/capture"
	"tandem/replay"
)

// longestID is how long a message's and a session's ID may be:
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas.
const longestID = 128

// room is kept in each message for what is not known before it is sent: the mark, and what the service may add.
const room = 1 << 10

// A busRecord is one record of an SQS event, with what Service Bus carries of it.
type busRecord struct {
	MessageID  string `json:"messageId"`
	Body       string `json:"body"`
	Attributes struct {
		Group         string `json:"MessageGroupId"`
		Deduplication string `json:"MessageDeduplicationId"`
	} `json:"attributes"`
	MessageAttributes map[string]busAttribute `json:"messageAttributes"`
}

type busAttribute struct {
	DataType    string  `json:"dataType"`
	StringValue *string `json:"stringValue"`
	BinaryValue []byte  `json:"binaryValue"`
}

// value returns the application property for an attribute. Its type may have a suffix that only applications know, as
// in Number.int:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html.
func (a busAttribute) value() (any, error) {
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch {
	case kind == "Binary":
		if a.BinaryValue == nil {
			return []byte{}, nil
		}
		return a.BinaryValue, nil
	case kind != "String" && kind != "Number":
		return nil, fmt.Errorf("its type is %q", a.DataType)
	case a.StringValue == nil:
		return nil, fmt.Errorf("it has the type %s and no text", a.DataType)
	case kind == "String":
		return *a.StringValue, nil
	}
	return number(*a.StringValue)
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+)(?:\.([0-9]+))?(?:[eE][+-]?[0-9]+)?$`)

// number returns a long, or a double when that keeps all digits.
func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	const digits = 15 // which a double keeps, whatever they are
	m := decimal.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("it is a Number and not one that is known: %q", text)
	}
	f, err := strconv.ParseFloat(text, 64)
	significant := strings.Trim(m[1]+m[2], "0")
	if err != nil || math.IsInf(f, 0) || len(significant) > digits || (f == 0) != (significant == "") {
		return nil, fmt.Errorf("it is a Number that neither 64 bits nor a double can hold: %s", text)
	}
	return f, nil
}

// A bused is a message in the queue.
type bused struct {
	record string // its ID in SQS
	id     string // in the queue
	amqp   *amqp.Message
	size   int // as it is sent

	sent     time.Time
	gone     int // looks in a row that did not find it
	fate     capture.Fate
	reason   capture.Error // why it was dead-lettered
	delivers uint32        // deliveries that failed, when it was last seen
	unknown  error
}

// messages takes an SQS event apart.
func (b *ServiceBus) messages(inv *capture.Invocation, mark capture.Mark) ([]*bused, error) {
	if inv.Trigger != capture.TriggerSQS {
		return nil, fmt.Errorf("a Service Bus queue carries SQS messages, not events of the format %s", inv.Format)
	}
	var doc struct{ Records []busRecord }
	if err := json.Unmarshal(inv.Event, &doc); err != nil {
		return nil, fmt.Errorf("the event is not an SQS event: %w", err)
	}
	messages := make([]*bused, len(doc.Records))
	records, ids := make(map[string]bool), make(map[string]bool)
	for i := range doc.Records {
		r := &doc.Records[i]
		if r.MessageID == "" || records[r.MessageID] {
			return nil, fmt.Errorf("record %d has no messageId of its own", i)
		}
		records[r.MessageID] = true
		if err := b.suits(r); err != nil {
			return nil, fmt.Errorf("message %s: %w", r.MessageID, err)
		}
		m, err := r.message(busID(r, mark, ids))
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", r.MessageID, err)
		}
		if m.size > b.opts.MaxMessage {
			return nil, fmt.Errorf("message %s has %d bytes as Service Bus keeps it, over the queue's limit of %d",
				r.MessageID, m.size, b.opts.MaxMessage)
		}
		messages[i] = m
	}
	return messages, nil
}

// suits tells whether the queue is one for such messages.
func (b *ServiceBus) suits(r *busRecord) error {
	group := r.Attributes.Group
	switch {
	case group != "" && !b.opts.Sessions:
		return fmt.Errorf("it is of a FIFO queue, whose order a queue without sessions does not keep; if queue %s has "+
			"sessions, say sessions: true", b.opts.Name)
	case group == "" && b.opts.Sessions:
		return fmt.Errorf("it has no message group, and queue %s takes no message without a session", b.opts.Name)
	case len(group) > longestID:
		return fmt.Errorf("its message group has %d characters, and a session's ID at most %d", len(group), longestID)
	}
	return nil
}

// busID returns the ID that a message has in the queue: the deduplication ID, or else that of SQS, and a text that no
// other firing has. A queue that detects duplicates drops a message with an ID that it knows, without a word, so that it
// would look like one that was worked on; and what Lambda was given was not dropped. Ids has those of the event so far.
func busID(r *busRecord, mark capture.Mark, ids map[string]bool) string {
	sum := sha256.Sum256([]byte(mark.String()))
	tail := "-" + hex.EncodeToString(sum[:8])
	base := cmp.Or(r.Attributes.Deduplication, r.MessageID)
	if len(base)+len(tail)+4 > longestID {
		sum := sha256.Sum256([]byte(base))
		base = hex.EncodeToString(sum[:])
	}
	id := base + tail
	for n := 2; ids[id]; n++ { // two groups of a queue that deduplicates within groups
		id = base + tail + "-" + strconv.Itoa(n)
	}
	ids[id] = true
	return id
}

// message returns what is sent, without the mark.
func (r *busRecord) message(id string) (*bused, error) {
	media := "text/plain; charset=utf-8"
	if text := strings.TrimLeft(r.Body, " \t\r\n"); text != "" && (text[0] == '{' || text[0] == '[') &&
		json.Valid([]byte(r.Body)) {
		media = "application/json"
	}
	m := &amqp.Message{
		Header:                &amqp.MessageHeader{Durable: true, Priority: 4, TTL: liveFor},
		Properties:            &amqp.MessageProperties{MessageID: id, ContentType: &media},
		ApplicationProperties: make(map[string]any, len(r.MessageAttributes)+1),
		Data:                  [][]byte{[]byte(r.Body)},
	}
	if r.Attributes.Group != "" {
		m.Properties.GroupID = &r.Attributes.Group
	}
	for name, a := range r.MessageAttributes {
		v, err := a.value()
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		m.ApplicationProperties[name] = v
	}
	encoded, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &bused{record: r.MessageID, id: id, amqp: m, size: len(encoded) + room}, nil
}

// pack puts messages into as few transfers as they fit in, in their order. Each transfer arrives whole or not at all.
func pack(messages []*bused, limit int) [][]*bused {
	const overhead = 8 // of a message within a batch
	var transfers [][]*bused
	size := 0
	for _, m := range messages {
		if last := len(transfers) - 1; last >= 0 && size+m.size+overhead <= limit {
			transfers[last] = append(transfers[last], m)
			size += m.size + overhead
			continue
		}
		transfers = append(transfers, []*bused{m})
		size = 2*m.size - len(m.amqp.Data[0]) + overhead // the batch has the properties of its first message, too
	}
	return transfers
}

// transfer returns what is sent for the messages of one transfer.
func transfer(messages []*bused) (*amqp.Message, error) {
	if len(messages) == 1 {
		return messages[0].amqp, nil
	}
	envelope := *messages[0].amqp
	envelope.Format, envelope.Data = batchFormat, nil
	for _, m := range messages {
		encoded, err := m.amqp.MarshalBinary()
		if err != nil {
			return nil, err
		}
		envelope.Data = append(envelope.Data, bytes.Clone(encoded))
	}
	return &envelope, nil
}

// setup says that err is a matter of the configuration.
func setup(format string, args ...any) error {
	return &replay.SetupError{Err: fmt.Errorf(format, args...)}
}
