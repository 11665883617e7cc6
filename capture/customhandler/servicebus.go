package customhandler

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// A ServiceBusTrigger is a Service Bus message that fires a function.
type ServiceBusTrigger struct {
	Body           []byte
	Binary         bool // the binding's dataType is "binary"
	ID             string
	SessionID      string // "" for none
	ContentType    string
	SequenceNumber int64
	DeliveryCount  int // 1 for the first delivery
	Enqueued       time.Time
	Expires        time.Time
	LockToken      string
	// Properties are the application's: texts, numbers, booleans, times and bytes.
	Properties map[string]any
}

// Request returns the payload that the host makes of t for the binding of that name. It has the metadata of
// ServiceBusTriggerBindingStrategy.cs in https://github.com/Azure/azure-sdk-for-net, under
// sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus, but for what the sender left empty.
func (t ServiceBusTrigger) Request(binding string, sys Sys) *Request {
	properties := make(map[string]any, len(t.Properties))
	for name, v := range t.Properties {
		switch v := v.(type) {
		case []byte:
			properties[name] = base64.StdEncoding.EncodeToString(v)
		case string, bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64:
			properties[name] = v
		case time.Time:
			properties[name] = v.UTC().Format(dateTime)
		}
	}
	r := &Request{
		Data: map[string]json.RawMessage{binding: content(t.Body, t.Binary)},
		Metadata: map[string]json.RawMessage{
			"MessageId":             nested(t.ID),
			"ContentType":           nested(t.ContentType),
			"SequenceNumber":        encode(strconv.FormatInt(t.SequenceNumber, 10)),
			"DeliveryCount":         encode(strconv.Itoa(t.DeliveryCount)),
			"EnqueuedTimeUtc":       encode(t.Enqueued.UTC().Format(dateTime)),
			"ExpiresAtUtc":          encode(t.Expires.UTC().Format(dateTime)),
			"LockToken":             nested(t.LockToken),
			"ApplicationProperties": encode(properties),
			"UserProperties":        encode(properties), // as it was called before version 5
			"sys":                   encode(sys),
		},
	}
	if t.SessionID != "" {
		r.Metadata["SessionId"] = nested(t.SessionID)
	}
	return r
}
