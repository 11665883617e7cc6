package eventhub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
)

// A record is one entry of a diagnostic log stream. Member names are matched whatever their case. Source:
// https://learn.microsoft.com/azure/azure-monitor/essentials/resource-logs-schema.
type record struct {
	Time          string          `json:"time"`
	ResourceID    string          `json:"resourceId"`
	Category      string          `json:"category"`
	OperationName string          `json:"operationName"`
	CorrelationID string          `json:"correlationId"`
	Properties    json.RawMessage `json:"properties"`
}

// The categories of records that say something of invocations.
const (
	categoryApp     = "FunctionAppLogs"
	categoryGateway = "GatewayLogs"
)

// at is the record's time, the zero time where it has none.
func (r *record) at() time.Time { return parseTime(r.Time) }

// parseTime reads the ways in which Azure's logs write times. One without a zone is UTC.
func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "1/2/2006 3:04:05 PM",
		"01/02/2006 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// properties returns what r has under "properties", in whichever of its encodings: an object, a text that is JSON, or
// one that is pseudo-JSON.
func (r *record) properties() (pseudo, error) {
	doc := bytes.TrimSpace(r.Properties)
	var text string
	if json.Unmarshal(doc, &text) == nil {
		doc = bytes.TrimSpace([]byte(text))
	}
	if len(doc) == 0 || doc[0] != '{' {
		return pseudo{}, errors.New("properties are no object")
	}
	if json.Valid(doc) {
		return pseudo{doc: doc}, nil
	}
	return parsePseudo(doc)
}

// looseText is a text, or a number or a boolean that stands for one.
type looseText string

func (l *looseText) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*l = looseText(text)
		return nil
	}
	if string(data) != "null" {
		*l = looseText(data)
	}
	return nil
}

// appLog is what FunctionAppLogs say in their properties. Source:
// https://learn.microsoft.com/azure/azure-monitor/reference/tables/functionapplogs.
type appLog struct {
	App              looseText `json:"appName"`
	Message          looseText `json:"message"`
	Category         looseText `json:"category"`
	InvocationID     looseText `json:"functionInvocationId"`
	FunctionName     looseText `json:"functionName"`
	ExceptionType    looseText `json:"exceptionType"`
	ExceptionMessage looseText `json:"exceptionMessage"`
	ExceptionDetails looseText `json:"exceptionDetails"`
}

// A logLine is one line of a function's log.
type logLine struct {
	appLog
	at time.Time
	// unescaped is the message with its escapes undone, where it came in a form that may have them and nothing tells
	// whether it has.
	unescaped string
}

// parseAppLog reads a record of the category FunctionAppLogs.
func parseAppLog(r *record) (logLine, error) {
	p, err := r.properties()
	if err != nil {
		return logLine{}, err
	}
	l := logLine{at: r.at()}
	if err := json.Unmarshal(p.doc, &l.appLog); err != nil {
		return logLine{}, err
	}
	if p.escaped == nil || p.bare {
		return l, nil
	}
	var undone appLog
	if err := json.Unmarshal(p.escaped, &undone); err != nil {
		return logLine{}, err
	}
	if strings.Contains(string(p.doc), `\\'`) { // an apostrophe with a backslash: this writer does escape
		l.appLog = undone
	} else {
		l.unescaped = string(undone.Message)
	}
	return l, nil
}

// A hostLine is what the Functions host itself says of an invocation.
type hostLine struct {
	function     string
	invocationID string
	ends         bool
	failed       bool
	durationMS   float64
	queue        string   // that the message was in
	blob         string   // container/name, of a blob that called it
	trigger      *trigger // what called it
}

// A trigger is what the host says of the message that fired a function.
type trigger struct {
	messageID    string
	dequeueCount int
	inserted     time.Time
	serviceBus   bool
	sequence     int64  // of Service Bus
	session      string // of Service Bus
	blob         bool   // the message is one of the host's own about a blob
}

var (
	executing = regexp.MustCompile(
		`(?s)^Executing '(?:Functions\.)?([^']+)' \((?:Reason='(.*?)', )?Id=([0-9a-fA-F-]{36})\)`)
	detected = regexp.MustCompile(`message detected (?:on|from) '([^']+)'`)
	uploaded = regexp.MustCompile(`(?s)^New blob detected(?:\([A-Za-z]+\))?: (.+)$`)
	executed = regexp.MustCompile(
		`^Executed '(?:Functions\.)?([^']+)' \((Succeeded|Failed), Id=([0-9a-fA-F-]{36}), Duration=([0-9.,]+)ms\)`)
	details = regexp.MustCompile(`(?s)^Trigger Details: (.*)`)
	afterID = regexp.MustCompile(`, (?:SequenceNumber|DequeueCount|DeliveryCount): `)
)

// parseHostLine reads the messages that the host writes about invocations; ok is false for all others. Source:
// https://github.com/Azure/azure-webjobs-sdk, FunctionExecutor and the queue extensions' TriggerDetails.
func parseHostLine(message string) (h hostLine, ok bool) {
	if m := executing.FindStringSubmatch(message); m != nil {
		h = hostLine{function: m[1], invocationID: strings.ToLower(m[3])}
		if q := detected.FindStringSubmatch(m[2]); q != nil {
			h.queue = q[1]
		}
		if b := uploaded.FindStringSubmatch(m[2]); b != nil {
			h.blob = b[1]
		}
		return h, true
	}
	if m := executed.FindStringSubmatch(message); m != nil {
		ms, err := strconv.ParseFloat(strings.ReplaceAll(m[4], ",", ""), 64)
		if err != nil || !(ms < 1e12) {
			ms = 0
		}
		return hostLine{
			function: m[1], invocationID: strings.ToLower(m[3]), ends: true, failed: m[2] == "Failed", durationMS: ms,
		}, true
	}
	if m := details.FindStringSubmatch(message); m != nil {
		return hostLine{trigger: parseDetails(m[1])}, true
	}
	return h, false
}

// parseDetails reads "MessageId: {id}, DequeueCount: {n}, InsertedOn: {time}", and what Service Bus has in their
// place.
func parseDetails(text string) *trigger {
	t := new(trigger)
	// Whoever sends to Service Bus chooses the ID, which may have anything in it.
	if id, ok := strings.CutPrefix(text, "MessageId: "); ok {
		if end := afterID.FindStringIndex(id); end != nil {
			t.messageID, text = id[:end[0]], id[end[0]+len(", "):]
		}
	}
	for _, field := range strings.Split(text, ", ") {
		name, value, _ := strings.Cut(field, ": ")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "MessageId":
			t.messageID = value
		case "DequeueCount", "DeliveryCount":
			t.dequeueCount, _ = strconv.Atoi(value)
			t.serviceBus = t.serviceBus || name == "DeliveryCount"
		case "InsertedOn", "InsertionTime", "EnqueuedTimeUtc", "EnqueuedTime":
			t.inserted = parseTime(value)
			t.serviceBus = t.serviceBus || strings.HasPrefix(name, "Enqueued")
		case "SequenceNumber":
			t.sequence, _ = strconv.ParseInt(value, 10, 64)
			t.serviceBus = true
		case "SessionId":
			if value != "(null)" && value != "" {
				t.session = value
			}
		case "BlobCreated", "BlobLastModified":
			t.blob = true
		}
	}
	return t
}

// failure is the error of a line that reports one, nil for others.
func (l *logLine) failure() *capture.Error {
	if l.ExceptionType == "" && l.ExceptionMessage == "" {
		return nil
	}
	return &capture.Error{Type: string(l.ExceptionType), Message: string(l.ExceptionMessage)}
}

// documents gives the JSON documents in an event's body: one, several behind each other or in lines, and the elements
// of lists. It returns what was read before an error.
func documents(body []byte) (docs []json.RawMessage, err error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		var doc json.RawMessage
		if err := decoder.Decode(&doc); err == io.EOF {
			return docs, nil
		} else if err != nil {
			return docs, fmt.Errorf("not JSON: %w", err)
		}
		if doc[0] != '[' {
			docs = append(docs, doc)
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(doc, &list); err != nil {
			return docs, err
		}
		docs = append(docs, list...)
	}
}
