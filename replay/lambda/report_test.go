package lambda

import (
	"math"
	"testing"
)

func TestParseReport(t *testing.T) {
	tests := []struct {
		name, tail string
		want       report
		ok         bool
	}{
		{"text", "START RequestId: a Version: 1\nhello\nEND RequestId: a\nREPORT RequestId: a\tDuration: 1.23 ms\t" +
			"Billed Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\tInit Duration: 100.1 ms\t\n",
			report{requestID: "a", durationMS: 1.23, billedMS: 2, memoryMB: 64, initMS: 100.1}, true},
		{"text of a time-out", "REPORT RequestId: a\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t" +
			"Memory Size: 128 MB\tMax Memory Used: 30 MB\tStatus: timeout",
			report{requestID: "a", durationMS: 3000, billedMS: 3000, memoryMB: 30, timedOut: true}, true},
		{"JSON", `{"time":"2026-01-01T00:00:00Z","type":"platform.report","record":{"requestId":"a","status":"success",` +
			`"metrics":{"durationMs":1.5,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":64,"initDurationMs":3}}}`,
			report{requestID: "a", durationMS: 1.5, billedMS: 2, memoryMB: 64, initMS: 3}, true},
		{"JSON of a time-out", `{"type":"platform.report","record":{"requestId":"a","status":"timeout"}}`,
			report{requestID: "a", timedOut: true}, true},
		{"the last one counts", "REPORT RequestId: a\tDuration: 1 ms\nREPORT RequestId: b\tDuration: 2 ms\n",
			report{requestID: "b", durationMS: 2}, true},
		{"a function's own line that looks alike", `{"type":"log","record":"platform.report"}`, report{}, false},
		{"numbers that are none", "REPORT RequestId: a\tDuration: NaN ms\tBilled Duration: -1 ms\tMax Memory Used: 1 kB",
			report{requestID: "a"}, true},
		{"a tail that begins later", " Duration: 1 ms\nlog\n", report{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parseReport([]byte(tt.tail)); got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte("REPORT RequestId: a\tDuration: 1.23 ms\tMax Memory Used: 64 MB\tStatus: timeout"))
	f.Add([]byte(`{"type":"platform.report","record":{"requestId":"a","metrics":{"durationMs":1e3}}}`))
	f.Fuzz(func(t *testing.T, tail []byte) {
		r, ok := parseReport(tail)
		if !ok && r != (report{}) {
			t.Fatalf("no report, and yet %+v", r)
		}
		for _, v := range []float64{r.durationMS, r.billedMS, r.initMS, r.memoryMB} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%+v cannot be written as JSON", r)
			}
		}
	})
}
