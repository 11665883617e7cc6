package lambdaevent

import (
	"encoding/json"
)

// An SQSRecord is one message as it is in an event. The fields' order is that of AWS. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
type SQSRecord struct {
	MessageID     string `json:"messageId"`
	ReceiptHandle string `json:"receiptHandle"`
	Body          string `json:"body"`
	// Attributes are the system's: ApproximateReceiveCount, SentTimestamp (milliseconds since 1970, as text), SenderId,
	// ApproximateFirstReceiveTimestamp, and for FIFO queues MessageGroupId, MessageDeduplicationId, SequenceNumber.
	Attributes             map[string]string       `json:"attributes"`
	MessageAttributes      map[string]SQSAttribute `json:"messageAttributes"`
	MD5OfMessageAttributes string                  `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody              string                  `json:"md5OfBody"`
	EventSource            string                  `json:"eventSource"`
	EventSourceARN         string                  `json:"eventSourceARN"`
	AWSRegion              string                  `json:"awsRegion"`
}

// An SQSAttribute is a message attribute. One of StringValue and BinaryValue is set.
type SQSAttribute struct {
	StringValue *string `json:"stringValue,omitempty"`
	BinaryValue []byte  `json:"binaryValue,omitempty"`
	// Lists are not implemented by SQS, and empty in every event.
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

// SQS makes the event for a batch of messages. It fills in the event source, and empty lists where there are none.
func SQS(batch []SQSRecord) (json.RawMessage, error) {
	rs := make([]SQSRecord, len(batch))
	for i, r := range batch {
		r.EventSource = "aws:sqs"
		if r.Attributes == nil {
			r.Attributes = map[string]string{}
		}
		attributes := make(map[string]SQSAttribute, len(r.MessageAttributes))
		for name, a := range r.MessageAttributes {
			if a.StringListValues == nil {
				a.StringListValues = []string{}
			}
			if a.BinaryListValues == nil {
				a.BinaryListValues = [][]byte{}
			}
			attributes[name] = a
		}
		r.MessageAttributes = attributes
		rs[i] = r
	}
	return records(rs)
}
