package cloudwatch

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/logchunk"
)

const (
	id1 = "11111111-2222-3333-4444-555555555555"
	id2 = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// said is a log event in a table: when, in which stream, what.
type said struct {
	at     int64
	stream string
	text   string
}

// joined gives log events to a joiner, and returns what it wrote and counted.
func joined(t testing.TB, re *regexp.Regexp, lines ...said) ([]*capture.Invocation, Completeness) {
	t.Helper()
	var sink memory
	opts := Options{}.withDefaults(time.UnixMilli(0))
	j := newJoiner(Function{"f", "g"}, &opts, newPattern(re), window{0, math.MaxInt64}, sink.Write)
	for i, l := range lines {
		j.add(logEvent{id: fmt.Sprint(i), stream: l.stream, text: l.text, at: l.at})
		if err := j.advance(l.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.finish(true); err != nil {
		t.Fatal(err)
	}
	if j.size != 0 {
		t.Errorf("%d bytes are still held", j.size)
	}
	checkSum(t, &j.counts)
	return sink.invs, j.counts
}

// lines makes log events of one stream, a millisecond apart.
func lines(texts ...string) (all []said) {
	for i, text := range texts {
		all = append(all, said{int64(i), "s", text})
	}
	return all
}

func start(id string) string { return "START RequestId: " + id + " Version: $LATEST\n" }
func end(id string) string   { return "END RequestId: " + id + "\n" }
func report(id string, more ...string) string {
	return "REPORT RequestId: " + id + "\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\t" +
		strings.Join(more, "\t") + "\n"
}

func TestAnEventIsFoundHoweverItIsLogged(t *testing.T) {
	event := httpEvent(7)
	long := `{"body":"` + strings.Repeat("x", 200_000) + `",` + event[1:]
	indented := "{\n  \"version\": \"2.0\",\n  \"rawPath\": \"/orders/7\",\n  \"requestContext\": {\n    \"http\": {}\n  }\n}"
	quoted := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	for _, tc := range []struct {
		why   string
		lines []string
		want  string
	}{
		{"alone", []string{event}, event},
		{"in text of Node", []string{"2025-06-01T12:00:00.000Z\t" + id1 + "\tINFO\tReceived: " + event + "\n"}, event},
		{"in text of Python", []string{"[INFO]\t2025-06-01T12:00:00.000Z\t" + id1 + "\tevent=" + event + " end\n"}, event},
		{"after braces that are no JSON", []string{"{a} {b:1} { c: {} } " + event}, event},
		{"as a field of a JSON log", []string{`{"level":"INFO","requestId":"` + id1 + `","message":{"event":` + event + `}}`}, event},
		{"as a string of a JSON log", []string{`{"level":"INFO","message":` + quoted(event) + `}`}, event},
		{"within a string of a JSON log", []string{`{"message":` + quoted("got "+event+" from there") + `}`}, event},
		{"as a string in a string", []string{`{"a":` + quoted(`{"b":`+quoted(event)+`}`) + `}`}, event},
		{"in one log event of many lines", []string{"event: " + indented + "\n"}, indented},
		{"with the line ends of Node", []string{"event: " + strings.ReplaceAll(indented, "\n", "\r") + "\n"},
			strings.ReplaceAll(indented, "\n", "\r")},
		{"a log event a line", strings.SplitAfter(indented+"\n", "\n"), indented},
		{"a log event a line, with a text before", strings.SplitAfter("Received event: "+indented+"\n", "\n"), indented},
		{"cut in three, within a string", []string{long[:70_000], long[70_000:150_000], long[150_000:]}, long},
		{"cut in two, with a line end at the cut", []string{long[:100_000] + "\n", long[100_000:] + "\n"}, long},
		{"cut where it shows already what it is", []string{event[:120], event[120:]}, event},
		{"the outermost, if one is in another", []string{sqsEvent(quoted(event))}, sqsEvent(quoted(event))},
		{"the first, if there are two", []string{event, httpEvent(8)}, event},
		{"after a document that was cut off", []string{`{"Records":[{"eventSource":`, "[INFO]\t2025-06-01T12:00:00.000Z\tx\t" + event}, event},
		{"within what a document that was cut off took with it", []string{`{"Records":[{"eventSource":`, event}, event},
		{"numbers, spaces and repeated names stay", []string{`{"Records":[{"eventSource":"aws:x","n":1.0, "n":1e2 }]}`},
			`{"Records":[{"eventSource":"aws:x","n":1.0, "n":1e2 }]}`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			texts := append(append([]string{start(id1)}, tc.lines...), end(id1), report(id1))
			invs, c := joined(t, nil, lines(texts...)...)
			if len(invs) != 1 || c.Events != 1 {
				t.Fatalf("%d invocations, %+v", len(invs), c)
			}
			if got := string(invs[0].Event); got != tc.want {
				t.Errorf("event %q, want %q", got, tc.want)
			}
			if invs[0].Context.RequestID != id1 {
				t.Errorf("request ID %s", invs[0].Context.RequestID)
			}
		})
	}
}

func sqsEvent(quotedBody string) string {
	return `{"Records":[{"messageId":"m1","eventSource":"aws:sqs","eventSourceARN":"arn:q","body":` + quotedBody + `}]}`
}

func TestEverySampleEventIsFound(t *testing.T) {
	files, err := filepath.Glob("../../fixtures/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no fixtures")
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		event := strings.TrimSpace(string(data))
		invs, _ := joined(t, nil, lines(start(id1), "event "+event, report(id1))...)
		if len(invs) != 1 || string(invs[0].Event) != event {
			t.Errorf("%s was not found", path)
		}
		invs, _ = joined(t, nil, lines(append(append([]string{start(id1)}, strings.SplitAfter(event, "\n")...), report(id1))...)...)
		if len(invs) != 1 || string(invs[0].Event) != event {
			t.Errorf("%s was not found line by line", path)
		}
	}
}

func TestAnOutcomeIsWhatTheLogsSay(t *testing.T) {
	event := httpEvent(7)
	const platform = `{"time":"2025-06-01T12:00:00.000Z","type":"platform.%s","record":{"requestId":"` + id1 + `"%s}}`
	answer := `{"statusCode":201,"headers":{"content-type":"text/plain"},"body":"ok"}`
	times := capture.Outcome{PlatformMS: 1.23, BilledMS: 2, MemoryMB: 64}
	with := func(change func(*capture.Outcome)) *capture.Outcome {
		o := times
		change(&o)
		return &o
	}
	status := func(s capture.Status) *capture.Outcome { return with(func(o *capture.Outcome) { o.Status = s }) }
	failed := func(kind, message string) *capture.Outcome {
		return with(func(o *capture.Outcome) {
			o.Status, o.Error = capture.StatusFunctionError, &capture.Error{Type: kind, Message: message}
		})
	}
	ok := with(func(o *capture.Outcome) {
		o.Status = capture.StatusOK
		o.HTTP = capture.LambdaOutcome("apigw-v2", []byte(event), []byte(answer), "").HTTP
	})
	timeout := func(message string) *capture.Outcome {
		return with(func(o *capture.Outcome) {
			o.Status, o.Error = capture.StatusTimeout, &capture.Error{Type: "Sandbox.Timedout", Message: message}
		})
	}
	for _, tc := range []struct {
		why   string
		lines []string
		want  *capture.Outcome
	}{
		{"an answer that is logged", []string{event, "answer " + answer, report(id1)}, ok},
		{"in JSON", []string{event, `{"level":"INFO","message":{"response":` + answer + `}}`, report(id1)}, ok},
		{"twice the same", []string{event, answer, answer, report(id1)}, ok},
		{"two that differ: neither is known to be it", []string{event, answer, `{"statusCode":404,"body":""}`, report(id1)},
			status(capture.StatusUnknown)},
		{"success without an answer is not known", []string{event, report(id1)}, status(capture.StatusUnknown)},
		{"no REPORT, no outcome", []string{event}, nil},
		{"a cold start", []string{event, report(id1, "Init Duration: 100.5 ms")},
			with(func(o *capture.Outcome) { o.Status, o.InitMS = capture.StatusUnknown, 100.5 })},
		{"a time-out in the REPORT", []string{event, report(id1, "Status: timeout")}, timeout("")},
		{"a time-out in a line of its own", []string{event, report(id1),
			"2025-06-01T12:00:03.000Z " + id1 + " Task timed out after 3.00 seconds\n\n"}, timeout(id1 + " Task timed out after 3.00 seconds")},
		{"a crash", []string{event, report(id1), "RequestId: " + id1 + " Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n"},
			failed("Runtime.ExitError", "RequestId: "+id1+" Error: Runtime exited with error: signal: killed")},
		{"an error in the REPORT", []string{event, report(id1, "Status: error", "Error Type: Runtime.OutOfMemory")},
			failed("Runtime.OutOfMemory", "")},
		{"an error of Node", []string{event, "2025-06-01T12:00:00.000Z\t" + id1 + "\tERROR\tInvoke Error \t" +
			`{"errorType":"TypeError","errorMessage":"x is not a function","stack":["a"]}`, report(id1)},
			failed("TypeError", "x is not a function")},
		{"an error of Python", []string{event, "[ERROR] ZeroDivisionError: division by zero\rTraceback (most recent call last):\r", report(id1)},
			failed("ZeroDivisionError", "division by zero")},
		{"an error that the function dealt with", []string{event, `{"level":"ERROR","message":{"errorType":"E","errorMessage":"m"}}`,
			answer, report(id1)}, ok},
		{"the platform's word counts: failure", []string{event, `{"level":"ERROR","message":{"errorType":"E","errorMessage":"m"}}`,
			fmt.Sprintf(platform, "runtimeDone", `,"status":"failure","errorType":"X"`),
			fmt.Sprintf(platform, "report", `,"status":"failure","metrics":{"durationMs":1.23,"billedDurationMs":2,"maxMemoryUsedMB":64}`)},
			failed("E", "m")},
		{"the platform's word counts: success", []string{event, "[ERROR] E: caught\n", answer,
			fmt.Sprintf(platform, "report", `,"status":"success","metrics":{"durationMs":1.23,"billedDurationMs":2,"maxMemoryUsedMB":64}`)}, ok},
		{"a time-out in JSON", []string{event,
			fmt.Sprintf(platform, "report", `,"status":"timeout","metrics":{"durationMs":1.23,"billedDurationMs":2,"maxMemoryUsedMB":64}`)},
			timeout("")},
	} {
		t.Run(tc.why, func(t *testing.T) {
			invs, _ := joined(t, nil, lines(append([]string{start(id1)}, tc.lines...)...)...)
			if len(invs) != 1 {
				t.Fatalf("%d invocations", len(invs))
			}
			if diff := cmp.Diff(tc.want, invs[0].Outcome); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABatchAndABucketHaveTheirOwnOutcomes(t *testing.T) {
	invs, _ := joined(t, nil, lines(start(id1), sqsEvent(`"x"`), `{"statusCode":500,"body":"an answer of somebody else"}`,
		`{"batchItemFailures":[{"itemIdentifier":"m1"}]}`, report(id1))...)
	if got := invs[0].Outcome; got.Status != capture.StatusOK || got.Records["m1"] != capture.Retried {
		t.Errorf("batch: %+v", got)
	}
	s3 := `{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}`
	done := `{"type":"platform.report","record":{"requestId":"` + id1 + `","status":"success","metrics":{"durationMs":1}}}`
	invs, _ = joined(t, nil, lines(start(id1), s3, done)...)
	if got := invs[0].Outcome; got.Status != capture.StatusOK {
		t.Errorf("bucket: %+v", got)
	}
}

func TestWhatTheRecorderWroteWins(t *testing.T) {
	var pieces []string
	var noise strings.Builder // that no compression makes small, so that there are several pieces
	for i := range 9_500 {
		fmt.Fprintf(&noise, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	seen := &capture.Invocation{
		ID: "01ABC", Function: "other", Trigger: "http", Format: "apigw-v2", Source: "runtime-api", Time: time.UnixMilli(1).UTC(),
		Event:   json.RawMessage(`{"big":"` + noise.String() + `",` + httpEvent(7)[1:]),
		Context: capture.Context{RequestID: id1, TimeoutMS: 3000},
		Outcome: &capture.Outcome{Status: capture.StatusOK, HTTP: &capture.HTTPAnswer{Status: 200}, DurationMS: 7},
	}
	line, err := seen.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := logchunk.Append(nil, seen.ID, line)
	if err != nil {
		t.Fatal(err)
	}
	pieces = strings.SplitAfter(strings.TrimSuffix(string(chunks), "\n"), "\n")
	if len(pieces) < 3 {
		t.Fatalf("only %d pieces", len(pieces))
	}
	all := lines(start(id1), httpEvent(8), end(id1), report(id1, "Init Duration: 5 ms"), start(id2), httpEvent(9))
	late := int64(30_000) // with the next invocation, and out of order
	all[1].text += "\n"
	all = slices.Insert(all, 2, said{1, "s", pieces[0]})
	for i, p := range slices.Backward(pieces[1:]) {
		all = append(all, said{late + int64(i)%2, "s", p})
	}
	invs, c := joined(t, nil, append(all, said{late + 9, "s", report(id2)})...)
	if len(invs) != 2 || c.Events != 2 || c.Answers != 1 || c.Ambiguous != 0 || c.Gaps != 0 {
		t.Fatalf("%d invocations, %+v", len(invs), c)
	}
	i := slices.IndexFunc(invs, func(inv *capture.Invocation) bool { return inv.ID == "01ABC" })
	want := *seen
	want.Function, want.Source, want.Context.ColdStart = "f", "cloudwatch:g", true
	want.Outcome = &capture.Outcome{Status: capture.StatusOK, HTTP: &capture.HTTPAnswer{Status: 200}, DurationMS: 7,
		PlatformMS: 1.23, BilledMS: 2, MemoryMB: 64, InitMS: 5}
	if i < 0 {
		t.Fatalf("the recorder's is not there: %+v", invs)
	}
	if diff := cmp.Diff(&want, invs[i]); diff != "" {
		t.Errorf("invocation (-want +got):\n%s", diff)
	}
	// A line that is missing makes a gap, and one that is damaged another.
	_, c = joined(t, nil, lines(start(id1), pieces[0], logchunk.Prefix+"{nonsense", pieces[2], report(id1))...)
	if c.Gaps != 2 || c.Missing != 1 {
		t.Errorf("%+v", c)
	}
}

func TestWhatThePlatformSaysIsKept(t *testing.T) {
	invs, c := joined(t, nil, lines(
		`{"time":"t","type":"platform.start","record":{"requestId":"`+id1+`","functionArn":"arn:f","version":"1","tracing":{"spanId":"1","type":"X-Amzn-Trace-Id","value":"Root=1-2;Sampled=1"}}}`,
		httpEvent(1),
		`{"time":"t","type":"platform.report","record":{"requestId":"`+id1+`","status":"timeout","metrics":{"durationMs":3000.5,"billedDurationMs":3100,"memorySizeMB":128,"maxMemoryUsedMB":60,"initDurationMs":99.5}}}`,
		"2025-06-01T12:00:03.000Z "+id1+" Task timed out after 3.00 seconds\n\n")...)
	want := capture.Context{RequestID: id1, FunctionARN: "arn:f", TraceID: "Root=1-2;Sampled=1", TimeoutMS: 3000, ColdStart: true}
	if diff := cmp.Diff(want, invs[0].Context); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	if o := invs[0].Outcome; o.PlatformMS != 3000.5 || o.BilledMS != 3100 || o.MemoryMB != 60 || o.InitMS != 99.5 {
		t.Errorf("outcome %+v", o)
	}
	if c.ColdStarts != 1 || c.TimedOut != 1 || c.Failed != 0 {
		t.Errorf("%+v", c)
	}
}

func TestAttemptsOfOneRequestStayApart(t *testing.T) {
	retry := int64(60_000)
	invs, c := joined(t, nil,
		said{0, "a", start(id1)}, said{1, "a", httpEvent(1)}, said{2, "a", report(id1, "Status: error")},
		said{retry, "b", start(id1)}, said{retry + 1, "b", httpEvent(1)}, said{retry + 2, "b", report(id1, "Init Duration: 5 ms")},
		said{2 * retry, "b", start(id1)}, said{2*retry + 2, "b", report(id1)},
	)
	if len(invs) != 2 || c.Invocations != 3 || c.Missing != 1 || c.Failed != 1 || c.ColdStarts != 1 {
		t.Fatalf("%d invocations, %+v", len(invs), c)
	}
	if invs[0].ID == invs[1].ID || invs[0].Outcome.Status != capture.StatusFunctionError || invs[1].Time.UnixMilli() != retry {
		t.Errorf("%+v and %+v", invs[0], invs[1])
	}
	// Even at the same time.
	invs, _ = joined(t, nil,
		said{0, "a", start(id1)}, said{1, "b", start(id1)}, said{2, "a", id1 + httpEvent(1)},
		said{2, "b", id1 + httpEvent(2)}, said{3, "b", report(id1)}, said{3, "a", report(id1)})
	if len(invs) != 2 || orderNumber(t, invs[0]) != 1 || orderNumber(t, invs[1]) != 2 {
		t.Errorf("%d invocations", len(invs))
	}
}

func TestLinesFindTheirInvocation(t *testing.T) {
	event := httpEvent(1)
	for _, tc := range []struct {
		why   string
		lines []said
		want  string // the request ID of the invocation with the event, "" if it belongs to none
	}{
		{"by the stream, if it names none", []said{{0, "a", start(id1)}, {1, "b", start(id2)}, {2, "b", event}}, id2},
		{"by the request ID, whatever the stream", []said{{0, "a", start(id1)}, {1, "b", start(id2)}, {2, "b", id1 + " " + event}}, id1},
		{"an ID of something else is no request ID", []said{{0, "a", start(id1)}, {1, "a", id2 + " " + event}}, id1},
		{"before its START, by the ID", []said{{1, "a", id1 + " " + event}, {0, "a", start(id1)}, {0, "b", start(id2)}}, id1},
		{"late, by its time", []said{{0, "a", start(id1)}, {5, "a", start(id2)}, {3, "a", event}}, id1},
		{"with a field of a JSON log", []said{{0, "a", start(id1)}, {1, "a", start(id2)}, {2, "a", `{"AWSRequestId":"` + id1 + `","e":` + event + `}`}}, id1},
		{"with that of Powertools", []said{{0, "a", start(id1)}, {1, "a", start(id2)}, {2, "a", `{"function_request_id":"` + id1 + `","e":` + event + `}`}}, id1},
		{"nobody's", []said{{0, "a", start(id1)}, {1, "b", event}}, ""},
		{"without a START, by the ID", []said{{0, "a", id1 + " " + event}}, id1},
	} {
		t.Run(tc.why, func(t *testing.T) {
			invs, c := joined(t, nil, tc.lines...)
			switch {
			case tc.want == "":
				if len(invs) != 0 || c.Unjoined != 1 {
					t.Errorf("%d invocations, %+v", len(invs), c)
				}
			case len(invs) != 1 || invs[0].Context.RequestID != tc.want:
				t.Errorf("%d invocations, %+v", len(invs), c)
			}
		})
	}
}

func TestTheCountsSayWhatIsMissing(t *testing.T) {
	_, c := joined(t, nil, slices.Concat(
		lines(start(id1), `{"Records":[{"eventSource":"aws:sqs","body":"cut o`, end(id1), report(id1)),
		[]said{{10, "s", start(id2)}, {11, "s", "nothing"}, {12, "s", report(id2)}},
		[]said{{20, "t", requestID(3) + " " + httpEvent(3)}},
		[]said{{30, "u", report(requestID(4))}},
		[]said{{40, "v", start(requestID(5))}, {41, "v", httpEvent(5)}, {42, "v", httpEvent(6)}, {43, "v", report(requestID(5))}},
	)...)
	want := Completeness{
		Group: "g", Invocations: 3, Events: 1, Missing: 2, Broken: 1, WithoutStart: 1, Ambiguous: 1, Unreported: 1,
		Formats: map[capture.Format]int64{"apigw-v2": 2},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAPatternFindsWhatHasNoShape(t *testing.T) {
	re := regexp.MustCompile(`^(?:in (?P<event>(?s:.*))|out (?P<response>.*))`)
	for _, tc := range []struct {
		why   string
		lines []string
		want  string
	}{
		{"plain", []string{`in {"a":1}`}, `{"a":1}`},
		{"escaped", []string{`in {\"a\":\"\\n\"}`}, `{"a":"\n"}`},
		{"a quoted string", []string{`in "{\"a\":1}"`}, `{"a":1}`},
		{"over several log events", []string{"in {\n", "\"a\":\n", "1}\n"}, "{\n\"a\":\n1}"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			texts := append(append([]string{start(id1), httpEvent(1)}, tc.lines...), `out {"b":2}`, report(id1))
			invs, _ := joined(t, re, lines(texts...)...)
			if len(invs) != 1 || string(invs[0].Event) != tc.want || invs[0].Outcome.Result == nil || string(invs[0].Outcome.Result.JSON) != `{"b":2}` {
				t.Errorf("%+v", invs)
			}
		})
	}
	if _, c := joined(t, re, lines(start(id1), "in nonsense", report(id1))...); c.Broken != 1 || c.Missing != 1 {
		t.Errorf("not JSON: %+v", c)
	}
}

// An invocation stays in memory until its REPORT has settled, or the grace has passed; both in log time.
func TestAnAttemptLeavesInTime(t *testing.T) {
	var sink memory
	opts := Options{Settle: time.Second, Grace: time.Minute}.withDefaults(time.UnixMilli(0))
	j := newJoiner(Function{"f", "g"}, &opts, nil, window{0, math.MaxInt64}, sink.Write)
	for i, text := range []string{start(id1), httpEvent(1), report(id1)} {
		j.add(logEvent{id: fmt.Sprint(i), stream: "a", text: text, at: 100})
	}
	for i, text := range []string{start(id2), httpEvent(2)} {
		j.add(logEvent{id: fmt.Sprint(i + 9), stream: "b", text: text, at: 100})
	}
	for _, tc := range []struct {
		at   int64
		want int
	}{{100, 0}, {1099, 0}, {1100, 1}, {60_099, 1}, {60_100, 2}} {
		if err := j.advance(tc.at); err != nil || len(sink.invs) != tc.want {
			t.Errorf("at %d: %d invocations, %v", tc.at, len(sink.invs), err)
		}
	}
	j.add(logEvent{id: "late", stream: "b", text: id2 + " " + httpEvent(2), at: 60_101}) // is known to be done
	if err := j.finish(true); err != nil || len(sink.invs) != 2 || j.counts.Invocations != 2 || j.counts.WithoutStart != 0 {
		t.Errorf("%d invocations, %+v, %v", len(sink.invs), j.counts, err)
	}
	j.forget(70_000)
	if len(j.attempts)+len(j.streams)+j.known+len(j.pending) != 0 {
		t.Errorf("%d attempts, %d streams, %d known", len(j.attempts), len(j.streams), j.known)
	}
}

func TestTooManyBytesLetTheOldestGo(t *testing.T) {
	var sink memory
	opts := Options{MaxPending: 10 * len(httpEvent(1))}.withDefaults(time.UnixMilli(0))
	j := newJoiner(Function{"f", "g"}, &opts, nil, window{0, math.MaxInt64}, sink.Write)
	for i := range 100 {
		j.add(logEvent{id: fmt.Sprint(i), stream: fmt.Sprint(i), text: start(requestID(i)), at: int64(i)})
		j.add(logEvent{id: fmt.Sprint("e", i), stream: fmt.Sprint(i), text: httpEvent(10 + i%10), at: int64(i)})
		if err := j.advance(int64(i)); err != nil || j.size > opts.MaxPending {
			t.Fatalf("%d bytes are held, %v", j.size, err)
		}
	}
	if n := len(sink.invs); n < 85 || n > 95 {
		t.Errorf("%d of 100 were let go", n)
	}
}
