package customhandler

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/capture/wiretap"
)

// Capturer is what sources of invocations that an Observer makes begin with.
const Capturer = "customhandler"

// verbatim follows Capturer in the sources of invocations that have no Lambda form.
const verbatim = ":verbatim/"

// A Fate says what an [Observer] makes of an exchange. All but Recordable and the Lost… are left out on purpose.
type Fate string

const (
	Recordable  Fate = "recordable"
	LeftPing    Fate = "not an invocation"       // the host looks whether the handler is there
	LeftReplay  Fate = "from a replay"           // it has a [capture.Mark]
	LeftRoute   Fate = "without a route"         // the API in front of the Lambda function does not have the path
	LostLarge   Fate = "too large"               // more has passed than was kept
	LostCut     Fate = "not seen to its end"     // the request was cut off, or copies of it are missing
	LostUnclear Fate = "not what a host invokes" // no payload, and no request that can be told
)

// Lost tells whether an exchange should have been recorded and cannot be.
func (f Fate) Lost() bool { return f == LostLarge || f == LostCut || f == LostUnclear }

// ObserverOptions say what an Observer makes of what it sees. The zero value is usable.
type ObserverOptions struct {
	// App tells triggers and the names of bindings and queues; what it does not say is guessed from payloads.
	App *App
	// Names has the recording's name for a function of Azure's. Others keep theirs.
	Names map[string]string
	// HTTP has what stood in front of the Lambda function, by the function of Azure's; "" is for all others. Prefix and
	// KeepCode are by default what App says.
	HTTP map[string]translate.HTTPOptions
	// QueueARNs has the ARN of the queue for the name of a Storage or Service Bus queue or topic. Others are made up.
	QueueARNs map[string]string
	Blobs     translate.BlobOptions
	Verbatim  bool // no payload is translated, but for HTTP, whose requests may have access keys
	Replays   bool // what a replay has fired is not left out
	// Objects keeps the bytes of blobs; a [capture.Writer] of a folder does. With nil they are not kept.
	Objects ObjectStore
}

// An ObjectStore keeps content and returns its hash; see [capture.Writer.PutObject].
type ObjectStore interface {
	PutObject(r io.Reader) (sha256hex string, size int64, err error)
}

// An Observer makes invocations of the exchanges between a Functions host and a custom handler. It is safe for
// concurrent use if its ObjectStore is.
type Observer struct {
	opts ObserverOptions
	http map[string]*translate.HTTP // by function
}

// NewObserver checks opts. The App must not change any more.
func NewObserver(opts ObserverOptions) (*Observer, error) {
	if opts.App == nil {
		opts.App = &App{Prefix: "api"}
	}
	o := &Observer{opts: opts, http: make(map[string]*translate.HTTP)}
	names := []string{""}
	for name := range opts.App.Functions {
		names = append(names, name)
	}
	for name := range opts.HTTP {
		names = append(names, name)
	}
	for _, name := range names {
		h, ok := opts.HTTP[name]
		if !ok {
			h = opts.HTTP[""]
		}
		h.Prefix = cmp.Or(h.Prefix, "/"+opts.App.Prefix)
		if fn := opts.App.Functions[name]; fn != nil && strings.EqualFold(fn.Trigger.AuthLevel, "anonymous") {
			h.KeepCode = true
		}
		var err error
		if o.http[name], err = translate.NewHTTP(h); err != nil {
			return nil, fmt.Errorf("function %q: %w", name, err)
		}
	}
	return o, nil
}

// Observe returns the invocation that x was, if its fate is [Recordable]; nil otherwise. An error says why an
// exchange is lost or, with an invocation, why that is of the payload as it came, or without the bytes of its blob.
func (o *Observer) Observe(x *wiretap.Exchange) (*capture.Invocation, Fate, error) {
	id := x.Request.Header.Get(InvocationIDHeader)
	switch {
	case id == "":
		return nil, LeftPing, nil
	case !o.opts.Replays && x.Request.Header.Get(capture.MarkHeader) != "":
		return nil, LeftReplay, nil
	case x.RequestBody.Cut():
		return nil, LostLarge, fmt.Errorf("%d bytes were sent to %s", x.RequestBody.Size, x.Request.URL.Path)
	case !x.RequestBody.Whole:
		return nil, LostCut, fmt.Errorf("request to %s: %w", x.Request.URL.Path, x.Broken)
	}
	inv, fate, err := o.invocation(x)
	if inv != nil {
		inv.Context.RequestID = id
		if inv.Outcome != nil {
			inv.Outcome.Attempts = 1
		}
		if inv.Outcome != nil && answered(x) {
			inv.Outcome.DurationMS = float64(x.ResponseBody.Last.Sub(x.RequestBody.First).Microseconds()) / 1000
		}
	}
	return inv, fate, err
}

func (o *Observer) invocation(x *wiretap.Exchange) (*capture.Invocation, Fate, error) {
	if fn := o.opts.App.forwarded(x.Request.Method, rawPath(x.Request)); fn != nil {
		return o.forwarded(x, fn.Name)
	}
	req, err := ParseRequest(x.RequestBody.Bytes)
	name, pathErr := url.PathUnescape(strings.TrimPrefix(rawPath(x.Request), "/"))
	isName := pathErr == nil && name != "" && !strings.Contains(name, "/")
	if err == nil && isName && x.Request.Method == http.MethodPost {
		return o.payload(&call{x: x, req: req, function: o.function(name, req)})
	}
	switch fn := o.opts.App.Functions[name]; {
	case pathErr == nil && fn != nil && fn.plain: // hosts that forward to the function's name
		return o.forwarded(x, name)
	case len(o.opts.App.Functions) > 0 && !o.opts.App.Forward:
		return nil, LostUnclear, fmt.Errorf("%s %s", x.Request.Method, x.Request.URL.Path)
	}
	return o.forwarded(x, unknownFunction)
}

// unknownFunction is the name of the function that requests are for where nothing tells more about them.
const unknownFunction = "http"

// rawPath is the path as it was sent.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// forwarded makes an invocation of a plain request.
func (o *Observer) forwarded(x *wiretap.Exchange, function string) (*capture.Invocation, Fate, error) {
	event, err := o.httpFor(function).Event(translate.Request{
		Method: x.Request.Method, URL: x.Request.RequestURI, Header: withHost(x.Request), Body: x.RequestBody.Bytes,
		ID: x.Request.Header.Get(InvocationIDHeader), Time: x.RequestBody.First.Wall,
	})
	switch {
	case errors.Is(err, translate.ErrUnrouted):
		return nil, LeftRoute, nil
	case err != nil:
		return nil, LostUnclear, err
	}
	inv := o.made(x, function, translate.Source(Capturer, translate.KindHTTP, function), event)
	switch failed := brokenOff(x); {
	case failed != nil:
		inv.Outcome = translate.Failed(failed)
	case answered(x):
		inv.Outcome = translate.HTTPOutcome(x.Response.StatusCode, x.Response.Header, x.ResponseBody.Bytes)
	}
	return inv, Recordable, nil
}

func withHost(r *http.Request) http.Header {
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	return header
}

func (o *Observer) httpFor(function string) *translate.HTTP {
	if h := o.http[function]; h != nil {
		return h
	}
	return o.http[""]
}

func (o *Observer) made(x *wiretap.Exchange, function, source string, event json.RawMessage) *capture.Invocation {
	name := cmp.Or(o.opts.Names[function], function)
	return translate.NewInvocation(name, source, x.RequestBody.First.Wall, event)
}

// A call is an exchange that has a payload.
type call struct {
	x        *wiretap.Exchange
	req      *Request
	function *Function
}

// payload makes an invocation of a call.
func (o *Observer) payload(c *call) (*capture.Invocation, Fate, error) {
	var inv *capture.Invocation
	var err error
	trigger := strings.ToLower(c.function.Trigger.Type)
	switch {
	case trigger == "httptrigger":
		return o.httpCall(c)
	case !o.opts.Replays && c.req.isReplayed(trigger):
		return nil, LeftReplay, nil
	case o.opts.Verbatim:
	case trigger == "queuetrigger":
		inv, err = o.queueCall(c)
	case trigger == "servicebustrigger":
		inv, err = o.serviceBusCall(c)
	case trigger == "blobtrigger":
		inv, err = o.blobCall(c)
	}
	if inv == nil {
		inv = o.verbatimCall(c)
	}
	return inv, Recordable, err
}

func (o *Observer) httpCall(c *call) (*capture.Invocation, Fate, error) {
	t, err := c.req.HTTP(c.function.Trigger.Name)
	if err != nil {
		return nil, LostUnclear, err // as it came it may have an access key
	}
	if !o.opts.Replays && t.Header.Get(capture.MarkHeader) != "" {
		return nil, LeftReplay, nil
	}
	event, err := o.httpFor(c.function.Name).Event(translate.Request{
		Method: t.Method, URL: t.URL, Header: t.Header, Body: t.Body,
		ID: c.x.Request.Header.Get(InvocationIDHeader), Time: c.x.RequestBody.First.Wall,
	})
	switch {
	case errors.Is(err, translate.ErrUnrouted):
		return nil, LeftRoute, nil
	case err != nil:
		return nil, LostUnclear, err
	}
	inv := o.made(c.x, c.function.Name, translate.Source(Capturer, translate.KindHTTP, c.function.Name), event)
	inv.Outcome = c.httpOutcome()
	return inv, Recordable, nil
}

func (o *Observer) queueCall(c *call) (*capture.Invocation, error) {
	t, err := c.req.Queue(c.function.Trigger.Name, c.function.Trigger.Binary())
	if err != nil {
		return nil, err
	}
	queue := cmp.Or(c.function.Trigger.QueueName, c.function.Name)
	event, err := translate.QueueEvent(translate.QueueMessage{
		ID: t.ID, Body: t.Body, Inserted: t.Inserted, DequeueCount: t.DequeueCount, PopReceipt: t.PopReceipt,
		Received: c.x.RequestBody.First.Wall,
	}, cmp.Or(o.opts.QueueARNs[queue], translate.ARN(queue)))
	if err != nil {
		return nil, err
	}
	return o.messageInvocation(c, translate.Source(Capturer, translate.KindQueue, queue), event), nil
}

func (o *Observer) serviceBusCall(c *call) (*capture.Invocation, error) {
	m, err := c.req.ServiceBus(c.function.Trigger.Name, c.function.Trigger.Binary())
	if err != nil {
		return nil, err
	}
	m.Received = c.x.RequestBody.First.Wall
	queue := cmp.Or(c.function.Trigger.QueueName, c.function.Trigger.TopicName, c.function.Name)
	arn := o.opts.QueueARNs[queue]
	if arn == "" {
		if arn = translate.ARN(queue); m.SessionID != "" {
			arn += ".fifo"
		}
	}
	event, err := translate.ServiceBusEvent(m, arn)
	if err != nil {
		return nil, err
	}
	return o.messageInvocation(c, translate.Source(Capturer, translate.KindServiceBus, queue), event), nil
}

func (o *Observer) messageInvocation(c *call, source string, event json.RawMessage) *capture.Invocation {
	inv := o.made(c.x, c.function.Name, source, event)
	if resp, failed, known := c.result(); known {
		inv.Outcome = translate.MessageOutcome(event, failed)
		inv.Outcome.Result = resp.outputs("")
	}
	return inv
}

// markPlaces are the metadata in which a replay's mark comes to a function, by its trigger.
var markPlaces = map[string][]string{
	"blobtrigger":       {"Metadata"},
	"servicebustrigger": {"ApplicationProperties", "UserProperties"},
	"eventhubtrigger":   {"Properties", "PropertiesArray"},
}

// isReplayed tells whether a replay has uploaded the blob or sent the message; of several events, all of them.
func (r *Request) isReplayed(trigger string) bool {
	for _, place := range markPlaces[trigger] {
		var several []map[string]json.RawMessage
		if text := unquoted(r.Metadata[place]); len(text) > 0 && text[0] == '[' {
			_ = json.Unmarshal(text, &several) // what cannot be read has no mark
		} else {
			several = make([]map[string]json.RawMessage, 1)
			_ = json.Unmarshal(text, &several[0])
		}
		if len(several) > 0 && !slices.ContainsFunc(several, func(m map[string]json.RawMessage) bool { return !isMarked(m) }) {
			return true
		}
	}
	return false
}

func isMarked(properties map[string]json.RawMessage) bool {
	for name := range properties {
		if strings.EqualFold(name, capture.MarkMetadata) || strings.EqualFold(name, capture.MarkHeader) {
			return true
		}
	}
	return false
}

// unquoted is metadata without the string that it may come in.
func unquoted(text json.RawMessage) json.RawMessage {
	var inner string
	if json.Unmarshal(text, &inner) == nil {
		return json.RawMessage(strings.TrimSpace(inner))
	}
	return bytes.TrimSpace(text)
}

func (o *Observer) blobCall(c *call) (*capture.Invocation, error) {
	t, err := c.req.Blob(c.function.Trigger.Name, c.function.Trigger.Binary())
	if err != nil {
		return nil, err
	}
	if t.Modified.IsZero() {
		t.Modified = c.x.RequestBody.First.Wall
	}
	event, err := translate.BlobEvent(translate.Blob{
		Container: t.Container, Name: t.Name, ETag: t.ETag, Size: int64(len(t.Body)), Time: t.Modified,
	}, o.opts.Blobs)
	if err != nil {
		return nil, err
	}
	inv := o.made(c.x, c.function.Name, translate.Source(Capturer, translate.KindBlob, t.Container), event)
	if resp, failed, known := c.result(); known {
		inv.Outcome = translate.Outcome(failed)
		inv.Outcome.Result = resp.outputs("")
	}
	if o.opts.Objects == nil {
		return inv, nil
	}
	object := capture.Object{Bucket: o.opts.Blobs.Bucket(t.Container), Key: t.Name, ContentType: t.ContentType}
	if object.SHA256, object.Size, err = o.opts.Objects.PutObject(bytes.NewReader(t.Body)); err != nil {
		return inv, fmt.Errorf("the bytes of blob %s: %w", t.Name, err)
	}
	inv.Objects = []capture.Object{object}
	return inv, nil
}

// verbatimCall keeps a payload as it came, for triggers that Lambda does not have and those that are not understood.
func (o *Observer) verbatimCall(c *call) *capture.Invocation {
	kind := strings.ToLower(strings.TrimSuffix(strings.ToLower(c.function.Trigger.Type), "trigger"))
	inv := o.made(c.x, c.function.Name, Capturer+verbatim+c.function.Name, c.x.RequestBody.Bytes)
	inv.Trigger, inv.Format = capture.TriggerOther, capture.FormatOther
	if kind != "" {
		inv.Format = capture.Format("azure-" + kind)
	}
	resp, failed, known := c.result()
	switch {
	case !known:
	case failed != nil:
		inv.Outcome = translate.Failed(failed)
	default:
		inv.Outcome = &capture.Outcome{Status: capture.StatusOK}
		if resp != nil {
			inv.Outcome.Result = capture.NewBody("application/json", c.x.ResponseBody.Bytes)
		}
	}
	return inv
}
