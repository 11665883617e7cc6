package local

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// newLambda starts a platform. Functions without a command get the program in testdata.
func newLambda(t *testing.T, opts LambdaOptions) *Lambda {
	t.Helper()
	for i := range opts.Functions {
		if opts.Functions[i].Command == nil {
			opts.Functions[i].Command = []string{build(t, "lambdafunction")}
		}
		if opts.Functions[i].Timeout == 0 {
			opts.Functions[i].Timeout = time.Minute // where time is not what is tested
		}
	}
	l, err := NewLambda(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// newSDK serves l's Invoke API and returns the AWS SDK's client for it.
func newSDK(t *testing.T, l *Lambda) (*lambda.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(l.Handler())
	t.Cleanup(server.Close)
	return lambda.New(lambda.Options{
		Region:           "us-east-1",
		BaseEndpoint:     &server.URL,
		HTTPClient:       server.Client(),
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	}), server
}

// do is an event for the program in testdata.
func do(what, text string, n int) []byte {
	event, err := json.Marshal(map[string]any{"do": what, "text": text, "n": n, "url": text})
	if err != nil {
		panic(err)
	}
	return event
}

// run runs f and fails the test when the platform refuses.
func run(t *testing.T, l *Lambda, f string, event []byte) *LambdaResponse {
	t.Helper()
	resp, err := l.Run(t.Context(), LambdaRequest{Function: f, Payload: event})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// counted is what the program answers to "count".
type counted struct{ PID, Seen int }

func count(t *testing.T, l *Lambda, f string) counted {
	t.Helper()
	var c counted
	if resp := run(t, l, f, do("count", "", 0)); json.Unmarshal(resp.Payload, &c) != nil || c.PID == 0 {
		t.Fatalf("got %+v: %s", resp, resp.Payload)
	}
	return c
}

func TestSDKInvokesARealFunction(t *testing.T) {
	sdk, _ := newSDK(t, newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "echo"}}}))
	event := `{"a" :1.0, "big":9007199254740993,"text":"é<>"}`
	for i := range 2 {
		out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: aws.String("echo"), Payload: []byte(event), LogType: types.LogTypeTail,
		})
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer // json.RawMessage is compacted by the function
		if err := json.Compact(&want, []byte(event)); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(out.Payload), `\u003c\u003e`, "<>"); got != want.String() {
			t.Errorf("the answer is %s, want %s", got, want.String())
		}
		if out.StatusCode != 200 || out.FunctionError != nil || aws.ToString(out.ExecutedVersion) != "$LATEST" {
			t.Errorf("got %+v", out)
		}
		log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil {
			t.Fatal(err)
		}
		if cold := strings.Contains(string(log), "Init Duration: "); cold != (i == 0) {
			t.Errorf("invocation %d: init duration in the report is %v:\n%s", i, cold, log)
		}
	}
}

func TestFunctionGetsLambdasEnvironmentAndContext(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "must not leak")
	dir := t.TempDir()
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{
		Name: "f:live", Timeout: time.Minute, MemoryMB: 256, Dir: dir, Env: []string{"TABLE=orders", "TZ=:Europe/Paris"},
	}}})
	sdk, _ := newSDK(t, l)
	out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("f"), Qualifier: aws.String("live"), Payload: do("context", "", 0),
		ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte("{\"custom\":\n{\"k\":\"v\"}}"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		RequestID, ARN string
		Client         map[string]string
		Left           int64
		Env            map[string]string
	}
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		t.Fatalf("%v: %s", err, out.Payload)
	}
	if got.ARN != "arn:aws:lambda:us-east-1:000000000000:function:f:live" || got.Client["k"] != "v" {
		t.Errorf("context is %+v", got)
	}
	if got.Left <= 0 || got.Left > time.Minute.Milliseconds() {
		t.Errorf("%d ms were left of a minute", got.Left)
	}
	want := map[string]string{
		"_HANDLER": "bootstrap", "TABLE": "orders", "TZ": ":Europe/Paris", "LAMBDA_TASK_ROOT": dir,
		"AWS_REGION": "us-east-1", "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
	}
	for name, value := range want {
		if got.Env[name] != value {
			t.Errorf("%s is %q, want %q", name, got.Env[name], value)
		}
	}
	if !strings.Contains(got.Env["AWS_LAMBDA_LOG_STREAM_NAME"], "/[$LATEST]") {
		t.Errorf("log stream is %q", got.Env["AWS_LAMBDA_LOG_STREAM_NAME"])
	}
	if leaked, ok := got.Env["AWS_SECRET_ACCESS_KEY"]; ok {
		t.Errorf("the function got this process's credentials: %q", leaked)
	}
}

// exitError is the answer for a runtime that is gone; ID stands for the request's.
func exitError(text string) string {
	return `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: ` + text + `"}`
}

func TestFailureIsAnsweredAsLambdaDoes(t *testing.T) {
	tests := []struct {
		name, reason string
		event        []byte
		timeout      time.Duration
		payload      string // ID stands for the request's
		log          string
		dead         bool // the next invocation gets a new process
	}{
		{
			name: "error", reason: "a returned error leaves the environment alive", event: do("fail", "no stock", 0),
			payload: `{"errorMessage":"no stock","errorType":"errorString"}`, log: "Status: error\tError Type: errorString",
		},
		{
			name: "exit", reason: "a crash is told by the platform", event: do("exit", "", 3), dead: true,
			payload: exitError("Runtime exited with error: exit status 3"),
			log:     "RequestId: ID Error: Runtime exited with error: exit status 3\nRuntime.ExitError\nEND RequestId: ID",
		},
		{
			name: "exit 0", reason: "even one that looks like success", event: do("exit", "", 0), dead: true,
			payload: exitError("Runtime exited without providing a reason"),
			log:     "Runtime exited without providing a reason",
		},
		{
			name: "killed", reason: "as the kernel does when memory is short", event: do("kill", "", 0), dead: true,
			payload: exitError("Runtime exited with error: signal: killed"),
			log:     "signal: killed",
		},
		{
			name: "time-out", reason: "the deadline is enforced by killing", event: do("hang", "", 0), dead: true,
			timeout: 200 * time.Millisecond,
			payload: `{"errorType":"Sandbox.Timedout","errorMessage":` +
				`"RequestId: ID Error: Task timed out after 0.20 seconds"}`,
			log: "ID Task timed out after 0.20 seconds\nEND RequestId: ID",
		},
		{
			name: "too large", reason: "6 MB is the limit for answers", event: do("big", "", 7<<20), dead: true,
			payload: `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded ` +
				`maximum allowed payload size (6291556 bytes)."}`,
			log: "Function.ResponseSizeTooLarge",
		},
		{
			name: "broken stream", reason: "the error trailers make it an error", event: do("stream-fail", "part", 0),
			payload: `{"errorMessage":"the stream broke","errorType":"errorString"}`, log: "Error Type: errorString",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}})
			sdk, _ := newSDK(t, l)
			before := count(t, l, "f")
			long := l.functions["f"].Timeout
			if test.timeout > 0 {
				l.functions["f"].Timeout = test.timeout // for this one invocation: the others must not run out of time
			}
			out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
				FunctionName: aws.String("f"), Payload: test.event, LogType: types.LogTypeTail,
			})
			if err != nil {
				t.Fatal(err)
			}
			log, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
			_, rest, _ := strings.Cut(string(log), "START RequestId: ")
			id, _, _ := strings.Cut(rest, " ")
			if aws.ToString(out.FunctionError) != "Unhandled" || out.StatusCode != 200 {
				t.Errorf("got status %d, function error %q", out.StatusCode, aws.ToString(out.FunctionError))
			}
			if got := strings.ReplaceAll(string(out.Payload), id, "ID"); got != test.payload {
				t.Errorf("%s: got\n%s, want\n%s", test.reason, got, test.payload)
			}
			if got := strings.ReplaceAll(string(log), id, "ID"); !strings.Contains(got, test.log) {
				t.Errorf("no %q in the log:\n%s", test.log, got)
			}
			l.functions["f"].Timeout = long
			after := count(t, l, "f")
			if dead := after.PID != before.PID; dead != test.dead || (dead && after.Seen != 1) {
				t.Errorf("process changed: %v, want %v; before %+v, after %+v", dead, test.dead, before, after)
			}
		})
	}
}

func TestPanicIsAnsweredAsTheRuntimeWroteIt(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}})
	resp := run(t, l, "f", do("panic", "boom", 0))
	var doc struct {
		ErrorMessage, ErrorType string
		StackTrace              []any
	}
	if err := json.Unmarshal(resp.Payload, &doc); err != nil || doc.ErrorMessage != "boom" || len(doc.StackTrace) == 0 {
		t.Errorf("got %v: %s", err, resp.Payload)
	}
	if c := count(t, l, "f"); c.Seen != 1 {
		t.Errorf("the process that panicked was used again: %+v", c)
	}
}

func TestEnvironmentThatDoesNotStartFailsItsInvocation(t *testing.T) {
	missing := []string{"/nowhere/bootstrap"}
	tests := []struct {
		name, reason string
		command      []string
		start        string
		payload, log string
	}{
		{
			name: "no such program", reason: "a wrong path must be told", command: missing,
			payload: `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: ID Error: ` +
				`fork/exec /nowhere/bootstrap: no such file or directory"}`,
			log: "no such file",
		},
		{
			name: "exit", reason: "what it wrote is in the log", start: "exit",
			payload: exitError("Runtime exited with error: exit status 7"),
			log:     "cannot start\n",
		},
		{
			name: "hang", reason: "a runtime that never asks for an event is given up", start: "hang",
			payload: `{"errorType":"Sandbox.Timedout","errorMessage":` +
				`"RequestId: ID Error: Task timed out after 0.30 seconds"}`,
			log: "Task timed out",
		},
		{
			name: "init error", reason: "the runtime's own words count", start: "init-error",
			payload: `{"errorType":"Config.Missing","errorMessage":"no TABLE"}`, log: "Error Type: Config.Missing",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := LambdaOptions{Functions: []LambdaFunction{
				{Name: "f", Command: test.command, Env: []string{"ON_START=" + test.start}},
			}}
			if test.start == "hang" {
				opts.InitTimeout = 300 * time.Millisecond
			}
			l := newLambda(t, opts)
			for range 2 { // the environment is free again afterwards
				resp := run(t, l, "f", nil)
				if got := strings.ReplaceAll(string(resp.Payload), resp.RequestID, "ID"); got != test.payload {
					t.Errorf("%s: got\n%s, want\n%s", test.reason, got, test.payload)
				}
				if !strings.Contains(string(resp.LogTail), test.log) {
					t.Errorf("no %q in the log:\n%s", test.log, resp.LogTail)
				}
			}
		})
	}
}

func TestStreamedAnswerIsReturnedWhole(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}})
	resp := run(t, l, "f", do("stream", "the body", 0))
	want := `{"statusCode":201}` + strings.Repeat("\x00", 8) + "the body"
	if string(resp.Payload) != want || resp.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("got %q of type %q", resp.Payload, resp.ContentType)
	}
}

// rendezvous is a server at which functions meet: each request is told to arrived and answered when it is let go.
type rendezvous struct {
	url     string
	arrived chan struct{}
	letGo   chan struct{}
}

func newRendezvous(t *testing.T) rendezvous {
	r := rendezvous{arrived: make(chan struct{}, 100), letGo: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		r.arrived <- struct{}{}
		<-r.letGo
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// start runs f in the background and returns where its result will be.
func start(ctx context.Context, l *Lambda, f string, event []byte) <-chan jobResult {
	result := make(chan jobResult, 1)
	go func() {
		resp, err := l.Run(ctx, LambdaRequest{Function: f, Payload: event})
		result <- jobResult{resp, err}
	}()
	return result
}

func TestFunctionsAndEnvironmentsWorkAtTheSameTime(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "a", Concurrency: 2}, {Name: "b"}}})
	r := newRendezvous(t)
	var results []<-chan jobResult
	for _, f := range []string{"a", "a", "b"} {
		results = append(results, start(t.Context(), l, f, do("get", r.url, 0)))
	}
	for range results {
		<-r.arrived // all three are in their functions now
	}
	close(r.letGo)
	for _, result := range results {
		if got := <-result; got.err != nil || got.response.FunctionError == "" {
			t.Errorf("got %+v", got) // the URL is the text too, and makes it fail
		}
	}
	// The two environments of a are warm; the one that was used last is used again and again.
	first := count(t, l, "a")
	for i := 1; i <= 3; i++ {
		if c := count(t, l, "a"); c.PID != first.PID || c.Seen != first.Seen+i {
			t.Errorf("got %+v after %+v", c, first)
		}
	}
}

func TestBusyFunctionQueuesOrThrottles(t *testing.T) {
	for _, noQueue := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoQueue %v", noQueue), func(t *testing.T) {
			l := newLambda(t, LambdaOptions{NoQueue: noQueue, Functions: []LambdaFunction{{Name: "f"}}})
			sdk, server := newSDK(t, l)
			r := newRendezvous(t)
			first := start(t.Context(), l, "f", do("get", r.url, 0))
			<-r.arrived
			if !noQueue {
				second := start(t.Context(), l, "f", do("count", "", 0))
				close(r.letGo)
				<-first
				if got := <-second; got.err != nil || !strings.Contains(string(got.response.Payload), `"seen":2`) {
					t.Errorf("the queued invocation returned %+v", got)
				}
				return
			}
			_, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
			var throttle *types.TooManyRequestsException
			if !errors.As(err, &throttle) || aws.ToString(throttle.RetryAfterSeconds) != "1" ||
				throttle.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
				t.Errorf("got %v: %+v", err, throttle)
			}
			status, header, body := post(t, server, "/2015-03-31/functions/f/invocations", nil, "{}")
			want := `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`
			if status != 429 || header.Get("X-Amzn-ErrorType") != "TooManyRequestsException" || body != want {
				t.Errorf("got %d %v %s", status, header, body)
			}
			close(r.letGo)
			<-first
		})
	}
}

func TestAFunctionGoesOnWhenItsClientsGoAway(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}})
	r := newRendezvous(t)
	ctx, cancel := context.WithCancel(t.Context())
	running := start(ctx, l, "f", do("get", r.url, 0))
	<-r.arrived
	queued := start(ctx, l, "f", do("get", r.url, 0))
	cancel()
	for _, result := range []<-chan jobResult{running, queued} {
		if got := <-result; !errors.Is(got.err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
	}
	close(r.letGo)
	// The function was not killed, and the queued one never ran: this is the second invocation of the process.
	if c := count(t, l, "f"); c.Seen != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestAsynchronousInvocationIsTriedThreeTimes(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       int
	}{{"fails", "no", 3}, {"succeeds", "", 1}} {
		t.Run(test.name, func(t *testing.T) {
			l := newLambda(t, LambdaOptions{NoQueue: true, Functions: []LambdaFunction{{Name: "f"}}})
			sdk, _ := newSDK(t, l)
			r := newRendezvous(t)
			close(r.letGo)
			event, err := json.Marshal(map[string]string{"do": "get", "url": r.url, "text": test.text})
			if err != nil {
				t.Fatal(err)
			}
			out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
				FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent, Payload: event,
			})
			if err != nil || out.StatusCode != 202 || len(out.Payload) != 0 {
				t.Fatalf("got %v, %+v", err, out)
			}
			l.running.Wait()
			if got := len(r.arrived); got != test.want {
				t.Errorf("the function ran %d times, want %d", got, test.want)
			}
		})
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	var out syncBuffer
	l, err := NewLambda(LambdaOptions{Log: &out, Functions: []LambdaFunction{
		{Name: "f", Command: []string{build(t, "lambdafunction")}, Timeout: time.Minute, Concurrency: 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRendezvous(t)
	defer close(r.letGo)
	busy := start(t.Context(), l, "f", do("get", r.url, 0))
	<-r.arrived
	idle := count(t, l, "f")
	if _, err := l.RunLater(LambdaRequest{Function: "f", Payload: do("hang", "", 0)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := <-busy; !errors.Is(got.err, errLambdaClosed) {
		t.Errorf("the invocation under way returned %+v", got)
	}
	if p, err := os.FindProcess(idle.PID); err == nil && p.Signal(os.Interrupt) == nil {
		t.Errorf("process %d is still there", idle.PID)
	}
	if _, err := l.Run(t.Context(), LambdaRequest{Function: "f"}); !errors.Is(err, errLambdaClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if strings.Contains(out.String(), "Runtime.ExitError") {
		t.Errorf("the platform took its own end for a crash:\n%s", out.String())
	}
}

func TestNewLambdaRefusesWhatCannotWork(t *testing.T) {
	command := []string{"x"}
	tests := []struct {
		name      string
		functions []LambdaFunction
		want      string
	}{
		{"no name", []LambdaFunction{{Command: command}}, "the name must be"},
		{"an ARN", []LambdaFunction{{Name: lambdaARN("f"), Command: command}}, "the name must be"},
		{"no program", []LambdaFunction{{Name: "f"}}, "no program"},
		{"twice", []LambdaFunction{{Name: "f", Command: command}, {Name: "f", Command: command}}, "defined twice"},
		{"time-out", []LambdaFunction{{Name: "f", Command: command, Timeout: -1}}, "cannot be negative"},
	}
	for _, test := range tests {
		_, err := NewLambda(LambdaOptions{Functions: test.functions})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
