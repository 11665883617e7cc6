package eventhub

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/capture/logchunk"
	"tandem/capture/translate"
)

// A memory is a sink in memory.
type memory struct {
	all  []*capture.Invocation
	lost int64
}

func (m *memory) Write(inv *capture.Invocation) error { m.all = append(m.all, inv); return nil }
func (m *memory) Sync() error                         { return nil }
func (m *memory) AddLost(n int64)                     { m.lost += n }

// enqueued is when the events of these tests were.
var enqueued = time.Date(2026, 3, 1, 10, 0, 5, 0, time.UTC)

// An offline is a capture that is fed by hand.
type offline struct {
	*capturing
	sink *memory
	from *reading
}

func newOffline(t *testing.T, opts Options) *offline {
	t.Helper()
	sink := &memory{}
	opts.Sink, opts.Hub, opts.Logf = sink, "tap", t.Logf
	c, err := newCapturing(opts.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	o := &offline{capturing: c, sink: sink}
	o.open("0", -1)
	return o
}

// open goes on with a partition that has a checkpoint.
func (o *offline) open(partition string, saved int64) {
	l := &ledger{partition: partition, saved: saved}
	o.begin(batch{ledger: l, begin: &azeventhubs.PartitionProperties{}})
	o.from = o.ledgers[partition]
}

// feed takes events with these bodies.
func (o *offline) feed(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		o.feedEvent(t, azeventhubs.EventData{Body: []byte(body)})
	}
}

func (o *offline) feedEvent(t *testing.T, data azeventhubs.EventData) {
	t.Helper()
	sequence := max(o.from.next, 0)
	err := o.event(t.Context(), o.from, &azeventhubs.ReceivedEventData{
		EventData: data, SequenceNumber: sequence, Offset: fmt.Sprint(sequence * 64), EnqueuedTime: &enqueued,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// end ends the capture as the end of its range does.
func (o *offline) end(t *testing.T) *Report {
	t.Helper()
	for _, r := range o.ledgers {
		r.saved = 1 << 60 // nothing is to be saved
	}
	if err := o.finish(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return o.report
}

const orderID = "0a1b2c3d-0000-4000-8000-00000000000a"

// records makes an event of a diagnostic log, with properties in one of the encodings: object, text or pseudo.
func records(encoding string, messages ...string) string {
	var all []string
	for _, message := range messages {
		id := orderID
		if rest, ok := strings.CutPrefix(message, "@"); ok {
			id, message, _ = strings.Cut(rest, " ")
		}
		props := map[string]string{
			"message": message, "functionInvocationId": id, "functionName": "process-order", "levelId": "2",
		}
		doc, _ := json.Marshal(props)
		switch encoding {
		case "text":
			doc, _ = json.Marshal(string(doc))
		case "pseudo":
			doc, _ = json.Marshal("{'message':'" + message + "','functionInvocationId':'" + id +
				"','functionName':'process-order','levelId':2}")
		}
		all = append(all, `{"time":"2026-03-01T10:00:00.5Z","category":"FunctionAppLogs","operationName":"x",`+
			`"properties":`+string(doc)+`}`)
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}

const (
	begins = `Executing 'Functions.process-order' (Reason='New queue message detected on 'orders'.', Id=` +
		orderID + `)`
	details1 = `Trigger Details: MessageId: m-1, DequeueCount: 2, InsertedOn: 2026-03-01T09:59:58.000+00:00`
	succeeds = `Executed 'Functions.process-order' (Succeeded, Id=` + orderID + `, Duration=1,012ms)`
	fails    = `Executed 'Functions.process-order' (Failed, Id=` + orderID + `, Duration=5ms)`
	logged   = `order: {"orderId":"A-1","note":"it's \"new\""}`
)

var orderPattern = regexp.MustCompile(`order: (?P<event>.*)`)

func TestTheHostsLinesAndTheLoggedMessageBecomeAnSQSEvent(t *testing.T) {
	for _, encoding := range []string{"object", "text", "pseudo"} {
		t.Run(encoding, func(t *testing.T) {
			o := newOffline(t, Options{Pattern: orderPattern, Names: map[string]string{"process-order": "orders"}})
			o.feed(t, records(encoding, begins, details1, "something else", logged, succeeds))
			report := o.end(t)
			if len(o.sink.all) != 1 || !report.Complete {
				t.Fatalf("%d recorded, %+v", len(o.sink.all), report)
			}
			inv := o.sink.all[0]
			if inv.ID != orderID || inv.Function != "orders" || inv.Format != capture.FormatSQS ||
				!translate.IsTranslated(inv.Source) || inv.Context.RequestID != orderID {
				t.Errorf("invocation %+v", inv)
			}
			var event struct {
				Records []struct {
					MessageID, Body, EventSourceARN string
					Attributes                      map[string]string
				}
			}
			if err := json.Unmarshal(inv.Event, &event); err != nil {
				t.Fatal(err)
			}
			r := event.Records[0]
			if r.MessageID != "m-1" || r.Body != `{"orderId":"A-1","note":"it's \"new\""}` ||
				r.EventSourceARN != translate.ARN("orders") ||
				r.Attributes["ApproximateReceiveCount"] != "2" || r.Attributes["SentTimestamp"] != "1772359198000" {
				t.Errorf("record %+v", r)
			}
			if inv.Outcome.Records["m-1"] != capture.Acked || inv.Outcome.PlatformMS != 1012 {
				t.Errorf("outcome %+v", inv.Outcome)
			}
		})
	}
}

func TestRecordsOfAnInvocationMayComeInAnyOrderAndInManyEvents(t *testing.T) {
	messages := []string{begins, details1, logged, succeeds}
	var want string
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 3, 0, 1}, {1, 3, 0, 2}} {
		o := newOffline(t, Options{Pattern: orderPattern})
		for _, i := range order {
			o.feed(t, records("pseudo", messages[i]))
		}
		o.end(t)
		line, err := o.sink.all[0].AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(line)
		}
		if len(o.sink.all) != 1 || string(line) != want {
			t.Errorf("order %v makes %d: %s\nnot %s", order, len(o.sink.all), line, want)
		}
	}
}

func TestWhatBecameOfAnInvocationIsItsOutcome(t *testing.T) {
	request := `in {"Data":{"req":{"Url":"https://a.example/api/orders?x=1","Method":"POST","Query":{},"Headers":{` +
		`"Content-Type":["application/json"]},"Params":{},"Identities":[],"Body":"{}"}},"Metadata":{"sys":{}}}`
	exception := `{"records":[{"category":"FunctionAppLogs","properties":{"functionInvocationId":"` + orderID +
		`","message":"x","exceptionType":"System.Exception","exceptionMessage":"no stock"}}]}`
	for _, tt := range []struct {
		name     string
		bodies   []string
		status   capture.Status
		fate     capture.Fate
		errorIs  string
		unended  int64
		noResult bool
	}{
		{"a message that was deleted", []string{records("text", details1, logged, succeeds)}, "ok", "acked", "", 0, false},
		{"a message that comes again", []string{records("text", details1, logged, fails)}, "function_error", "retried",
			"the host has logged that it failed", 0, false},
		{"with its exception", []string{exception, records("text", details1, logged, fails)}, "function_error",
			"retried", "no stock", 0, false},
		{"whose end did not come", []string{records("text", details1, logged)}, "", "", "", 1, true},
		{"a request: its answer is not in the log", []string{records("object", request, succeeds)}, "unknown", "", "", 0,
			false},
		{"a request that failed", []string{records("object", request, fails)}, "function_error", "",
			"the host has logged that it failed", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{}
			if strings.Contains(tt.bodies[len(tt.bodies)-1], "order: ") {
				opts.Pattern = orderPattern
			}
			o := newOffline(t, opts)
			o.feed(t, tt.bodies...)
			report := o.end(t)
			if len(o.sink.all) != 1 {
				t.Fatalf("%d recorded: %+v", len(o.sink.all), report)
			}
			out := o.sink.all[0].Outcome
			if tt.noResult != (out == nil) || report.Functions["process-order"].Unended != tt.unended {
				t.Fatalf("outcome %+v, report %+v", out, report.Functions["process-order"])
			}
			if out == nil {
				return
			}
			message := ""
			if out.Error != nil {
				message = out.Error.Message
			}
			if out.Status != tt.status || out.Records["m-1"] != tt.fate || message != tt.errorIs {
				t.Errorf("outcome %+v, error %q", out, message)
			}
		})
	}
}

func TestInvocationsWithoutAnEventAreCountedByFunction(t *testing.T) {
	o := newOffline(t, Options{})
	var bodies []string
	for i := range 5 {
		id := fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", i)
		bodies = append(bodies, records("text", "@"+id+" "+strings.ReplaceAll(succeeds, orderID, id)))
	}
	o.feed(t, bodies...)
	o.feed(t, records("text", "@ Host started"), `{"records":[{"category":"AppServiceHTTPLogs","properties":{}}]}`)
	report := o.end(t)
	f := report.Functions["process-order"]
	if f.Missing != 5 || f.Invocations != 5 || report.Complete || o.sink.lost != 5 || report.Other != 1 ||
		report.Left[leftCategory] != 1 {
		t.Errorf("report %+v, function %+v, lost %d", report, f, o.sink.lost)
	}
}

func TestATextThatCanBeReadInTwoWaysIsTold(t *testing.T) {
	for _, tt := range []struct {
		name, note string // what stands in the JSON text within the message
		body       string
		ambiguous  int64
	}{
		{"valid as it is alone", `a\"b`, `{"note":"a\"b"}`, 0},
		{"valid both ways", `a\\nb`, `{"note":"a\\nb"}`, 1},
		{"by a writer that does not escape", `it's a\\nb`, `{"note":"it's a\\nb"}`, 0},
		{"by a writer that does", `it\'s a\\nb`, `{"note":"it's a\nb"}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffline(t, Options{Pattern: regexp.MustCompile(`order: (.*)`)})
			o.feed(t, records("pseudo", `order: {"note":"`+tt.note+`"}`, details1, succeeds))
			report := o.end(t)
			if len(o.sink.all) != 1 {
				t.Fatalf("%+v", report)
			}
			var event struct{ Records []struct{ Body string } }
			if err := json.Unmarshal(o.sink.all[0].Event, &event); err != nil {
				t.Fatal(err)
			}
			if event.Records[0].Body != tt.body || report.Functions["process-order"].Ambiguous != tt.ambiguous {
				t.Errorf("body %s, %+v", event.Records[0].Body, report.Functions["process-order"])
			}
		})
	}
}

const blobEvent = `{"topic":"/subscriptions/s/storageAccounts/acct","subject":"/blobServices/default/containers/` +
	`catalog/blobs/in/a b.csv","eventType":"Microsoft.Storage.BlobCreated","id":"831e1650",` +
	`"eventTime":"2026-03-01T10:00:00Z",` +
	`"data":{"api":"PutBlob","contentType":"text/csv","contentLength":12,"eTag":"0x8D4BCC2E4835CD0",` +
	`"url":"https://acct.blob.core.windows.net/catalog/in/a%20b.csv","sequencer":"0000000000000AB1"},"dataVersion":""}`

// TestEachKindOfContentIsToldByItself has, for each kind, what is sent and what comes of it.
func TestEachKindOfContentIsToldByItself(t *testing.T) {
	queueLine := `{"queue":"orders","messageId":"m-7","insertionTime":"2026-03-01T10:00:00Z","dequeueCount":1,` +
		`"messageText":"{\"a\":1}"}`
	for _, tt := range []struct {
		name     string
		body     string
		kind     Kind
		function string
		format   capture.Format
		has      []string // in the event
	}{
		{"an Event Grid event", "[" + blobEvent + "]", KindEventGrid, "catalog", capture.FormatS3,
			[]string{`"key":"in/a+b.csv"`, `"size":12`, `"sequencer":"0000000000000AB1"`, "ObjectCreated:Put"}},
		{"a CloudEvent of a blob that is gone", `{"specversion":"1.0","type":"Microsoft.Storage.BlobDeleted","id":"9",` +
			`"source":"/s","subject":"/blobServices/default/containers/catalog/blobs/x","time":"2026-03-01T10:00:00Z",` +
			`"data":{"api":"DeleteBlob"}}`, KindEventGrid, "catalog", capture.FormatS3,
			[]string{`"key":"x"`, "ObjectRemoved:Delete"}},
		{"a custom handler's payload for a message", `{"Data":{"message":"\"{\\\"a\\\":1}\""},"Metadata":{"DequeueCount":` +
			`"1","Id":"\"m-9\"","PopReceipt":"\"p\"","InsertionTime":"2026-03-01T10:00:00+00:00","sys":{"MethodName":` +
			`"process-order","UtcNow":"2026-03-01T10:00:01Z"}}}`, KindHandler, "process-order", capture.FormatSQS,
			[]string{`"messageId":"m-9"`, `"body":"{\"a\":1}"`}},
		{"a custom handler's payload of a timer", `{"Data":{"timer":"{}"},"Metadata":{"sys":{"MethodName":"nightly"}}}`,
			KindHandler, "nightly", capture.FormatOther, []string{`"timer"`}},
		{"a request in JSON", `{"id":"r-1","function":"create-order","time":"2026-03-01T10:00:00Z","method":"POST",` +
			`"url":"https://a.example/api/orders?x=1","headers":{"Content-Type":"application/json","X-A":["1","2"]},` +
			`"body":"{}","response":{"status":201,"headers":{},"body":"ok"}}`, KindHTTP, "create-order",
			capture.FormatAPIGatewayV2, []string{`"rawPath":"/orders"`, `"rawQueryString":"x=1"`, `"body":"{}"`}},
		{"a record of a gateway", `{"records":[{"category":"GatewayLogs","time":"2026-03-01T10:00:00Z","correlationId":` +
			`"c-1","properties":{"method":"PUT","url":"https://a.example/orders/7","apiId":"orders-api","responseCode":204,` +
			`"requestHeaders":{"Content-Length":"2","Content-Type":"application/json"},"requestBody":"{}",` +
			`"responseHeaders":{}}}]}`, KindGateway,
			"orders-api", capture.FormatAPIGatewayV2, []string{`"rawPath":"/orders/7"`, `"body":"{}"`}},
		{"a Lambda event", `{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":"x"}]}`, KindLambda, "fallback",
			capture.FormatSQS, []string{`"messageId":"1"`}},
		{"a queue's message", queueLine, KindQueue, "orders", capture.FormatSQS,
			[]string{`"messageId":"m-7"`, "arn:aws:sqs:us-east-1:000000000000:orders"}},
		{"a recording's line", lineOf("tandem-1"), KindTandem, "f", capture.FormatOther, []string{`{"n":1}`}},
		{"several in lines", lineOf("tandem-1") + "\n" + lineOf("tandem-1"), KindTandem, "f", capture.FormatOther, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{}
			if tt.kind == KindLambda {
				opts.Function = "fallback"
			}
			o := newOffline(t, opts)
			o.feed(t, tt.body)
			report := o.end(t)
			if len(o.sink.all) != 1 || report.Documents[tt.kind] == 0 || !report.Complete {
				t.Fatalf("%d recorded, %+v", len(o.sink.all), report)
			}
			inv := o.sink.all[0]
			if inv.Function != tt.function || inv.Format != tt.format || inv.ID == "" {
				t.Errorf("invocation %+v", inv)
			}
			for _, part := range tt.has {
				if !strings.Contains(string(inv.Event), part) {
					t.Errorf("no %s in %s", part, inv.Event)
				}
			}
			other := newOffline(t, opts) // read again, it is the same, byte for byte
			other.feed(t, tt.body)
			other.end(t)
			a, _ := inv.AppendJSON(nil)
			b, _ := other.sink.all[0].AppendJSON(nil)
			if string(a) != string(b) {
				t.Errorf("it comes out differently:\n%s\n%s", a, b)
			}
		})
	}
}

func lineOf(id string) string {
	return `{"id":"` + id + `","function":"f","trigger":"other","format":"other","time":"2026-03-01T10:00:00Z",` +
		`"event":{"n":1},"context":{}}`
}

func TestRequestsAndResponsesThatAreEventsOfTheirOwnAreJoined(t *testing.T) {
	request := "request:m-1\nPOST /api/orders HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\n{}"
	response := "response:m-1\nHTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n{\"id\":1}"
	typed := func(kind, text string) azeventhubs.EventData {
		media := "application/http; msgtype=" + kind
		_, text, _ = strings.Cut(text, "\n")
		return azeventhubs.EventData{
			Body: []byte(text), ContentType: &media, Properties: map[string]any{"MessageId": "m-1"},
		}
	}
	for _, tt := range []struct {
		name   string
		events []azeventhubs.EventData
	}{
		{"with a line before", []azeventhubs.EventData{{Body: []byte(request)}, {Body: []byte(response)}}},
		{"the response first", []azeventhubs.EventData{{Body: []byte(response)}, {Body: []byte(request)}}},
		{"with a content type", []azeventhubs.EventData{typed("request", request), typed("response", response)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffline(t, Options{Function: "create-order"})
			for _, e := range tt.events {
				o.feedEvent(t, e)
			}
			report := o.end(t)
			if len(o.sink.all) != 1 || !report.Complete {
				t.Fatalf("%d recorded, %+v", len(o.sink.all), report)
			}
			inv := o.sink.all[0]
			if inv.Outcome.HTTP.Status != 201 || string(inv.Outcome.HTTP.Body.JSON) != `{"id":1}` ||
				!strings.Contains(string(inv.Event), `"rawPath":"/orders"`) {
				t.Errorf("outcome %+v, event %s", inv.Outcome, inv.Event)
			}
		})
	}
	o := newOffline(t, Options{Function: "create-order"})
	o.feed(t, strings.Replace(request, "Content-Length: 2", "Content-Length: 9", 1), response)
	if report := o.end(t); len(o.sink.all) != 0 || report.Functions["create-order"].Broken != 1 {
		t.Errorf("a body that is cut off is taken for a whole one: %+v", report.Functions["create-order"])
	}
}

func TestWhatTheRecorderHasCutInPiecesIsPutTogether(t *testing.T) {
	doc := []byte(lineOf("tandem-big"))
	doc = []byte(strings.Replace(string(doc), `{"n":1}`, `{"n":"`+noise(300_000)+`"}`, 1))
	lines, err := logchunk.Append(nil, "tandem-big", doc)
	if err != nil {
		t.Fatal(err)
	}
	pieces := strings.Split(strings.TrimSpace(string(lines)), "\n")
	if len(pieces) < 2 {
		t.Fatalf("%d pieces", len(pieces))
	}
	slices.Reverse(pieces)
	o := newOffline(t, Options{})
	for _, piece := range pieces {
		o.feed(t, records("object", piece))
	}
	report := o.end(t)
	if len(o.sink.all) != 1 || o.sink.all[0].ID != "tandem-big" || !report.Complete {
		t.Fatalf("%d recorded, %+v", len(o.sink.all), report)
	}
	o = newOffline(t, Options{})
	o.feed(t, records("object", pieces[0]))
	if report := o.end(t); report.Functions["?"].Missing != 1 || report.Complete {
		t.Errorf("a piece that did not come is not told: %+v", report)
	}
}

// noise is text that does not compress.
func noise(n int) string {
	var b strings.Builder
	for x := uint64(1); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()[:n]
}

func TestWhatIsNotKnownIsCountedAndItsPlaceTold(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		kind       Kind
		left       Reason
		lost       bool
	}{
		{"text", "hello", "", leftUnknown, false},
		{"nothing", "", "", leftUnknown, false},
		{"JSON of no known kind", `{"a":1}`, "", leftUnknown, false},
		{"a list of numbers", `[1,2]`, "", leftUnknown, false},
		{"properties that cannot be read", `{"records":[{"category":"FunctionAppLogs","properties":"{'a"}]}`, "",
			leftUnknown, false},
		{"an event of another type", `{"eventType":"Microsoft.Storage.BlobRenamed","id":"1","data":{}}`, "", leftType,
			false},
		{"a kind that was not asked for", blobEvent, KindQueue, leftKind, false},
		{"JSON that was cut off", `{"method":"POST","url":"/a","headers":{},"body":"abc`, "", leftUnknown, false},
		{"a request whose body was cut off", `{"function":"f","method":"POST","url":"/a","headers":{"Content-Length":` +
			`"9"},"body":"abc"}`, "", leftCut, true},
		{"a gateway that logs no bodies", `{"records":[{"category":"GatewayLogs","properties":{"method":"GET","url":` +
			`"https://a.example/"}}]}`, "", leftCut, true},
		{"a gateway that logs no body of a POST", `{"records":[{"category":"GatewayLogs","properties":{"method":"POST",` +
			`"url":"https://a.example/","requestHeaders":{}}}]}`, "", leftCut, true},
		{"a request that names no function", `{"method":"GET","url":"/a","headers":{}}`, "", leftNoFunction, true},
		{"a message without its text", `{"queue":"q1","messageId":"1"}`, "", leftCut, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffline(t, Options{Kind: tt.kind})
			o.feed(t, tt.body)
			report := o.end(t)
			if len(o.sink.all) != 0 || report.Left[tt.left] == 0 || report.First[tt.left] != "0/0" {
				t.Errorf("%d recorded, left %v, first %v", len(o.sink.all), report.Left, report.First)
			}
			if tt.lost != (o.sink.lost > 0) || (tt.lost || tt.left == leftUnknown) == report.Complete {
				t.Errorf("lost %d, complete %v", o.sink.lost, report.Complete)
			}
		})
	}
}

// FuzzRead checks that no event makes the reader fail, and that nothing of it goes without a count.
func FuzzRead(f *testing.F) {
	f.Add(records("pseudo", begins, details1, logged, succeeds))
	f.Add(blobEvent)
	f.Add("request:1\nGET / HTTP/1.1\r\n\r\n")
	f.Add(`{"Data":{"a":"b"},"Metadata":{}}`)
	f.Fuzz(func(t *testing.T, body string) {
		sink := &memory{}
		c, err := newCapturing(Options{Sink: sink, Hub: "h", Function: "f"}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		o := &offline{capturing: c, sink: sink}
		o.open("0", -1)
		o.feed(t, body)
		r := o.end(t)
		var left int64
		for _, n := range r.Left {
			left += n
		}
		if r.Other+r.Repeated+left+r.Recorded()+r.Functions["f"].missing() == 0 && len(c.joiner.missed.young) == 0 {
			t.Errorf("%q is not counted: %+v", body, r)
		}
		for _, inv := range sink.all {
			if line, err := inv.AppendJSON(nil); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}

func (f *Function) missing() int64 {
	if f == nil {
		return 0
	}
	return f.Missing
}
