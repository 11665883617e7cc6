package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/local"
)

func invocationOf(event string) *capture.Invocation {
	trigger, format := capture.Detect([]byte(event))
	return &capture.Invocation{ID: "i", Function: "f", Trigger: trigger, Format: format, Event: []byte(event)}
}

const (
	snsTopic      = "arn:aws:sns:eu-west-1:111122223333:order-events"
	snsRecordForm = `{"EventSource":"aws:sns","Sns":{"MessageId":"%s","TopicArn":"t","Subject":%s,"Message":%s,` +
		`"Timestamp":"2025-02-16T10:54:02.118Z","MessageAttributes":{"event":{"Type":"String","Value":"paid"}}}}`
)

func sns(subject, message string) string {
	return `{"Records":[` + fmt.Sprintf(snsRecordForm, "m1", subject, message) + `]}`
}

func TestWhatBecomesOfEventsOfSNSAndEventBridge(t *testing.T) {
	snsEvent, bridgeEvent := string(fixture(t, "sns.json")), string(fixture(t, "eventbridge.json"))
	const paid = `{"orderId":"A-77","event":"paid"}`
	for _, tt := range []struct {
		name, event string
		mapping     GridMapping
		published   bool
		want        string
	}{
		{"a message that is JSON", snsEvent, GridMapping{}, false, `[{"id":"p/0","topic":"` + snsTopic +
			`","subject":"order paid","eventType":"` + snsTopic + `","eventTime":"2025-02-16T10:54:02.118Z","data":` + paid +
			`,"dataVersion":"1.0","metadataVersion":"1"}]`},
		{"as a CloudEvent", snsEvent, GridMapping{Schema: SchemaCloudEvents}, false, `[{"specversion":"1.0","id":"p/0","source":"` +
			snsTopic + `","type":"` + snsTopic + `","subject":"order paid","time":"2025-02-16T10:54:02.118Z",` +
			`"datacontenttype":"application/json","data":` + paid + `}]`},
		{"to a topic, which adds what it knows", snsEvent, GridMapping{}, true, `[{"id":"p/0","subject":"order paid","eventType":"` +
			snsTopic + `","eventTime":"2025-02-16T10:54:02.118Z","data":` + paid + `,"dataVersion":"1.0"}]`},
		{"with a type and a subject of the config's", sns("null", `"x"`),
			GridMapping{Type: "Orders.{event}", Subject: "/orders", Source: "shop"}, false,
			`[{"id":"p/0","topic":"shop","subject":"/orders","eventType":"Orders.paid","eventTime":"2025-02-16T10:54:02.118Z",` +
				`"data":"x","dataVersion":"1.0","metadataVersion":"1"}]`},
		{"numbers and texts keep how they are written", sns("null", `" {\"n\":1.0,\"big\":9007199254740993,\"t\":\"<é>\"}"`),
			GridMapping{Type: "T"}, true, `[{"id":"p/0","subject":"t","eventType":"T","eventTime":"2025-02-16T10:54:02.118Z",` +
				`"data":{"n":1.0,"big":9007199254740993,"t":"<é>"},"dataVersion":"1.0"}]`},
		{"JSON as text", sns("null", `"[1]"`), GridMapping{Type: "T", Data: DataText}, true, `[{"id":"p/0","subject":"t",` +
			`"eventType":"T","eventTime":"2025-02-16T10:54:02.118Z","data":"[1]","dataVersion":"1.0"}]`},
		{"a number is text", sns("null", `"12"`), GridMapping{Type: "T"}, true, `[{"id":"p/0","subject":"t",` +
			`"eventType":"T","eventTime":"2025-02-16T10:54:02.118Z","data":"12","dataVersion":"1.0"}]`},
		{"what only begins like JSON is text", sns("null", `"{\"a\""`), GridMapping{Type: "T", Data: DataMessage}, true,
			`[{"id":"p/0","subject":"t","eventType":"T","eventTime":"2025-02-16T10:54:02.118Z","data":"{\"a\"","dataVersion":"1.0"}]`},
		{"the record", sns("null", `"x"`), GridMapping{Type: "T", Data: DataRecord}, true, `[{"id":"p/0","subject":"t",` +
			`"eventType":"T","eventTime":"2025-02-16T10:54:02.118Z","data":` + fmt.Sprintf(snsRecordForm, "m1", "null", `"x"`) +
			`,"dataVersion":"1.0"}]`},
		{"the event", sns("null", `"x"`), GridMapping{Type: "T", Data: DataEvent}, true, `[{"id":"p/0","subject":"t",` +
			`"eventType":"T","eventTime":"2025-02-16T10:54:02.118Z","data":` + sns("null", `"x"`) + `,"dataVersion":"1.0"}]`},
		{"of EventBridge the detail", bridgeEvent, GridMapping{}, false, `[{"id":"p/0","topic":"shop.orders",` +
			`"subject":"arn:aws:dynamodb:eu-west-1:111122223333:table/orders","eventType":"OrderPaid",` +
			`"eventTime":"2025-02-16T10:55:10Z","data":{"orderId":"A-77","amount":24.95,"currency":"EUR","attempt":1},` +
			`"dataVersion":"1.0","metadataVersion":"1"}]`},
		{"of EventBridge without resources the source is the subject",
			`{"detail-type":"Scheduled Event","source":"aws.events","time":"2025-02-16T10:55:10Z","resources":[],"detail":{}}`,
			GridMapping{Schema: SchemaCloudEvents, Data: DataDetail}, false, `[{"specversion":"1.0","id":"p/0",` +
				`"source":"aws.events","type":"Scheduled Event","subject":"aws.events","time":"2025-02-16T10:55:10Z",` +
				`"datacontenttype":"application/json","data":{}}]`},
		{"of EventBridge the event",
			`{"detail-type":"D","source":"s","time":"T","resources":["a","b"]}`, GridMapping{Data: DataEvent}, true,
			`[{"id":"p/0","subject":"a,b","eventType":"D","eventTime":"T",` +
				`"data":{"detail-type":"D","source":"s","time":"T","resources":["a","b"]},"dataVersion":"1.0"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			notices, err := tt.mapping.notices(invocationOf(tt.event))
			if err != nil || len(notices) != 1 {
				t.Fatalf("%d notices, %v", len(notices), err)
			}
			got, err := tt.mapping.body(notices[0], "p/0", tt.published)
			if err != nil || string(got) != tt.want {
				t.Errorf("%v\n got %s\nwant %s", err, got, tt.want)
			}
		})
	}
}

func TestWhatEventGridCannotCarryIsToldBeforehand(t *testing.T) {
	for _, tt := range []struct {
		name, event string
		mapping     GridMapping
		want        string
	}{
		{"a queue's message", string(fixture(t, "sqs.json")), GridMapping{}, "not events of the format sqs"},
		{"a DynamoDB stream", string(fixture(t, "dynamodb.json")), GridMapping{}, "change feed of Cosmos DB"},
		{"data of the other service", sns("null", `"x"`), GridMapping{Data: DataDetail}, "this is an event of SNS"},
		{"data of the other service, too", string(fixture(t, "eventbridge.json")), GridMapping{Data: DataRecord},
			"this is an event of EventBridge"},
		{"an attribute that is not there", sns("null", `"x"`), GridMapping{Type: "{kind}"},
			`no message attribute {kind}, which "{kind}" needs`},
		{"no Sns object", `{"Records":[{"EventSource":"aws:sns"}]}`, GridMapping{}, "record 0: it has no Sns object"},
		{"no records", `{"Records":[]}`, GridMapping{}, "no records"},
		{"no time", `{"detail-type":"D","source":"s"}`, GridMapping{}, "no type or no time"},
		{"more than Event Grid takes", sns("null", `"`+strings.Repeat("x", maxGridEvent-100)+`"`), GridMapping{},
			"over the limit of 1048576 of Event Grid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := NewEventGrid(EventGridOptions{URL: "http://x", Function: "f", GridMapping: tt.mapping})
			if err != nil {
				t.Fatal(err)
			}
			inv := invocationOf(tt.event)
			if tt.event == `{"Records":[]}` {
				inv.Format = capture.FormatSNS // as a recording may say
			}
			if err := g.Check(inv); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check says %v, want %s", err, tt.want)
			}
			if out, err := g.Fire(t.Context(), inv); err != nil || out.Status != capture.StatusUnreplayable {
				t.Errorf("Fire says %+v, %v", out, err)
			}
		})
	}
}

// asApp stands for an app, or for what is in front of it, and counts requests.
func asApp(t *testing.T, answer http.HandlerFunc) (url string, requests *[]*http.Request) {
	t.Helper()
	requests = new([]*http.Request)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		mu.Lock()
		*requests = append(*requests, r)
		mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func TestAnAnswerOfTheAppTellsTheOutcome(t *testing.T) {
	twice := `{"Records":[` + fmt.Sprintf(snsRecordForm, "m1", "null", `"a"`) + "," + fmt.Sprintf(snsRecordForm, "m2", "null", `"b"`) + `]}`
	const throttled, setup, unknown = "throttled", "setup", "an error"
	status := func(codes ...int) func(n int) (int, string) {
		return func(n int) (int, string) { return codes[min(n, len(codes)-1)], "reason" }
	}
	for _, tt := range []struct {
		name     string
		event    string
		answer   func(n int) (int, string) // to the nth request
		after    string                    // Retry-After
		want     string
		requests int
	}{
		{"the function succeeded", sns("null", `"a"`), status(202), "", "ok", 1},
		{"the function failed", sns("null", `"a"`), status(500), "", "function_error", 1},
		{"the function took too long", sns("null", `"a"`),
			func(int) (int, string) { return 500, "Timeout value of 00:05:00 was exceeded by function: Functions.f" }, "",
			"timeout", 1},
		{"an app that did not start", sns("null", `"a"`),
			func(int) (int, string) { return 500, "<!DOCTYPE html><h1>HTTP Error 500.30</h1>" }, "", "transport_error", 1},
		{"a wrong key", sns("null", `"a"`), status(401), "", setup, 1},
		{"an address that may not", sns("null", `"a"`), status(403), "", setup, 1},
		{"no such function", sns("null", `"a"`), status(404), "", setup, 1},
		{"another address", sns("null", `"a"`), status(301), "", setup, 1},
		{"no event", sns("null", `"a"`), status(400), "", "unreplayable", 1},
		{"too much", sns("null", `"a"`), status(413), "", "unreplayable", 1},
		{"too many", sns("null", `"a"`), status(429), "", throttled, 1},
		{"a host that says when it is back", sns("null", `"a"`), status(503), "1", throttled, 1},
		{"a host that is not there", sns("null", `"a"`), status(503), "", "transport_error", 1},
		{"a front end that did not wait", sns("null", `"a"`), status(502), "", "transport_error", 1},
		{"somebody else's 200", sns("null", `"a"`), status(200), "", "transport_error", 1},
		{"each record is one event", twice, status(202), "", "ok", 2},
		{"what follows a failure is delivered", twice, status(500, 202), "", "function_error", 2},
		{"the first of two is throttled", twice, status(429), "", throttled, 1},
		{"the second of two is throttled", twice, status(202, 429), "", unknown, 2},
		{"the second of two is lost", twice, status(202, 502), "", unknown, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			url, requests := asApp(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				code, body := tt.answer(n)
				n++
				if strings.HasPrefix(body, "<") {
					w.Header().Set("Content-Type", "text/html")
					w.WriteHeader(code)
					_, _ = io.WriteString(w, body)
					return
				}
				http.Error(w, body, code)
			})
			g, err := NewEventGrid(EventGridOptions{URL: url + "/", Function: "f", Key: "hush"})
			if err != nil {
				t.Fatal(err)
			}
			out, err := g.Fire(t.Context(), invocationOf(tt.event))
			got := unknown
			var again *replay.ThrottledError
			var wrong *replay.SetupError
			switch {
			case errors.As(err, &again):
				got = throttled
			case errors.As(err, &wrong):
				got = setup
			case err == nil:
				got = string(out.Status)
			}
			if got != tt.want || len(*requests) != tt.requests {
				t.Errorf("%d requests, %s (%+v, %v); want %d and %s", len(*requests), got, out, err, tt.requests, tt.want)
			}
			if out != nil && out.Error != nil && strings.Contains(out.Error.Message, "hush") {
				t.Errorf("the key is in %q", out.Error.Message)
			}
			if got == "function_error" && !strings.Contains(out.Error.Message, "reason") {
				t.Errorf("the failure is %q", out.Error.Message)
			}
		})
	}
}

func TestADeliveryIsWhatEventGridSends(t *testing.T) {
	url, requests := asApp(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	mark := capture.Mark{Run: "01R", Invocation: "01I", Target: "functions"}
	ctx := replay.WithMark(t.Context(), mark)
	g, err := NewEventGrid(EventGridOptions{URL: url, Function: "on paid", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for range 2 {
		if _, err := g.Fire(ctx, invocationOf(sns("null", `"a"`))); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range *requests {
		if r.URL.Path != "/runtime/webhooks/eventgrid" || r.URL.Query().Get("functionName") != "on paid" ||
			strings.Contains(r.URL.RawQuery, "code") || r.Header.Get("aeg-event-type") != "Notification" ||
			r.Header.Get("x-functions-key") != "k" || r.Header.Get(capture.MarkHeader) != mark.String() {
			t.Errorf("request %s %+v", r.URL, r.Header)
		}
		var events []struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		if !strings.HasPrefix(events[0].ID, mark.String()+"/") || ids[events[0].ID] {
			t.Errorf("the ID is %s, after %v", events[0].ID, ids)
		}
		ids[events[0].ID] = true
	}
}

// idOf reads the ID of the event in a request.
func idOf(r *http.Request) string {
	var events []struct {
		ID string `json:"id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&events)
	return events[0].ID
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// afterwards is a body with something to do when it was read.
type afterwards struct {
	io.ReadCloser
	do func()
}

func (a afterwards) Close() error {
	defer a.do()
	return a.ReadCloser.Close()
}

func TestWhatATopicDoesWithAnEventIsLearnedFromTheBoard(t *testing.T) {
	failed := &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E", Message: "no"}}
	for _, tt := range []struct {
		name    string
		code    int
		reports []completion.Report
		want    capture.Status // "" for an error
	}{
		{"it was worked on", 200, []completion.Report{{Source: "recorder", Outcome: &capture.Outcome{Status: "ok"}}}, "ok"},
		{"the function failed on it", 200, []completion.Report{{Source: "recorder", Outcome: failed}}, "function_error"},
		{"nobody tells", 200, nil, ""},
		{"sources contradict each other", 200, []completion.Report{
			{Source: "logs", Settled: capture.DeadLettered, Outcome: failed},
			{Source: "recorder", Settled: capture.Acked, Outcome: failed},
		}, ""},
		{"it was not taken", 413, nil, "unreplayable"},
		{"the topic breaks", 500, nil, "transport_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			board := completion.NewBoard()
			url, requests := asApp(t, func(w http.ResponseWriter, r *http.Request) {
				id := idOf(r)
				for _, report := range tt.reports { // before the answer, as it may be
					report.Key = completion.Event(id)
					board.Report(report)
				}
				board.Report(completion.Report{Key: completion.Event(id + "0"), Outcome: &capture.Outcome{Status: "ok"}})
				w.WriteHeader(tt.code)
			})
			client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err == nil && len(tt.reports) == 0 && tt.code == 200 {
					resp.Body = afterwards{resp.Body, cancel} // the time is over once it was taken
				}
				return resp, err
			})}
			defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			g, err := NewEventGrid(EventGridOptions{Topic: url + "/api/events", TopicKey: "k", Board: board, HTTP: client})
			if err != nil {
				t.Fatal(err)
			}
			out, err := g.Fire(ctx, invocationOf(sns("null", `"a"`)))
			if tt.want == "" && err == nil || tt.want != "" && (err != nil || out.Status != tt.want) {
				t.Errorf("got %+v, %v; want %s", out, err, tt.want)
			}
			if err != nil && len(tt.reports) == 0 && !strings.Contains(err.Error(), "nobody told what became of record m1") {
				t.Errorf("error %v", err)
			}
			if r := (*requests)[0]; len(*requests) != 1 || r.Header.Get("aeg-sas-key") != "k" || r.URL.Path != "/api/events" ||
				r.Header.Get("aeg-event-type") != "" {
				t.Errorf("%d requests, %+v", len(*requests), r)
			}
		})
	}
}

func TestAnAppThatAnswersBeforehandIsNotBelieved(t *testing.T) {
	board := completion.NewBoard()
	url, _ := asApp(t, func(w http.ResponseWriter, r *http.Request) {
		board.Report(completion.Report{Key: completion.Event(idOf(r)), Source: "logs", Outcome: &capture.Outcome{
			Status: capture.StatusFunctionError,
		}})
		w.WriteHeader(http.StatusAccepted)
	})
	g, err := NewEventGrid(EventGridOptions{URL: url, Function: "f", Accepts: true, Board: board})
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.Fire(t.Context(), invocationOf(sns("null", `"a"`)))
	if err != nil || out.Status != capture.StatusFunctionError || !strings.Contains(out.Error.Message, "record m1") {
		t.Errorf("got %+v, %v", out, err)
	}
}

// TestNobodyWaitsForWhatNobodyTells would hang if it did.
func TestNobodyWaitsForWhatNobodyTells(t *testing.T) {
	url, requests := asApp(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	for who, opts := range map[string]EventGridOptions{
		"the topic":                           {Topic: url + "/api/events", TopicKey: "k"},
		"the app, asked for function f, took": {URL: url, Function: "f", Accepts: true},
	} {
		g, err := NewEventGrid(opts)
		if err != nil {
			t.Fatal(err)
		}
		out, err := g.Fire(t.Context(), invocationOf(sns("null", `"a"`)))
		if err == nil || !strings.Contains(err.Error(), who) || !strings.Contains(err.Error(), "without a recorder nobody tells") {
			t.Errorf("%s: %+v, %v", who, out, err)
		}
	}
	if len(*requests) != 2 {
		t.Errorf("%d requests", len(*requests))
	}
}

// TestEventsReachTheEmbeddedHost fires at a real handler process behind the embedded host.
func TestEventsReachTheEmbeddedHost(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "handler")
	if out, err := exec.Command("go", "build", "-o", program, "../local/testdata/functionshandler").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "host.json"),
		`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"}}}`)
	write(t, filepath.Join(dir, "events", "function.json"),
		`{"bindings":[{"type":"eventGridTrigger","direction":"in","name":"event"}]}`)
	host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{App: dir, MasterKey: "m"})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close() //nolint:errcheck // the test is over
	server := httptest.NewServer(host.Handler())
	defer server.Close()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	for _, schema := range []string{"", SchemaCloudEvents} {
		for message, want := range map[string]capture.Status{
			`"{\"order\":1}"`: capture.StatusOK, `"fail"`: capture.StatusFunctionError,
		} {
			g, err := NewEventGrid(EventGridOptions{
				URL: server.URL, Function: "events", Key: "m", HTTP: client, GridMapping: GridMapping{Schema: schema},
			})
			if err != nil {
				t.Fatal(err)
			}
			if out, err := g.Fire(t.Context(), invocationOf(sns("null", message))); err != nil || out.Status != want {
				t.Errorf("%s %s: %+v, %v", schema, message, out, err)
			}
		}
	}
	for function, key := range map[string]string{"events": "wrong", "none": "m"} {
		g, err := NewEventGrid(EventGridOptions{URL: server.URL, Function: function, Key: key, HTTP: client})
		if err != nil {
			t.Fatal(err)
		}
		var setup *replay.SetupError
		if _, err := g.Fire(t.Context(), invocationOf(sns("null", `"x"`))); !errors.As(err, &setup) {
			t.Errorf("%s with %s: %v", function, key, err)
		}
	}
}

func TestAnEventGridThatCannotWorkIsRefused(t *testing.T) {
	for _, opts := range []EventGridOptions{
		{}, {URL: "http://x"}, {URL: "x", Function: "f"}, {Topic: "x"},
	} {
		if _, err := NewEventGrid(opts); err == nil {
			t.Errorf("%+v is taken", opts)
		}
	}
}

func FuzzEventsForEventGrid(f *testing.F) {
	f.Add([]byte(sns(`"s"`, `"{\"a\":1.0}"`)), "", "{event}")
	f.Add([]byte(`{"detail-type":"D","source":"s","time":"T","resources":["a"],"detail":[1e400]}`), "event", "")
	f.Add([]byte("{\"Records\":[{\"EventSource\":\"aws:sns\",\"Sns\":{\"MessageId\":\"\xff\"}}]}"), "record", "")
	f.Fuzz(func(t *testing.T, event []byte, data, kind string) {
		m := GridMapping{Data: data, Type: kind}
		_, format := capture.Detect(event)
		notices, err := m.notices(&capture.Invocation{Format: format, Event: event})
		if err != nil {
			return
		}
		for _, n := range notices {
			body, err := m.body(n, "id", false)
			var events []gridEvent
			if err != nil || json.Unmarshal(body, &events) != nil || len(events) != 1 || events[0].ID != "id" {
				t.Fatalf("%q became %q, %v", event, body, err)
			}
		}
	})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
