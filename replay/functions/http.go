package functions

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/replay"
)

// HTTPOptions say where an HTTP trigger is. URL is needed.
type HTTPOptions struct {
	// URL is where the function is. {name} stands for the event's path parameter of that name and {path} for its
	// whole path, both as the client escaped them. The event's query goes behind the URL's own.
	URL  string
	Key  string       // the function's or the host's key; "" for anonymous functions
	HTTP *http.Client // from [replay.NewHTTPClient], which is the default too
}

// HTTP is a function with an HTTP trigger. It is safe for concurrent use.
type HTTP struct {
	url    *template
	key    string
	client *http.Client
}

// NewHTTP returns the target that opts describe. It fails when the URL is not one.
func NewHTTP(opts HTTPOptions) (*HTTP, error) {
	t, err := parseTemplate(opts.URL)
	if err != nil {
		return nil, err
	}
	if opts.HTTP == nil {
		opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return &HTTP{url: t, key: opts.Key, client: opts.HTTP}, nil
}

// Check refuses events that no request can be made of; see [replay.Checker].
func (t *HTTP) Check(inv *capture.Invocation) error {
	_, err := t.Prepare(inv)
	return err
}

// Prepare makes the request that an event came from; see [replay.Preparer].
func (t *HTTP) Prepare(inv *capture.Invocation) (replay.Target, error) { return t.request(inv) }

// parse returns the event's request, and where it goes.
func (t *HTTP) parse(inv *capture.Invocation) (*httpEvent, *url.URL, error) {
	if inv.Trigger != capture.TriggerHTTP {
		return nil, nil, fmt.Errorf("an event of the trigger %s cannot be sent to an HTTP trigger", inv.Trigger)
	}
	event, err := parseHTTPEvent(inv)
	if err != nil {
		return nil, nil, err
	}
	if !httpguts.ValidHeaderFieldName(event.method) { // both are tokens
		return nil, nil, fmt.Errorf("%q is not a method", event.method)
	}
	u, err := t.url.expand(event)
	return event, u, err
}

// Fire sends the request that the event came from; see [replay.Target].
//
// A 429 or 503 with Retry-After is a throttle, as the platform sends it; without, it is the function's own answer. A
// 500 with an empty body is a function that threw.
func (t *HTTP) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	req, err := t.request(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	return req.Fire(ctx, inv)
}

// A httpRequest is the request of one event, without mark.
type httpRequest struct {
	client  *http.Client
	request http.Request // its body is content
	content []byte
}

func (t *HTTP) request(inv *capture.Invocation) (*httpRequest, error) {
	event, u, err := t.parse(inv)
	if err != nil {
		return nil, err
	}
	header := event.header
	// Under this spelling alone net/http finds it; without one, it would send its own.
	header["User-Agent"] = header["user-agent"]
	delete(header, "user-agent")
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{""}
	}
	if t.key != "" {
		header["x-functions-key"] = []string{t.key}
	}
	return &httpRequest{t.client, http.Request{Method: event.method, URL: u, Host: u.Host, Header: header}, event.body}, nil
}

// Fire implements [replay.Target].
func (r *httpRequest) Fire(ctx context.Context, _ *capture.Invocation) (*capture.Outcome, error) {
	delete(r.request.Header, capture.MarkHeader)
	if mark, ok := replay.MarkFrom(ctx); ok {
		r.request.Header[capture.MarkHeader] = []string{mark.String()}
	}
	resp, body, elapsed, err := replay.Exchange(ctx, r.client, &r.request, r.content)
	if err != nil {
		return replay.TransportFailure(ctx, err)
	}
	out, err := answered(resp, body)
	if out != nil {
		out.DurationMS = replay.Milliseconds(elapsed)
	}
	return out, err
}

// answered brings an answer to the neutral form.
func answered(resp *http.Response, body []byte) (*capture.Outcome, error) {
	after := resp.Header.Get("Retry-After")
	refused := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
	if refused && after != "" {
		out := &capture.Outcome{
			Status: capture.StatusThrottled, HTTP: capture.NewHTTPAnswer(resp.StatusCode, resp.Header, body),
		}
		return nil, &replay.ThrottledError{After: retryAfter(after, time.Now()), Outcome: out}
	}
	return translate.HTTPOutcome(resp.StatusCode, resp.Header, body), nil
}

// retryAfter reads a delay in seconds or a date; what is neither is no delay.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 1e6)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
