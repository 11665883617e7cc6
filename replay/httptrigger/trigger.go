// Package httptrigger sends recorded HTTP events as the requests that they once were, for targets on either cloud to
// share. It rebuilds a request from the raw path and query, the repeated headers, the cookies and the body in base64
// of an event, and sends it once; what the answer means is the target's to say.
package httptrigger

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"tandem/capture"
	"tandem/replay"
)

// Options say where requests go and what is made of them. URL and Outcome are needed.
type Options struct {
	// URL is where the function is. {name} stands for the event's path parameter of that name and {path} for its
	// whole path, both as the client escaped them. The event's query goes behind the URL's own.
	URL  string
	HTTP *http.Client // from [replay.NewHTTPClient], which is the default too
	// Accept returns why a request cannot be sent, for what the target knows of its platform; nil takes all. It runs
	// beforehand, without keys and mark, and changes nothing.
	Accept func(inv *capture.Invocation, r *http.Request, body []byte) error
	// Prepare gives a request, which has all but keys, what the platform admits it for. It runs right before each
	// time that a request is sent. Its errors are those of [replay.Target]. Names of headers are in lower case but
	// for User-Agent.
	Prepare func(r *http.Request, body []byte) error
	// Outcome says what an answer means, as [replay.Target] does. The body of resp has been read.
	Outcome func(resp *http.Response, body []byte) (*capture.Outcome, error)
}

// A Trigger is one URL. It is safe for concurrent use if the functions in its options are.
type Trigger struct {
	opts Options
	url  *template
}

// New returns the trigger that opts describe. It fails when the URL is not one.
func New(opts Options) (*Trigger, error) {
	t, err := parseTemplate(opts.URL)
	if err != nil {
		return nil, err
	}
	if opts.HTTP == nil {
		opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return &Trigger{opts: opts, url: t}, nil
}

// Check refuses events that no request can be made of; see [replay.Checker].
func (t *Trigger) Check(inv *capture.Invocation) error {
	_, _, err := t.request(context.Background(), inv)
	return err
}

// Fire sends the request that the event came from; see [replay.Target].
func (t *Trigger) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	req, content, err := t.request(ctx, inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		req.Header[capture.MarkHeader] = []string{mark.String()}
	}
	if t.opts.Prepare != nil {
		if err := t.opts.Prepare(req, content); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	resp, err := t.opts.HTTP.Do(req)
	if err != nil {
		return replay.TransportFailure(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	elapsed := time.Since(start)
	if err != nil {
		return replay.TransportFailure(ctx, fmt.Errorf("read the answer with status %d: %w", resp.StatusCode, err))
	}
	out, err := t.opts.Outcome(resp, body)
	if out != nil {
		out.DurationMS = replay.Milliseconds(elapsed)
	}
	return out, err
}

// request returns the request that the event came from, without mark and keys, and its body.
func (t *Trigger) request(ctx context.Context, inv *capture.Invocation) (*http.Request, []byte, error) {
	event, u, err := t.parse(inv)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, event.method, "/", requestBody(event))
	if err != nil {
		return nil, nil, err
	}
	req.URL, req.Host = u, u.Host // parsed as it is
	req.Header = event.header
	// Under this spelling alone net/http finds it; without one, it would send its own.
	req.Header["User-Agent"] = req.Header["user-agent"]
	delete(req.Header, "user-agent")
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""}
	}
	if t.opts.Accept != nil {
		err = t.opts.Accept(inv, req, event.body)
	}
	return req, event.body, err
}

// parse returns the event's request, and where it goes.
func (t *Trigger) parse(inv *capture.Invocation) (*request, *url.URL, error) {
	if inv.Trigger != capture.TriggerHTTP {
		return nil, nil, fmt.Errorf("an event of the trigger %s cannot be sent to an HTTP trigger", inv.Trigger)
	}
	event, err := parseEvent(inv)
	if err != nil {
		return nil, nil, err
	}
	if !httpguts.ValidHeaderFieldName(event.method) { // both are tokens
		return nil, nil, fmt.Errorf("%q is not a method", event.method)
	}
	u, err := t.url.expand(event)
	return event, u, err
}

// requestBody returns a reader of the event's body. For methods that net/http takes for safe it is, when empty, one
// that cannot be read again, which keeps net/http from sending such a request a second time on another connection.
func requestBody(event *request) io.Reader {
	switch {
	case len(event.body) > 0:
		return bytes.NewReader(event.body)
	case event.method == http.MethodGet, event.method == http.MethodHead, event.method == http.MethodOptions:
		return io.MultiReader()
	default:
		return http.NoBody
	}
}

// RetryAfter reads the value of that header, a delay in seconds or a date; what is neither is no delay.
func RetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 1e6)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
