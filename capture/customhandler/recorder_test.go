package customhandler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
	"tandem/capture/wiretap"
)

// ordersApp is the folder of a real app with one function of each kind.
const ordersApp = "../../fixtures/orders/functionsapp"

// A bench is a handler with a recorder before it.
type bench struct {
	t        *testing.T
	url      string // where the host calls
	wire     *wiretap.Wire
	recorder *customhandler.Recorder
	client   *http.Client
	mu       sync.Mutex
	got      []*capture.Invocation
	log      strings.Builder
	refuse   bool
}

func (b *bench) Write(inv *capture.Invocation) error {
	if b.refuse {
		return errors.New("no room")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, inv)
	return nil
}

// newBench puts a recorder before a handler. What opts leave open is as in the orders app.
func newBench(t *testing.T, opts customhandler.RecorderOptions, handler http.HandlerFunc) *bench {
	t.Helper()
	b := &bench{t: t, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	opts.Sink = b
	opts.Logf = func(format string, args ...any) { fmt.Fprintf(&b.log, format+"\n", args...) }
	if opts.App == nil {
		var err error
		if opts.App, err = customhandler.ReadApp(ordersApp, os.Getenv); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if b.recorder, err = customhandler.NewRecorder(opts); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handlers that break off
	b.wire, err = wiretap.NewWire(wiretap.WireOptions{
		Upstream: server.Listener.Addr().String(), MaxBody: 1 << 20, Observer: wiretap.Observer{Done: b.recorder.Done},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + b.wire.Addr()
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		b.wire.Close()
		server.Close()
	})
	return b
}

// seen closes the wire and returns what was recorded.
func (b *bench) seen() []*capture.Invocation {
	b.client.CloseIdleConnections()
	b.wire.Close()
	s := b.recorder.Stats()
	sum := s.Recorded
	for _, n := range s.LeftOut {
		sum += n
	}
	for _, n := range s.Lost {
		sum += n
	}
	if sum != s.Seen || int(s.Recorded) != len(b.got) {
		b.t.Errorf("the counts do not add up: %+v with %d invocations", s, len(b.got))
	}
	return b.got
}

// one is seen when it is one invocation.
func (b *bench) one() *capture.Invocation {
	b.t.Helper()
	got := b.seen()
	if len(got) != 1 {
		b.t.Fatalf("%d invocations: %s\n%s", len(got), b.recorder.Stats(), b.log.String())
	}
	return got[0]
}

// call calls a function as the host does. An answer that breaks off is no failure here.
func (b *bench) call(function string, req *customhandler.Request) {
	c := customhandler.Client{URL: b.url, HTTP: b.client}
	_, _, _ = c.Call(context.Background(), function, "inv-1", nil, req)
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var inserted = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func message(body string) *customhandler.Request {
	return customhandler.QueueTrigger{
		Body: []byte(body), ID: "m-1", DequeueCount: 2, PopReceipt: "p", Inserted: inserted,
	}.Request("message", customhandler.NewSys("process-order", inserted))
}

func TestAMessageIsRecordedWithWhatBecameOfIt(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  capture.Status
		fate    capture.Fate
		err     string
	}{
		{"worked on", answer(`{"Outputs":{}}`), capture.StatusOK, capture.Acked, ""},
		{"failed", status(500), capture.StatusFunctionError, capture.Retried, "the handler answered 500"},
		{"redirected", status(302), capture.StatusFunctionError, capture.Retried, "the handler answered 302"},
		{"answered with nonsense", answer(`{`), capture.StatusFunctionError, capture.Retried, "unexpected end"},
		{"answered with nothing", answer(``), capture.StatusFunctionError, capture.Retried, "it is empty"},
		{"not said to be JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
			capture.StatusFunctionError, capture.Retried, "Content-Type"},
		{"died of", abort, capture.StatusFunctionError, capture.Retried, "the connection was closed"},
		{"died of in the middle of an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		}, capture.StatusFunctionError, capture.Retried, "the connection was closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, customhandler.RecorderOptions{ObserverOptions: customhandler.ObserverOptions{
				QueueARNs: map[string]string{"orders": "arn:aws:sqs:eu-west-1:1:orders"},
				Names:     map[string]string{"process-order": "orders-process"},
			}}, tt.handler)
			b.call("process-order", message("{}"))
			inv := b.one()
			if inv.Source != "customhandler:translated/queue/orders" || inv.Function != "orders-process" ||
				inv.Trigger != capture.TriggerSQS || inv.Context.RequestID != "inv-1" || inv.Time.IsZero() {
				t.Errorf("got %+v", inv)
			}
			var event events.SQSEvent
			if err := json.Unmarshal(inv.Event, &event); err != nil {
				t.Fatal(err)
			}
			if m := event.Records[0]; m.MessageId != "m-1" || m.Body != "{}" || m.ReceiptHandle != "p" ||
				m.EventSourceARN != "arn:aws:sqs:eu-west-1:1:orders" || m.Attributes["ApproximateReceiveCount"] != "2" ||
				m.Attributes["SentTimestamp"] != fmt.Sprint(inserted.UnixMilli()) {
				t.Errorf("got %+v", m)
			}
			out := inv.Outcome
			if out == nil || out.Status != tt.status || out.Records["m-1"] != tt.fate {
				t.Fatalf("outcome %+v", out)
			}
			if tt.err == "" && out.Error != nil || tt.err != "" && !strings.Contains(out.Error.Message, tt.err) {
				t.Errorf("error %+v, want %q", out.Error, tt.err)
			}
		})
	}
}

func TestWhatGoesToOutputBindingsIsTheResult(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{},
		answer(`{"Outputs":{"audit":{"n": 1.0},"none":null},"Logs":["x"],"ReturnValue":"r"}`))
	b.call("process-order", message("{}"))
	got := string(b.one().Outcome.Result.JSON)
	if want := `{"Outputs":{"audit":{"n":1.0}},"ReturnValue":"r"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestABlobIsRecordedWithItsBytes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	objects, err := capture.Create(dir, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	b := newBench(t, customhandler.RecorderOptions{ObserverOptions: customhandler.ObserverOptions{
		Blobs: translate.BlobOptions{Buckets: map[string]string{"catalog": "orders-catalog"}}, Objects: objects,
	}}, answer(`{}`))
	body := []byte("a,b\n\xff\x00")
	b.call("import-catalog", customhandler.BlobTrigger{
		AccountURL: "https://acct.blob.core.windows.net", Container: "catalog", Name: "x y/ü+.csv", Body: body, Binary: true,
		ContentType: "text/csv", ETag: `"0x8DA"`, Modified: inserted,
	}.Request("blob", customhandler.NewSys("import-catalog", inserted)))
	inv := b.one()
	var event events.S3Event
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		t.Fatal(err)
	}
	if r := event.Records[0]; r.S3.Bucket.Name != "orders-catalog" || r.S3.Object.URLDecodedKey != "x y/ü+.csv" ||
		r.S3.Object.Size != int64(len(body)) || r.S3.Object.ETag != "0x8DA" || !r.EventTime.Equal(inserted) {
		t.Errorf("got %+v", r)
	}
	if len(inv.Objects) != 1 || inv.Outcome.Status != capture.StatusOK {
		t.Fatalf("got %+v", inv)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "objects", "sha256", inv.Objects[0].SHA256))
	if err != nil || !bytes.Equal(kept, body) || inv.Objects[0].Bucket != "orders-catalog" {
		t.Errorf("kept %q, %v, %+v", kept, err, inv.Objects[0])
	}
}

func TestAForwardedRequestIsRecordedAsHTTP(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{ObserverOptions: customhandler.ObserverOptions{
		HTTP: map[string]translate.HTTPOptions{"": {
			Format: capture.FormatAPIGatewayV1, Routes: []string{"POST /customers/{id}/orders"}, Host: "api.example.com",
		}},
	}}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Set-Cookie"] = []string{"b=2; Path=/", "a=1", "b=3"}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		_, _ = w.Write(body)
	})
	req, err := http.NewRequest("POST", b.url+"/api/customers/a%2Fb/orders?x=1&code=SECRET", strings.NewReader(`{"n": 1.0}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.azurewebsites.net"
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "X-Two": {"1", "2"}, "X-Functions-Key": {"SECRET"},
		customhandler.InvocationIDHeader: {"inv-2"}, "X-Forwarded-For": {"203.0.113.24:5"},
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != `{"n": 1.0}` || len(resp.Header["Set-Cookie"]) != 3 {
		t.Errorf("the host got %s %v", body, resp.Header)
	}
	inv := b.one()
	if inv.Function != "create-order" || inv.Format != capture.FormatAPIGatewayV1 || inv.Context.RequestID != "inv-2" ||
		inv.Source != "customhandler:translated/http/create-order" {
		t.Errorf("got %+v", inv)
	}
	var event events.APIGatewayProxyRequest
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		t.Fatal(err)
	}
	if event.Path != "/customers/a%2Fb/orders" || event.PathParameters["id"] != "a%2Fb" || event.Body != `{"n": 1.0}` ||
		event.RequestContext.Identity.SourceIP != "203.0.113.24" || event.Headers["Host"] != "api.example.com" ||
		!cmp.Equal(event.MultiValueHeaders["X-Two"], []string{"1", "2"}) || strings.Contains(string(inv.Event), "SECRET") {
		t.Errorf("got %s", inv.Event)
	}
	out := inv.Outcome
	if out.Status != capture.StatusOK || out.HTTP.Status != 201 || string(out.HTTP.Body.JSON) != `{"n":1.0}` {
		t.Errorf("outcome %+v", out)
	}
	var cookies []string
	for _, c := range out.HTTP.Cookies {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if !cmp.Equal(cookies, []string{"b=2", "a=1", "b=3"}) || out.HTTP.Cookies[0].Attributes["path"] != "/" {
		t.Errorf("cookies %v", out.HTTP.Cookies)
	}
}

// writeApp makes an app with one function of those bindings, without forwarding.
func writeApp(t *testing.T, function, bindings string) *customhandler.App {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"host.json":                 `{"version":"2.0","extensions":{"http":{"routePrefix":"v1"}},"customHandler":{}}`,
		function + "/function.json": "\ufeff" + `{"bindings":[` + bindings + `]}`,
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app, err := customhandler.ReadApp(dir, func(name string) string { return map[string]string{"Q": "steps"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	return app
}

const httpBindings = `{"type":"httpTrigger","direction":"in","name":"in","authLevel":"anonymous","route":"x/{id}"},
	{"type":"http","direction":"out","name":"out"}`

func TestAnHTTPPayloadIsRecordedWithTheAnswerThatTheHostMakes(t *testing.T) {
	tests := []struct {
		name, outputs string
		handler       http.HandlerFunc
		status        capture.Status
		code          int
	}{
		{"an answer", `{"Outputs":{"out":{"statusCode":404,"body":"no"},"other":1}}`, nil, capture.StatusOK, 404},
		{"the host's for a function that failed", "", status(503), capture.StatusFunctionError, 0},
		{"the host's for one that died", "", abort, capture.StatusFunctionError, 0},
		{"an output that is none", `{"Outputs":{"out":"x"}}`, nil, capture.StatusFunctionError, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.handler == nil {
				tt.handler = answer(tt.outputs)
			}
			b := newBench(t, customhandler.RecorderOptions{
				ObserverOptions: customhandler.ObserverOptions{App: writeApp(t, "f", httpBindings)}}, tt.handler)
			req, err := customhandler.HTTPTrigger{
				URL: "https://h/v1/x/7?code=mine", Method: "PUT", Header: http.Header{"Host": {"h"}}, Body: []byte("hi"),
			}.Request("in", customhandler.NewSys("f", inserted))
			if err != nil {
				t.Fatal(err)
			}
			b.call("f", req)
			inv := b.one()
			var event events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(inv.Event, &event); err != nil {
				t.Fatal(err)
			}
			if event.RawPath != "/x/7" || event.RequestContext.HTTP.Method != "PUT" || event.RawQueryString != "code=mine" {
				t.Errorf("got %s", inv.Event)
			}
			if inv.Outcome.Status != tt.status || tt.code != 0 && inv.Outcome.HTTP.Status != tt.code {
				t.Errorf("outcome %+v", inv.Outcome)
			}
			if tt.code != 0 && string(inv.Outcome.Result.JSON) != `{"Outputs":{"other":1}}` {
				t.Errorf("result %s", inv.Outcome.Result.Bytes())
			}
		})
	}
}

func TestWhatHasNoLambdaFormIsRecordedAsItCame(t *testing.T) {
	const timer = `{"type":"timerTrigger","direction":"in","name":"t"}`
	const queue = `{"type":"queueTrigger","direction":"in","name":"message","queueName":"q"}`
	tests := []struct {
		name, bindings string
		verbatim       bool
		handler        http.HandlerFunc
		status         capture.Status
		format         capture.Format
		untranslated   int64
	}{
		{"a timer", timer, false, answer(`{"ReturnValue":1.0}`), capture.StatusOK, "azure-timer", 0},
		{"a timer that failed", timer, false, status(500), capture.StatusFunctionError, "azure-timer", 0},
		{"a queue, when it is to be", queue, true, answer(`{"ReturnValue":1.0}`), capture.StatusOK, "azure-queue", 0},
		{"a message that is not understood", queue, false, answer(`{"ReturnValue":1.0}`), capture.StatusOK, "azure-queue", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, customhandler.RecorderOptions{ObserverOptions: customhandler.ObserverOptions{
				App: writeApp(t, "f", tt.bindings), Verbatim: tt.verbatim}}, tt.handler)
			b.call("f", customhandler.TextRequest("t", "x", customhandler.Sys{MethodName: "f"}))
			inv := b.one()
			want := `{"Data":{"t":"\"x\""},"Metadata":{"sys":{"MethodName":"f","UtcNow":"","RandGuid":""}}}`
			if string(inv.Event) != want || inv.Trigger != capture.TriggerOther || inv.Format != tt.format ||
				inv.Source != "customhandler:verbatim/f" || inv.Outcome.Status != tt.status {
				t.Errorf("got %+v, %s", inv, inv.Event)
			}
			if tt.status == capture.StatusOK && string(inv.Outcome.Result.JSON) != `{"ReturnValue":1.0}` {
				t.Errorf("result %s", inv.Outcome.Result.Bytes())
			}
			if got := b.recorder.Stats().Untranslated; got != tt.untranslated {
				t.Errorf("%d are said not to be translated, want %d", got, tt.untranslated)
			}
		})
	}
}

func TestNoAccessKeyIsRecordedOrTold(t *testing.T) {
	for _, url := range []string{"/v1/x/7?code=SECRET", "/v1/%zz?code=SECRET"} {
		app := writeApp(t, "f", strings.Replace(httpBindings, "anonymous", "function", 1))
		b := newBench(t, customhandler.RecorderOptions{
			ObserverOptions: customhandler.ObserverOptions{App: app, Verbatim: true}}, answer(`{}`))
		value := fmt.Sprintf(`{"Url":%q,"Method":"GET","Headers":{"X-Functions-Key":["SECRET"]}}`, url)
		b.call("f", &customhandler.Request{Data: map[string]json.RawMessage{"in": json.RawMessage(value)}})
		for _, inv := range b.seen() {
			if strings.Contains(string(inv.Event), "SECRET") {
				t.Errorf("recorded %s", inv.Event)
			}
		}
		s := b.recorder.Stats()
		if strings.Contains(b.log.String(), "SECRET") || s.Recorded+s.Lost[customhandler.LostUnclear] != 1 {
			t.Errorf("%s\n%s", s, b.log.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) PutObject(io.Reader) (string, int64, error) { return "", 0, errors.New("no room") }

func TestABlobWhoseBytesCannotBeKeptIsRecorded(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{
		ObserverOptions: customhandler.ObserverOptions{Objects: fullDisk{}}}, answer(`{}`))
	b.call("import-catalog", customhandler.BlobTrigger{AccountURL: "https://a", Container: "c", Name: "n", Binary: true}.
		Request("blob", customhandler.Sys{}))
	if inv := b.one(); inv.Trigger != capture.TriggerS3 || len(inv.Objects) > 0 || b.recorder.Stats().NoObject != 1 {
		t.Errorf("got %+v, %s", inv, b.recorder.Stats())
	}
}

func TestWithoutTheAppsFilesTriggersAreGuessed(t *testing.T) {
	request, err := customhandler.HTTPTrigger{URL: "/api/x", Method: "GET"}.Request("r", customhandler.Sys{})
	if err != nil {
		t.Fatal(err)
	}
	bus := message("{}")
	bus.Metadata = map[string]json.RawMessage{
		"SequenceNumber": []byte(`"7"`), "LockToken": []byte(`"l"`), "MessageId": []byte(`"m"`), "SessionId": []byte(`"s"`),
	}
	blob := customhandler.BlobTrigger{AccountURL: "https://a", Container: "c", Name: "n", Body: []byte{0xff}, Binary: true}
	for name, req := range map[string]*customhandler.Request{
		"http/f": request, "queue/f": message("{}"), "servicebus/f": bus, "blob/c": blob.Request("b", customhandler.Sys{}),
	} {
		b := newBench(t, customhandler.RecorderOptions{
			ObserverOptions: customhandler.ObserverOptions{App: &customhandler.App{Prefix: "api"}}}, answer(`{}`))
		b.call("f", req)
		if inv := b.one(); inv.Source != "customhandler:translated/"+name {
			t.Errorf("%s is taken for %s: %s", name, inv.Source, inv.Event)
		}
	}
}

func TestEveryExchangeIsAccountedFor(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{
		ObserverOptions: customhandler.ObserverOptions{
			HTTP: map[string]translate.HTTPOptions{"": {Routes: []string{"GET /y"}}},
		},
		Keep: func(inv *capture.Invocation) bool { return !strings.Contains(string(inv.Event), "unwanted") },
	}, answer(`{}`))
	send := func(method, path, body string, header ...string) {
		req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(customhandler.InvocationIDHeader, "i")
		for _, h := range header {
			name, value, _ := strings.Cut(h, ":")
			req.Header.Set(name, value)
		}
		resp, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	send("GET", "/", "", customhandler.InvocationIDHeader+":")
	send("POST", "/process-order", "{}", capture.MarkHeader+":r/i/t/0")
	send("POST", "/api/customers/1/orders", "{}")
	send("POST", "/process-order", `{"Data":{"message":"`+strings.Repeat("x", 1<<20)+`"}}`)
	b.call("process-order", message("unwanted"))
	b.call("process-order", message("wanted"))
	b.wire.Sync()
	b.refuse = true
	for range 5 {
		b.call("process-order", message("refused"))
	}
	b.seen()
	got := b.recorder.Stats()
	want := customhandler.Stats{
		Seen: 11, Recorded: 1,
		LeftOut: map[customhandler.Fate]int64{
			customhandler.LeftPing: 1, customhandler.LeftReplay: 1, customhandler.LeftRoute: 1, customhandler.LeftSample: 1,
		},
		Lost: map[customhandler.Fate]int64{customhandler.LostLarge: 1, customhandler.LostRefused: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantLine := "11 exchanges: 1 recorded, 1 from a replay, 1 left out of the sample, 1 not an invocation, " +
		"1 without a route, 5 LOST: refused by the sink, 1 LOST: too large"
	if got.String() != wantLine {
		t.Errorf("got  %s\nwant %s", got, wantLine)
	}
	if n := strings.Count(b.log.String(), "no room"); n != 3 {
		t.Errorf("five losses are told %d times, want 3:\n%s", n, b.log.String())
	}
}

func TestAReplayIsRecordedOnDemand(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{
		ObserverOptions: customhandler.ObserverOptions{Replays: true}}, answer(`{}`))
	c := customhandler.Client{URL: b.url, HTTP: b.client}
	header := http.Header{capture.MarkHeader: {"r/i/t/0"}}
	if _, _, err := c.Call(t.Context(), "process-order", "i", header, message("{}")); err != nil {
		t.Fatal(err)
	}
	b.one()
}

func TestManyRequestsAtOnceKeepTheirAnswers(t *testing.T) {
	b := newBench(t, customhandler.RecorderOptions{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("wrong")) {
			w.WriteHeader(500)
			return
		}
		answer(`{}`)(w, r)
	})
	const n = 200
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			body := fmt.Sprintf("good %d", i)
			if i%3 == 0 {
				body = fmt.Sprintf("wrong %d", i)
			}
			b.call("process-order", message(body))
		})
	}
	calls.Wait()
	seen := make(map[string]bool)
	for _, inv := range b.seen() {
		var event events.SQSEvent
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		body := event.Records[0].Body
		if failed := inv.Outcome.Status != capture.StatusOK; failed != strings.HasPrefix(body, "wrong") || seen[body] {
			t.Errorf("%s has %+v, seen before: %v", body, inv.Outcome, seen[body])
		}
		seen[body] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d recorded: %s", len(seen), n, b.recorder.Stats())
	}
}

func FuzzAnObserverTakesWhateverPasses(f *testing.F) {
	app, err := customhandler.ReadApp(ordersApp, os.Getenv)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/process-order", string(mustJSON(message("{}"))), 200, `{"Outputs":{}}`)
	f.Add("POST", "/import-catalog", `{"Data":{"blob":"/w=="},"Metadata":{"Uri":"https://h/c/n"}}`, 200, `{}`)
	f.Add("GET", "/api/customers/%31/orders?code=1", "x", 500, "")
	f.Add("POST", "/x", `{"Data":{"r":{"Url":"/","Method":"GET"}}}`, 201, `{"ReturnValue":{"body":[]}}`)
	f.Fuzz(func(t *testing.T, method, target, body string, status int, reply string) {
		for _, app := range []*customhandler.App{app, nil} {
			r, err := customhandler.NewRecorder(customhandler.RecorderOptions{
				ObserverOptions: customhandler.ObserverOptions{App: app}, Sink: validSink{t}})
			if err != nil {
				t.Fatal(err)
			}
			a := wiretap.NewAssembler(wiretap.Observer{Done: r.Done}, 1<<20)
			a.Add(wiretap.Segment{Kind: wiretap.Open, Conn: 1})
			a.Add(wiretap.Segment{Kind: wiretap.Client, Conn: 1, Data: fmt.Appendf(nil,
				"%s %s HTTP/1.1\r\nHost: h\r\n%s: i\r\nContent-Length: %d\r\n\r\n%s",
				method, target, customhandler.InvocationIDHeader, len(body), body)})
			a.Add(wiretap.Segment{Kind: wiretap.Server, Conn: 1, Data: fmt.Appendf(nil,
				"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(reply), reply)})
			a.End()
		}
	})
}

// A validSink fails the test on what is no line of a recording.
type validSink struct{ t *testing.T }

func (s validSink) Write(inv *capture.Invocation) error {
	line, err := inv.AppendJSON(nil)
	if err == nil {
		_, err = capture.ParseInvocation(line)
	}
	if err != nil {
		s.t.Errorf("%v: %s", err, inv.Event)
	}
	return nil
}

func mustJSON(v any) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return doc
}

// What was not seen whole is either recorded without an outcome, if the request was, or lost, and never guessed.
func TestWhatWasNotSeenWholeIsNotMadeUp(t *testing.T) {
	app, err := customhandler.ReadApp(ordersApp, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	body := string(mustJSON(message("{}")))
	asked := fmt.Sprintf("POST /process-order HTTP/1.1\r\nHost: h\r\n%s: i\r\nContent-Length: %d\r\n\r\n%s",
		customhandler.InvocationIDHeader, len(body), body)
	const whole = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	type segments []wiretap.Segment
	open := wiretap.Segment{Kind: wiretap.Open, Conn: 1}
	client := func(text string) wiretap.Segment {
		return wiretap.Segment{Kind: wiretap.Client, Conn: 1, Data: []byte(text)}
	}
	server := func(text string) wiretap.Segment {
		return wiretap.Segment{Kind: wiretap.Server, Conn: 1, Data: []byte(text)}
	}
	gap := wiretap.Segment{Kind: wiretap.Resume, Conn: 1}
	closed := wiretap.Segment{Kind: wiretap.Close, Conn: 1}
	tests := []struct {
		name     string
		segments segments
		status   capture.Status // "" for an invocation without an outcome
		lost     customhandler.Fate
	}{
		{"all of it", segments{open, client(asked), server(whole), closed}, capture.StatusOK, ""},
		{"the answer was not copied", segments{open, client(asked), gap}, "", ""},
		{"nobody watched the answer", segments{open, client(asked)}, "", ""},
		{"nobody watched the end of the answer", segments{open, client(asked), server(whole[:40])}, "", ""},
		{"the end of a failure was not copied", segments{open, client(asked),
			server("HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"), gap}, capture.StatusFunctionError, ""},
		{"the answer is larger than what is kept", segments{open, client(asked),
			server("HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n" + strings.Repeat("x", 2048))}, "", ""},
		{"the connection ended", segments{open, client(asked), closed}, capture.StatusFunctionError, ""},
		{"the request was not copied to its end", segments{open, client(asked[:len(asked)-1]), gap}, "", customhandler.LostCut},
		{"the client went away", segments{open, client(asked[:len(asked)-1]), closed}, "", customhandler.LostCut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sink := &bench{t: t}
			r, err := customhandler.NewRecorder(customhandler.RecorderOptions{
				ObserverOptions: customhandler.ObserverOptions{App: app}, Sink: sink,
			})
			if err != nil {
				t.Fatal(err)
			}
			a := wiretap.NewAssembler(wiretap.Observer{Done: r.Done}, 1024)
			for _, s := range tt.segments {
				a.Add(s)
			}
			a.End()
			stats := r.Stats()
			if tt.lost != "" {
				if stats.Lost[tt.lost] != 1 || len(sink.got) > 0 {
					t.Errorf("got %s", stats)
				}
				return
			}
			if len(sink.got) != 1 {
				t.Fatalf("got %s", stats)
			}
			out := sink.got[0].Outcome
			if tt.status == "" && (out != nil || stats.NoOutcome != 1) ||
				tt.status != "" && (out == nil || out.Status != tt.status) {
				t.Errorf("outcome %+v, %s", out, stats)
			}
		})
	}
}

func TestWhatIsWrongWithAnAppDoesNotHideTheRest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"host.json":          `{"extensions":{"http":{"routePrefix":""}}`,
		"good/function.json": `{"bindings":[{"type":"queueTrigger","direction":"in","name":"m","queueName":"%Q%-%R%"}]}`,
		"bad/function.json":  `{"bindings":[{"type":"http","direction":"out","name":"x"}]}`,
		"odd/function.json":  `{"bindings":[{"type":"httpTrigger","direction":"in","name":"x","route":"{"}]}`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app, err := customhandler.ReadApp(dir, func(name string) string { return map[string]string{"Q": "orders"}[name] })
	for _, want := range []string{"host.json: ", "bad/function.json: no trigger", `odd/function.json: route "{"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if fn := app.Functions["good"]; len(app.Functions) != 1 || fn == nil || fn.Trigger.QueueName != "orders-%R%" {
		t.Errorf("got %+v", app.Functions)
	}
	if app, err := customhandler.ReadApp(filepath.Join(dir, "nowhere"), os.Getenv); err == nil || app == nil {
		t.Errorf("got %v, %v for no folder", app, err)
	}
}
