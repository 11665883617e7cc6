package runtimeapi

import (
	"fmt"
	"log/slog"
	"net"
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
	// Listener is where the runtime comes to; by default a free loopback port. The Recorder closes it.
	Listener net.Listener
	Sink     Sink
	// Function is the name that invocations are recorded under. By default it is taken from the function's ARN.
	Function string
	// Source is the invocations' Source; by default "runtime-api".
	Source string
	// RecordReplays also records the invocations that a replay fired, which are known by their [capture.Mark].
	RecordReplays bool
	// Keep tells whether an invocation whose outcome is known, or known to be missing, goes to the sink. It is called
	// from one goroutine at a time. Nil keeps all.
	Keep func(inv *capture.Invocation) bool
	// Warm says that the runtime has been given events already, before the Recorder was there.
	Warm bool
	// Concurrency is how many invocations the runtime works on at once; by default one, as Lambda has it unless
	// AWS_LAMBDA_MAX_CONCURRENCY is set. A runtime that asks for more has given up on the oldest one.
	Concurrency int
	// MaxEvent is how large an event is recorded, in bytes; by default [MaxPayload]. Larger ones are passed on and
	// counted.
	MaxEvent int
	// MaxPayload is how much of an answer is kept, in bytes; by default [MaxPayload]. What is larger, as streamed
	// answers may be, is passed on all the same and recorded as an outcome that is not known.
	MaxPayload int
	// Effects returns what an invocation did to the world and the objects that it read. It is called once, when the
	// outcome is known or known to be missing. Nil means that nobody watched.
	Effects func(requestID string) ([]capture.Effect, []capture.Object)
	// Log gets what goes wrong with recording; by default slog.Default().
	Log *slog.Logger
}

func (o RecorderOptions) withDefaults() RecorderOptions {
	if o.Source == "" {
		o.Source = "runtime-api"
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	if o.MaxEvent == 0 {
		o.MaxEvent = MaxPayload
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = MaxPayload
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// A Recorder is a proxy for the Runtime API that notes every invocation that passes with its outcome. It changes
// nothing: each request goes to the upstream as it came, and each answer back, status and headers included; nothing
// is held up until it is whole. An invocation is with the sink before the runtime learns that its answer was
// accepted. When recording fails, or panics, the function runs on.
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
	conns   int            // connections that the runtime has open
	asking  int            // requests for an event that have no answer yet
	ended   map[string]int // how often an invocation has ended that Wait was not yet asked for
	changed chan struct{}  // closed and replaced whenever one of the three above changes

	writing sync.Mutex // held while the sink is called
}

// Stats counts the invocations that have passed a Recorder.
type Stats struct {
	Pending  int // the function has been given them and has not answered
	Recorded int // the sink took them
	Lost     int // the sink refused them, or they were cut off on their way to the runtime
	TooLarge int // left out because of MaxEvent
	Skipped  int // left out by Keep
	Replays  int // left out because a replay fired them
}

// pending is an invocation that the function has been given and has not answered.
type pending struct {
	inv    *capture.Invocation // without what the event says
	event  *tee
	since  time.Time
	replay bool // not to be recorded
}

// NewRecorder starts a Recorder. Close it when done.
func NewRecorder(opts RecorderOptions) (*Recorder, error) {
	opts = opts.withDefaults()
	if opts.Listener == nil {
		var err error
		if opts.Listener, err = listen(); err != nil {
			return nil, err
		}
	}
	r := &Recorder{
		opts:      opts,
		transport: &http.Transport{DisableCompression: true},
		warm:      opts.Warm,
		ended:     make(map[string]int),
		changed:   make(chan struct{}),
	}
	errorLog := slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Transport:      r.transport,
		Rewrite:        r.rewrite,
		ModifyResponse: r.observe,
		FlushInterval:  -1,
		ErrorLog:       errorLog,
	}
	r.server = serve(opts.Listener, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isNext(req) {
			r.giveUp(r.opts.Concurrency-1, noOutcome)
			r.ask(1)
			defer r.ask(-1)
		}
		proxy.ServeHTTP(w, req)
	}), errorLog, r.connState)
	return r, nil
}

// Addr returns the recorder's address in the form of AWS_LAMBDA_RUNTIME_API, "127.0.0.1:port".
func (r *Recorder) Addr() string { return r.server.addr() }

// Stats returns the counts so far.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	for _, p := range r.pending {
		if !p.replay {
			stats.Pending++
		}
	}
	return stats
}

// Abort records an invocation whose function will not answer any more, such as one that ran out of time, with the
// outcome that the platform gave it; nil where that is not known. An invocation that is not pending is left alone.
func (r *Recorder) Abort(requestID string, outcome *capture.Outcome) {
	r.end(requestID, func(*capture.Invocation) *capture.Outcome { return outcome })
}

// AbortAll is Abort for every invocation that is pending, with the response that the platform gives in the runtime's
// place; nil where that is not known.
func (r *Recorder) AbortAll(response *Response) {
	if response == nil {
		r.giveUp(0, noOutcome)
		return
	}
	r.giveUp(0, func(inv *capture.Invocation) *capture.Outcome {
		return capture.LambdaOutcome(inv.Format, inv.Event, response.Payload, response.FunctionError)
	})
}

// Close stops the proxy and records what is pending as invocations without an outcome. It does not close the sink.
func (r *Recorder) Close() error {
	err := r.server.close()
	r.transport.CloseIdleConnections()
	r.giveUp(0, noOutcome)
	return err
}

// rewrite sends a request on as it is and keeps a copy of an answer that is in it.
func (r *Recorder) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(&url.URL{Scheme: "http", Host: r.opts.Upstream})
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Trailer = pr.In.Trailer // the same map: it is filled when the body has been read
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := pr.In.Header[name]; ok { // ReverseProxy takes them out
			pr.Out.Header[name] = values
		}
	}
	if _, _, ok := postedTo(pr.In); ok && pr.Out.Body != nil {
		pr.Out.Body = newTee(pr.Out.Body, r.opts.MaxPayload, pr.In.ContentLength)
	}
}

// observe sees the upstream's answer before the runtime does.
func (r *Recorder) observe(resp *http.Response) error {
	defer r.recover()
	if isNext(resp.Request) && resp.StatusCode == http.StatusOK {
		event := newTee(resp.Body, r.opts.MaxEvent, resp.ContentLength)
		resp.Body = event
		r.delivered(resp.Header, event)
		return nil
	}
	id, failed, ok := postedTo(resp.Request)
	if !ok {
		return nil
	}
	switch resp.StatusCode {
	case http.StatusAccepted:
		r.end(id, func(inv *capture.Invocation) *capture.Outcome { return outcomeOf(inv, resp.Request, failed) })
	case http.StatusRequestEntityTooLarge:
		r.end(id, func(inv *capture.Invocation) *capture.Outcome {
			return capture.LambdaOutcome(inv.Format, inv.Event, tooLarge().Payload, Unhandled)
		})
	}
	return nil // after any other status the runtime may try again
}

// outcomeOf makes the outcome of what the runtime posted in req, which the upstream has accepted.
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

func noOutcome(*capture.Invocation) *capture.Outcome { return nil }

// delivered notes that the runtime is about to get an event.
func (r *Recorder) delivered(header http.Header, event *tee) {
	now := time.Now()
	p := &pending{event: event, since: now, inv: &capture.Invocation{
		Function: r.opts.Function,
		Source:   r.opts.Source,
		Time:     now.UTC(),
		Context:  contextOf(header, now),
	}}
	if p.inv.Function == "" {
		p.inv.Function = functionName(p.inv.Context.FunctionARN)
	}
	_, marked := capture.MarkFromClientContext(p.inv.Context.ClientContext)
	p.replay = marked && !r.opts.RecordReplays

	r.mu.Lock()
	defer r.mu.Unlock()
	p.inv.Context.ColdStart = !r.warm
	r.warm = true
	if p.replay {
		r.stats.Replays++
	}
	r.pending = append(r.pending, p)
}

// end records an invocation if it is pending, and tells whoever waits for it.
func (r *Recorder) end(requestID string, outcome func(*capture.Invocation) *capture.Outcome) {
	r.mu.Lock()
	var p *pending
	i := slices.IndexFunc(r.pending, func(p *pending) bool { return p.inv.Context.RequestID == requestID })
	if i >= 0 {
		p = r.pending[i]
		r.pending = slices.Delete(r.pending, i, i+1)
	}
	r.mu.Unlock()
	if p != nil {
		r.record(p, outcome)
	}
	r.noteEnd(requestID)
}

// giveUp records the oldest pending invocations, until at most keep are left.
func (r *Recorder) giveUp(keep int, outcome func(*capture.Invocation) *capture.Outcome) {
	r.mu.Lock()
	n := max(len(r.pending)-keep, 0)
	gone := slices.Clone(r.pending[:n])
	r.pending = slices.Delete(r.pending, 0, n)
	r.mu.Unlock()
	for _, p := range gone {
		r.record(p, outcome)
		r.noteEnd(p.inv.Context.RequestID)
	}
}

// record hands an invocation to the sink and counts what became of it.
func (r *Recorder) record(p *pending, outcome func(*capture.Invocation) *capture.Outcome) {
	defer r.recover()
	if p.replay {
		return
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	counter, err := &r.stats.Lost, error(nil)
	defer func() { r.count(counter, p.inv.Function, err) }()

	event, whole := p.event.all()
	switch {
	case p.event.tooLarge():
		counter = &r.stats.TooLarge
		return
	case !whole:
		err = fmt.Errorf("the event of invocation %s was cut off", p.inv.Context.RequestID)
		return
	}
	r.complete(p, event, outcome)
	if r.opts.Keep != nil && !r.opts.Keep(p.inv) {
		counter = &r.stats.Skipped
		return
	}
	if err = r.opts.Sink.Write(p.inv); err == nil {
		counter = &r.stats.Recorded
	}
}

// complete fills in what is known now that the invocation has ended.
func (r *Recorder) complete(p *pending, event []byte, outcome func(*capture.Invocation) *capture.Outcome) {
	inv := p.inv
	inv.Event = event
	inv.Trigger, inv.Format = capture.Detect(event)
	inv.Outcome = outcome(inv)
	var effects []capture.Effect
	if r.opts.Effects != nil {
		effects, inv.Objects = r.opts.Effects(inv.Context.RequestID)
	}
	if inv.Outcome != nil {
		inv.Outcome.DurationMS = float64(time.Since(p.since).Microseconds()) / 1000
		inv.Outcome.Effects = effects
	}
}

// count adds one to a counter of r.stats. The first loss is told.
func (r *Recorder) count(counter *int, function string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
	if counter == &r.stats.Lost && r.stats.Lost == 1 {
		r.opts.Log.Warn("invocations are being lost: the recording cannot be written", "function", function, "error", err)
	}
}

// recover keeps a mistake in recording from the function.
func (r *Recorder) recover() {
	if p := recover(); p != nil {
		r.opts.Log.Error("recording failed", "panic", p)
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
