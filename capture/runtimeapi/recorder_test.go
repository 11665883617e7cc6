package runtimeapi

import (
	"bufio"
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem/capture"
	"tandem/capture/wiretap"
)

// memory is a Sink that keeps what it gets, or fails.
type memory struct {
	err error

	mu   sync.Mutex
	kept []*capture.Invocation
}

func (m *memory) Write(inv *capture.Invocation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.kept = append(m.kept, inv)
	return nil
}

func (m *memory) all() []*capture.Invocation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept
}

var _ Sink = (*capture.Writer)(nil)

// tapped is a Recorder with the wire that it watches.
type tapped struct {
	*Recorder
	wire *wiretap.Wire
}

func (r tapped) Addr() string { return r.wire.Addr() }

// Stats are of all that has passed.
func (r tapped) Stats() Stats {
	r.wire.Sync()
	return r.Recorder.Stats()
}

// Wait knows of all that has passed.
func (r tapped) Wait(ctx context.Context, requestID string) bool {
	r.wire.Sync()
	return r.Recorder.Wait(ctx, requestID)
}

func (r tapped) Close() {
	r.wire.Close()
	r.Recorder.Close()
}

// newRecorder records what passes on the way to upstream. MaxBody is the wire's, 0 for what the recorder asks for.
func newRecorder(t *testing.T, upstream string, maxBody int, opts RecorderOptions) tapped {
	t.Helper()
	r := NewRecorder(opts)
	w, err := wiretap.NewWire(wiretap.WireOptions{
		Upstream: upstream, Observer: r.Observer(), MaxBody: stdcmp.Or(maxBody, r.MaxBody()),
	})
	if err != nil {
		t.Fatal(err)
	}
	all := tapped{r, w}
	t.Cleanup(all.Close)
	return all
}

// only returns the one invocation that r has recorded in m.
func only(t *testing.T, r tapped, m *memory) *capture.Invocation {
	t.Helper()
	r.wire.Sync()
	all := m.all()
	if len(all) != 1 {
		t.Fatalf("%d invocations were recorded, want 1", len(all))
	}
	return all[0]
}

const (
	sqsEvent = `{"Records": [{"messageId":"m1","body":"x","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:r:a:q"}]}`
	someARN  = "arn:aws:lambda:us-east-1:000000000000:function:orders:live"
)

// kept returns what r has recorded in m.
func kept(r tapped, m *memory) []*capture.Invocation {
	r.wire.Sync()
	return m.all()
}

// round has the runtime rt handle one invocation through h, and returns what Invoke returned.
func round(t *testing.T, h *Host, rt runtime, req Request, path, body string) Response {
	t.Helper()
	result := invoke(t.Context(), h, req)
	if got := rt.next(); got.Body != string(req.Event) {
		t.Errorf("the runtime got %q, want %q", got.Body, req.Event)
	}
	rt.post(path, body)
	got := <-result
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.response
}

func TestInvocationIsRecordedWithItsOutcome(t *testing.T) {
	h, sink := newHost(t), &memory{}
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink, Effects: func(id string) (
		[]capture.Effect, []capture.Object,
	) {
		return []capture.Effect{{Kind: capture.ObjectPut, Resource: id}}, []capture.Object{{Bucket: "b"}}
	}})
	rt := newRuntime(t, r.Addr())
	event := "{ \"Records\":\n" + sqsEvent[len(`{"Records":`):]
	round(t, h, rt, Request{
		ID: "1", FunctionARN: someARN, Deadline: time.Now().Add(time.Hour), TraceID: "Root=1",
		ClientContext: []byte(`{"custom":{}}`), CognitoIdentity: []byte(`{"i":1}`), Event: []byte(event),
	}, "invocation/1/response", `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`)

	got := only(t, r, sink)
	if string(got.Event) != event {
		t.Errorf("the event is %q, want it byte for byte: %q", got.Event, event)
	}
	if got.Time.IsZero() || got.Outcome == nil {
		t.Fatalf("got %+v", got)
	}
	if got.Context.TimeoutMS <= 0 || got.Context.TimeoutMS > time.Hour.Milliseconds() {
		t.Errorf("time-out is %d ms", got.Context.TimeoutMS)
	}
	want := &capture.Invocation{
		Function: "orders", Trigger: capture.TriggerSQS, Format: capture.FormatSQS, Source: "runtime-api",
		Event: []byte(event),
		Context: capture.Context{
			RequestID: "1", FunctionARN: someARN, TraceID: "Root=1", ColdStart: true,
			ClientContext: []byte(`{"custom":{}}`), CognitoIdentity: []byte(`{"i":1}`),
		},
		Outcome: &capture.Outcome{
			Status: capture.StatusOK, Records: map[string]capture.Fate{"m1": capture.Retried},
			Effects: []capture.Effect{{Kind: capture.ObjectPut, Resource: "1"}},
		},
		Objects: []capture.Object{{Bucket: "b"}},
	}
	ignore := []cmp.Option{
		cmpopts.IgnoreFields(capture.Invocation{}, "Time"), cmpopts.IgnoreFields(capture.Context{}, "TimeoutMS"),
		cmpopts.IgnoreFields(capture.Outcome{}, "DurationMS"),
	}
	if diff := cmp.Diff(want, got, ignore...); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestOutcomeFollowsWhatTheUpstreamAccepts(t *testing.T) {
	tests := []struct {
		name, reason string
		path, body   string
		trailer      http.Header
		want         *capture.Outcome
	}{
		{
			name: "result", reason: "any other event has a result", path: "response", body: `{"a": 1}`,
			want: &capture.Outcome{Status: capture.StatusOK, Result: &capture.Body{JSON: []byte(`{"a":1}`)}},
		},
		{
			name: "error", reason: "a posted error is a function error", path: "error",
			body: `{"errorType":"E","errorMessage":"m"}`,
			want: &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E", Message: "m"}},
		},
		{
			name: "trailer", reason: "so is one in the trailers of a stream", path: "response", body: "part",
			trailer: http.Header{
				headerErrorType: {"E"},
				headerErrorBody: {base64.StdEncoding.EncodeToString([]byte(`{"errorType":"E","errorMessage":"m"}`))},
			},
			want: &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E", Message: "m"}},
		},
		{
			name: "too large", reason: "the platform refuses it and says so to the caller", path: "response",
			body: strings.Repeat("x", MaxPayload+1),
			want: &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{
				Type:    "Function.ResponseSizeTooLarge",
				Message: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
			}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, sink := newHost(t), &memory{}
			r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink})
			rt := newRuntime(t, r.Addr())
			direct := newHost(t)
			responses := make([]Response, 2)
			replies := make([]reply, 2)
			for i, at := range []struct {
				h  *Host
				rt runtime
			}{{h, rt}, {direct, newRuntime(t, direct.Addr())}} {
				result := invoke(t.Context(), at.h, Request{ID: "1", Event: []byte(`{"x":1}`)})
				at.rt.next()
				replies[i] = at.rt.do("POST", "invocation/1/"+test.path, io.MultiReader(strings.NewReader(test.body)),
					http.Header{"Content-Type": {"text/x"}}, test.trailer.Clone())
				responses[i] = (<-result).response
			}
			if diff := cmp.Diff(responses[1], responses[0]); diff != "" {
				t.Errorf("the platform gets another response than without the recorder (-without +with):\n%.2000s", diff)
			}
			if diff := cmp.Diff(replies[1], replies[0], cmpopts.IgnoreUnexported(reply{})); diff != "" {
				t.Errorf("the runtime gets another reply than without the recorder (-without +with):\n%s", diff)
			}
			got := only(t, r, sink).Outcome
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(capture.Outcome{}, "DurationMS")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestRefusedPostLeavesInvocationPending(t *testing.T) {
	h, sink := newHost(t), &memory{}
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink})
	rt := newRuntime(t, r.Addr())
	result := invoke(t.Context(), h, Request{ID: "1", Event: []byte(`{}`)})
	rt.next()
	for _, post := range []string{"invocation/2/response", "invocation/2/error"} {
		if got := rt.post(post, `1`); got.Status != 400 || !strings.Contains(got.Body, "InvalidRequestID") {
			t.Errorf("%s: got %d %s", post, got.Status, got.Body)
		}
	}
	if got := kept(r, sink); len(got) != 0 {
		t.Fatalf("%d were recorded before there was an answer", len(got))
	}
	rt.post("invocation/1/response", `2`)
	<-result
	if got := only(t, r, sink).Outcome; got == nil || string(got.Result.Bytes()) != "2" {
		t.Errorf("got %+v", got)
	}
}

func TestUnansweredInvocationIsRecorded(t *testing.T) {
	outcome := &capture.Outcome{Status: capture.StatusTimeout}
	tests := []struct {
		name   string
		reason string
		end    func(h *Host, r tapped, rt runtime)
		want   *capture.Outcome
	}{
		{
			name: "next", reason: "a runtime that asks again has given up on what it had",
			end: func(_ *Host, _ tapped, rt runtime) {
				rt.do("GET", "invocation/next", nil, nil, nil)
			},
		},
		{
			name: "close", reason: "what is pending at the end is not lost",
			end: func(_ *Host, r tapped, _ runtime) {
				r.Close()
			},
		},
		{
			name: "abort", reason: "the platform may know how it ended",
			end:  func(_ *Host, r tapped, _ runtime) { r.Abort("1", outcome) },
			want: outcome,
		},
		{
			name: "abort of two", reason: "another invocation's end changes nothing",
			end: func(_ *Host, r tapped, _ runtime) {
				r.Abort("2", outcome)
				r.Abort("1", nil)
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, sink := newHost(t), &memory{}
			r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink})
			rt := newRuntime(t, r.Addr())
			result := invoke(t.Context(), h, Request{ID: "1", Event: []byte(`{"n":1}`)})
			rt.next()
			r.wire.Sync()
			test.end(h, r, rt)
			if got := only(t, r, sink); got.Outcome != test.want || string(got.Event) != `{"n":1}` {
				t.Errorf("%s: got %+v", test.reason, got)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			<-result
		})
	}
}

func TestRequestIDsMayInterleave(t *testing.T) {
	// An upstream that gives out events without waiting for answers, as Lambda does with several at once.
	n := 0
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			n++
			w.Header().Set(headerRequestID, fmt.Sprint(n))
			fmt.Fprintf(w, `{"n":%d}`, n)
			return
		}
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer upstream.Close()
	sink := &memory{}
	r := newRecorder(t, upstream.Listener.Addr().String(), 0, RecorderOptions{
		Sink: sink, Function: "f", Source: "s", Concurrency: 2,
	})
	rt := newRuntime(t, r.Addr())
	rt.next()
	rt.next()
	rt.post("invocation/2/response", `"two"`)
	rt.next()
	rt.next() // 1 and 3 are pending: the oldest has been given up
	rt.post("invocation/3/response", `"three"`)
	var got []string
	for _, inv := range kept(r, sink) {
		text := "none"
		if inv.Outcome != nil {
			text = string(inv.Outcome.Result.Bytes())
		}
		got = append(got, fmt.Sprintf("%s %s %s %s cold=%v",
			inv.Function, inv.Source, inv.Event, text, inv.Context.ColdStart))
	}
	want := []string{
		`f s {"n":2} "two" cold=false`, `f s {"n":1} none cold=true`, `f s {"n":3} "three" cold=false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestReplaysAreNotRecorded(t *testing.T) {
	mark, err := base64.StdEncoding.DecodeString(capture.Mark{Run: "r", Invocation: "i", Target: "t"}.ClientContext())
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []bool{false, true} {
		h, sink := newHost(t), &memory{}
		r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink, RecordReplays: wanted})
		rt := newRuntime(t, r.Addr())
		round(t, h, rt, Request{ID: "1", ClientContext: mark, Event: []byte("1")}, "invocation/1/response", "1")
		round(t, h, rt, Request{ID: "2", Event: []byte("2")}, "invocation/2/response", "2")
		throughGateway := []byte(`{"version":"2.0","headers":{"tandem-trial":"r/i/t/0"}}`)
		round(t, h, rt, Request{ID: "3", Event: throughGateway}, "invocation/3/response", "3")
		var got []string
		for _, inv := range kept(r, sink) {
			got = append(got, fmt.Sprintf("%s cold=%v", inv.Event, inv.Context.ColdStart))
		}
		want, stats := []string{"2 cold=false"}, Stats{Recorded: 1, Replays: 2}
		if wanted {
			want = []string{"1 cold=true", "2 cold=false", string(throughGateway) + " cold=false"}
			stats = Stats{Recorded: 3}
		}
		if diff := cmp.Diff(want, got); diff != "" || r.Stats() != stats {
			t.Errorf("RecordReplays %v: stats %+v, recorded (-want +got):\n%s", wanted, r.Stats(), diff)
		}
	}
}

func TestFunctionRunsOnWhenTheSinkFails(t *testing.T) {
	var log bytes.Buffer
	h := newHost(t)
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{
		Sink: &memory{err: errors.New("disk full")}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	rt := newRuntime(t, r.Addr())
	for range 3 {
		resp := round(t, h, rt, Request{ID: "1", Event: []byte("{}")}, "invocation/1/response", "x")
		if string(resp.Payload) != "x" {
			t.Errorf("got %+v", resp)
		}
	}
	if got, want := r.Stats(), (Stats{Lost: 3}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	if n := strings.Count(log.String(), "disk full"); n != 1 {
		t.Errorf("the loss was told %d times, want once:\n%s", n, log.String())
	}
}

func TestAnswerTooLargeToKeepHasNoOutcome(t *testing.T) {
	h, sink := newHost(t), &memory{}
	r := newRecorder(t, h.Addr(), 3, RecorderOptions{Sink: sink})
	rt := newRuntime(t, r.Addr())
	for i, body := range []string{`"1"`, `"12"`} {
		id := fmt.Sprint(i)
		resp := round(t, h, rt, Request{ID: id, Event: []byte("{}")}, "invocation/"+id+"/response", body)
		if string(resp.Payload) != body {
			t.Errorf("the platform got %q", resp.Payload)
		}
	}
	all := kept(r, sink)
	if got := []capture.Status{all[0].Outcome.Status, all[1].Outcome.Status}; got[0] != capture.StatusOK ||
		got[1] != capture.StatusUnknown {
		t.Errorf("outcomes are %v", got)
	}
}

// What is not of the Runtime API passes as well: neither path, query, headers nor statuses change.
func TestEverythingElsePassesVerbatim(t *testing.T) {
	type seen struct {
		Method, URI, Body string
		Header            http.Header
	}
	var got seen
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, string(body), r.Header}
		w.Header().Set("Lambda-Extension-Identifier", "e-1")
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(299)
		io.WriteString(w, "answer")
	}))
	defer upstream.Close()
	inner := newRecorder(t, upstream.Listener.Addr().String(), 0, RecorderOptions{Sink: &memory{}})
	outer := newRecorder(t, inner.Addr(), 0, RecorderOptions{Sink: &memory{}}) // they chain
	conn, err := net.Dial("tcp", outer.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const uri = "/2020-01-01/extension/a%2Fb/../register?q=%41;x&&y"
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: h\r\nUser-Agent: ua/1\r\nX-Odd: a, b\r\nX-Odd: c\r\n"+
		"Content-Length: 4\r\n\r\nbody", uri)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := seen{"PUT", uri, "body", http.Header{
		"User-Agent": {"ua/1"}, "X-Odd": {"a, b", "c"}, "Content-Length": {"4"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the upstream got (-want +got):\n%s", diff)
	}
	if resp.StatusCode != 299 || string(answer) != "answer" || resp.Header.Get("Lambda-Extension-Identifier") != "e-1" ||
		len(resp.Header["X-Two"]) != 2 {
		t.Errorf("the client got %d %v %q", resp.StatusCode, resp.Header, answer)
	}
}

func FuzzContextOf(f *testing.F) {
	f.Add("1700000000000", `{"custom":{}}`, someARN)
	f.Add("-1", "{", ":::")
	f.Fuzz(func(t *testing.T, deadline, clientContext, arn string) {
		header := http.Header{}
		header.Set(headerDeadline, deadline)
		header.Set(headerClientContext, clientContext)
		header.Set(headerFunctionARN, arn)
		now := time.UnixMilli(1700000000000)
		inv := &capture.Invocation{
			ID: "i", Function: functionName(arn), Event: []byte("{}"), Context: contextOf(header, now),
		}
		if inv.Context.TimeoutMS < 0 {
			t.Errorf("time-out is %d", inv.Context.TimeoutMS)
		}
		if _, err := inv.AppendJSON(nil); err != nil {
			t.Errorf("it cannot be written: %v", err)
		}
	})
}
