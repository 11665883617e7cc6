package eventhub

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"tandem/capture"
)

// A HostLine is what one line of a Functions app's log says of an invocation. What it does not say is zero. Lines of one
// invocation come in any order, twice, or not at all.
type HostLine struct {
	Invocation string // the host's ID of it, in lower case
	Function   string
	Time       time.Time // when it was written
	// What called the function: the ID of a message of a Storage Queue or of Service Bus, or a blob as container/name.
	Message, Blob string
	Delivery      int // how often it was delivered, with this time; of blobs, how often the host has tried
	Ended, Failed bool
	DurationMS    float64
	Error         *capture.Error // of a line that reports one
}

// HostLines reads what the host of a Functions app has written in one event of a hub that a diagnostic setting sends
// FunctionAppLogs to. The functions' own lines are left out, whatever they look like. The error is of what cannot be
// read, beside which the rest counts.
func HostLines(body []byte) ([]HostLine, error) {
	docs, err := documents(body)
	errs := []error{err}
	var lines []HostLine
	for _, doc := range docs {
		var m struct {
			Records []json.RawMessage `json:"records"`
		}
		if err := json.Unmarshal(doc, &m); err != nil {
			errs = append(errs, hint("not a record of a log"))
			continue
		}
		if m.Records == nil {
			m.Records = []json.RawMessage{doc}
		}
		for _, doc := range m.Records {
			line, ok, err := hostLineOf(doc)
			errs = append(errs, err)
			if ok {
				lines = append(lines, line)
			}
		}
	}
	return lines, errors.Join(errs...)
}

// hostLineOf reads one record; ok is false for one that is about no invocation, or that the function has written.
func hostLineOf(doc []byte) (line HostLine, ok bool, err error) {
	var rec record
	if json.Unmarshal(doc, &rec) != nil || rec.Category == "" {
		return line, false, hint("not a record of a log")
	}
	if rec.Category != categoryApp {
		return line, false, nil
	}
	l, err := parseAppLog(&rec)
	if err != nil {
		return line, false, err
	}
	if strings.HasSuffix(strings.ToLower(string(l.Category)), ".user") {
		return line, false, nil
	}
	h, ok := parseHostLine(string(l.Message))
	line = HostLine{
		Invocation: strings.ToLower(string(l.InvocationID)), Function: h.function, Time: l.at, Blob: h.blob, Ended: h.ends,
		Failed: h.failed, DurationMS: h.durationMS, Error: l.failure(),
	}
	if h.invocationID != "" && line.Invocation != "" && h.invocationID != line.Invocation {
		return line, false, nil // a line that quotes another one
	}
	if line.Invocation == "" {
		line.Invocation = h.invocationID
	}
	if t := h.trigger; t != nil {
		line.Delivery = t.dequeueCount
		if !t.blob {
			line.Message = t.messageID
		}
	}
	return line, line.Invocation != "" && (ok || line.Error != nil), nil
}
