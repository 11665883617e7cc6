package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tandem/capture"
)

// maxGridEvent is the largest event of Event Grid, and the largest list of events, in bytes. Source:
// https://learn.microsoft.com/azure/event-grid/quotas-limits.
const maxGridEvent = 1 << 20

// What a function with an Event Grid trigger gets as data.
const (
	// DataContent is what the publisher wrote, the default: the message of SNS, as JSON if it is an object or a list and
	// else as text, or the detail of EventBridge.
	DataContent = ""
	DataMessage = "message" // DataContent, of SNS alone
	DataDetail  = "detail"  // DataContent, of EventBridge alone
	DataText    = "text"    // the message of SNS as text, whatever it holds
	DataRecord  = "record"  // the record of SNS, with its Sns object
	DataEvent   = "event"   // the event as the Lambda function gets it
)

// SchemaCloudEvents is CloudEvents 1.0 in JSON; events are otherwise in Event Grid's own schema.
const SchemaCloudEvents = "cloudevents"

// A GridMapping says what events of Event Grid are made of. The zero value is usable.
type GridMapping struct {
	Schema string // SchemaCloudEvents, or Event Grid's own
	Data   string // DataContent or another of these
	// Type and Subject are those of the events, with {name} for the message attribute of SNS of that name. By default
	// the type is detail-type, or the ARN of the SNS topic, and the subject is resources with commas between them, or
	// the subject of the SNS message, else what is the source.
	Type, Subject string
	Source        string // of CloudEvents, and the topic of others; default: source, or the ARN of the SNS topic
}

// A gridEvent is an event in Event Grid's own schema: https://learn.microsoft.com/azure/event-grid/event-schema.
type gridEvent struct {
	ID              string          `json:"id"`
	Topic           string          `json:"topic,omitempty"`
	Subject         string          `json:"subject"`
	EventType       string          `json:"eventType"`
	EventTime       string          `json:"eventTime"`
	Data            json.RawMessage `json:"data"`
	DataVersion     string          `json:"dataVersion"`
	MetadataVersion string          `json:"metadataVersion,omitempty"`
}

// A cloudEvent is a CloudEvent: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// A notice is what SNS or EventBridge tell of, ready to become an event.
type notice struct {
	record                          string // its ID there
	kind, subject, source, occurred string
	data                            json.RawMessage
}

// notices takes an event of SNS or EventBridge apart.
func (m *GridMapping) notices(inv *capture.Invocation) ([]notice, error) {
	switch inv.Format {
	case capture.FormatSNS:
		return m.fromSNS(inv)
	case capture.FormatEventBridge:
		n, err := m.fromEventBridge(inv.Event)
		return []notice{n}, err
	case capture.FormatDynamoDB:
		return nil, errNoDynamoDB
	}
	return nil, fmt.Errorf("an Event Grid trigger gets what SNS and EventBridge send, not events of the format %s",
		inv.Format)
}

var errNoDynamoDB = errors.New("no event fires a port of a DynamoDB stream: the change feed of Cosmos DB " +
	"tells of what was written there")

var errNoRecords = errors.New("the event has no records, so there is nothing to send")

// An snsRecord is one record of an SNS event: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html.
type snsRecord struct {
	SNS *struct {
		MessageID         string `json:"MessageId"`
		TopicARN          string `json:"TopicArn"`
		Subject           *string
		Message           string
		Timestamp         string
		MessageAttributes map[string]struct{ Value string }
	} `json:"Sns"`
}

func (m *GridMapping) fromSNS(inv *capture.Invocation) ([]notice, error) {
	if m.Data == DataDetail {
		return nil, errors.New("data: detail is of EventBridge, and this is an event of SNS")
	}
	var event struct{ Records []json.RawMessage }
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		return nil, fmt.Errorf("the event is not an SNS event: %w", err)
	}
	if len(event.Records) == 0 {
		return nil, errNoRecords
	}
	notices := make([]notice, len(event.Records))
	for i, doc := range event.Records {
		var err error
		if notices[i], err = m.fromRecord(inv, doc); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return notices, nil
}

func (m *GridMapping) fromRecord(inv *capture.Invocation, doc json.RawMessage) (notice, error) {
	var r snsRecord
	if err := json.Unmarshal(doc, &r); err != nil {
		return notice{}, fmt.Errorf("it is not one of SNS: %w", err)
	}
	if r.SNS == nil || r.SNS.MessageID == "" {
		return notice{}, errors.New("it has no Sns object with a MessageId")
	}
	n := notice{record: r.SNS.MessageID, kind: r.SNS.TopicARN, source: r.SNS.TopicARN, occurred: r.SNS.Timestamp}
	if r.SNS.Subject != nil {
		n.subject = *r.SNS.Subject
	}
	switch m.Data {
	case DataEvent:
		n.data = inv.Event
	case DataRecord:
		n.data = doc
	case DataText:
		n.data = quoted(r.SNS.Message)
	default:
		n.data = messageData(r.SNS.Message)
	}
	return n, m.override(&n, func(name string) (string, bool) {
		a, ok := r.SNS.MessageAttributes[name]
		return a.Value, ok
	})
}

// messageData is a message as data: an object or a list as it is, anything else as text.
func messageData(message string) json.RawMessage {
	body := bytes.TrimSpace([]byte(message))
	if len(body) > 0 && (body[0] == '{' || body[0] == '[') && json.Valid(body) {
		return body
	}
	return quoted(message)
}

func quoted(text string) json.RawMessage {
	doc, err := marshal(text)
	if err != nil {
		panic(err) // text always marshals
	}
	return doc
}

// fromEventBridge reads an event of EventBridge:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html.
func (m *GridMapping) fromEventBridge(event []byte) (notice, error) {
	if !slices.Contains([]string{DataContent, DataDetail, DataEvent}, m.Data) {
		return notice{}, fmt.Errorf("data: %s is of SNS, and this is an event of EventBridge", m.Data)
	}
	var e struct {
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Source     string          `json:"source"`
		Time       string          `json:"time"`
		Resources  []string        `json:"resources"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return notice{}, fmt.Errorf("the event is not one of EventBridge: %w", err)
	}
	n := notice{
		record: e.ID, kind: e.DetailType, source: e.Source, occurred: e.Time, data: e.Detail,
		subject: strings.Join(e.Resources, ","),
	}
	if m.Data == DataEvent {
		n.data = event
	}
	if n.data == nil {
		n.data = json.RawMessage("null")
	}
	return n, m.override(&n, func(string) (string, bool) { return "", false })
}

var placeholder = regexp.MustCompile(`\{([^{}]+)\}`)

// override puts what the mapping says in the place of what n has by default.
func (m *GridMapping) override(n *notice, attribute func(string) (string, bool)) error {
	if m.Source != "" {
		n.source = m.Source
	}
	if n.subject == "" {
		n.subject = n.source
	}
	for _, field := range []struct {
		text string
		to   *string
	}{{m.Type, &n.kind}, {m.Subject, &n.subject}} {
		if field.text == "" {
			continue
		}
		var missing error
		*field.to = placeholder.ReplaceAllStringFunc(field.text, func(name string) string {
			value, ok := attribute(name[1 : len(name)-1])
			if !ok {
				missing = fmt.Errorf("there is no message attribute %s, which %q needs", name, field.text)
			}
			return value
		})
		if missing != nil {
			return missing
		}
	}
	if n.kind == "" || n.occurred == "" {
		return errors.New("it has no type or no time, as every event of Event Grid has")
	}
	return nil
}

// body returns the event that n becomes, with that ID, as a list of one. Published says that it goes to a topic,
// which adds what else it has when it is delivered.
func (m *GridMapping) body(n notice, id string, published bool) ([]byte, error) {
	if m.Schema == SchemaCloudEvents {
		return marshal([]cloudEvent{{
			SpecVersion: "1.0", ID: id, Source: n.source, Type: n.kind, Subject: n.subject, Time: n.occurred,
			DataContentType: "application/json", Data: n.data,
		}})
	}
	e := gridEvent{
		ID: id, Subject: n.subject, EventType: n.kind, EventTime: n.occurred, Data: n.data, DataVersion: "1.0",
	}
	if !published {
		e.Topic, e.MetadataVersion = n.source, "1"
	}
	return marshal([]gridEvent{e})
}

// marshal writes JSON without the escapes that HTML needs, so that numbers and texts stay as they are written.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
