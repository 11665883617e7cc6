package lambda

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// A report is what the platform writes to the log at the end of an invocation. What a line does not have is zero.
type report struct {
	requestID  string
	durationMS float64
	billedMS   float64
	initMS     float64
	memoryMB   float64 // the most used
	timedOut   bool
}

// parseReport finds the last report in a log tail, in the text or the JSON form. ok is false when there is none, as
// when a function logged more than the tail holds after it.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html and
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report.
func parseReport(tail []byte) (r report, ok bool) {
	for line := range bytes.Lines(tail) {
		line = bytes.TrimSpace(line)
		if found, isReport := parseTextReport(string(line)); isReport {
			r, ok = found, true
		} else if found, isReport := parseJSONReport(line); isReport {
			r, ok = found, true
		}
	}
	return r, ok
}

// parseTextReport reads "REPORT RequestId: {id}\tDuration: 1.23 ms\tBilled Duration: 2 ms\t…".
func parseTextReport(line string) (report, bool) {
	rest, ok := strings.CutPrefix(line, "REPORT RequestId: ")
	if !ok {
		return report{}, false
	}
	fields := strings.Split(rest, "\t")
	r := report{requestID: strings.TrimSpace(fields[0])}
	for _, field := range fields[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(field), ": ")
		switch name {
		case "Duration":
			r.durationMS = quantity(value, " ms")
		case "Billed Duration":
			r.billedMS = quantity(value, " ms")
		case "Init Duration":
			r.initMS = quantity(value, " ms")
		case "Max Memory Used":
			r.memoryMB = quantity(value, " MB")
		case "Status":
			r.timedOut = value == "timeout"
		}
	}
	return r, true
}

// quantity reads a number that is not negative and its unit; anything else is 0.
func quantity(text, unit string) float64 {
	number, ok := strings.CutSuffix(text, unit)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0 && v <= 1e12) {
		return 0
	}
	return v
}

// parseJSONReport reads {"type":"platform.report","record":{"requestId","metrics":{…},"status"}}.
func parseJSONReport(line []byte) (report, bool) {
	if len(line) == 0 || line[0] != '{' || !bytes.Contains(line, []byte("platform.report")) {
		return report{}, false
	}
	var doc struct {
		Type   string `json:"type"`
		Record struct {
			RequestID string `json:"requestId"`
			Status    string `json:"status"`
			Metrics   struct {
				DurationMS       float64 `json:"durationMs"`
				BilledDurationMS float64 `json:"billedDurationMs"`
				InitDurationMS   float64 `json:"initDurationMs"`
				MaxMemoryUsedMB  float64 `json:"maxMemoryUsedMB"`
			} `json:"metrics"`
		} `json:"record"`
	}
	if json.Unmarshal(line, &doc) != nil || doc.Type != "platform.report" {
		return report{}, false
	}
	m := doc.Record.Metrics
	return report{
		requestID: doc.Record.RequestID, durationMS: m.DurationMS, billedMS: m.BilledDurationMS,
		initMS: m.InitDurationMS, memoryMB: m.MaxMemoryUsedMB, timedOut: doc.Record.Status == "timeout",
	}, true
}
