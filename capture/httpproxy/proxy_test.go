package httpproxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

// memory is a sink that keeps what it gets.
type memory struct {
	mu   sync.Mutex
	invs []*capture.Invocation
	gate chan struct{} // when not nil, each write waits for a value
	fail error
}

func (m *memory) Write(inv *capture.Invocation) error {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.invs = append(m.invs, inv)
	return nil
}

// A rig is a client, a proxy and an upstream, all over TCP.
type rig struct {
	t      *testing.T
	proxy  *Proxy
	server *httptest.Server
	sink   *memory
	client *http.Client
	served sync.WaitGroup // requests in the proxy, hijacked ones too, which server.Close leaves alone
}

func newRig(t *testing.T, upstream http.Handler, set func(*Options), serve func(*httptest.Server)) *rig {
	t.Helper()
	up := httptest.NewServer(upstream)
	u, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, sink: &memory{}}
	opts := Options{Upstream: u, Function: "f", Sink: r.sink, Logf: t.Logf}
	if set != nil {
		set(&opts)
	}
	if r.proxy, err = New(opts); err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.served.Add(1)
		defer r.served.Done()
		r.proxy.ServeHTTP(w, req)
	}))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if serve != nil {
		serve(r.server)
	} else {
		r.server.Start()
	}
	r.client = r.server.Client()
	r.client.Transport.(*http.Transport).DisableCompression = true
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
		r.proxy.Close()
		up.Close()
	})
	return r
}

// finish ends the capture and returns what was recorded.
func (r *rig) finish() []*capture.Invocation {
	r.t.Helper()
	r.server.Close()
	r.served.Wait()
	if err := r.proxy.Close(); err != nil {
		r.t.Fatal(err)
	}
	return r.sink.invs
}

func (r *rig) only() *capture.Invocation {
	r.t.Helper()
	invs := r.finish()
	if len(invs) != 1 {
		r.t.Fatalf("%d invocations were recorded, want 1; %+v", len(invs), r.proxy.Stats())
	}
	return invs[0]
}

func (r *rig) do(req *http.Request) (*http.Response, []byte) {
	r.t.Helper()
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, body
}

func (r *rig) request(method, target string, body io.Reader) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(method, r.server.URL+target, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

func checkStats(t *testing.T, p *Proxy, want Stats) {
	t.Helper()
	if diff := cmp.Diff(want, p.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// echo answers with what it saw of the request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("Set-Cookie", "a=1; Path=/; HttpOnly")
	w.Header().Add("Set-Cookie", "b=2")
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Apigw-Requestid", "from-gateway=")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Host, body)
})

func TestARequestAndItsAnswerPassUnchangedAndAreRecorded(t *testing.T) {
	for _, tc := range []struct {
		name  string
		proto string
		serve func(*httptest.Server)
	}{
		{"HTTP/1.1", "HTTP/1.1", nil},
		{"HTTP/2 over TLS", "HTTP/2.0", func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, echo, func(o *Options) {
				o.Routes = []string{"POST /customers/{customerId}/orders"}
				o.KeepHost = true
			}, tc.serve)
			const target = "/customers/a%2Fb|c/orders?q=1&q=+%zz;x"
			req := r.request("POST", "/", strings.NewReader("grüße"))
			req.URL.Opaque, req.URL.RawQuery, _ = strings.Cut(target, "?")
			req.Host = "api.example.com"
			req.Header.Set("Content-Type", "text/plain")
			resp, body := r.do(req)
			if resp.Proto != tc.proto || resp.StatusCode != http.StatusCreated {
				t.Errorf("answered %s with %s", resp.Proto, resp.Status)
			}
			if want := "POST " + target + " api.example.com grüße"; string(body) != want {
				t.Errorf("the upstream saw %q, want %q", body, want)
			}
			inv := r.only()
			checkEvent(t, "the event", inv.Event, map[string]string{
				"rawPath": `"/customers/a%2Fb|c/orders"`, "rawQueryString": `"q=1&q=+%zz;x"`, "body": `"grüße"`,
				"pathParameters.customerId": `"a/b|c"`, "requestContext.requestId": `"from-gateway="`,
				"headers.host": `"api.example.com"`, "requestContext.http.protocol": `"` + tc.proto + `"`,
				"requestContext.http.sourceIp": `"127.0.0.1"`})
			answer := inv.Outcome.HTTP
			if inv.Outcome.Status != capture.StatusOK || answer.Status != http.StatusCreated || len(answer.Cookies) != 2 ||
				string(answer.Body.Bytes()) != string(body) {
				t.Errorf("outcome %+v with %+v", inv.Outcome, answer)
			}
			if inv.Function != "f" || inv.Format != capture.FormatAPIGatewayV2 || inv.Trigger != capture.TriggerHTTP ||
				inv.Source != "http" || len(inv.ID) != 26 || inv.Time.IsZero() {
				t.Errorf("invocation %+v", inv)
			}
			checkStats(t, r.proxy, Stats{Seen: 1, Recorded: 1})
		})
	}
}

func TestTheUpstreamGetsItsOwnHostAndPathPrefix(t *testing.T) {
	var host string
	r := newRig(t, echo, func(o *Options) {
		o.Upstream = o.Upstream.JoinPath("prod")
		host = o.Upstream.Host
	}, nil)
	_, body := r.do(r.request("GET", "/x%2Fy?", nil))
	if want := "GET /prod/x%2Fy? " + host + " "; string(body) != want {
		t.Errorf("the upstream saw %q, want %q", body, want)
	}
	checkEvent(t, "the event", r.only().Event, map[string]string{
		"rawPath": `"/x%2Fy"`, "headers.host": `"` + host + `"`})
}

func TestACompressedAnswerIsRecordedAsItIs(t *testing.T) {
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	zw.Write([]byte(`{"a":1}`))
	zw.Close()
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Accept-Encoding") != "" {
			t.Errorf("the proxy asked for %s", req.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		w.Write(zipped.Bytes())
	}), nil, nil)
	if _, body := r.do(r.request("GET", "/", nil)); !bytes.Equal(body, zipped.Bytes()) {
		t.Errorf("the client got %q", body)
	}
	answer := r.only().Outcome.HTTP
	if !bytes.Equal(answer.Body.Base64, zipped.Bytes()) || answer.Headers["content-encoding"][0] != "gzip" {
		t.Errorf("recorded %+v with %+v", answer, answer.Body)
	}
}

func TestWhatIsNotToBeRecordedPassesAndIsCounted(t *testing.T) {
	r := newRig(t, echo, func(o *Options) {
		o.Routes = []string{"ANY /in"}
		o.MaxBody = 64
	}, nil)
	marked := r.request("GET", "/in", nil)
	marked.Header.Set(capture.MarkHeader, capture.Mark{Run: "r", Invocation: "i", Target: "t"}.String())
	big := strings.Repeat("x", 65)
	for _, req := range []*http.Request{
		marked,
		r.request("GET", "/out", nil),
		r.request("POST", "/in", strings.NewReader(big)),
		r.request("POST", "/in", io.MultiReader(strings.NewReader(big))), // without a length
		r.request("GET", "/in?"+big, nil),                                // the answer is large
		r.request("GET", "/in", nil),
		r.request("HEAD", "/in?"+big, nil), // an answer without a body is not large, whatever it declares
	} {
		resp, body := r.do(req)
		if resp.StatusCode != http.StatusCreated || req.Method == "POST" && !strings.HasSuffix(string(body), " "+big) {
			t.Errorf("%s %s: %s with %d bytes", req.Method, req.URL, resp.Status, len(body))
		}
	}
	r.finish()
	checkStats(t, r.proxy, Stats{Seen: 7, Recorded: 2, Marked: 1, Unrouted: 1, TooLarge: 3})
}

func TestASlowSinkDelaysNoRequest(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, echo, func(o *Options) {
		o.Queue = 2
		o.Sink.(*memory).gate = gate
	}, nil)
	const requests = 50
	for range requests { // all are answered while the sink takes nothing
		r.do(r.request("GET", "/", nil))
	}
	s := r.proxy.Stats()
	// Two in the queue, one at the sink, and perhaps the last request, which may still be in the handler.
	if s.Recorded != 0 || s.Pending > 4 || s.Dropped+s.Pending != requests {
		t.Errorf("with the sink stopped: %+v", s)
	}
	close(gate)
	invs := r.finish()
	s = r.proxy.Stats()
	if s.Pending != 0 || int(s.Recorded) != len(invs) || s.Recorded < 2 || s.Recorded+s.Dropped != requests {
		t.Errorf("with the sink going: %+v and %d invocations", s, len(invs))
	}
}

func TestTheQueueIsBoundedInBytesToo(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, echo, func(o *Options) {
		o.QueueBytes = 3000
		o.Sink.(*memory).gate = gate
	}, nil)
	for range 10 {
		r.do(r.request("POST", "/", strings.NewReader(strings.Repeat("x", 1000)))) // twice with the answer
	}
	close(gate)
	r.finish()
	// One fits, and perhaps the last one too, if it was finished only after the first was written.
	if s := r.proxy.Stats(); s.Recorded < 1 || s.Recorded > 2 || s.Recorded+s.Dropped != 10 {
		t.Errorf("%+v", s)
	}
}

func TestAFailingSinkIsToldAndCounted(t *testing.T) {
	full := errors.New("disk full")
	r := newRig(t, echo, func(o *Options) { o.Sink.(*memory).fail = full }, nil)
	r.do(r.request("GET", "/", nil))
	r.do(r.request("GET", "/", nil))
	r.server.Close()
	if err := r.proxy.Close(); !errors.Is(err, full) {
		t.Errorf("Close returned %v", err)
	}
	checkStats(t, r.proxy, Stats{Seen: 2, Failed: 2})
}

func TestAnUnreachableUpstreamIsATransportError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := &url.URL{Scheme: "http", Host: l.Addr().String()}
	l.Close()
	r := newRig(t, echo, func(o *Options) { o.Upstream = dead }, nil)
	resp, _ := r.do(r.request("POST", "/", strings.NewReader("kept")))
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("the client got %s", resp.Status)
	}
	inv := r.only()
	if got := string(bodyOf(t, inv.Event)); got != "kept" {
		t.Errorf("the event's body is %q", got)
	}
	if o := inv.Outcome; o.Status != capture.StatusTransport || o.HTTP != nil || o.Error.Message == "" {
		t.Errorf("outcome %+v", o)
	}
}

func TestAnAnswerIsFlushedAsItComes(t *testing.T) {
	next := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "27") // without, net/http/httputil flushes in any case
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next // the client asks for the next one when it has this one
		}
	}), nil, nil)
	resp, err := r.client.Do(r.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if lines.Scan(); lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("got %q as number %d", lines.Text(), i)
		}
		lines.Scan()
		next <- struct{}{}
	}
	for lines.Scan() {
	}
	if got := string(r.only().Outcome.HTTP.Body.Bytes()); got != "data: 0\n\ndata: 1\n\ndata: 2\n\n" {
		t.Errorf("recorded %q", got)
	}
}

func TestAClientThatGoesDuringTheAnswerLeavesAnInvocationWithoutOutcome(t *testing.T) {
	gone := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprint(w, "begun")
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		close(gone)
	}), nil, nil)
	resp, err := r.client.Do(r.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-gone
	if inv := r.only(); inv.Outcome != nil {
		t.Errorf("outcome %+v", inv.Outcome)
	}
	checkStats(t, r.proxy, Stats{Seen: 1, Recorded: 1, NoOutcome: 1})
}

func TestACutRequestIsNotRecorded(t *testing.T) {
	seen := make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		io.ReadAll(req.Body)
		close(seen)
	}), nil, nil)
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nonly a part")
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn)
	conn.Close()
	<-seen
	r.finish()
	checkStats(t, r.proxy, Stats{Seen: 1, Cut: 1})
}

func TestAnEarlyAnswerIsNotHeldUpByTheRestOfTheRequest(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
	}), nil, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() })
	body, more := io.Pipe()
	resp, err := r.client.Do(r.request("POST", "/", body)) // returns although the body goes on
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("the client got %s", resp.Status)
	}
	resp.Body.Close()
	more.CloseWithError(io.ErrUnexpectedEOF)
	r.finish()
	checkStats(t, r.proxy, Stats{Seen: 1, Cut: 1})
}

func TestWebsocketsPass(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		buf.Flush()
		line, _ := buf.ReadString('\n')
		fmt.Fprintf(conn, "echo %s", line)
	}), nil, nil)
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, _ := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q", line)
	}
	conn.Close()
	r.finish()
	checkStats(t, r.proxy, Stats{Seen: 1, Upgraded: 1})
}

func TestTheCountsAddUpUnderLoad(t *testing.T) {
	r := newRig(t, echo, func(o *Options) { o.Queue = 4 }, nil)
	const clients, each = 8, 25
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				resp, err := r.client.Get(r.server.URL + "/x")
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	invs := r.finish()
	s := r.proxy.Stats()
	if s.Seen != clients*each || s.Recorded+s.Dropped != s.Seen || int(s.Recorded) != len(invs) || s.Pending != 0 {
		t.Errorf("%+v and %d invocations", s, len(invs))
	}
	ids := make(map[string]bool)
	for _, inv := range invs {
		ids[inv.ID] = true
	}
	if len(ids) != len(invs) {
		t.Errorf("%d IDs for %d invocations", len(ids), len(invs))
	}
}

func TestTLSUpstreamsAreReached(t *testing.T) {
	up := httptest.NewTLSServer(echo)
	defer up.Close()
	u, _ := url.Parse(up.URL)
	roots := up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	r := newRig(t, echo, func(o *Options) { o.Upstream, o.Transport = u, transport }, nil)
	if resp, _ := r.do(r.request("GET", "/", nil)); resp.StatusCode != http.StatusCreated {
		t.Errorf("got %s", resp.Status)
	}
	r.only()
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := func() Options {
		return Options{Upstream: &url.URL{Scheme: "http", Host: "h"}, Function: "f", Sink: &memory{}}
	}
	for _, tc := range []struct {
		why string
		set func(*Options)
	}{
		{"no upstream", func(o *Options) { o.Upstream = nil }},
		{"not HTTP", func(o *Options) { o.Upstream.Scheme = "ftp" }},
		{"a query", func(o *Options) { o.Upstream.RawQuery = "a=1" }},
		{"no function", func(o *Options) { o.Function = "" }},
		{"no sink", func(o *Options) { o.Sink = nil }},
		{"not an HTTP format", func(o *Options) { o.Format = capture.FormatSQS }},
		{"a bad route", func(o *Options) { o.Routes = []string{"GET"} }},
	} {
		opts := good()
		tc.set(&opts)
		if p, err := New(opts); err == nil {
			p.Close()
			t.Errorf("%s: accepted", tc.why)
		}
	}
}
