package eventhub

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
)

// capturer is what the sources of invocations begin with.
const capturer = "eventhub"

var (
	errNoFunction = errors.New("nothing says which function it is for")
	errCut        = errors.New("the body is cut off")
)

// reasonOf tells why an invocation could not be made.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, translate.ErrUnrouted):
		return leftRoute
	case errors.Is(err, errNoFunction):
		return leftNoFunction
	case errors.Is(err, errCut):
		return leftCut
	}
	return leftUnfit
}

// A maker makes invocations. What it makes of the same content is the same, byte for byte, but for outcomes that came
// to be known.
type maker struct {
	opts *Options
	http map[string]*translate.HTTP // by function; "" for all others
}

func newMaker(opts *Options) (*maker, error) {
	m := &maker{opts: opts, http: make(map[string]*translate.HTTP)}
	formats := map[string]translate.HTTPOptions{"": {}}
	for name, o := range opts.HTTP {
		formats[name] = o
	}
	for name, o := range formats {
		h, err := translate.NewHTTP(o)
		if err != nil {
			return nil, fmt.Errorf("events of function %q: %w", name, err)
		}
		m.http[name] = h
	}
	return m, nil
}

// identity is a ULID that depends on nothing but a time and a name.
func identity(at time.Time, name string) string {
	var id ulid.ULID
	if !at.IsZero() {
		_ = id.SetTime(uint64(max(at.UnixMilli(), 0)) % (ulid.MaxTime() + 1))
	}
	sum := sha256.Sum256([]byte(name))
	copy(id[6:], sum[:10])
	return id.String()
}

// finish fills in what all invocations have.
func (m *maker) finish(id, function, source string, at time.Time, event json.RawMessage) *capture.Invocation {
	trigger, format := capture.Detect(event)
	return &capture.Invocation{
		ID: id, Function: function, Trigger: trigger, Format: format, Source: source, Time: at, Event: event,
	}
}

// request makes the invocation for an HTTP request.
func (m *maker) request(id, function string, req translate.Request) (*capture.Invocation, error) {
	if function == "" {
		return nil, errNoFunction
	}
	http := m.http[function]
	if http == nil {
		http = m.http[""]
	}
	req.ID = cmp.Or(req.ID, id)
	event, err := http.Event(req)
	if err != nil {
		return nil, err
	}
	return m.finish(id, function, translate.Source(capturer, translate.KindHTTP, function), req.Time, event), nil
}

// message makes the invocation for a queue's message. Queue is its queue's name, "" where that is not known.
func (m *maker) message(id, function, queue string, msg translate.QueueMessage) (*capture.Invocation, error) {
	if function == "" {
		return nil, errNoFunction
	}
	event, err := translate.QueueEvent(msg, m.arn(queue, function))
	if err != nil {
		return nil, err
	}
	source := translate.Source(capturer, translate.KindQueue, cmp.Or(queue, function))
	return m.finish(id, function, source, cmp.Or(msg.Received, msg.Inserted), event), nil
}

// arn is that of a queue, or of a function's whose queue is not known.
func (m *maker) arn(queue, function string) string {
	return cmp.Or(m.opts.QueueARNs[queue], m.opts.QueueARNs[function], translate.ARN(cmp.Or(queue, function)))
}

// serviceBus is message for one of Service Bus.
func (m *maker) serviceBus(id, function, queue string, msg translate.ServiceBusMessage) (
	*capture.Invocation, error) {
	if function == "" {
		return nil, errNoFunction
	}
	event, err := translate.ServiceBusEvent(msg, cmp.Or(m.opts.QueueARNs[queue], m.opts.QueueARNs[function]))
	if err != nil {
		return nil, err
	}
	source := translate.Source(capturer, translate.KindServiceBus, cmp.Or(queue, function))
	return m.finish(id, function, source, cmp.Or(msg.Received, msg.Enqueued), event), nil
}

// blob makes the invocation for a blob, with its bytes if they are given.
func (m *maker) blob(id, function string, b translate.Blob) (*capture.Invocation, error) {
	if function == "" {
		return nil, errNoFunction
	}
	event, err := translate.BlobEvent(b, m.opts.Blobs)
	if err != nil {
		return nil, err
	}
	source := translate.Source(capturer, translate.KindBlob, b.Container)
	return m.finish(id, function, source, b.Time, event), nil
}

// payload makes the invocation for a payload of the custom handler protocol. Function is "" where only the payload
// says which it is. One of a trigger that Lambda has no counterpart for is kept as it is.
func (m *maker) payload(id, function string, at time.Time, req *customhandler.Request, doc []byte) (
	*capture.Invocation, error) {
	var sys struct {
		MethodName string
		UTCNow     string `json:"UtcNow"`
	}
	_ = json.Unmarshal(req.Metadata["sys"], &sys) // what is not there is not known
	function = cmp.Or(function, m.opts.name(sys.MethodName))
	if t := parseTime(sys.UTCNow); !t.IsZero() {
		at = t
	}
	binding, isHTTP := triggerOf(req)
	if isHTTP {
		t, err := req.HTTP(binding)
		if err != nil {
			return nil, err
		}
		return m.request(id, function, translate.Request{
			Method: t.Method, URL: t.URL, Header: t.Header, Body: t.Body, Time: at,
		})
	}
	if function == "" {
		return nil, errNoFunction
	}
	if t, err := req.Queue(binding, false); err == nil && has(req, "DequeueCount", "PopReceipt") {
		return m.message(id, function, "", translate.QueueMessage{
			ID: t.ID, Body: t.Body, Inserted: t.Inserted, DequeueCount: t.DequeueCount, PopReceipt: t.PopReceipt,
			Received: at,
		})
	}
	if msg, err := req.ServiceBus(binding, false); err == nil && has(req, "SequenceNumber", "LockToken") {
		msg.Received = at
		return m.serviceBus(id, function, "", msg)
	}
	if t, err := req.Blob(binding, false); err == nil && has(req, "Uri", "Properties") {
		return m.blobPayload(id, function, at, t)
	}
	return m.verbatim(id, function, at, doc)
}

// verbatim makes the invocation for an event that is kept as it is.
func (m *maker) verbatim(id, function string, at time.Time, doc []byte) (*capture.Invocation, error) {
	if function == "" {
		return nil, errNoFunction
	}
	return m.finish(id, function, capturer+":verbatim/"+function, at, compact(doc)), nil
}

// blobPayload makes the invocation for a blob whose bytes the payload has.
func (m *maker) blobPayload(id, function string, at time.Time, t customhandler.BlobTrigger) (
	*capture.Invocation, error) {
	inv, err := m.blob(id, function, translate.Blob{
		Container: t.Container, Name: t.Name, ETag: t.ETag, Size: int64(len(t.Body)), Time: cmp.Or(t.Modified, at),
	})
	if err != nil || m.opts.Objects == nil {
		return inv, err
	}
	sum, size, err := m.opts.Objects.PutObject(bytes.NewReader(t.Body))
	if err != nil {
		return nil, &objectError{err}
	}
	inv.Objects = []capture.Object{{
		Bucket: m.opts.Blobs.Bucket(t.Container), Key: t.Name, ContentType: t.ContentType, Size: size, SHA256: sum,
	}}
	return inv, nil
}

// An objectError says that the recording could not take an object, which ends the capture.
type objectError struct{ error }

func (e *objectError) Unwrap() error { return e.error }

// triggerOf finds the trigger's value in a payload: an HTTP request, or the only one there is.
func triggerOf(req *customhandler.Request) (binding string, isHTTP bool) {
	for name, value := range req.Data {
		var request struct{ URL, Method string }
		if json.Unmarshal(value, &request) == nil && request.URL != "" && request.Method != "" {
			return name, true
		}
		if len(req.Data) == 1 {
			binding = name
		}
	}
	return binding, false
}

func has(req *customhandler.Request, names ...string) bool {
	for _, name := range names {
		if _, ok := req.Metadata[name]; !ok {
			return false
		}
	}
	return true
}

// compact returns doc on one line, as it is where that cannot be.
func compact(doc []byte) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return bytes.TrimSpace(doc)
	}
	return b.Bytes()
}

// fromText makes the invocation for an event that a function has logged: a payload of the custom handler protocol, a
// Lambda event, a request, or, where the host said which message fired the function, the message itself.
func (m *maker) fromText(id, function string, at time.Time, text []byte, h *hostLine) (*capture.Invocation, error) {
	text = bytes.TrimSpace(text)
	switch shapeOf(text) {
	case shapePayload:
		req, err := customhandler.ParseRequest(text)
		if err != nil {
			return nil, err
		}
		return m.payload(id, function, at, req, text)
	case shapeLambda:
		return m.verbatim(id, function, at, text)
	case shapeRequest:
		x, err := parseExchange(text)
		if err != nil {
			return nil, err
		}
		x.at = cmp.Or(x.at, at)
		return m.request(id, function, x.translate())
	}
	switch t := h.trigger; {
	case t != nil && t.messageID != "" && !t.blob && t.serviceBus:
		return m.serviceBus(id, function, h.queue, translate.ServiceBusMessage{
			ID: t.messageID, Body: text, Enqueued: t.inserted, DeliveryCount: t.dequeueCount, Received: at,
			SequenceNumber: t.sequence, SessionID: t.session,
		})
	case t != nil && t.messageID != "" && !t.blob:
		return m.message(id, function, h.queue, translate.QueueMessage{
			ID: t.messageID, Body: text, Inserted: t.inserted, DequeueCount: t.dequeueCount, Received: at,
		})
	case json.Valid(text):
		return m.verbatim(id, function, at, text)
	}
	return nil, errors.New("the event that was logged is not JSON")
}

// A shape is what a document in a log is, as far as it can be an event.
type shape byte

const (
	shapeNone shape = iota
	shapePayload
	shapeLambda
	shapeRequest
)

// shapeOf tells what a document is.
func shapeOf(doc []byte) shape {
	if len(doc) == 0 || doc[0] != '{' {
		return shapeNone
	}
	var m struct {
		Data, Metadata map[string]json.RawMessage
		Method, URL    string
		Headers        json.RawMessage
	}
	if json.Unmarshal(doc, &m) == nil {
		switch {
		case len(m.Data) > 0 && m.Metadata != nil:
			return shapePayload
		case m.Method != "" && m.URL != "" && m.Headers != nil:
			return shapeRequest
		}
	}
	if _, format := capture.Detect(doc); format != capture.FormatOther {
		return shapeLambda
	}
	return shapeNone
}

// marks are those without which a text has none of the shapes.
var marks = []string{`"Data"`, `"Records"`, `"requestContext"`, `"method"`, `"Method"`, `"detail-type"`, `"data"`}

// mayHaveEvent tells whether a message is worth keeping until its invocation ends.
func (r *reader) mayHaveEvent(message string) bool {
	if r.opts.Pattern != nil {
		return r.opts.Pattern.MatchString(message)
	}
	for _, mark := range marks {
		if strings.Contains(message, mark) {
			return true
		}
	}
	return false
}

// findEvent finds the event in a message: what the pattern's group event, or else its first group, matches, or the
// first document of a known shape.
func (m *maker) findEvent(message string) (text []byte, ok bool) {
	if p := m.opts.Pattern; p != nil {
		group := max(p.SubexpIndex("event"), 0)
		if group == 0 && p.NumSubexp() > 0 {
			group = 1
		}
		match := p.FindStringSubmatch(message)
		if match == nil {
			return nil, false
		}
		return []byte(match[group]), true
	}
	const tries = 8
	rest := message
	for range tries {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		rest = rest[i:]
		var doc json.RawMessage
		decoder := json.NewDecoder(strings.NewReader(rest))
		if decoder.Decode(&doc) != nil {
			rest = rest[1:]
			continue
		}
		if shapeOf(doc) != shapeNone {
			return doc, true
		}
		rest = rest[decoder.InputOffset():]
	}
	return nil, false
}
