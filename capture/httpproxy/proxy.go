// Package httpproxy captures HTTP invocations from the wire: a reverse proxy that stands in front of an API Gateway,
// a Function URL, an ALB or the application itself, and records each request as the event that a Lambda function
// behind such a source gets, with the answer as its outcome.
//
// Traffic comes first. Bodies stream through and are copied on the way, answers are flushed as they arrive, and the
// events are made and written by a goroutine of the proxy's own, from a bounded queue. When the sink is slower than
// the traffic, invocations are dropped and counted; no request waits for the disk.
package httpproxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
)

// A Sink takes what was recorded. One goroutine calls it.
type Sink interface {
	Write(*capture.Invocation) error
}

// Options configure a [Proxy].
type Options struct {
	Upstream *url.URL // where requests go; its path is put before theirs. Required, without a query
	Function string   // the function that the invocations are recorded for. Required
	Sink     Sink     // Required

	Format capture.Format // apigw-v2 by default
	// Routes are the route keys of the API, such as "POST /customers/{customerId}/orders". Requests that match none
	// pass without being recorded. By default there is $default, which matches all.
	Routes []string
	Stage  string // "$default" by default; see [Arrival]
	// MultiValue is for ALB: multi-value headers are on.
	MultiValue bool
	// KeepHost sends the client's Host header upstream. By default it is the upstream's, as a gateway requires it.
	KeepHost bool

	// MaxBody is the size in bytes of the largest request or answer body that is recorded, 10 MiB by default, the
	// limit of API Gateway. Larger ones pass.
	MaxBody int64
	// Queue is how many invocations may wait for the sink, 1024 by default, and QueueBytes how much their bodies may
	// hold together, 64 MiB by default.
	Queue      int
	QueueBytes int64
	// Transport makes the upstream requests. The default is net/http's, without its own compression.
	Transport http.RoundTripper
	// Logf says what is lost and why, one line a call. By default nothing does.
	Logf func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	if o.Format == "" {
		o.Format = capture.FormatAPIGatewayV2
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 10 << 20
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 64 << 20
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // a gzip that the client did not ask for would change the answer on the wire
		t.MaxIdleConnsPerHost = 256 // the default of 2 opens a connection for nearly every request
		o.Transport = t
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	return o
}

// A Proxy is an [http.Handler] that passes requests on and records them. It must be closed.
type Proxy struct {
	opts     Options
	router   *Router
	reverse  *httputil.ReverseProxy
	recorder *recorder
}

// New returns a running proxy.
func New(opts Options) (*Proxy, error) {
	switch {
	case opts.Upstream == nil || opts.Upstream.Host == "" ||
		opts.Upstream.Scheme != "http" && opts.Upstream.Scheme != "https":
		return nil, errors.New("the upstream must be an http or https URL with a host")
	case opts.Upstream.RawQuery != "":
		return nil, fmt.Errorf("upstream %s: a query cannot be put before those of requests", opts.Upstream.Host)
	case opts.Function == "":
		return nil, errors.New("no function is named to record for")
	case opts.Sink == nil:
		return nil, errors.New("no sink to record to")
	}
	opts = opts.withDefaults()
	if !isHTTP(opts.Format) {
		return nil, fmt.Errorf("no HTTP request makes an event of format %q", opts.Format)
	}
	router, err := NewRouter(opts.Routes)
	if err != nil {
		return nil, err
	}
	if upstream := *opts.Upstream; upstream.Path != "" && upstream.Path[0] != '/' { // as URL.JoinPath makes it
		upstream.Path = "/" + upstream.Path
		if upstream.RawPath != "" {
			upstream.RawPath = "/" + upstream.RawPath
		}
		opts.Upstream = &upstream
	}
	p := &Proxy{opts: opts, router: router}
	p.recorder = startRecorder(opts)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      opts.Transport,
		FlushInterval:  -1,
		ModifyResponse: p.tapAnswer,
		ErrorHandler:   p.unreachable,
		ErrorLog:       log.New(logWriter(opts.Logf), "", 0),
	}
	return p, nil
}

// ServeHTTP passes r on and takes a copy of it and of its answer. Requests with [capture.MarkHeader], which a replay
// sent, and those that ask for another protocol, such as websockets, pass without being recorded.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match, matched := p.router.MatchRequest(r)
	p.recorder.count(func(s *Stats) { s.Seen++ })
	switch {
	case r.Header.Get(capture.MarkHeader) != "":
		defer p.recorder.count(func(s *Stats) { s.Marked++ })
	case isUpgrade(r):
		defer p.recorder.count(func(s *Stats) { s.Upgraded++ })
	case !matched:
		defer p.recorder.count(func(s *Stats) { s.Unrouted++ })
	default:
		x := newExchange(r, match, p.opts.MaxBody)
		defer p.recorder.finish(x) // also when ReverseProxy panics because the client has gone
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		r.Body = x.request
	}
	p.reverse.ServeHTTP(w, r)
}

// exchangeKey is where a request's context has its *exchange.
type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}

func isUpgrade(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(token), "upgrade") {
				return r.Header.Get("Upgrade") != ""
			}
		}
	}
	return false
}

// rewrite addresses a request to the upstream. Path and query go as they came, also where net/url would write them
// in another way.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(p.opts.Upstream)
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // ReverseProxy has removed the parameters it could not parse
	pr.Out.URL.ForceQuery = pr.In.URL.ForceQuery
	prefix := strings.TrimSuffix(p.opts.Upstream.EscapedPath(), "/")
	path, _, _ := strings.Cut(pr.In.RequestURI, "?")
	if path = prefix + path; path != pr.Out.URL.EscapedPath() && strings.HasPrefix(pr.In.RequestURI, "/") &&
		!strings.HasPrefix(path, "//") {
		pr.Out.URL.Opaque = path
	}
	if p.opts.KeepHost {
		pr.Out.Host = pr.In.Host
	}
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
}

// tapAnswer copies what the upstream answers. The body of a switch of protocols is a connection and stays as it is.
func (p *Proxy) tapAnswer(resp *http.Response) error {
	x := exchangeOf(resp.Request)
	if x == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	x.status, x.header = resp.StatusCode, resp.Header.Clone()
	x.answer = newTap(resp.Body, resp.ContentLength, p.opts.MaxBody)
	resp.Body = x.answer
	return nil
}

// unreachable answers for an upstream that did not.
func (p *Proxy) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if x := exchangeOf(r); x != nil && r.Context().Err() == nil {
		x.err = errors.New(unquoted(err))
		x.request.drain() // the upstream did not take the body; the event needs it
	}
	p.opts.Logf("%s: no answer from %s: %s", describe(r), p.opts.Upstream.Host, unquoted(err))
	w.WriteHeader(http.StatusBadGateway)
}

// describe names a request in messages, which have nothing of what may be a secret: neither path nor query.
func describe(r *http.Request) string {
	if x := exchangeOf(r); x != nil {
		return x.String()
	}
	return "a request that is not recorded"
}

// unquoted returns the text of an error up to where it quotes what the other side sent.
func unquoted(err error) string {
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if quotes {
		text += "…"
	}
	return text
}

// Stats returns the counts so far. They add up at any moment.
func (p *Proxy) Stats() Stats { return p.recorder.snapshot() }

// Close writes what is queued, and returns the sink's first error. Requests that are still answered afterwards pass
// and count as dropped, so the server in front is to be shut down first. Close does not close the sink.
func (p *Proxy) Close() error {
	err := p.recorder.close()
	if t, ok := p.opts.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return err
}

// logWriter makes lines of what ReverseProxy logs.
type logWriter func(format string, args ...any)

func (logf logWriter) Write(line []byte) (int, error) {
	logf("%s", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// now is time.Now without the monotonic clock, whose part would not survive a recording.
func now() time.Time { return time.Now().Round(0) }
