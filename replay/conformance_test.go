package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/follow"
	"tandem/replay/functions"
	"tandem/replay/lambda"
	"tandem/replay/stepfunctions"
)

// A contender is a kind of target, made for one server, and an invocation that it can be fired at with.
type contender struct {
	name string
	fine http.HandlerFunc // how a server that is well answers; nil for fine
	make func(url string, client *http.Client) (replay.Target, error)
	inv  *capture.Invocation
	// group returns the nth invocation of a message group; nil for triggers whose invocations have no order.
	group func(n int) *capture.Invocation
}

// fifo is the nth batch of one message group. Its message has the text "message n.".
func fifo(n int) *capture.Invocation {
	return &capture.Invocation{
		ID: fmt.Sprintf("i%d", n), Function: "f", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Event: fmt.Appendf(nil, `{"Records":[{"messageId":"m%d","body":"message %d.","attributes":{"MessageGroupId":"g",`+
			`"ApproximateReceiveCount":"1","SentTimestamp":"1"},"eventSource":"aws:sqs",`+
			`"eventSourceARN":"arn:aws:sqs:eu-west-1:1:q.fifo"}]}`, n, n),
	}
}

var contenders = []contender{
	{
		name: "lambda",
		make: func(url string, client *http.Client) (replay.Target, error) {
			cfg := aws.Config{
				Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("A", "B", ""), HTTPClient: client,
			}
			return lambda.New(lambda.Options{Client: lambda.NewClient(cfg, url), Function: "f"}), nil
		},
		inv: &capture.Invocation{ID: "i", Trigger: capture.TriggerOther, Format: capture.FormatOther, Event: []byte(`{}`)},

		group: fifo,
	},
	{
		name: "lambda over http",
		make: func(url string, client *http.Client) (replay.Target, error) {
			keys := credentials.NewStaticCredentialsProvider("A", "B", "")
			return lambda.NewHTTP(lambda.HTTPOptions{
				URL: url + "{path}", HTTP: client, Sign: &lambda.Signing{Service: "lambda", Region: "r", Credentials: keys},
			})
		},
		inv: &capture.Invocation{
			ID: "i", Trigger: capture.TriggerHTTP, Format: capture.FormatALB,
			Event: []byte(`{"httpMethod":"GET","path":"/","headers":{"Idempotency-Key":"k"}}`),
		},
	},
	{
		name: "http",
		make: func(url string, client *http.Client) (replay.Target, error) {
			return functions.NewHTTP(functions.HTTPOptions{URL: url + "{path}", HTTP: client})
		},
		inv: &capture.Invocation{
			ID: "i", Trigger: capture.TriggerHTTP, Format: capture.FormatALB,
			// GET, and an Idempotency-Key: both are reasons for net/http to send a request again.
			Event: []byte(`{"httpMethod":"GET","path":"/","headers":{"Idempotency-Key":"k"}}`),
		},
	},
	{
		name: "handler",
		make: func(url string, client *http.Client) (replay.Target, error) {
			return functions.NewHandler(functions.HandlerOptions{URL: url, Function: "f", HTTP: client})
		},
		inv: &capture.Invocation{
			ID: "i", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
			Event: []byte(`{"Records":[{"messageId":"m","body":"b"}]}`),
		},
		group: fifo,
	},
	{
		name: "durable",
		make: func(url string, client *http.Client) (replay.Target, error) {
			start, err := functions.NewHTTP(functions.HTTPOptions{URL: url + "{path}", HTTP: client})
			if err != nil {
				return nil, err
			}
			return functions.NewDurable(functions.DurableOptions{Start: start, URL: url, Waits: true, HTTP: client})
		},
		inv: &capture.Invocation{
			ID: "i", Trigger: capture.TriggerHTTP, Format: capture.FormatALB,
			Event: []byte(`{"httpMethod":"POST","path":"/","headers":{},"body":"{}"}`),
		},
	},
	{
		name: "stepfunctions",
		fine: stateMachine,
		make: func(url string, client *http.Client) (replay.Target, error) {
			cfg := aws.Config{
				Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("A", "B", ""), HTTPClient: client,
			}
			return stepfunctions.New(stepfunctions.Options{
				Client: stepfunctions.NewClient(cfg, url), StateMachine: "arn:aws:states:eu-west-1:1:stateMachine:m",
				Pace: follow.Pace{Min: time.Millisecond, Max: time.Millisecond},
			})
		},
		inv: &capture.Invocation{ID: "i", Trigger: capture.TriggerOther, Format: capture.FormatOther, Event: []byte(`{}`)},
	},
	{
		name: "eventgrid",
		fine: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		make: func(url string, client *http.Client) (replay.Target, error) {
			return functions.NewEventGrid(functions.EventGridOptions{URL: url, Function: "f", HTTP: client})
		},
		inv: &capture.Invocation{
			ID: "i", Trigger: capture.TriggerOther, Format: capture.FormatEventBridge,
			Event: []byte(`{"detail-type":"d","source":"s","time":"2026-01-01T00:00:00Z","detail":{}}`),
		},
	},
}

// well answers as a server that is.
func (c *contender) well() http.HandlerFunc {
	if c.fine != nil {
		return c.fine
	}
	return fine
}

// stateMachine starts executions and tells that they have succeeded.
func stateMachine(w http.ResponseWriter, r *http.Request) {
	answer := `{"executionArn":"arn:aws:states:eu-west-1:1:execution:m:e","startDate":1.7e9`
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeExecution") {
		answer += `,"stateMachineArn":"arn:aws:states:eu-west-1:1:stateMachine:m","status":"SUCCEEDED","output":"1"`
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_, _ = io.WriteString(w, answer+"}")
}

// hijack takes the connection from under a handler, writes text to it and closes it; with reset, the client sees that.
func hijack(text string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

func fine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"Outputs":{}}`)
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"

// What a fault may come to, beside a status.
const throttled, unknown = "throttled error", "error"

// A fault is what a target meets in the place of an answer.
type fault struct {
	name   string
	meet   http.HandlerFunc
	want   string            // a status, or one of the two above
	except map[string]string // what it is where the platform differs
}

var faults = []fault{
	{"throttle", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.Header().Set("X-Amzn-ErrorType", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
	}, throttled, map[string]string{"handler": "function_error"}}, // no platform stands before a handler
	{"closed before an answer", hijack("", false), "transport_error", nil},
	{"reset before an answer", hijack("", true), "transport_error", nil},
	{"reset half way", hijack(head+`{"Out`, true), "transport_error", nil},
	{"truncated answer", hijack(head+`{"Out`, false), "transport_error", nil},
	{"no HTTP", hijack("hello\r\n\r\n", false), "transport_error", nil},
	{"oversized answer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"`+strings.Repeat("x", 5000)+`"`)
	}, "transport_error", nil},
	{"slow body, cancelled", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"Out`)
		_ = http.NewResponseController(w).Flush()
		r.Context().Value(cancelKey{}).(context.CancelFunc)()
		<-r.Context().Done()
	}, unknown, nil},
	{"redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}, "ok", map[string]string{
		"lambda": "unreplayable", "handler": "function_error", "eventgrid": "setup error", "stepfunctions": "unreplayable",
	}},
}

// at is what f comes to at the contender of that name.
func (f *fault) at(name string) string {
	if other, ok := f.except[name]; ok {
		return other
	}
	return f.want
}

// told is what Fire came to, in the words of faults.
func told(out *capture.Outcome, err error) string {
	var again *replay.ThrottledError
	var setup *replay.SetupError
	switch {
	case errors.As(err, &again):
		return throttled
	case errors.As(err, &setup):
		return "setup error"
	case err != nil:
		return unknown
	}
	return string(out.Status)
}

func TestTargetsTellFaultsAlike(t *testing.T) {
	for _, c := range contenders {
		for _, f := range faults {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				out, requests, err := fireAtFault(t, c, f.meet)
				if got, want := told(out, err), f.at(c.name); got != want || requests != 1 {
					t.Errorf("%d requests, outcome %s: %+v, %v; want one, and %s", requests, got, out, err, want)
				}
			})
		}
	}
}

type cancelKey struct{}

// fireAtFault fires once at a server that is well, so that the connection is a used one, and once at the fault.
func fireAtFault(t *testing.T, c contender, fault http.HandlerFunc) (*capture.Outcome, int32, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var faulty atomic.Bool
	var requests atomic.Int32
	client := replay.NewHTTPClient(replay.HTTPOptions{MaxAnswer: 1000})
	well := c.well()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !faulty.Load() {
			well(w, r)
			return
		}
		requests.Add(1)
		fault(w, r.WithContext(context.WithValue(r.Context(), cancelKey{}, cancel)))
	}))
	defer server.Close()
	defer client.CloseIdleConnections()
	target, err := c.make(server.URL, client)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := target.Fire(ctx, c.inv); err != nil || out.Status != capture.StatusOK {
		t.Fatalf("without a fault: %+v, %v", out, err)
	}
	faulty.Store(true)
	out, err := target.Fire(ctx, c.inv)
	return out, requests.Load(), err
}

func TestATargetThatVanishedIsATransportError(t *testing.T) {
	for _, c := range contenders {
		for name, before := range map[string]int{"before the first": 0, "between two": 1} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				server := httptest.NewServer(c.well())
				client := replay.NewHTTPClient(replay.HTTPOptions{})
				target, err := c.make(server.URL, client)
				if err != nil {
					t.Fatal(err)
				}
				for range before {
					if out, err := target.Fire(t.Context(), c.inv); err != nil || out.Status != capture.StatusOK {
						t.Errorf("while it is there: %+v, %v", out, err)
					}
				}
				server.Close()
				out, err := target.Fire(t.Context(), c.inv)
				if err != nil || out.Status != capture.StatusTransport || out.Error == nil {
					t.Errorf("got %+v, %v", out, err)
				}
			})
		}
	}
}

func TestKeysInURLsDoNotGetIntoOutcomes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(fine))
	server.Close()
	target, err := functions.NewHTTP(functions.HTTPOptions{URL: server.URL + "/api?code=hush"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, err := target.Fire(ctx, contenders[1].inv)
	if err != nil || strings.Contains(out.Error.Message, "hush") {
		t.Errorf("got %+v, %v", out.Error, err)
	}
	cancel()
	if _, err = target.Fire(ctx, contenders[1].inv); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}

func TestAMissingFunctionEndsTheRun(t *testing.T) {
	recording := writeRecording(t, orders(20)...)
	url, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"Message":"Function not found: orders"}`)
	})
	opts := optionsFor(t, recording, echo)
	target, err := contenders[0].make(url, client)
	if err != nil {
		t.Fatal(err)
	}
	opts.Targets["create-order"][0].Target = target
	m, err := replay.Run(t.Context(), t.Context(), opts)
	var setup *replay.SetupError
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "function create-order, target lambda") ||
		!strings.Contains(err.Error(), "Function not found: orders") {
		t.Errorf("error %v", err)
	}
	if m == nil || m.Complete || m.Counts.Trials != 0 || m.Stopped != err.Error() {
		t.Errorf("manifest %+v", m)
	}
}
