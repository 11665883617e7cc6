package cloudwatch

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var fuzzLines = []string{
	"",
	start(id1), end(id1), report(id1, "Init Duration: 100.1 ms", "Status: timeout"), report(id1) + "XRAY TraceId: 1-2\tSegmentId: 3\tSampled: true\n",
	"RequestId: " + id1 + " Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n",
	"2025-06-01T12:00:03.000Z " + id1 + " Task timed out after 3.00 seconds\n\n",
	`{"time":"t","type":"platform.report","record":{"requestId":"` + id1 + `","metrics":{"durationMs":1.5},"status":"success"}}`,
	"2025-06-01T12:00:00.000Z\t" + id1 + "\tERROR\tInvoke Error \t" + `{"errorType":"E","errorMessage":"m"}`,
	"[ERROR] E: m\n", "[INFO]\t2025-06-01T12:00:00.000Z\t" + id1 + "\t" + httpEvent(1), "{\n", "{{{{", `{"a":"{\"Records\":[{\"eventSource\":\"aws:sqs\"}]}"}`,
	`{"statusCode":200,"body":""}`, `{"batchItemFailures":[]}`, `{"Records":[{"eventSource":"aws:s3"`, "\"}]}", "\xff{\"Records\":[{\"eventSource\":\"aws:\xff\"}]}",
}

func FuzzPlatformLine(f *testing.F) {
	for _, l := range fuzzLines {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, ok := parsePlatform(text)
		if !ok {
			return
		}
		if l.requestID == "" || l.kind == 0 || text[0] != '{' && !strings.Contains(text, l.requestID) {
			t.Fatalf("%q is taken for %+v", text, l)
		}
		if m := l.metrics; text[0] != '{' && (m.DurationMS < 0 || math.IsInf(m.DurationMS, 0) || math.IsNaN(m.BilledMS) || l.timeoutMS < 0) {
			t.Fatalf("%q gives %+v", text, m)
		}
	})
}

// What is found is JSON of the kind that was looked for, and topicsOf does not hide it.
func FuzzFind(f *testing.F) {
	for _, l := range fuzzLines {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, text string) {
		event, open := findEvent([]byte(text))
		if event != nil && (!json.Valid(event) || !isEvent(event)) {
			t.Fatalf("%q is no event", event)
		}
		if event != nil && topicsOf(text)&topicEvent == 0 && !strings.Contains(text, `\u`) {
			t.Fatalf("the event in %q is not looked for", text)
		}
		if open >= 0 && (open >= len(text) || text[open] != '{' || event != nil) {
			t.Fatalf("%q is open at %d", text, open)
		}
		findError([]byte(text))
		namedIDs([]byte(text))
	})
}

// Whatever the lines are, the counts add up, nothing stays in memory, and what is written can be recorded.
func FuzzJoiner(f *testing.F) {
	f.Add(strings.Join(fuzzLines, "\x00"), byte(0))
	f.Add(strings.Join([]string{start(id1), "{\n", "\"Records\":[{\"eventSource\":\"aws:sqs\"}]\n", "}\n", end(id1), report(id1)}, "\x00"), byte(1))
	f.Fuzz(func(t *testing.T, text string, mix byte) {
		var all []said
		for i, l := range strings.Split(text, "\x00") {
			all = append(all, said{int64(i) * 37 % (1 + int64(mix)*50), fmt.Sprint(i % (1 + int(mix)%3)), l})
		}
		invs, c := joined(t, nil, all...)
		if int64(len(invs)) != c.Recorded() {
			t.Fatalf("%d invocations, %+v", len(invs), c)
		}
		for _, inv := range invs {
			if _, err := inv.AppendJSON(nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// BenchmarkJoiner joins the log of 1,000 invocations, of which each has five lines that matter and five that do not.
func BenchmarkJoiner(b *testing.B) {
	var logs []logEvent
	size := 0
	for i, e := range traffic(1000, 400) {
		logs = append(logs,
			logEvent{id: fmt.Sprint("a", i), stream: e.LogStreamName, text: e.Message, at: e.Timestamp},
			logEvent{id: fmt.Sprint("b", i), stream: e.LogStreamName, at: e.Timestamp,
				text: "2025-06-01T12:00:00.000Z\t" + requestID(i) + "\tINFO\tcalling the warehouse for the stock of 12 items, attempt 1\n"})
	}
	for _, l := range logs {
		size += len(l.text)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		var sink memory
		opts := Options{}.withDefaults(time.UnixMilli(0))
		j := newJoiner(Function{"f", "g"}, &opts, nil, window{0, math.MaxInt64}, sink.Write)
		for i, l := range logs {
			j.add(l)
			if i%1000 == 0 {
				if err := j.advance(l.at); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := j.finish(true); err != nil || len(sink.invs) != 900 {
			b.Fatal(len(sink.invs), err)
		}
	}
	b.ReportMetric(float64(len(logs))*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkLine tells of lines that do not matter, in text and in JSON, as most are.
func BenchmarkLine(b *testing.B) {
	for name, text := range map[string]string{
		"text": "2025-06-01T12:00:00.000Z\t" + id1 + "\tINFO\tcalling the warehouse for the stock of 12 items, attempt 1\n",
		"json": `{"timestamp":"2025-06-01T12:00:00.000Z","level":"INFO","requestId":"` + id1 + `","message":"calling the warehouse"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, ok := parsePlatform(text); ok || topicsOf(text) != 0 {
					b.Fatal("it matters")
				}
			}
		})
	}
}
