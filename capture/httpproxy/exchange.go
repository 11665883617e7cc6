package httpproxy

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
)

// An exchange is one request and its answer while they pass.
type exchange struct {
	in      *http.Request // as it came; its body is read through request
	match   Match
	arrived time.Time
	request *tap

	// Set by the handler's goroutine, before finish.
	status int
	header http.Header
	answer *tap
	err    error // why the upstream did not answer

	// Set by settle.
	took  time.Duration
	body  []byte
	reply []byte
}

func newExchange(r *http.Request, match Match, maxBody int64) *exchange {
	return &exchange{in: r, match: match, arrived: now(), request: newTap(r.Body, r.ContentLength, maxBody)}
}

// String names the exchange by its route: a path may have a secret in it.
func (x *exchange) String() string { return "a request of " + x.match.Key() }

// A verdict says what a finished exchange is worth.
type verdict int

const (
	complete  verdict = iota
	noOutcome         // the request is whole, its answer is not
	cut               // the request is not whole
	tooLarge
)

// settle takes the bodies out of the taps and judges them.
func (x *exchange) settle() verdict {
	var whole, large bool
	if x.body, whole, large = x.request.take(); large {
		return tooLarge
	}
	if !whole {
		return cut
	}
	x.took = time.Since(x.arrived)
	if x.err != nil {
		return complete
	}
	if x.answer == nil {
		return noOutcome // the client has gone before the answer began
	}
	x.reply, whole, large = x.answer.take()
	switch {
	case large:
		return tooLarge
	case !whole:
		return noOutcome
	}
	return complete
}

// invocation makes the record of a settled exchange. The host is the one that the upstream saw.
func (x *exchange) invocation(opts Options, v verdict) (*capture.Invocation, error) {
	host := opts.Upstream.Host
	if opts.KeepHost {
		host = x.in.Host
	}
	event, err := NewEvent(opts.Format, x.in, x.body, Arrival{
		Match: x.match, Host: host, Stage: opts.Stage, RequestID: x.requestID(), Time: x.arrived,
		MultiValue: opts.MultiValue,
	})
	if err != nil {
		return nil, err
	}
	inv := &capture.Invocation{
		ID:       ulid.MustNew(ulid.Timestamp(x.arrived), ulid.DefaultEntropy()).String(),
		Function: opts.Function, Trigger: capture.TriggerHTTP, Format: opts.Format, Source: "http",
		Time: x.arrived, Event: event, Context: capture.Context{TraceID: x.in.Header.Get("X-Amzn-Trace-Id")},
	}
	if v == complete {
		inv.Outcome = x.result()
	}
	return inv, nil
}

func (x *exchange) result() *capture.Outcome {
	o := &capture.Outcome{DurationMS: float64(x.took) / float64(time.Millisecond), Attempts: 1}
	if x.err != nil {
		o.Status = capture.StatusTransport
		o.Error = &capture.Error{Message: x.err.Error()}
		return o
	}
	o.Status = capture.StatusOK
	o.HTTP = capture.NewHTTPAnswer(x.status, x.header, x.reply)
	return o
}

// requestID is the one that a gateway behind the proxy gave the request, or one like it.
func (x *exchange) requestID() string {
	for _, name := range []string{"Apigw-Requestid", "X-Amzn-Requestid"} {
		if id := x.header.Get(name); id != "" {
			return id
		}
	}
	return NewRequestID()
}

// NewRequestID makes a request ID that looks like those of HTTP APIs.
func NewRequestID() string {
	var id [11]byte
	rand.Read(id[:]) // never fails
	return base64.StdEncoding.EncodeToString(id[:])
}

// A tap copies what is read through it, up to a limit.
type tap struct {
	body io.ReadCloser
	want int64 // the declared length; -1 when there is none

	reading sync.Mutex // held while body is read, so that copies are in order
	mu      sync.Mutex // guards what follows
	copied  bytes.Buffer
	limit   int64
	n       int64
	eof     bool
	taken   bool
}

func newTap(body io.ReadCloser, length, limit int64) *tap {
	if body == nil || body == http.NoBody { // whatever length an answer to HEAD declares
		return &tap{body: http.NoBody, limit: limit}
	}
	return &tap{body: body, want: length, limit: limit}
}

func (t *tap) Read(p []byte) (int, error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	n, err := t.body.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += int64(n)
	t.eof = t.eof || err == io.EOF
	switch {
	case t.taken:
	case t.n > t.limit || t.want > t.limit:
		t.copied = bytes.Buffer{} // nobody will want it
	default:
		t.copied.Write(p[:n])
	}
	return n, err
}

func (t *tap) Close() error { return t.body.Close() }

// drain reads on to the end of the body or to the limit.
func (t *tap) drain() {
	t.mu.Lock()
	left := t.limit + 1 - t.n
	t.mu.Unlock()
	_, _ = io.CopyN(io.Discard, t, left) // an error leaves the body incomplete, which take tells
}

// take returns what was copied. Whole says that this is all of the body, and large that it was over the limit. What
// is read later is not copied.
func (t *tap) take() (content []byte, whole, large bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = true
	return t.copied.Bytes(), t.eof || t.n == t.want, t.n > t.limit || t.want > t.limit
}
