package customhandler

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// The host gives objects as they are and everything else, numbers, texts and lists, as JSON in a string:
// GetHttpScriptInvocationContextValue in https://github.com/Azure/azure-functions-host.

// An EventGridTrigger is what fires a function with an Event Grid trigger.
type EventGridTrigger struct {
	// Events are JSON objects: one, or, for a function whose binding has the cardinality "many", at least one.
	Events []json.RawMessage
	Many   bool
}

// Request returns the payload that the host makes of t for the binding of that name. Source:
// EventGridTriggerAttributeBindingProvider.cs in https://github.com/Azure/azure-sdk-for-net.
func (t EventGridTrigger) Request(binding string, sys Sys) *Request {
	r := &Request{Metadata: map[string]json.RawMessage{"sys": encode(sys)}}
	data := make([]json.RawMessage, len(t.Events))
	for i, event := range t.Events {
		data[i] = json.RawMessage("null")
		var e map[string]json.RawMessage
		if json.Unmarshal(event, &e) == nil && e["data"] != nil { // names are told apart by case
			data[i] = e["data"]
		}
	}
	if t.Many {
		r.Data = map[string]json.RawMessage{binding: inText(t.Events)}
		r.Metadata["data"] = inText(data)
		return r
	}
	r.Data = map[string]json.RawMessage{binding: t.Events[0]}
	if string(data[0]) != "null" {
		r.Metadata["data"] = objectOrText(data[0])
	}
	return r
}

// objectOrText is JSON as the host gives it.
func objectOrText(doc json.RawMessage) json.RawMessage {
	if bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")) {
		return doc
	}
	return inText(doc)
}

// inText is v as JSON in a string.
func inText(v any) json.RawMessage { return encode(string(encode(v))) }

// An EventHubTrigger is what fires a function with an Event Hubs trigger: one event of a partition, or, for a
// function whose binding has the cardinality "many", at least one.
type EventHubTrigger struct {
	Events  []HubEvent
	Many    bool
	Binary  bool // the binding's dataType is "binary"
	Context PartitionContext
}

// A PartitionContext says where events are from.
type PartitionContext struct {
	FullyQualifiedNamespace string
	EventHubName            string
	ConsumerGroup           string
	PartitionID             string `json:"PartitionId"`
}

// A HubEvent is one event.
type HubEvent struct {
	Body           []byte
	PartitionKey   string // "" when there is none
	Offset         string
	SequenceNumber int64
	Enqueued       time.Time
	// Properties are those that the sender gave it, and SystemProperties annotations of the service, by AMQP's types.
	Properties, SystemProperties map[string]any
}

// Request returns the payload that the host makes of t for the binding of that name. Source:
// EventHubTriggerBindingStrategy.cs in https://github.com/Azure/azure-sdk-for-net.
func (t EventHubTrigger) Request(binding string, sys Sys) *Request {
	r := &Request{Metadata: map[string]json.RawMessage{"PartitionContext": encode(t.Context), "sys": encode(sys)}}
	if !t.Many {
		e := &t.Events[0]
		r.Data = map[string]json.RawMessage{binding: content(e.Body, t.Binary)}
		if e.PartitionKey != "" {
			r.Metadata["PartitionKey"] = nested(e.PartitionKey)
		}
		r.Metadata["Offset"] = nested(e.Offset)
		r.Metadata["SequenceNumber"] = encode(strconv.FormatInt(e.SequenceNumber, 10))
		r.Metadata["EnqueuedTimeUtc"] = encode(e.Enqueued.UTC().Format(plainTime))
		r.Metadata["Properties"] = encode(asJSON(e.Properties))
		r.Metadata["SystemProperties"] = encode(e.system())
		return r
	}
	var values []string
	var keys []*string
	var offsets []string
	var numbers []int64
	var times []string
	var properties, system []map[string]json.RawMessage
	for i := range t.Events {
		e := &t.Events[i]
		value := string(e.Body)
		if t.Binary {
			value = base64.StdEncoding.EncodeToString(e.Body)
		}
		values, keys, offsets = append(values, value), append(keys, e.key()), append(offsets, e.Offset)
		numbers, times = append(numbers, e.SequenceNumber), append(times, e.Enqueued.UTC().Format(plainTime))
		properties, system = append(properties, asJSON(e.Properties)), append(system, e.system())
	}
	r.Data = map[string]json.RawMessage{binding: inText(values)}
	for name, list := range map[string]any{
		"PartitionKeyArray": keys, "OffsetArray": offsets, "SequenceNumberArray": numbers,
		"EnqueuedTimeUtcArray": times, "PropertiesArray": properties, "SystemPropertiesArray": system,
	} {
		r.Metadata[name] = inText(list)
	}
	return r
}

// plainTime is how .NET writes a time whose zone it does not know.
const plainTime = "2006-01-02T15:04:05.9999999"

func (e *HubEvent) key() *string {
	if e.PartitionKey == "" {
		return nil
	}
	return &e.PartitionKey
}

// system are the system properties as the trigger gives them: with those that events have fields for.
func (e *HubEvent) system() map[string]json.RawMessage {
	all := asJSON(e.SystemProperties)
	all["SequenceNumber"], all["Offset"] = encode(e.SequenceNumber), encode(e.Offset)
	all["PartitionKey"], all["EnqueuedTimeUtc"] = encode(e.key()), encode(e.Enqueued.UTC().Format(plainTime))
	return all
}

// asJSON returns properties as JSON; what has no JSON form is written as text.
func asJSON(properties map[string]any) map[string]json.RawMessage {
	all := make(map[string]json.RawMessage, len(properties))
	for name, value := range properties {
		doc, err := tryEncode(value)
		if err != nil {
			doc = encode(fmt.Sprint(value))
		}
		all[name] = doc
	}
	return all
}
