package functions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/httptrigger"
)

// EventGridOptions say which function an event is delivered to, or which topic it is published to. URL and Function,
// or Topic, are needed.
type EventGridOptions struct {
	URL      string // of the app
	Function string // its name in the app, in the app's spelling
	Key      string // the system key eventgrid_extension, or the master key
	// Accepts says that the app answers 202 before the function has run, or whatever became of it, as version 1 of the
	// extension does. The board is asked then.
	Accepts bool

	Topic    string // the endpoint of a topic, to publish to in the place of the app
	TopicKey string

	GridMapping
	// Board has what is heard of events with Topic or Accepts, by their IDs; see [completion.Event]. Nil when nobody
	// tells: then what becomes of them is unknown once they were taken.
	Board *completion.Board
	HTTP  *http.Client // from [replay.NewHTTPClient], which is the default too
}

// An EventGrid is a function with an Event Grid trigger. It is safe for concurrent use.
//
// It delivers each record of SNS, or the event of EventBridge, as Event Grid does, once. The app answers when the
// function has ended: 202 when it succeeded, and 500 with the reason when it failed, since version 2 of the extension
// (ProcessEventsAsync in EventGridExtensionConfigProvider.cs in https://github.com/Azure/azure-sdk-for-net). A topic
// tells nothing, and neither does an app that Accepts, so Fire then waits for what the board is told.
type EventGrid struct {
	opts    EventGridOptions
	address string
}

// NewEventGrid returns the target that opts describe.
func NewEventGrid(opts EventGridOptions) (*EventGrid, error) {
	g := &EventGrid{opts: opts, address: opts.Topic}
	if opts.Topic == "" {
		if opts.URL == "" || opts.Function == "" {
			return nil, errors.New("an Event Grid trigger needs the app's url and the name of the function")
		}
		g.address = strings.TrimSuffix(opts.URL, "/") + "/runtime/webhooks/eventgrid?functionName=" +
			url.QueryEscape(opts.Function)
	}
	if u, err := url.Parse(g.address); err != nil || u.Host == "" {
		return nil, errors.New("an Event Grid trigger needs a URL with a host")
	}
	if opts.HTTP == nil {
		g.opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return g, nil
}

// waits says that answers tell nothing of what became of an event.
func (g *EventGrid) waits() bool { return g.opts.Topic != "" || g.opts.Accepts }

// Check refuses what Event Grid cannot carry; see [replay.Checker].
func (g *EventGrid) Check(inv *capture.Invocation) error {
	_, err := g.deliveries(inv, strings.Repeat("x", maxEventID))
	return err
}

// maxEventID is longer than the IDs that eventIDs makes of the IDs of runs and invocations that tandem makes.
const maxEventID = 256

// A delivery is one request.
type delivery struct {
	record, id string
	body       []byte
}

// deliveries are what inv is sent as. Events have IDs that begin with prefix.
func (g *EventGrid) deliveries(inv *capture.Invocation, prefix string) ([]delivery, error) {
	notices, err := g.opts.notices(inv)
	if err != nil {
		return nil, err
	}
	all := make([]delivery, len(notices))
	for i, n := range notices {
		d := delivery{record: n.record, id: eventID(prefix, i)}
		if d.body, err = g.opts.body(n, d.id, g.opts.Topic != ""); err != nil {
			return nil, fmt.Errorf("record %s: %w", n.record, err)
		}
		if len(d.body) > maxGridEvent {
			return nil, fmt.Errorf("record %s has %d bytes as an event, over the limit of %d of Event Grid", n.record,
				len(d.body), maxGridEvent)
		}
		all[i] = d
	}
	return all, nil
}

// eventPrefix begins the IDs of the events of one firing, and of no other: with the mark, by which people can tell
// where an event is from.
func eventPrefix(ctx context.Context) string {
	prefix := customhandler.NewInvocationID()
	if mark, ok := replay.MarkFrom(ctx); ok {
		prefix = mark.String() + "/" + prefix
	}
	return prefix
}

func eventID(prefix string, i int) string { return fmt.Sprintf("%s/%d", prefix, i) }

// Fire delivers the events of an SNS or EventBridge event, one after the other; see [replay.Target].
func (g *EventGrid) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	all, err := g.deliveries(inv, eventPrefix(ctx))
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	var wait *completion.Wait
	if g.waits() && g.opts.Board != nil {
		ids := make([]string, len(all))
		for i, d := range all {
			ids[i] = d.id
		}
		wait = expectEvents(g.opts.Board, ids)
		defer wait.Close()
	}
	out := &capture.Outcome{Status: capture.StatusOK}
	for i, d := range all {
		failed, err := g.deliver(ctx, d)
		var throttled *replay.ThrottledError
		switch {
		case i > 0 && errors.As(err, &throttled): // or those before it would be delivered again
			return nil, fmt.Errorf("record %s was refused after %d before it were delivered", d.record, i)
		case err != nil:
			return nil, err
		case failed != nil && (failed.Status == capture.StatusTransport || failed.Status == capture.StatusUnreplayable):
			if i > 0 {
				return nil, fmt.Errorf("record %s after %d were delivered: %s", d.record, i, failed.Error.Message)
			}
			return failed, nil
		case failed != nil && out.Status == capture.StatusOK:
			out = failed
		}
	}
	switch {
	case !g.waits() || out.Status != capture.StatusOK:
		return out, nil
	case wait == nil:
		return nil, nobodyTells(g.who())
	}
	return g.await(ctx, wait, all)
}

// await tells the outcome of events by what the board is told. Event Grid delivers an event again that a function
// failed on, which Lambda's is not asked to do here, so what counts is the first delivery.
func (g *EventGrid) await(ctx context.Context, wait *completion.Wait, all []delivery) (*capture.Outcome, error) {
	ids, names := make([]string, len(all)), make([]string, len(all))
	for i, d := range all {
		ids[i], names[i] = d.id, "record "+d.record
	}
	findings, err := awaitEvents(ctx, wait, ids, names, 1)
	if err != nil {
		return nil, err
	}
	for _, f := range findings {
		if f.Fate != capture.Acked {
			return f.failure(), nil
		}
	}
	return &capture.Outcome{Status: capture.StatusOK}, nil
}

// deliver sends one event. It returns the outcome of one that was not a success, nil for one that was, or that was
// accepted by who tells nothing more.
func (g *EventGrid) deliver(ctx context.Context, d delivery) (*capture.Outcome, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.address, bytes.NewReader(d.body))
	if err != nil {
		return replay.Unreplayable("record %s cannot be sent", d.record), nil
	}
	g.setHeader(ctx, req.Header)
	resp, err := g.opts.HTTP.Do(req)
	if err != nil {
		return replay.TransportFailure(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return replay.TransportFailure(ctx, fmt.Errorf("read the answer with status %d: %w", resp.StatusCode, err))
	}
	return g.answered(resp, body)
}

func (g *EventGrid) setHeader(ctx context.Context, h http.Header) {
	h.Set("Content-Type", "application/json; charset=utf-8")
	if g.opts.Schema == SchemaCloudEvents {
		h.Set("Content-Type", "application/cloudevents-batch+json; charset=utf-8")
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		h.Set(capture.MarkHeader, mark.String())
	}
	if g.opts.Topic != "" {
		h.Set("Aeg-Sas-Key", g.opts.TopicKey)
		return
	}
	h.Set("Aeg-Event-Type", "Notification")
	if g.opts.Key != "" {
		h.Set("X-Functions-Key", g.opts.Key) // rather than as ?code=, which logs of requests have
	}
}

// answered says what an answer tells of the function. Only the host itself answers 202, or 500 with anything but a page
// for browsers; others are of what stands in front of it.
func (g *EventGrid) answered(resp *http.Response, body []byte) (*capture.Outcome, error) {
	says := strings.TrimSpace(string(body[:min(len(body), 2000)]))
	failure := func(status capture.Status) *capture.Outcome {
		message := fmt.Sprintf("%s answered %d: %s", g.who(), resp.StatusCode, cmp.Or(says, "nothing more"))
		return &capture.Outcome{Status: status, Error: &capture.Error{Message: message}}
	}
	after := resp.Header.Get("Retry-After")
	switch code := resp.StatusCode; {
	case code == http.StatusAccepted, code == http.StatusOK && g.opts.Topic != "":
		return nil, nil
	case code == http.StatusInternalServerError && g.opts.Topic == "" &&
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		out := failure(capture.StatusFunctionError)
		if strings.HasPrefix(says, "Timeout value of ") {
			out.Status = capture.StatusTimeout
		}
		out.Error.Message = cmp.Or(says, out.Error.Message)
		return out, nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound,
		code >= 300 && code < 400:
		return nil, &replay.SetupError{Err: errors.New(failure("").Error.Message)}
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		return failure(capture.StatusUnreplayable), nil
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && after != "":
		return nil, &replay.ThrottledError{
			After: httptrigger.RetryAfter(after, time.Now()), Outcome: failure(capture.StatusThrottled),
		}
	}
	return failure(capture.StatusTransport), nil
}

func (g *EventGrid) who() string {
	if g.opts.Topic != "" {
		return "the topic"
	}
	return "the app, asked for function " + g.opts.Function + ","
}
