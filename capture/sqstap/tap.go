package sqstap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/lambdaevent"
)

// A Sink takes what is captured. A [capture.Writer] is one.
type Sink interface {
	Write(*capture.Invocation) error
	// Sync returns when a failure of the machine can no longer lose what was written.
	Sync() error
}

// Options say what to capture. Function, Sink, and of Drain the Client, Queue and Known are required.
type Options struct {
	// Function is the name of the function that the invocations are of.
	Function string
	Sink     Sink
	// AsQueue is the ARN that stands in events as their source: that of Drain.Queue unless set, which is the tap's
	// own.
	AsQueue string
	// Drain says how the queue is drained. BatchSize and BatchWindow are those of the event source mapping. Sink,
	// Handle, Size and BatchBytes are set by Capture.
	Drain drain.Options
}

// Limits of event source mappings: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html.
const (
	maxBatch       = 10_000
	maxFIFOBatch   = 10
	maxPlainBatch  = 10 // without a window
	maxWindow      = 300 * time.Second
	maxEvent       = 6 << 20 // bytes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	recordEnvelope = len(`{"Records":[]}`)
)

// Validate checks what a mapping could not be set to, before anything is made.
func (o *Options) Validate() error {
	size, window := o.Drain.BatchSize, o.Drain.BatchWindow
	switch {
	case o.Function == "":
		return errors.New("capture a queue: no function")
	case size < 0 || size > maxBatch:
		return fmt.Errorf("a batch has 1 to %d messages, not %d", maxBatch, size)
	case window < 0 || window > maxWindow:
		return fmt.Errorf("a batching window is 0 to %s long, not %s", maxWindow, window)
	case o.Drain.Queue.FIFO && window > 0:
		return errors.New("event source mappings of FIFO queues have no batching window")
	case o.Drain.Queue.FIFO && size > maxFIFOBatch:
		return fmt.Errorf("a batch of a FIFO queue has at most %d messages, not %d", maxFIFOBatch, size)
	case size > maxPlainBatch && window < time.Second:
		return fmt.Errorf("a batch of more than %d messages, here %d, needs a batching window of 1s or more",
			maxPlainBatch, size)
	case o.AsQueue != "" && drain.RegionOf(o.AsQueue) == "":
		return fmt.Errorf("%s is not the ARN of a queue, as arn:aws:sqs:REGION:ACCOUNT:NAME is", o.AsQueue)
	}
	return nil
}

// Counts are those of the messages, and how many invocations were made of the recorded ones.
type Counts struct {
	drain.Counts
	Invocations int64 `json:"invocations"`
}

// Capture records what is in a queue, until its context ends or what Drain says. [drain.Run] tells when a message is
// deleted, and what errors there are.
func Capture(ctx context.Context, o Options) (Counts, error) {
	if err := o.Validate(); err != nil {
		return Counts{}, err
	}
	t := tap{Options: o}
	if t.AsQueue == "" {
		t.AsQueue = o.Drain.Queue.ARN
	}
	t.region = drain.RegionOf(t.AsQueue)
	d := o.Drain
	d.Sink, d.Handle, d.Size, d.BatchBytes = o.Sink, t.handle, t.size, maxEvent-recordEnvelope
	counts, err := drain.Run(ctx, d)
	return Counts{Counts: counts, Invocations: t.invocations}, err
}

type tap struct {
	Options
	region      string
	invocations int64
}

// handle writes the invocation that a batch makes.
func (t *tap) handle(_ context.Context, batch []types.Message) ([]drain.Refusal, error) {
	records := make([]lambdaevent.SQSRecord, len(batch))
	for i, m := range batch {
		records[i] = t.record(m)
	}
	event, err := lambdaevent.SQS(records)
	if err != nil {
		return nil, err
	}
	err = t.Sink.Write(&capture.Invocation{
		Function: t.Function, Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Source: "sqs:" + t.Drain.Queue.Name, Time: time.Now().UTC(), Event: event,
	})
	if err != nil {
		return nil, err
	}
	t.invocations++
	return nil, nil
}

// size is what a message adds to an event, in bytes.
func (t *tap) size(m types.Message) int {
	event, err := lambdaevent.SQS([]lambdaevent.SQSRecord{t.record(m)})
	if err != nil {
		return 0 // handle will fail
	}
	return len(event) - recordEnvelope + len(",")
}

// record is a message as it is in an event.
func (t *tap) record(m types.Message) lambdaevent.SQSRecord {
	attributes := make(map[string]lambdaevent.SQSAttribute, len(m.MessageAttributes))
	for name, a := range m.MessageAttributes {
		attributes[name] = lambdaevent.SQSAttribute{
			StringValue: a.StringValue, BinaryValue: a.BinaryValue, DataType: aws.ToString(a.DataType),
		}
	}
	return lambdaevent.SQSRecord{
		MessageID: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body),
		Attributes: m.Attributes, MessageAttributes: attributes,
		MD5OfBody: aws.ToString(m.MD5OfBody), MD5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
		EventSourceARN: t.AsQueue, AWSRegion: t.region,
	}
}

// MessageIDs returns the IDs of the messages that an invocation was made of; none if it is not one of a queue.
func MessageIDs(inv *capture.Invocation) []string {
	if inv.Format != capture.FormatSQS {
		return nil
	}
	var event struct {
		Records []struct {
			MessageID string `json:"messageId"`
		}
	}
	if json.Unmarshal(inv.Event, &event) != nil {
		return nil
	}
	ids := make([]string, 0, len(event.Records))
	for _, r := range event.Records {
		if r.MessageID != "" {
			ids = append(ids, r.MessageID)
		}
	}
	return ids
}
