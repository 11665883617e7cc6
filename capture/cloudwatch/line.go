package cloudwatch

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A lineKind says what a line of the platform is about.
type lineKind byte

const (
	lineStart   lineKind = iota + 1
	lineEnd              // the function is done; a REPORT follows
	lineReport           // what it took
	lineFailure          // the platform stopped the function, or its process ended
)

// A platformLine is one line that Lambda itself writes to a function's log.
type platformLine struct {
	kind        lineKind
	requestID   string
	functionARN string
	traceID     string
	status      string // "success", "failure", "error", "timeout"; "" where the line does not say
	err         failure
	timeoutMS   int64 // the function's time-out, where the line says it
	metrics     metrics
}

// metrics are what a REPORT says, in milliseconds and megabytes.
type metrics struct {
	DurationMS float64 `json:"durationMs"`
	BilledMS   float64 `json:"billedDurationMs"`
	MemoryMB   float64 `json:"maxMemoryUsedMB"`
	InitMS     float64 `json:"initDurationMs"`
	RestoreMS  float64 `json:"restoreDurationMs"`
}

const (
	statusSuccess = "success"
	statusTimeout = "timeout"
)

// parsePlatform reads a line of the platform in text or JSON. ok is false for any other line.
//
// Sources: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html and
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html.
func parsePlatform(text string) (l platformLine, ok bool) {
	if text == "" {
		return l, false
	}
	switch text[0] {
	case 'S':
		l.kind = lineStart
		return l, l.takeID(text, "START RequestId: ")
	case 'E':
		l.kind = lineEnd
		return l, l.takeID(text, "END RequestId: ")
	case 'R':
		if l.takeID(text, "REPORT RequestId: ") {
			l.report(text)
			return l, true
		}
		return l, l.exit(text)
	case '{':
		return parsePlatformJSON(text)
	}
	return parseTimeout(text)
}

// takeID reads the word after prefix. It is false when text does not start with prefix or there is none.
func (l *platformLine) takeID(text, prefix string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return false
	}
	if end := strings.IndexAny(rest, " \t\r\n"); end >= 0 {
		rest = rest[:end]
	}
	l.requestID = rest
	return rest != ""
}

// report reads the fields of a REPORT line, which are parted by tabs; tracing stands on a line of its own.
func (l *platformLine) report(text string) {
	l.kind = lineReport
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }) {
		name, value, _ := strings.Cut(field, ": ")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "Duration":
			l.metrics.DurationMS = quantity(value)
		case "Billed Duration":
			l.metrics.BilledMS = quantity(value)
		case "Max Memory Used":
			l.metrics.MemoryMB = quantity(value)
		case "Init Duration":
			l.metrics.InitMS = quantity(value)
		case "Restore Duration":
			l.metrics.RestoreMS = quantity(value)
		case "Status":
			l.status = value
		case "Error Type":
			l.err.Type = value
		case "XRAY TraceId":
			l.traceID = "Root=" + value
		}
	}
}

// quantity reads the number in "12.5 ms". What is not one is zero.
func quantity(text string) float64 {
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n < 1e12) {
		return 0
	}
	return n
}

// exit reads what the platform says when a function's process is gone:
// "RequestId: ID Error: Runtime exited with error: exit status 1", with the type of the error on the next line.
func (l *platformLine) exit(text string) bool {
	if !l.takeID(text, "RequestId: ") {
		return false
	}
	l.kind = lineFailure
	rest := strings.TrimSpace(text[len("RequestId: ")+len(l.requestID):])
	message, more, _ := strings.Cut(rest, "\n")
	reason, isError := strings.CutPrefix(message, "Error: ")
	if !isError && !strings.HasPrefix(message, "Process exited before completing request") {
		return false
	}
	l.err.Type = strings.TrimSpace(more)
	l.err.Message = strings.TrimSpace("RequestId: " + l.requestID + " Error: " + reason)
	if l.err.Type == "" {
		l.err.Type = "Runtime.ExitError"
	}
	return true
}

// parseTimeout reads "2024-05-06T07:08:09.123Z ID Task timed out after 3.00 seconds".
func parseTimeout(text string) (l platformLine, ok bool) {
	const saying = " Task timed out after "
	if text[0] < '0' || text[0] > '9' {
		return l, false
	}
	head := text[:min(len(text), 160)]
	at := strings.Index(head, saying)
	if at < 0 {
		return l, false
	}
	stamp, id, ok := strings.Cut(head[:at], " ")
	if !ok || len(stamp) < len("2006-01-02") || id == "" || strings.ContainsAny(id, " \t") {
		return l, false
	}
	seconds := quantity(head[at+len(saying):])
	l = platformLine{kind: lineFailure, requestID: id, status: statusTimeout, timeoutMS: int64(seconds*1000 + 0.5)}
	l.err = failure{Type: timedOut, Message: strings.TrimSpace(head[len(stamp)+1:])}
	return l, true
}

// timedOut is the type that Lambda gives to the error of a function that ran out of time.
const timedOut = "Sandbox.Timedout"

// jsonLine is a line of the platform in JSON.
type jsonLine struct {
	Type   string `json:"type"`
	Record struct {
		RequestID   string  `json:"requestId"`
		FunctionARN string  `json:"functionArn"`
		Status      string  `json:"status"`
		ErrorType   string  `json:"errorType"`
		Metrics     metrics `json:"metrics"`
		Tracing     struct {
			Value string `json:"value"`
		} `json:"tracing"`
	} `json:"record"`
}

func parsePlatformJSON(text string) (l platformLine, ok bool) {
	if !strings.Contains(text[:min(len(text), 200)], `"platform.`) {
		return l, false
	}
	var doc jsonLine
	if json.Unmarshal([]byte(text), &doc) != nil || doc.Record.RequestID == "" {
		return l, false
	}
	switch doc.Type {
	case "platform.start":
		l.kind = lineStart
	case "platform.runtimeDone":
		l.kind = lineEnd
		doc.Record.Metrics = metrics{} // the report has all of them
	case "platform.report":
		l.kind = lineReport
	default:
		return l, false
	}
	r := doc.Record
	l.requestID, l.functionARN, l.traceID = r.RequestID, r.FunctionARN, r.Tracing.Value
	l.status, l.err.Type, l.metrics = r.Status, r.ErrorType, r.Metrics
	return l, true
}

// isRequestID reports whether s is a UUID in lower case, as the request IDs of Lambda are.
func isRequestID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case ('0' > c || c > '9') && ('a' > c || c > 'f'):
			return false
		}
	}
	return true
}

// namedIDs returns what may be the request ID that a line of a function names: UUIDs in the words before any JSON, as
// runtimes and loggers put them, and the usual fields of a JSON log.
func namedIDs(text []byte) []string {
	var ids []string
	head := text[:min(len(text), 256)]
	for i, c := range head {
		if c == '{' {
			break
		}
		if c == '-' && i >= 8 && i+28 <= len(head) {
			if id := string(head[i-8 : i+28]); isRequestID(id) {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) > 0 || len(text) == 0 || text[0] != '{' {
		return ids
	}
	var doc struct { // names are matched whatever their case
		RequestID    string `json:"requestId"`
		AWSRequestID string `json:"awsRequestId"`
		Function     string `json:"function_request_id"` // Powertools
		AWSSnake     string `json:"aws_request_id"`
		Snake        string `json:"request_id"`
	}
	// A field of another type is not a request ID, and the others are read all the same.
	_ = json.Unmarshal(text, &doc)
	for _, id := range []string{doc.AWSRequestID, doc.Function, doc.AWSSnake, doc.RequestID, doc.Snake} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
