package functions

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
	"tandem/replay"
)

// maxMessage is the largest message of a Storage Queue, as it is encoded. Source:
// https://learn.microsoft.com/azure/storage/queues/scalability-targets.
const maxMessage = 64 << 10

// How Storage Queues and the queue trigger treat messages unless told otherwise.
const (
	messageLifetime   = 7 * 24 * time.Hour
	visibilityTimeout = 10 * time.Minute
)

// An sqsMessage is one record of an SQS event.
type sqsMessage struct {
	MessageID     string `json:"messageId"`
	ReceiptHandle string `json:"receiptHandle"`
	Body          string `json:"body"`
	Attributes    struct {
		ApproximateReceiveCount string `json:"ApproximateReceiveCount"`
		SentTimestamp           string `json:"SentTimestamp"` // milliseconds since 1970
		MessageGroupID          string `json:"MessageGroupId"`
	} `json:"attributes"`
}

// parseSQSMessages reads the messages of an SQS event.
func parseSQSMessages(event []byte) ([]sqsMessage, error) {
	var doc struct{ Records []sqsMessage }
	if err := json.Unmarshal(event, &doc); err != nil {
		return nil, fmt.Errorf("the event is not an SQS event: %w", err)
	}
	for i, m := range doc.Records {
		if m.MessageID == "" {
			return nil, fmt.Errorf("record %d has no messageId", i)
		}
	}
	return doc.Records, nil
}

// parseSQSEvent reads the messages of an SQS event that a Storage Queue can carry.
func parseSQSEvent(event []byte) ([]sqsMessage, error) {
	messages, err := parseSQSMessages(event)
	for _, m := range messages {
		if n := base64.StdEncoding.EncodedLen(len(m.Body)); n > maxMessage {
			return nil, fmt.Errorf("a message of %d bytes in base64 is over the %d of a Storage Queue", n, maxMessage)
		}
	}
	return messages, err
}

// trigger returns the message as it would come out of a Storage Queue.
func (m *sqsMessage) trigger(binary bool) customhandler.QueueTrigger {
	t := customhandler.QueueTrigger{
		Body: []byte(m.Body), Binary: binary, ID: m.MessageID, DequeueCount: 1, PopReceipt: m.ReceiptHandle,
		NextVisible: time.Now().Add(visibilityTimeout),
	}
	if n, err := strconv.Atoi(m.Attributes.ApproximateReceiveCount); err == nil && n > 0 {
		t.DequeueCount = n
	}
	if ms, err := strconv.ParseInt(m.Attributes.SentTimestamp, 10, 64); err == nil {
		t.Inserted = time.UnixMilli(ms)
		t.Expires = t.Inserted.Add(messageLifetime)
	}
	return t
}

// fireMessages calls the function for one message after the other and says what would become of each. After a failure
// in a FIFO batch the rest is not sent and counts as retried, as Lambda takes back all that come after it; see
// [capture.LambdaOutcome].
func (h *Handler) fireMessages(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	messages, err := parseSQSEvent(inv.Event)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	out := &capture.Outcome{Status: capture.StatusOK, Records: make(map[string]capture.Fate, len(messages))}
	stopped := false
	acked := 0
	for _, m := range messages {
		if stopped {
			out.Records[m.MessageID] = capture.Retried
			continue
		}
		failed, err := h.call(ctx, m.trigger(h.opts.Binary).Request(h.binding("message"), h.sys()))
		switch {
		case err != nil:
			return replay.TransportFailure(ctx, fmt.Errorf("message %s: %w", m.MessageID, err))
		case failed != nil:
			out.Records[m.MessageID] = capture.Retried
			stopped = m.Attributes.MessageGroupID != ""
			if out.Error == nil {
				out.Error = failed
			}
		default:
			out.Records[m.MessageID] = capture.Acked
			acked++
		}
	}
	if acked == 0 && len(messages) > 0 {
		out.Status = translate.Failed(out.Error).Status
	}
	return out, nil
}
