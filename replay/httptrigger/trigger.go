// Package httptrigger sends recorded HTTP events as the requests that they once were, for targets on either cloud to
// share. It rebuilds a request from the raw path and query, the repeated headers, the cookies and the body in base64
// of an event, and sends it once; what the answer means is the target's to say.
package httptrigger

import (
	"context"
	"fmt"
	"maps"
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
	_, err := t.prepare(inv)
	return err
}

// Prepare makes the request that an event came from; see [replay.Preparer].
func (t *Trigger) Prepare(inv *capture.Invocation) (replay.Target, error) { return t.prepare(inv) }

// Fire sends the request that the event came from; see [replay.Target].
func (t *Trigger) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	p, err := t.prepare(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	return p.Fire(ctx, inv)
}

// A prepared is the request of one event, without mark and keys.
type prepared struct {
	opts    *Options
	request http.Request // its body is content
	content []byte
}

func (t *Trigger) prepare(inv *capture.Invocation) (*prepared, error) {
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
	p := &prepared{&t.opts, http.Request{Method: event.method, URL: u, Host: u.Host, Header: header}, event.body}
	if t.opts.Accept != nil {
		if err := t.opts.Accept(inv, &p.request, event.body); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Fire implements [replay.Target].
func (p *prepared) Fire(ctx context.Context, _ *capture.Invocation) (*capture.Outcome, error) {
	req, u := p.request.WithContext(ctx), *p.request.URL
	req.URL, req.Header = &u, maps.Clone(req.Header) // which Prepare may change, each time
	if mark, ok := replay.MarkFrom(ctx); ok {
		req.Header[capture.MarkHeader] = []string{mark.String()}
	}
	if p.opts.Prepare != nil {
		if err := p.opts.Prepare(req, p.content); err != nil {
			return nil, err
		}
	}
	resp, body, elapsed, err := replay.Exchange(ctx, p.opts.HTTP, req, p.content)
	if err != nil {
		return replay.TransportFailure(ctx, err)
	}
	out, err := p.opts.Outcome(resp, body)
	if out != nil {
		out.DurationMS = replay.Milliseconds(elapsed)
	}
	return out, err
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
