package local

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// tailSize is how much of its log an invocation can answer with, in bytes.
const tailSize = 4 << 10

// maxLine is how much of a line without an end is held back, in bytes.
const maxLine = 64 << 10

// A lineWriter keeps the lines apart that several environments write.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lineWriter) write(lines []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to.Write(lines) //nolint:errcheck // a log that cannot be written must not stop a function
}

// An environmentLog is the log stream of one environment: what its process writes and the platform's own lines.
type environmentLog struct {
	out *lineWriter

	mu   sync.Mutex
	line []byte // what has come of a line that has not ended
	tail []byte // the end of what was logged since the last begin
}

// Write logs what the process wrote.
func (l *environmentLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(p)
	return len(p), nil
}

func (l *environmentLog) add(p []byte) {
	l.tail = append(l.tail, p...)
	if excess := len(l.tail) - tailSize; excess > 0 {
		l.tail = append(l.tail[:0], l.tail[excess:]...)
	}
	l.line = append(l.line, p...)
	end := bytes.LastIndexByte(l.line, '\n') + 1
	if end == 0 && len(l.line) > maxLine {
		end = len(l.line)
	}
	if end > 0 {
		l.out.write(l.line[:end])
		l.line = append(l.line[:0], l.line[end:]...)
	}
}

// print logs a line of the platform. What the function left of a line is ended first.
func (l *environmentLog) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.add([]byte("\n"))
	}
	l.add([]byte(line + "\n"))
}

// begin starts a new tail.
func (l *environmentLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = nil
}

// end returns the tail since begin.
func (l *environmentLog) end() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.tail)
}

// A report is what a REPORT line says.
type report struct {
	requestID string
	duration  time.Duration
	init      time.Duration // 0 for a warm environment
	memoryMB  int           // that the function has
	peakMB    int           // that it used; 0 where that cannot be told
	status    string        // "", "timeout" or "error"
	errorType string        // of status "error"
}

// String formats r as Lambda writes it. What is billed of a cold start includes the initialization. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html and
// https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/.
func (r report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\t"+
		"Max Memory Used: %d MB\t", r.requestID, milliseconds(r.duration),
		math.Ceil(milliseconds(r.duration+r.init)), r.memoryMB, r.peakMB)
	if r.init > 0 {
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", milliseconds(r.init))
	}
	if r.status != "" {
		fmt.Fprintf(&b, "Status: %s\t", r.status)
	}
	if r.errorType != "" {
		fmt.Fprintf(&b, "Error Type: %s\t", r.errorType)
	}
	return b.String()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
