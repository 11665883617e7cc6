package runtimeapi

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/capture"
)

// A Sink keeps invocations, and names them: those that a Recorder hands it have no ID yet. A Recorder calls Write from
// one goroutine at a time and does not touch inv afterwards. A [capture.Writer] is a Sink.
type Sink interface {
	Write(inv *capture.Invocation) error
}

// RecorderOptions says what a Recorder records. Upstream and Sink must be set.
type RecorderOptions struct {
	// Upstream is the address of the Runtime API proper, or of the next proxy before it, as host:port.
	Upstream string
	Sink     Sink
	// Function is the name that invocations are recorded under. By default it is taken from the function's ARN.
	Function string
	// Source is the invocations' Source; by default "runtime-api".
	Source string
	// RecordReplays also records the invocations that a replay fired, which are known by their [capture.Mark].
	RecordReplays bool
	// Concurrency is how many invocations the runtime works on at once; by default one, as Lambda has it unless
	// AWS_LAMBDA_MAX_CONCURRENCY is set. A runtime that asks for more has given up on the oldest one.
	Concurrency int
	// MaxPayload is how much of an answer is kept, in bytes; by default [MaxPayload]. What is larger, as streamed
	// answers may be, is passed on all the same and recorded as an outcome that is not known.
	MaxPayload int
	// Effects returns what an invocation did to the world and the objects that it read. It is called once, when the
	// outcome is known or known to be missing. Nil means that nobody watched.
	Effects func(requestID string) ([]capture.Effect, []capture.Object)
	// Log gets what goes wrong with recording; by default slog.Default().
	Log *slog.Logger
}

// A Recorder is a proxy for the Runtime API that notes every invocation that passes with its outcome. It changes
// nothing: each request goes to the upstream as it came, and each answer back, status and headers included; what the
// runtime streams is not held up. An invocation is with the sink before the runtime learns that its answer was
// accepted. When recording fails the function runs on.
//
// All methods may be called by several goroutines at once.
type Recorder struct {
	opts      RecorderOptions
	server    *server
	transport *http.Transport

	mu      sync.Mutex
	warm    bool       // an event has been delivered
	pending []*pending // in the order in which they were delivered
	stats   Stats

	writing sync.Mutex // held while the sink is called
}

// Stats counts what a Recorder has seen.
type Stats struct {
	Recorded int // invocations that the sink took
	Lost     int // invocations that the sink refused
	Replays  int // invocations left out because a replay fired them
}

// pending is an invocation that the function has been given and has not answered.
type pending struct {
	inv   *capture.Invocation
	since time.Time
}

// NewRecorder starts a Recorder on a free loopback port. Close it when done.
func NewRecorder(opts RecorderOptions) (*Recorder, error) {
	if opts.Source == "" {
		opts.Source = "runtime-api"
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = 1
	}
	if opts.MaxPayload == 0 {
		opts.MaxPayload = MaxPayload
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	r := &Recorder{opts: opts, transport: &http.Transport{DisableCompression: true}}
	errorLog := slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Transport:      r.transport,
		Rewrite:        r.rewrite,
		ModifyResponse: r.observe,
		FlushInterval:  -1,
		ErrorLog:       errorLog,
	}
	var err error
	r.server, err = serve(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isNext(req) {
			r.giveUp(r.opts.Concurrency - 1)
		}
		proxy.ServeHTTP(w, req)
	}), errorLog)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Addr returns the recorder's address in the form of AWS_LAMBDA_RUNTIME_API, "127.0.0.1:port".
func (r *Recorder) Addr() string { return r.server.addr() }

// Stats returns the counts so far.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Abort records an invocation whose function will not answer any more, such as one that ran out of time, with the
// outcome that the platform gave it; nil where that is not known. An invocation that is not pending is left alone.
func (r *Recorder) Abort(requestID string, outcome *capture.Outcome) {
	if p := r.remove(requestID); p != nil {
		r.record(p, outcome)
	}
}

// Close stops the proxy and records what is pending as invocations without an outcome. It does not close the sink.
func (r *Recorder) Close() error {
	err := r.server.close()
	r.transport.CloseIdleConnections()
	r.giveUp(0)
	return err
}

// rewrite sends a request on as it is and keeps a copy of an answer that is in it.
func (r *Recorder) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(&url.URL{Scheme: "http", Host: r.opts.Upstream})
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Trailer = pr.In.Trailer // the same map: it is filled when the body has been read
	if _, _, ok := postedTo(pr.In); ok && pr.Out.Body != nil {
		pr.Out.Body = &tee{ReadCloser: pr.Out.Body, max: r.opts.MaxPayload, length: pr.In.ContentLength}
	}
}

// observe sees the upstream's answer before the runtime does.
func (r *Recorder) observe(resp *http.Response) error {
	if isNext(resp.Request) && resp.StatusCode == http.StatusOK {
		event, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("reading the next event: %w", err)
		}
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(event))
		r.delivered(resp.Header, event)
		return nil
	}
	id, failed, ok := postedTo(resp.Request)
	if !ok {
		return nil
	}
	switch resp.StatusCode {
	case http.StatusAccepted:
		if p := r.remove(id); p != nil {
			r.record(p, outcomeOf(p.inv, resp.Request, failed))
		}
	case http.StatusRequestEntityTooLarge:
		if p := r.remove(id); p != nil {
			r.record(p, capture.LambdaOutcome(p.inv.Format, p.inv.Event, tooLarge().Payload, Unhandled))
		}
	}
	return nil // after any other status the runtime may try again
}

// outcomeOf makes the outcome of what the runtime posted in req, which the upstream has accepted; nil when it is not
// all there.
func outcomeOf(inv *capture.Invocation, req *http.Request, failed bool) *capture.Outcome {
	var payload []byte
	if body, ok := req.Body.(*tee); ok {
		if payload, ok = body.all(); !ok {
			return &capture.Outcome{Status: capture.StatusUnknown}
		}
	}
	functionError := ""
	if failed {
		functionError = Unhandled
	} else if req.Trailer.Get(headerErrorType) != "" {
		resp := trailerError(req.Trailer)
		payload, functionError = resp.Payload, resp.FunctionError
	}
	return capture.LambdaOutcome(inv.Format, inv.Event, payload, functionError)
}

// delivered notes that the runtime is about to get an event.
func (r *Recorder) delivered(header http.Header, event []byte) {
	now := time.Now()
	inv := &capture.Invocation{
		Function: r.opts.Function,
		Source:   r.opts.Source,
		Time:     now.UTC(),
		Event:    event,
		Context:  contextOf(header, now),
	}
	if inv.Function == "" {
		inv.Function = functionName(inv.Context.FunctionARN)
	}
	inv.Trigger, inv.Format = capture.Detect(event)
	_, replay := capture.MarkFromClientContext(inv.Context.ClientContext)

	r.mu.Lock()
	defer r.mu.Unlock()
	inv.Context.ColdStart = !r.warm
	r.warm = true
	if replay && !r.opts.RecordReplays {
		r.stats.Replays++
		return
	}
	r.pending = append(r.pending, &pending{inv: inv, since: now})
}

// remove takes an invocation off the pending ones; nil when it is not among them.
func (r *Recorder) remove(requestID string) *pending {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.pending {
		if p.inv.Context.RequestID == requestID {
			r.pending = slices.Delete(r.pending, i, i+1)
			return p
		}
	}
	return nil
}

// giveUp records the oldest pending invocations without an outcome, until at most keep are left.
func (r *Recorder) giveUp(keep int) {
	r.mu.Lock()
	n := max(len(r.pending)-keep, 0)
	gone := r.pending[:n:n]
	r.pending = r.pending[n:]
	r.mu.Unlock()
	for _, p := range gone {
		r.record(p, nil)
	}
}

// record hands an invocation to the sink.
func (r *Recorder) record(p *pending, outcome *capture.Outcome) {
	p.inv.Outcome = outcome
	var effects []capture.Effect
	if r.opts.Effects != nil {
		effects, p.inv.Objects = r.opts.Effects(p.inv.Context.RequestID)
	}
	if outcome != nil {
		outcome.DurationMS = float64(time.Since(p.since).Microseconds()) / 1000
		outcome.Effects = effects
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	err := r.opts.Sink.Write(p.inv)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.stats.Recorded++
		return
	}
	if r.stats.Lost++; r.stats.Lost == 1 {
		r.opts.Log.Warn("invocations are being lost: the recording cannot be written",
			"function", p.inv.Function, "error", err)
	}
}

func isNext(req *http.Request) bool {
	return req.Method == http.MethodGet && req.URL.Path == apiPath+"invocation/next"
}

// postedTo tells which invocation a request posts an answer to, and whether the answer is an error.
func postedTo(req *http.Request) (id string, failed, ok bool) {
	rest, ok := strings.CutPrefix(req.URL.Path, apiPath+"invocation/")
	if !ok || req.Method != http.MethodPost {
		return "", false, false
	}
	id, what, _ := strings.Cut(rest, "/")
	return id, what == "error", what == "error" || what == "response"
}
