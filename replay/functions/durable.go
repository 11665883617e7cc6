package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/replay"
	"tandem/replay/follow"
	"tandem/replay/httptrigger"
)

// DurableOptions say how an orchestration is started and followed. Start and URL are needed.
type DurableOptions struct {
	Start replay.Target // fires the function that starts it, at URL
	URL   string        // as in [HTTPOptions]; a status URL on its origin belongs to the same app
	// Key is the app's, for status URLs there that bring none of their own. It is sent nowhere else.
	Key string
	// Authorize gives a question to the app's own origin the token that the app asks for; nil for none.
	Authorize func(*http.Request) error
	// Waits says that the function waits for the orchestration for a while, and then answers with its output
	// (WaitForCompletionOrCreateCheckStatusResponse).
	Waits bool
	HTTP  *http.Client // from [replay.NewHTTPClient], which is the default too
	Pace  follow.Pace
}

// Durable is a function with an HTTP trigger that starts an orchestration of Durable Functions, or any other work that
// it answers 202 for. Its outcome is that of the work. It is safe for concurrent use.
//
// Source: https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-http-api and HttpApiHandler.cs in
// https://github.com/Azure/azure-functions-durable-extension.
type Durable struct {
	opts DurableOptions
	base *url.URL // of the function, without what events have
}

// NewDurable returns the target that opts describe. It fails when the URL is not one.
func NewDurable(opts DurableOptions) (*Durable, error) {
	text, _, _ := strings.Cut(opts.URL, "{")
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the url has to begin with http:// or https:// and a host")
	}
	if opts.HTTP == nil {
		opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return &Durable{opts, base}, nil
}

// Check refuses what the function cannot be sent; see [replay.Checker].
func (d *Durable) Check(inv *capture.Invocation) error {
	if c, ok := d.opts.Start.(replay.Checker); ok {
		return c.Check(inv)
	}
	return nil
}

// Fire starts the work and follows it to its end; see [replay.Target]. A completed orchestration's output is the
// result. The answer of a function that refused to start anything is its outcome.
func (d *Durable) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	out, err := d.opts.Start.Fire(ctx, inv)
	if err != nil || out.Status != capture.StatusOK || out.HTTP == nil {
		return out, err
	}
	w, err := d.started(out.HTTP)
	switch {
	case err != nil:
		return nil, err
	case w != nil:
		return follow.Until(ctx, d.opts.Pace, w.after, w.ask)
	case d.opts.Waits:
		return waited(out)
	case out.HTTP.Status < 300:
		return nil, fmt.Errorf("the function answered %d and no status URL: what became of what it started is not known",
			out.HTTP.Status)
	}
	return out, nil
}

// waited is the outcome of a function that waited for the orchestration's end.
func waited(out *capture.Outcome) (*capture.Outcome, error) {
	a := out.HTTP
	if doc, ok := parseStatus(a.Body.Bytes()); ok && doc.InstanceID != "" {
		return doc.outcome(0)
	}
	if a.Status != http.StatusOK {
		if a.Status < 300 {
			return nil, fmt.Errorf("the function answered %d, and neither an output nor a status URL", a.Status)
		}
		return out, nil
	}
	result := a.Body
	if result == nil {
		result = &capture.Body{JSON: []byte("null")}
	}
	return &capture.Outcome{Status: capture.StatusOK, Result: result}, nil
}

// A durableWork is something that was started, and where to ask for it.
type durableWork struct {
	client        *http.Client
	status        *url.URL
	key           string // to ask with; "" for none
	authorize     func(*http.Request) error
	orchestration bool          // of Durable Functions, whose status has a form
	after         time.Duration // how long to wait at first
}

// started returns the work that an answer tells of, or nil if it tells of none.
func (d *Durable) started(a *capture.HTTPAnswer) (*durableWork, error) {
	if a.Status < 200 || a.Status > 299 {
		return nil, nil
	}
	w := &durableWork{client: d.opts.HTTP, after: httptrigger.RetryAfter(first(a.Headers["retry-after"]), time.Now())}
	var links struct {
		Status string `json:"statusQueryGetUri"`
	}
	_ = json.Unmarshal(a.Body.Bytes(), &links) // any other answer has none
	address := links.Status
	w.orchestration = address != ""
	if address == "" && a.Status == http.StatusAccepted {
		address = first(a.Headers["location"])
	}
	if address == "" {
		return nil, nil
	}
	var err error
	if w.status, err = d.resolve(address); err != nil {
		return nil, err
	}
	if sameOrigin(w.status, d.base) {
		w.authorize = d.opts.Authorize
		if !w.status.Query().Has("code") {
			w.key = d.opts.Key // it would be taken before the code
		}
	}
	return w, nil
}

// resolve returns a status URL as a whole. Errors do not have it, because it may have a key in it.
func (d *Durable) resolve(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("the function answered a status URL that is none")
	case u.Host == "" && u.Scheme == "" && strings.HasPrefix(u.Path, "/"):
		u = d.base.ResolveReference(u)
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the function answered a status URL that is neither whole nor a path")
	case u.Scheme == "http" && d.base.Scheme == "https":
		return nil, fmt.Errorf("the function answered a status URL with http:// at %s: to ask there would send its key in "+
			"the clear", u.Host)
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u, nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// ask asks once; see [follow.Ask]. A question that fails is asked again, for it changes nothing.
func (w *durableWork) ask(ctx context.Context) (*capture.Outcome, error) {
	// A body that cannot be read again keeps net/http from sending a request twice.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", io.MultiReader())
	if err != nil {
		return nil, err
	}
	req.URL, req.Host = w.status, w.status.Host
	if w.key != "" {
		req.Header["x-functions-key"] = []string{w.key}
	}
	if w.authorize != nil {
		if err := w.authorize(req); err != nil {
			return nil, &follow.Pending{Err: fmt.Errorf("ask for the status: %w", err)}
		}
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		req.Header[capture.MarkHeader] = []string{mark.String()}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, &follow.Pending{Err: fmt.Errorf("ask for the status: %s", withoutURL(err))}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &follow.Pending{Err: fmt.Errorf("read the status: %s", withoutURL(err))}
	}
	return w.judge(resp, body)
}

// withoutURL is the text of an error of net/http without the URL, which may have a key in it.
func withoutURL(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}

// judge tells what an answer to the question for the status means.
func (w *durableWork) judge(resp *http.Response, body []byte) (*capture.Outcome, error) {
	after := httptrigger.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	said := fmt.Errorf("asked for the status, the app answered %d", resp.StatusCode)
	doc, isStatus := parseStatus(body)
	switch code := resp.StatusCode; {
	case isStatus && (code == http.StatusOK || code == http.StatusInternalServerError):
		return doc.outcome(after)
	case isStatus && code == http.StatusAccepted:
		return nil, &follow.Pending{After: after, Err: errors.New("it has not ended: it is " + doc.RuntimeStatus)}
	case code == http.StatusAccepted:
		return nil, &follow.Pending{After: after, Err: errors.New("it has not ended")}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return nil, &replay.SetupError{Err: said}
	case code == http.StatusNotFound:
		return nil, &follow.Missing{Err: fmt.Errorf("%w: its history was purged, or never there", said)}
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return nil, &follow.Pending{After: after, Err: said}
	case code == http.StatusGone:
		return nil, fmt.Errorf("%w: what became of it is not kept", said)
	case w.orchestration:
		return nil, fmt.Errorf("%w, and no runtimeStatus", said)
	}
	return translate.HTTPOutcome(resp.StatusCode, resp.Header, body), nil
}

// A durableStatus is what Durable Functions says of an orchestration.
type durableStatus struct {
	InstanceID    string          `json:"instanceId"`
	RuntimeStatus string          `json:"runtimeStatus"`
	Output        json.RawMessage `json:"output"`
}

// parseStatus reads a status. ok is false when body is none.
func parseStatus(body []byte) (s durableStatus, ok bool) {
	if json.Unmarshal(body, &s) != nil || s.RuntimeStatus == "" {
		return durableStatus{}, false
	}
	if len(s.Output) == 0 {
		s.Output = json.RawMessage("null")
	}
	return s, true
}

// outputText is the output as a failed orchestration has it: what went wrong, in words.
func (s durableStatus) outputText() string {
	var text string
	if json.Unmarshal(s.Output, &text) != nil {
		return string(s.Output)
	}
	return text
}

// outcome is that of an orchestration with this status. That of one that was terminated is not known, for somebody
// else ended it.
func (s durableStatus) outcome(after time.Duration) (*capture.Outcome, error) {
	switch status := s.RuntimeStatus; status {
	case "Completed":
		return &capture.Outcome{Status: capture.StatusOK, Result: capture.NewBody("application/json", s.Output)}, nil
	case "Failed":
		return &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Message: s.outputText()}}, nil
	case "Pending", "Running", "ContinuedAsNew", "Suspended":
		return nil, &follow.Pending{After: after, Err: errors.New("it has not ended: it is " + status)}
	case "Terminated", "Canceled":
		return nil, fmt.Errorf("the orchestration was ended from outside (%s): %s", status, s.outputText())
	default:
		return nil, fmt.Errorf("the orchestration has the status %q, which is not known", status)
	}
}
