package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/lambda"
)

func order() *capture.Invocation {
	return &capture.Invocation{
		ID: "01K/ü", Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatALB,
		Event: []byte(`{"httpMethod":"POST","path":"/","headers":{},"body":"{\"id\":1.0}"}`),
	}
}

func pointer(t *testing.T, text string) Pointer {
	t.Helper()
	p, err := ParsePointer(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *server) target(t *testing.T, opts Options) *Target {
	t.Helper()
	opts.Client, opts.Pace = s.client(t), quick
	if opts.StateMachine == "" {
		opts.StateMachine = machineARN
	}
	target, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func withMark(ctx context.Context) context.Context {
	return replay.WithMark(ctx, capture.Mark{Run: "r", Invocation: "01K/ü", Target: "lambda"})
}

// what tells an outcome and an error apart by one word.
func what(out *capture.Outcome, err error) string {
	var throttled *replay.ThrottledError
	var setup *replay.SetupError
	switch {
	case errors.As(err, &throttled):
		return "throttled"
	case errors.As(err, &setup):
		return "setup"
	case err != nil:
		return "unknown"
	}
	return string(out.Status)
}

func TestAnExecutionEndsInAnOutcome(t *testing.T) {
	succeeded := document{"status": "SUCCEEDED", "output": ` {"total": 12.50} `, "outputDetails": document{"included": true}}
	failed := document{"status": "FAILED", "error": "States.TaskFailed", "cause": "no stock"}
	const describe, start = "DescribeExecution", "StartExecution"
	tests := []struct {
		name   string
		server server
		want   string
		text   string // in the error, or the result
	}{
		{"success", server{end: succeeded}, "ok", `{"total":12.50}`},
		{"success after a while", server{end: succeeded, runs: 3}, "ok", `{"total":12.50}`},
		{"an output that is null", server{end: document{"status": "SUCCEEDED", "output": "null"}}, "ok", "null"},
		{"an output that is text", server{end: document{"status": "SUCCEEDED", "output": `"a"`}}, "ok", `"a"`},
		{"an output that was left out", server{end: document{"status": "SUCCEEDED", "outputDetails": document{"included": false}}},
			"unknown", "left out"},
		{"an output of which it is said that it was left out", server{end: document{"status": "SUCCEEDED", "output": "{}",
			"outputDetails": document{"included": false}}}, "unknown", "left out"},
		{"failure", server{end: failed}, "function_error", "no stock"},
		{"a time-out", server{end: document{"status": "TIMED_OUT"}}, "timeout", ""},
		{"an execution that somebody stopped", server{end: document{"status": "ABORTED", "cause": "deploy"}}, "unknown", "deploy"},
		{"a status of the future", server{end: document{"status": "PAUSED"}}, "unknown", "PAUSED"},
		{"throttled while it is asked for", server{end: succeeded, faults: map[string][]string{describe: {"ThrottlingException",
			"KmsThrottlingException", overwhelmed}}}, "ok", "12.50"},
		{"broken connections while it is asked for", server{end: succeeded, faults: map[string][]string{describe: {broken, broken}}},
			"ok", "12.50"},
		{"not seen at once", server{end: succeeded, faults: map[string][]string{describe: {"ExecutionDoesNotExist"}}}, "ok", "12.50"},
		{"never seen", server{faults: map[string][]string{describe: slices.Repeat([]string{"ExecutionDoesNotExist"}, 9)}},
			"unknown", "ExecutionDoesNotExist"},
		{"not allowed to ask", server{faults: map[string][]string{describe: {"AccessDeniedException"}}}, "setup", "AccessDenied"},
		{"an answer that nobody knows", server{faults: map[string][]string{describe: {"Whatever"}}}, "unknown", "Whatever"},
		{"throttled start", server{faults: map[string][]string{start: {"ThrottlingException"}}}, "throttled", ""},
		{"too many executions", server{faults: map[string][]string{start: {"ExecutionLimitExceeded"}}}, "throttled", ""},
		{"no such state machine", server{faults: map[string][]string{start: {"StateMachineDoesNotExist"}}}, "setup", ""},
		{"not allowed to start", server{faults: map[string][]string{start: {"AccessDeniedException"}}}, "setup", ""},
		{"credentials that are over", server{faults: map[string][]string{start: {"ExpiredTokenException"}}}, "setup", ""},
		{"an input that is refused", server{faults: map[string][]string{start: {"InvalidExecutionInput"}}}, "unreplayable", ""},
		{"a start that the service failed at", server{faults: map[string][]string{start: {overwhelmed}}}, "transport_error", ""},
		{"a start whose answer did not come", server{end: succeeded, faults: map[string][]string{start: {lost}}}, "transport_error", ""},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			out, err := tt.server.target(t, Options{}).Fire(withMark(t.Context()), order())
			text := fmt.Sprint(err)
			if out != nil && out.Error != nil {
				text = out.Error.Message
			}
			if out != nil && out.Result != nil {
				text = string(out.Result.JSON)
			}
			if got := what(out, err); got != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("got %s with %s, want %s with %s", got, text, tt.want, tt.text)
			}
			if _, started := tt.server.seen(); len(started) > 1 {
				t.Errorf("started %d times", len(started))
			}
			if tt.want == "ok" && (out.PlatformMS != 1500 || out.Error != nil) {
				t.Errorf("outcome %+v", out)
			}
			for _, header := range tt.server.headers {
				if header.Get(capture.MarkHeader) != "r/01K%2F%C3%BC/lambda/0" {
					t.Errorf("mark %q", header.Get(capture.MarkHeader))
				}
			}
		})
	}
}

func TestAStartThatIsSentAgainIsOfTheSameExecution(t *testing.T) {
	end := document{"status": "SUCCEEDED", "output": "{}"}
	for name, runs := range map[string]int{"running": 50, "over": 0} {
		t.Run(name, func(t *testing.T) {
			s := server{end: end, runs: runs}
			target := s.target(t, Options{StateMachine: machineARN + ":live"})
			for range 2 {
				if out, err := target.Fire(withMark(t.Context()), order()); err != nil || out.Status != capture.StatusOK {
					t.Fatalf("got %+v, %v", out, err)
				}
			}
			if _, started := s.seen(); len(s.executions) != 1 || len(started) != 2 {
				t.Errorf("%d executions by %d requests", len(s.executions), len(started))
			}
		})
	}
}

func TestExecutionNames(t *testing.T) {
	mark := capture.Mark{Run: "r", Invocation: strings.Repeat("i", 300), Target: "lambda"}
	name := func(mark capture.Mark, id, input string) string {
		return *executionName(replay.WithMark(t.Context(), mark), &capture.Invocation{ID: id}, input)
	}
	base := name(mark, "01K/ü", "{}")
	if !goodName.MatchString(base) || !goodName.MatchString(name(mark, strings.Repeat("é", 300), "{}")) {
		t.Errorf("name %q", base)
	}
	if base != name(mark, "01K/ü", "{}") {
		t.Error("one start has two names")
	}
	again, other := mark, mark
	again.Repeat, other.Run = 1, "r.2"
	for what, differs := range map[string]string{
		"repeat": name(again, "01K/ü", "{}"), "run": name(other, "01K/ü", "{}"), "input": name(mark, "01K/ü", "[]"),
	} {
		if base == differs {
			t.Errorf("another %s has the same name", what)
		}
	}
	if executionName(t.Context(), &capture.Invocation{}, "") != nil {
		t.Error("without a mark, there is a name")
	}
}

func TestInputs(t *testing.T) {
	tests := []struct {
		name, pointer, event string
		want                 string // "" when it cannot be sent
	}{
		{"the whole event, byte for byte", "", `{"a": 1.0}`, `{"a": 1.0}`},
		{"JSON in a string", "/body", `{"body":"{\"a\":1.0,\"b\":[12345678901234567890]}"}`, `{"a":1.0,"b":[12345678901234567890]}`},
		{"within JSON in a string", "/Records/0/body/detail", `{"Records":[{"body":"{\"detail\":{\"x\":null}}"}]}`, `{"x":null}`},
		{"text stays text", "/body", `{"body":"007"}`, `"007"`},
		{"a body in base64", "/body", `{"body":"eyJhIjoxfQ==","isBase64Encoded":true}`, `{"a":1}`},
		{"a body in broken base64", "/body", `{"body":"?","isBase64Encoded":true}`, ""},
		{"names with a slash", "/a~1b/~0", `{"a/b":{"~":[]}}`, `[]`},
		{"what is not there", "/body", `{}`, ""},
		{"beyond a list", "/a/01", `{"a":[1,2]}`, ""},
		{"what is too large", "", `"` + strings.Repeat("x", MaxInput) + `"`, ""},
		{"what is no Unicode", "/a", `{"a":"\ud800"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := server{end: document{"status": "SUCCEEDED", "output": "{}"}}
			target := s.target(t, Options{Input: pointer(t, tt.pointer)})
			inv := order()
			inv.Event = []byte(tt.event)
			if err := target.Check(inv); (err == nil) != (tt.want != "") {
				t.Errorf("check: %v", err)
			}
			out, err := target.Fire(withMark(t.Context()), inv)
			requests, started := s.seen()
			if tt.want == "" {
				if what(out, err) != "unreplayable" || len(requests) > 0 {
					t.Errorf("got %+v, %v; asked for %v", out, err, requests)
				}
				return
			}
			if err != nil || started[0]["input"] != tt.want {
				t.Errorf("input %v, want %s; %v", started[0]["input"], tt.want, err)
			}
		})
	}
}

func TestExpressWorkflows(t *testing.T) {
	s := server{end: document{"status": "SUCCEEDED", "output": `{"a":1}`}}
	out, err := s.target(t, Options{Express: true}).Fire(withMark(t.Context()), order())
	want := &capture.Outcome{
		Status: capture.StatusOK, Result: &capture.Body{JSON: []byte(`{"a":1}`)}, PlatformMS: 1500, BilledMS: 100, MemoryMB: 64,
	}
	if diff := cmp.Diff(want, out); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if requests, _ := s.seen(); !slices.Equal(requests, []string{"StartSyncExecution"}) {
		t.Errorf("asked for %v", requests)
	}
	s = server{express: true}
	out, err = s.target(t, Options{}).Fire(withMark(t.Context()), order())
	if kind := what(out, err); kind != "setup" || !strings.Contains(err.Error(), "express: true") {
		t.Errorf("one that nobody said is express: %s, %v", kind, err)
	}
	for fault, want := range map[string]string{
		broken: "transport_error", "StateMachineTypeNotSupported": "setup", "ThrottlingException": "throttled",
	} {
		s := server{faults: map[string][]string{"StartSyncExecution": {fault}}}
		out, err := s.target(t, Options{Express: true}).Fire(withMark(t.Context()), order())
		requests, _ := s.seen()
		if got := what(out, err); got != want || len(requests) != 1 {
			t.Errorf("%s: got %s, want %s, with %d requests", fault, got, want, len(requests))
		}
	}
}

func TestTheWaitForAnExecutionEndsWithTheContext(t *testing.T) {
	s := server{runs: 1 << 30}
	target := s.target(t, Options{})
	ctx, cancel := context.WithCancel(withMark(t.Context()))
	fired := make(chan error)
	go func() {
		_, err := target.Fire(ctx, order())
		fired <- err
	}()
	for requests, _ := s.seen(); len(requests) < 3; requests, _ = s.seen() {
		runtime.Gosched()
	}
	cancel()
	if err := <-fired; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestExecutionsThatAFunctionStarts(t *testing.T) {
	const express = "arn:aws:states:eu-west-1:123456789012:express:orders:e:u"
	answer := func(status int, body string) string { return fmt.Sprintf(`{"statusCode":%d,"body":%q}`, status, body) }
	tests := []struct {
		name    string
		payload string
		pointer string
		want    string
		text    string // in the error or in the result or the answer
	}{
		{"named in JSON", answer(202, `{"executionArn":"`+begin+`e"}`), "/body/executionArn", "ok", `{"total":1}`},
		{"named in text", answer(202, begin+"e"), "/body", "ok", `{"total":1}`},
		{"not named", answer(202, `{"id":1}`), "/body/executionArn", "unknown", "/body/executionArn"},
		{"something else", answer(202, `{"executionArn":"e"}`), "/body/executionArn", "unknown", "not an ARN"},
		{"a state machine", answer(202, machineARN), "/body", "unknown", "not an execution"},
		{"an express workflow's", answer(202, express), "/body", "unknown", "express workflow"},
		{"elsewhere", answer(202, strings.Replace(begin, "eu-west-1", "us-east-1", 1)+"e"), "/body", "unknown", "region eu-west-1"},
		{"not there", answer(202, begin+"other"), "/body", "unknown", "ExecutionDoesNotExist"},
		{"a function that starts nothing", answer(400, `{"why":1}`), "/body/executionArn", "ok", `{"why":1}`},
		{"a function that fails", `{"errorMessage":1`, "/body/executionArn", "function_error", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := server{end: document{"status": "SUCCEEDED", "output": `{"total":1}`}, runs: 1, executions: map[string]*execution{
				begin + "e": {}, express: {},
			}}
			url, client := lambdaAnswering(t, tt.payload)
			cfg := aws.Config{
				Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("A", "B", ""), HTTPClient: client,
			}
			target, err := NewStarted(StartedOptions{
				Function: lambda.New(lambda.Options{Client: lambda.NewClient(cfg, url), Function: "f"}),
				Client:   s.client(t), Execution: pointer(t, tt.pointer), Pace: quick,
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := target.Fire(withMark(t.Context()), order())
			text := fmt.Sprint(err)
			switch {
			case out != nil && out.Result != nil:
				text = string(out.Result.Bytes())
			case out != nil && out.HTTP != nil:
				text = string(out.HTTP.Body.Bytes())
			}
			if got := what(out, err); got != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("got %s with %s, want %s with %s", got, text, tt.want, tt.text)
			}
		})
	}
}

func TestWhatIsNoStateMachineOrPointerIsRefused(t *testing.T) {
	for _, name := range []string{"", "orders", begin + "e", "arn:aws:lambda:eu-west-1:1:function:f", "arn:aws:states:r:a:stateMachine:"} {
		if _, err := New(Options{StateMachine: name}); err == nil {
			t.Errorf("%q is taken for a state machine", name)
		}
	}
	for _, text := range []string{"body", "/a~", "/a~2"} {
		if _, err := ParsePointer(text); err == nil {
			t.Errorf("%q is taken for a pointer", text)
		}
	}
	for _, text := range []string{"", "/executionArn"} {
		if _, err := NewStarted(StartedOptions{Execution: pointer(t, text)}); err == nil {
			t.Errorf("%q is taken for a place in an answer", text)
		}
	}
}

func FuzzPointer(f *testing.F) {
	f.Add("/a~1b/0/~0", `{"a/b":"[{\"~\":1}]"}`)
	f.Add("", `"{}"`)
	f.Fuzz(func(t *testing.T, text, event string) {
		p, err := ParsePointer(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q is written %q", text, p)
		}
		target := &Target{opts: Options{Input: p}}
		input, err := target.input(&capture.Invocation{Event: []byte(event)})
		if err == nil && text != "" && !jsonValid(input) {
			t.Errorf("input %q", input)
		}
	})
}

func FuzzARN(f *testing.F) {
	f.Add(begin + "e")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseARN(text)
		if err == nil && len(a.names) == 2 && a.kind == "execution" && a.execution(a.names[1]) != text {
			t.Errorf("%q comes back as %q", text, a.execution(a.names[1]))
		}
	})
}
