package customhandler

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/capture/wiretap"
)

// A Completion says what became of one call of a function by a trigger that answers nobody.
type Completion struct {
	Function   string // of Azure's
	Invocation string // the host's ID of the call
	Time       time.Time
	About      []Subject
	Attempt    int // the delivery, from 1; 0 where the host does not tell
	// Open says of a call that succeeded that the host has output bindings to write, which may fail it yet.
	Open bool
	// Outcome has a status, an error and a duration, and never what the function was given or gave.
	Outcome *capture.Outcome
}

// A Subject is a thing that a function was called with. One of the fields is set.
type Subject struct {
	Message string        `json:"message,omitempty"` // the ID of a message of a Storage Queue or of Service Bus
	Event   string        `json:"event,omitempty"`   // the ID of an event of Event Grid, or [capture.EventIDProperty]
	Blob    *UploadedBlob `json:"blob,omitempty"`
}

// An UploadedBlob is one upload of a blob.
type UploadedBlob struct {
	Container string `json:"container"`
	Name      string `json:"name"`
	ETag      string `json:"etag,omitempty"`
}

// formatCompletion is the format of the invocations that completions travel as.
const formatCompletion capture.Format = "tandem-completion"

// completionEvent is the event of such an invocation.
type completionEvent struct {
	About   []Subject `json:"about"`
	Attempt int       `json:"attempt,omitempty"`
	Open    bool      `json:"open,omitempty"`
}

// Carrier returns c as a line of a recording has it, so that package collector can move it. It has no ID yet.
func (c *Completion) Carrier() *capture.Invocation {
	return &capture.Invocation{
		Function: c.Function, Trigger: capture.TriggerOther, Format: formatCompletion, Source: Capturer, Time: c.Time,
		Event:   encode(completionEvent{c.About, c.Attempt, c.Open}),
		Context: capture.Context{RequestID: c.Invocation}, Outcome: c.Outcome,
	}
}

// ReadCompletion is the inverse of [Completion.Carrier].
func ReadCompletion(inv *capture.Invocation) (*Completion, error) {
	if inv.Format != formatCompletion {
		return nil, fmt.Errorf("invocation %s is no completion, but of the format %s", inv.ID, inv.Format)
	}
	var e completionEvent
	if err := json.Unmarshal(inv.Event, &e); err != nil {
		return nil, fmt.Errorf("completion %s: %w", inv.ID, err)
	}
	if inv.Outcome == nil || e.Attempt < 0 {
		return nil, fmt.Errorf("completion %s: it has no outcome, or a delivery below 0", inv.ID)
	}
	return &Completion{
		Function: inv.Function, Invocation: inv.Context.RequestID, Time: inv.Time, About: e.About, Attempt: e.Attempt,
		Open: e.Open, Outcome: inv.Outcome,
	}, nil
}

// Complete returns what became of the call that x was, whoever fired it. It returns nil when nobody waits for that: for
// HTTP requests, whose callers have their answers, and what has no ID. An error says why it is not known, or whose call
// it was.
func (o *Observer) Complete(x *wiretap.Exchange) (*Completion, error) {
	id := x.Request.Header.Get(InvocationIDHeader)
	name, err := url.PathUnescape(strings.TrimPrefix(rawPath(x.Request), "/"))
	if id == "" || err != nil || name == "" || strings.Contains(name, "/") || x.Request.Method != http.MethodPost ||
		o.opts.App.forwarded(x.Request.Method, rawPath(x.Request)) != nil {
		return nil, nil
	}
	if x.RequestBody.Cut() || !x.RequestBody.Whole {
		return nil, fmt.Errorf("call %s of %s was not seen whole", id, name)
	}
	req, err := ParseRequest(x.RequestBody.Bytes)
	if err != nil {
		return nil, nil // a plain request, or nothing that a host sends
	}
	call := &call{x: x, req: req, function: o.function(name, req)}
	about, attempt := call.subjects()
	if len(about) == 0 {
		return nil, nil
	}
	resp, failed, known := call.result()
	if !known {
		return nil, fmt.Errorf("the answer to call %s of %s was not seen", id, name)
	}
	c := &Completion{
		Function: name, Invocation: strings.ToLower(id), Time: x.RequestBody.First.Wall, About: about, Attempt: attempt,
		Outcome: translate.Outcome(failed),
	}
	if answered(x) {
		c.Time = x.ResponseBody.Last.Wall
		c.Outcome.DurationMS = float64(x.ResponseBody.Last.Sub(x.RequestBody.First).Microseconds()) / 1000
	}
	declared := o.opts.App.Functions[name]
	c.Open = failed == nil && resp.outputs("") != nil && (declared == nil || len(declared.Outputs) > 0)
	return c, nil
}

// subjects tells what the function was called with, and in which delivery. There are several where the trigger's
// cardinality is "many".
func (c *call) subjects() (about []Subject, attempt int) {
	switch trigger := strings.ToLower(c.function.Trigger.Type); trigger {
	case "queuetrigger":
		return messages(c.req.metadata("Id")), c.req.number("DequeueCount")
	case "servicebustrigger":
		if ids := c.req.texts("MessageIdArray"); len(ids) > 0 {
			return messages(ids...), same(c.req.texts("DeliveryCountArray"))
		}
		return messages(c.req.metadata("MessageId")), c.req.number("DeliveryCount")
	case "blobtrigger":
		t, _, err := c.req.blobPlace()
		if err != nil {
			return nil, 0
		}
		return []Subject{{Blob: &UploadedBlob{t.Container, t.Name, strings.Trim(t.ETag, `"`)}}}, 0
	case "httptrigger":
		return nil, 0
	default:
		if about = c.req.hubEvents(); len(about) == 0 {
			about = c.req.gridEvents(c.function.Trigger.Name)
		}
		return about, 0
	}
}

func messages(ids ...string) (about []Subject) {
	for _, id := range ids {
		if id != "" {
			about = append(about, Subject{Message: id})
		}
	}
	return about
}

// same returns the number that all are, 0 when they differ.
func same(numbers []string) int {
	for _, n := range numbers {
		if n != numbers[0] {
			return 0
		}
	}
	if len(numbers) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(numbers[0])
	return max(n, 0)
}

// hubEvents are the events of Event Hubs in a payload that a replay has given IDs. The host has their application
// properties under Properties, and for batches under PropertiesArray. Source:
// https://github.com/Azure/azure-sdk-for-net, EventHubTriggerBindingStrategy.
func (r *Request) hubEvents() (about []Subject) {
	var all []map[string]json.RawMessage
	if r.inner("PropertiesArray", &all) != nil {
		var one map[string]json.RawMessage
		if r.inner("Properties", &one) != nil {
			return nil
		}
		all = append(all, one)
	}
	for _, properties := range all {
		if id, ok := scalar(properties[capture.EventIDProperty]); ok && id != "" {
			about = append(about, Subject{Event: id})
		}
	}
	return about
}

// gridEvents are the events of Event Grid in a payload, in its own schema or as CloudEvents.
func (r *Request) gridEvents(binding string) (about []Subject) {
	if binding == "" && len(r.Data) == 1 {
		for binding = range r.Data {
		}
	}
	doc := []byte(r.Data[binding])
	if text, ok := r.Text(binding); ok {
		doc = []byte(text)
	}
	type event struct{ ID, EventType, SpecVersion string }
	var events []event
	if json.Unmarshal(doc, &events) != nil {
		var one event
		if json.Unmarshal(doc, &one) != nil {
			return nil
		}
		events = append(events, one)
	}
	for _, e := range events {
		if e.ID != "" && (e.EventType != "" || e.SpecVersion != "") {
			about = append(about, Subject{Event: e.ID})
		}
	}
	return about
}

func (r *Request) number(name string) int {
	n, _ := strconv.Atoi(r.metadata(name))
	return max(n, 0)
}

// texts reads metadata that are a list of texts or numbers.
func (r *Request) texts(name string) (texts []string) {
	var list []json.RawMessage
	if r.inner(name, &list) != nil {
		return nil
	}
	for _, element := range list {
		text, _ := scalar(element)
		texts = append(texts, text)
	}
	return texts
}

var errNoMetadata = errors.New("no such metadata")

// inner reads metadata that are JSON, or JSON in a text.
func (r *Request) inner(name string, v any) error {
	doc, ok := r.Metadata[name]
	if !ok {
		return errNoMetadata
	}
	if json.Unmarshal(doc, v) == nil {
		return nil
	}
	return json.Unmarshal([]byte(r.metadata(name)), v)
}
