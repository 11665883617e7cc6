package customhandler

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem/capture/translate"
)

// The methods below take a payload apart again, the inverse of what makes it. Binding is the trigger's name in
// function.json, and binary whether its dataType is "binary".

// HTTP returns the request that fired an HTTP trigger.
func (r *Request) HTTP(binding string) (HTTPTrigger, error) {
	var value struct {
		URL     string `json:"Url"`
		Method  string
		Headers map[string]listOrText
		Params  map[string]json.RawMessage
		Body    json.RawMessage
	}
	if err := json.Unmarshal(r.Data[binding], &value); err != nil {
		return HTTPTrigger{}, fmt.Errorf("the value of %s is not an HTTP request: %w", binding, err)
	}
	if value.URL == "" || value.Method == "" {
		return HTTPTrigger{}, fmt.Errorf("the value of %s is not an HTTP request: no Url or no Method", binding)
	}
	t := HTTPTrigger{
		URL: value.URL, Method: value.Method,
		Header: make(http.Header, len(value.Headers)), Params: make(map[string]string),
	}
	for name, values := range value.Headers {
		t.Header[name] = values
	}
	for name, v := range value.Params {
		t.Params[name], _ = scalar(v)
	}
	body, isText := scalar(value.Body)
	if !isText {
		body = string(value.Body) // a host that gives JSON as it is
	}
	t.Body = []byte(body)
	if isBinary(t.Header.Get("Content-Type")) {
		var err error
		if t.Body, err = base64.StdEncoding.DecodeString(body); err != nil {
			return HTTPTrigger{}, fmt.Errorf("the body in %s: %w", binding, err)
		}
	}
	return t, nil
}

// A listOrText is the values of a header, which some hosts write as one text.
type listOrText []string

func (l *listOrText) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*l = listOrText{text}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// Queue returns the message that fired a Storage Queue trigger.
func (r *Request) Queue(binding string, binary bool) (QueueTrigger, error) {
	t := QueueTrigger{
		Binary: binary, ID: r.metadata("Id"), PopReceipt: r.metadata("PopReceipt"),
		Inserted: r.time("InsertionTime"), Expires: r.time("ExpirationTime"), NextVisible: r.time("NextVisibleTime"),
	}
	t.DequeueCount, _ = strconv.Atoi(r.metadata("DequeueCount"))
	if t.ID == "" {
		return QueueTrigger{}, errors.New("the metadata has no Id, as those of a queue's message have")
	}
	var err error
	t.Body, err = r.content(binding, binary)
	return t, err
}

// ServiceBus returns the message that fired a Service Bus trigger. Batches are an error. Source:
// https://github.com/Azure/azure-sdk-for-net, ServiceBusTriggerBindingStrategy.
func (r *Request) ServiceBus(binding string, binary bool) (translate.ServiceBusMessage, error) {
	m := translate.ServiceBusMessage{
		ID: r.metadata("MessageId"), SessionID: r.metadata("SessionId"), LockToken: r.metadata("LockToken"),
		Enqueued: r.time("EnqueuedTimeUtc"),
	}
	var err error
	if m.SequenceNumber, err = strconv.ParseInt(r.metadata("SequenceNumber"), 10, 64); err != nil {
		return m, errors.New("the metadata has no SequenceNumber, as those of one Service Bus message have")
	}
	m.DeliveryCount, _ = strconv.Atoi(r.metadata("DeliveryCount"))
	for _, name := range []string{"ApplicationProperties", "UserProperties"} { // the latter before version 5
		if properties := r.object(name); m.Properties == nil && properties != nil {
			m.Properties = properties
		}
	}
	m.Body, err = r.content(binding, binary)
	return m, err
}

// object reads metadata that are an object, or one in text.
func (r *Request) object(name string) map[string]any {
	for _, doc := range [][]byte{r.Metadata[name], []byte(r.metadata(name))} {
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber()
		var properties map[string]any
		if decoder.Decode(&properties) == nil && len(properties) > 0 {
			return properties
		}
	}
	return nil
}

// Blob returns the blob that fired a blob trigger. Its Params are not filled in. Where the payload does not say
// whether it is binary, a value that is base64 of as many bytes as the blob has is taken for that.
func (r *Request) Blob(binding string, binary bool) (BlobTrigger, error) {
	t, length, err := r.blobPlace()
	if err != nil {
		return t, err
	}
	_ = json.Unmarshal(r.Metadata["Metadata"], &t.Metadata) // it is not needed
	text, _ := r.Text(binding)
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(decoded) > 0 && int64(len(decoded)) == length {
		binary = true
	}
	t.Binary = binary
	t.Body, err = r.content(binding, binary)
	return t, err
}

// blobPlace tells which blob fired a blob trigger, and its length, -1 where that is not known.
func (r *Request) blobPlace() (t BlobTrigger, length int64, err error) {
	if err := t.locate(r.metadata("Uri"), r.metadata("BlobTrigger")); err != nil {
		return t, -1, err
	}
	properties := blobProperties{ContentLength: -1}
	for _, doc := range [][]byte{r.Metadata["Properties"], []byte(r.metadata("Properties"))} {
		if json.Unmarshal(doc, &properties) == nil {
			break
		}
	}
	t.ContentType, t.ETag, t.Modified = properties.ContentType, properties.ETag, parseTime(properties.LastModified)
	return t, properties.ContentLength, nil
}

// locate finds out where a blob is from its address or, without one, from "container/name".
func (t *BlobTrigger) locate(address, place string) error {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		t.AccountURL = u.Scheme + "://" + u.Host
		place = strings.TrimPrefix(u.Path, "/")
		if _, err := netip.ParseAddr(u.Hostname()); err == nil || u.Hostname() == "localhost" { // the storage emulator
			var account string
			account, place, _ = strings.Cut(place, "/")
			t.AccountURL += "/" + account
		}
	}
	t.Container, t.Name, _ = strings.Cut(place, "/")
	if t.Container == "" || t.Name == "" {
		return errors.New("the metadata have no Uri, as those of a blob have")
	}
	return nil
}

// content is the value of a message or a blob.
func (r *Request) content(binding string, binary bool) ([]byte, error) {
	value, ok := r.Data[binding]
	if !ok {
		return nil, fmt.Errorf("no value for the binding %s", binding)
	}
	text, isText := r.Text(binding)
	switch {
	case !isText:
		return value, nil // JSON as it is
	case binary:
		body, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the value of %s: %w", binding, err)
		}
		return body, nil
	}
	return []byte(text), nil
}

// metadata returns a text or a number, however often it is encoded; "" where there is none.
func (r *Request) metadata(name string) string {
	value := r.Metadata[name]
	text, ok := scalar(value)
	if !ok {
		return ""
	}
	var inner string
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &inner) == nil {
		return inner
	}
	return text
}

func (r *Request) time(name string) time.Time { return parseTime(r.metadata(name)) }

// parseTime reads the ways in which .NET writes times. One without a zone is UTC; what is none is the zero time.
func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "01/02/2006 15:04:05 -07:00",
		"1/2/2006 3:04:05 PM -07:00", "01/02/2006 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
