package local

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestReportReadsAsLambdaWritesIt(t *testing.T) {
	warm := report{requestID: "id", duration: 1230 * time.Microsecond, memoryMB: 128, peakMB: 64}
	cold, late, failed := warm, warm, warm
	cold.init = 100100 * time.Microsecond
	late.status = "timeout"
	failed.status, failed.errorType = "error", "Runtime.ExitError"
	tests := []struct {
		name string
		r    report
		want string
	}{
		{"warm", warm, "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t" +
			"Max Memory Used: 64 MB\t"},
		{"cold: the start is billed too", cold, "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 102 ms\t" +
			"Memory Size: 128 MB\tMax Memory Used: 64 MB\tInit Duration: 100.10 ms\t"},
		{"timed out", late, "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t" +
			"Max Memory Used: 64 MB\tStatus: timeout\t"},
		{"failed", failed, "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t" +
			"Max Memory Used: 64 MB\tStatus: error\tError Type: Runtime.ExitError\t"},
	}
	for _, test := range tests {
		if got := test.r.String(); got != test.want {
			t.Errorf("%s: got\n%q, want\n%q", test.name, got, test.want)
		}
	}
}

// What a function writes before it answers is in the tail of that invocation, and of no other.
func TestLogTailHasAllThatTheFunctionWrote(t *testing.T) {
	var log syncBuffer
	l := newLambda(t, LambdaOptions{Log: &log, Functions: []LambdaFunction{{Name: "f"}}})
	for i := range 20 {
		word := fmt.Sprintf("word%d", i)
		resp := run(t, l, "f", do("log", word, 30))
		var lines strings.Builder
		for n := range 30 {
			fmt.Fprintf(&lines, "%s %d\n", word, n)
		}
		begin := "START RequestId: " + resp.RequestID + " Version: $LATEST\n"
		if i == 0 {
			begin = "initializing\n" + begin
		}
		want := regexp.MustCompile("^" + regexp.QuoteMeta(begin+lines.String()+"the end\nEND RequestId: "+resp.RequestID+
			"\nREPORT RequestId: "+resp.RequestID) +
			`\tDuration: [0-9.]+ ms\t.*\tMax Memory Used: [1-9]\d* MB\t(Init Duration: [0-9.]+ ms\t)?\n$`)
		if !want.Match(resp.LogTail) {
			t.Fatalf("invocation %d: the tail is\n%s", i, resp.LogTail)
		}
		if !strings.HasSuffix(log.String(), string(resp.LogTail)) {
			t.Fatalf("the log does not end in the tail:\n%s", log.String())
		}
	}
}

// slow is a log that takes its time, as a terminal may.
type slow struct{}

func (slow) Write(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return len(p), nil
}

func TestLogTailIsTheLast4KB(t *testing.T) {
	l := newLambda(t, LambdaOptions{Log: slow{}, Functions: []LambdaFunction{{Name: "f"}}})
	resp := run(t, l, "f", do("log", "some text", 100_000))
	if len(resp.LogTail) != 4096 || !bytes.Contains(resp.LogTail, []byte("some text 99999\nthe end\nEND RequestId: ")) {
		t.Errorf("got %d bytes:\n%s", len(resp.LogTail), resp.LogTail)
	}
}

func TestLinesOfEnvironmentsAreNotMixed(t *testing.T) {
	var out bytes.Buffer
	w := &lineWriter{to: &out}
	a, b := &environmentLog{out: w}, &environmentLog{out: w}
	a.Write([]byte("a1 "))
	b.Write([]byte("b1\nb2"))
	a.Write([]byte("a2\na3"))
	b.print("END")
	a.print("END")
	if want := "b1\na1 a2\nb2\nEND\na3\nEND\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	a.Write(bytes.Repeat([]byte("x"), maxLine+1))
	if n := strings.Count(out.String(), "x"); n != maxLine+1 {
		t.Errorf("%d bytes of a line without an end were written, want all %d", n, maxLine+1)
	}
}
