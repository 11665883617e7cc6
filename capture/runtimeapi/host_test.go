package runtimeapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// runtime is a client of the Runtime API, in the place of a function's runtime.
type runtime struct {
	t      *testing.T
	addr   string
	client *http.Client
}

func newRuntime(t *testing.T, addr string) runtime {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return runtime{t: t, addr: addr, client: &http.Client{Transport: transport}}
}

type reply struct {
	Status int
	Body   string
	header http.Header
}

func (r runtime) do(method, path string, body io.Reader, header, trailer http.Header) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.addr+apiPath+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	req.Trailer = trailer
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{resp.StatusCode, string(got), resp.Header}
}

func (r runtime) next() reply {
	r.t.Helper()
	got := r.do("GET", "invocation/next", nil, nil, nil)
	if got.Status != http.StatusOK {
		r.t.Fatalf("next: %d %s", got.Status, got.Body)
	}
	return got
}

func (r runtime) post(path, body string) reply {
	r.t.Helper()
	return r.do("POST", path, strings.NewReader(body), nil, nil)
}

// nextInBackground asks for an event that the test does not expect to come.
func (r runtime) nextInBackground() {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+apiPath+"invocation/next", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(done)
		if resp, err := r.client.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func newHost(t *testing.T) *Host {
	t.Helper()
	h, err := NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

type invoked struct {
	response Response
	err      error
}

// invoke calls h.Invoke and returns where its result will be.
func invoke(ctx context.Context, h *Host, req Request) <-chan invoked {
	result := make(chan invoked, 1)
	go func() {
		resp, err := h.Invoke(ctx, req)
		result <- invoked{resp, err}
	}()
	return result
}

const acceptedBody = `{"status":"OK"}` + "\n"

func TestRuntimeGetsEventWithItsHeaders(t *testing.T) {
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	event := "{\n  \"b\": 1.0, \"a\" : \"é<>\"\r\n}"
	deadline := time.UnixMilli(1700000003123)
	result := invoke(t.Context(), h, Request{
		ID: "id-1", FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f", Deadline: deadline,
		TraceID: "Root=1-2-3", ClientContext: []byte(`{"custom":{"k":"v"}}`), CognitoIdentity: []byte(`{"i":1}`),
		Event: []byte(event),
	})
	got := rt.next()
	if got.Body != event {
		t.Errorf("event is %q, want it byte for byte: %q", got.Body, event)
	}
	want := map[string]string{
		"Content-Type":                        "application/json",
		"Lambda-Runtime-Aws-Request-Id":       "id-1",
		"Lambda-Runtime-Deadline-Ms":          "1700000003123",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"Lambda-Runtime-Trace-Id":             "Root=1-2-3",
		"Lambda-Runtime-Client-Context":       `{"custom":{"k":"v"}}`,
		"Lambda-Runtime-Cognito-Identity":     `{"i":1}`,
	}
	for name, value := range want {
		if got := got.header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if got := rt.post("invocation/id-1/response", "answer"); got.Status != 202 || got.Body != acceptedBody {
		t.Errorf("response was answered with %d %q", got.Status, got.Body)
	}
	if got := <-result; got.err != nil || string(got.response.Payload) != "answer" || got.response.FunctionError != "" {
		t.Errorf("Invoke returned %+v", got)
	}
}

func TestInvocationEndsAsTheRuntimePosts(t *testing.T) {
	big := strings.Repeat("x", MaxPayload+1)
	tooLargeBody := `{"errorType":"RequestEntityTooLarge",` +
		`"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes)."}`
	tests := []struct {
		name, reason    string
		path, body      string
		header, trailer http.Header
		status          int
		answer          string
		want            Response
	}{
		{
			name: "buffered", reason: "the common case",
			path: "invocation/1/response", body: `{"a":1}`, status: 202, answer: acceptedBody,
			want: Response{Payload: []byte(`{"a":1}`)},
		},
		{
			name: "empty", reason: "a function without a result posts nothing",
			path: "invocation/1/response", status: 202, answer: acceptedBody, want: Response{Payload: []byte{}},
		},
		{
			name: "largest", reason: "the limit itself is allowed",
			path: "invocation/1/response", body: big[1:], status: 202, answer: acceptedBody,
			want: Response{Payload: []byte(big[1:])},
		},
		{
			name: "streaming", reason: "runtimes that stream say so",
			path: "invocation/1/response", body: "part", status: 202, answer: acceptedBody,
			header: http.Header{headerResponseMode: {"streaming"}, "Content-Type": {"text/x"}},
			want:   Response{Payload: []byte("part"), ContentType: "text/x"},
		},
		{
			name: "streaming that fails", reason: "the error comes in trailers, after 200 bytes of success",
			path: "invocation/1/response", body: "part", status: 202, answer: acceptedBody,
			trailer: http.Header{
				headerErrorType: {"Broken"},
				headerErrorBody: {base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Broken","errorMessage":"m"}`))},
			},
			want: Response{
				Payload: []byte(`{"errorType":"Broken","errorMessage":"m"}`), ContentType: "application/json",
				FunctionError: "Unhandled", ErrorType: "Broken",
			},
		},
		{
			name: "trailer without a document", reason: "the type alone still makes an error",
			path: "invocation/1/response", body: "part", status: 202, answer: acceptedBody,
			trailer: http.Header{headerErrorType: {"Broken"}, headerErrorBody: {"%%%"}},
			want: Response{
				Payload: []byte(`{"errorType":"Broken","errorMessage":""}`), ContentType: "application/json",
				FunctionError: "Unhandled", ErrorType: "Broken",
			},
		},
		{
			name: "unknown response mode", reason: "Lambda refuses it and fails the invocation",
			path: "invocation/1/response", header: http.Header{headerResponseMode: {"other"}}, status: 400,
			answer: `{"errorType":"InvalidFunctionResponseMode","errorMessage":"Invalid function response mode"}`,
			want:   ErrorResponse("Runtime.InvalidResponseModeHeader", `Invalid response mode header: "other"`),
		},
		{
			name: "too large", reason: "6 MB and a little is the limit",
			path: "invocation/1/response", body: big, status: 413, answer: tooLargeBody,
			want: Response{
				Payload: []byte(`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size ` +
					`exceeded maximum allowed payload size (6291556 bytes)."}`),
				ContentType: "application/json", FunctionError: "Unhandled", ErrorType: "Function.ResponseSizeTooLarge",
			},
		},
		{
			name: "error", reason: "what the runtime writes of an error is passed on as it is",
			path: "invocation/1/error", body: `{"errorType":"E","errorMessage":"m","stackTrace":[]}`, status: 202,
			answer: acceptedBody,
			want: Response{
				Payload:       []byte(`{"errorType":"E","errorMessage":"m","stackTrace":[]}`),
				FunctionError: "Unhandled", ErrorType: "E",
			},
		},
		{
			name: "error by header", reason: "a runtime need not write a document",
			path: "invocation/1/error", header: http.Header{headerErrorType: {"Runtime.X"}}, status: 202,
			answer: acceptedBody,
			want: Response{
				Payload: []byte(`{"errorType":"Runtime.X","errorMessage":""}`), ContentType: "application/json",
				FunctionError: "Unhandled", ErrorType: "Runtime.X",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			rt := newRuntime(t, h.Addr())
			result := invoke(t.Context(), h, Request{ID: "1", Event: []byte("{}")})
			rt.next()
			var body io.Reader = strings.NewReader(test.body)
			if test.trailer != nil {
				body = io.MultiReader(body) // of unknown length, so that the request is chunked
			}
			got := rt.do("POST", test.path, body, test.header, test.trailer)
			if got.Status != test.status || got.Body != test.answer {
				t.Errorf("the runtime got %d %s; %s", got.Status, got.Body, test.reason)
			}
			r := <-result
			if r.err != nil {
				t.Fatal(r.err)
			}
			if !reflect.DeepEqual(r.response, test.want) { // go-cmp takes long over megabytes
				t.Errorf("%s: got %.500s, want %.500s", test.reason, fmt.Sprintf("%+v", r.response), fmt.Sprintf("%+v", test.want))
			}
		})
	}
}

func TestRequestsOutOfTurnAreRefused(t *testing.T) {
	const wrongID = `{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}`
	transition := func(from, to string) string {
		return `{"errorType":"InvalidStateTransition","errorMessage":"State transition from ` + from + ` to ` + to +
			` failed for runtime. Error: State transition is not allowed"}`
	}
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	check := func(reason string, got reply, status int, body string) {
		t.Helper()
		if got.Status != status || got.Body != body {
			t.Errorf("%s: got %d %s, want %d %s", reason, got.Status, got.Body, status, body)
		}
	}
	check("nothing was asked yet", rt.post("invocation/1/response", ""), 403, transition("Ready", "InvocationResponse"))
	result := invoke(t.Context(), h, Request{ID: "1", Event: []byte("{}")})
	rt.next()
	check("another invocation's ID", rt.post("invocation/2/response", ""), 400, wrongID)
	check("another invocation's ID", rt.post("invocation/2/error", ""), 400, wrongID)
	check("next before an answer", rt.do("GET", "invocation/next", nil, nil, nil), 403, transition("Running", "Ready"))
	check("init error after next", rt.post("init/error", ""), 403, transition("Ready", "InitError"))
	check("the answer", rt.post("invocation/1/response", "x"), 202, acceptedBody)
	check("a second answer", rt.post("invocation/1/error", "x"), 403, transition("Ready", "InvocationErrorResponse"))
	if got := <-result; string(got.response.Payload) != "x" {
		t.Errorf("got %+v", got)
	}
	if got := rt.do("GET", "nonsense", nil, nil, nil); got.Status != 404 {
		t.Errorf("unknown path: %d", got.Status)
	}
}

func TestReadyFollowsTheRuntime(t *testing.T) {
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if err := h.Ready(ended); err != cause {
		t.Errorf("before the first next: %v", err)
	}
	result := invoke(t.Context(), h, Request{ID: "1", Event: []byte("{}")})
	rt.next()
	rt.post("invocation/1/response", "x")
	<-result
	if err := h.Ready(ended); err != cause {
		t.Errorf("after the response and before next: %v", err)
	}
	rt.nextInBackground()
	if err := h.Ready(t.Context()); err != nil {
		t.Errorf("after next: %v", err)
	}
}

func TestReadyTellsAnInitError(t *testing.T) {
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	got := rt.post("init/error", `{"errorType":"Config","errorMessage":"no table"}`)
	if got.Status != 202 || got.Body != acceptedBody {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	var initError *InitError
	if err := h.Ready(t.Context()); !errors.As(err, &initError) || initError.Response.ErrorType != "Config" {
		t.Errorf("got %v", err)
	}
}

func TestInvokeEndsWithItsContextAndItsHost(t *testing.T) {
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := invoke(ctx, h, Request{ID: "1", Event: []byte("{}")})
	rt.next()
	if _, err := h.Invoke(t.Context(), Request{ID: "2"}); err != ErrBusy {
		t.Errorf("a second invocation: %v", err)
	}
	cancel(cause)
	if got := <-result; got.err != cause {
		t.Errorf("got %v, want the context's cause", got.err)
	}
	if got := rt.post("invocation/1/response", "late"); got.Status != 403 {
		t.Errorf("a late response was answered with %d", got.Status)
	}
	result = invoke(t.Context(), h, Request{ID: "2", Event: []byte("{}")})
	rt.next()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got.err != ErrClosed {
		t.Errorf("got %v, want ErrClosed", got.err)
	}
	if err := h.Ready(t.Context()); err != ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestTruncatedResponseIsNoResponse(t *testing.T) {
	h := newHost(t)
	rt := newRuntime(t, h.Addr())
	result := invoke(t.Context(), h, Request{ID: "1", Event: []byte("{}")})
	rt.next()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+h.Addr()+apiPath+"invocation/1/response",
		io.MultiReader(strings.NewReader("half of it"), failing{}))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := rt.client.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("got %s", resp.Status)
	}
	if got := rt.post("invocation/1/response", "all of it"); got.Status != 202 {
		t.Errorf("a second try was answered with %d %s", got.Status, got.Body)
	}
	if got := <-result; string(got.response.Payload) != "all of it" {
		t.Errorf("got %+v", got)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut off") }
