package translate

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/capture/lambdaevent"
)

// A QueueMessage is a Storage Queue message that a function was given.
type QueueMessage struct {
	ID           string
	Body         []byte // decoded: without the base64 that messages wear in the queue
	Inserted     time.Time
	DequeueCount int // 1 for the first delivery, and 0, when it is not known, stands for 1
	PopReceipt   string
	Received     time.Time // when the function was given it
}

// A ServiceBusMessage is a Service Bus message that a function was given.
type ServiceBusMessage struct {
	ID             string // what the sender called it
	SessionID      string
	SequenceNumber int64
	Body           []byte
	Enqueued       time.Time
	DeliveryCount  int // 1 for the first delivery, and 0, when it is not known, stands for 1
	LockToken      string
	Received       time.Time // when the function was given it
	// Properties are the application's: texts, numbers, booleans and times as text, and []byte.
	Properties map[string]any
}

// QueueEvent returns the SQS event for a message, as if it came from the queue with that ARN; "" stands for one
// that is made up. It fails on a message without an ID, and on bytes that are not text, which no SQS message can
// hold.
func QueueEvent(m QueueMessage, queueARN string) (json.RawMessage, error) {
	r, err := record(m.ID, m.Body, m.Inserted, m.Received, m.DequeueCount, cmp.Or(queueARN, ARN("storage-queue")))
	if err != nil {
		return nil, err
	}
	r.ReceiptHandle = m.PopReceipt
	return lambdaevent.SQS([]lambdaevent.SQSRecord{r})
}

// ServiceBusEvent is [QueueEvent] for a Service Bus message. A session is a message group of a FIFO queue, with the
// ID as the deduplication ID and the sequence number in twenty digits. A message without an ID is named after its
// sequence number.
func ServiceBusEvent(m ServiceBusMessage, queueARN string) (json.RawMessage, error) {
	name := "service-bus"
	if m.SessionID != "" {
		name += ".fifo"
	}
	id := cmp.Or(m.ID, "sequence-"+strconv.FormatInt(m.SequenceNumber, 10))
	r, err := record(id, m.Body, m.Enqueued, m.Received, m.DeliveryCount, cmp.Or(queueARN, ARN(name)))
	if err != nil {
		return nil, err
	}
	r.ReceiptHandle = m.LockToken
	if m.SessionID != "" {
		r.Attributes["MessageGroupId"] = m.SessionID
		r.Attributes["MessageDeduplicationId"] = id
		r.Attributes["SequenceNumber"] = fmt.Sprintf("%020d", m.SequenceNumber)
	}
	for name, value := range m.Properties {
		if r.MessageAttributes == nil {
			r.MessageAttributes = make(map[string]lambdaevent.SQSAttribute)
		}
		r.MessageAttributes[name] = attribute(value)
	}
	return lambdaevent.SQS([]lambdaevent.SQSRecord{r})
}

// ARN returns the ARN of a queue of that name in an account and a region that are made up.
func ARN(queue string) string { return "arn:aws:sqs:us-east-1:000000000000:" + queue }

func record(id string, body []byte, sent, received time.Time, count int, arn string) (lambdaevent.SQSRecord, error) {
	switch {
	case id == "":
		return lambdaevent.SQSRecord{}, errors.New("the message has no ID")
	case !utf8.Valid(body):
		return lambdaevent.SQSRecord{}, fmt.Errorf("message %s is not text, and SQS carries nothing else", id)
	}
	count = max(count, 1)
	if received.IsZero() || count > 1 {
		received = sent // the first delivery is not known, but was not before
	}
	sum := md5.Sum(body)
	return lambdaevent.SQSRecord{
		MessageID: id, Body: string(body), MD5OfBody: hex.EncodeToString(sum[:]),
		Attributes: map[string]string{
			"ApproximateReceiveCount":          strconv.Itoa(count),
			"SentTimestamp":                    milliseconds(sent),
			"SenderId":                         "",
			"ApproximateFirstReceiveTimestamp": milliseconds(received),
		},
		EventSourceARN: arn, AWSRegion: region(arn),
	}, nil
}

func milliseconds(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// region is the fourth part of an ARN.
func region(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// attribute returns an application property as the message attribute that a port to SQS would have made of it.
func attribute(value any) lambdaevent.SQSAttribute {
	var text string
	kind := "String"
	switch v := value.(type) {
	case []byte:
		return lambdaevent.SQSAttribute{BinaryValue: v, DataType: "Binary"}
	case string:
		text = v
	case json.Number:
		text, kind = v.String(), "Number"
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		text, kind = fmt.Sprint(v), "Number"
	case time.Time:
		text = v.UTC().Format(time.RFC3339Nano)
	default:
		text = fmt.Sprint(v)
	}
	return lambdaevent.SQSAttribute{StringValue: &text, DataType: kind}
}
