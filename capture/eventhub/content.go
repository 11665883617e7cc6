package eventhub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/logchunk"
)

// A Kind is a kind of content that a hub can have.
type Kind string

const (
	KindAuto Kind = "auto" // whatever there is

	KindLog         Kind = "log"          // diagnostic records of the category FunctionAppLogs
	KindGateway     Kind = "gateway"      // diagnostic records of API Management's category GatewayLogs
	KindEventGrid   Kind = "eventgrid"    // blob events of Event Grid, in its own schema or as CloudEvents
	KindHandler     Kind = "handler"      // payloads of the custom handler protocol
	KindHTTP        Kind = "http"         // requests in JSON, as a log-to-eventhub policy sends them
	KindHTTPMessage Kind = "http-message" // requests and responses as HTTP has them, each an event of its own
	KindQueue       Kind = "queue"        // messages of a Storage Queue, forwarded as JSON
	KindLambda      Kind = "lambda"       // events as Lambda functions get them
	KindTandem      Kind = "tandem"       // lines of a recording, or of tandem-recorder in a log
)

// Kinds are all but [KindAuto].
var Kinds = []Kind{
	KindLog, KindGateway, KindEventGrid, KindHandler, KindHTTP, KindHTTPMessage, KindQueue, KindLambda, KindTandem,
}

// An event is one event of the hub.
type event struct {
	partition   string
	sequence    int64
	at          time.Time // when it was enqueued
	body        []byte
	contentType string
	messageID   string
}

// place names e in messages and identities.
func (e *event) place() string { return fmt.Sprintf("%s/%d", e.partition, e.sequence) }

// A finding is what one document of an event says: an invocation, a part of one, or nothing that is used.
type finding struct {
	kind  Kind
	whole *capture.Invocation
	part  *part
	pin   *pin // what of the whole is to be found, nil for nothing
	// left says why nothing is made of it. It is "" where there is something, and for log lines that are about no
	// invocation or add nothing.
	left Reason
	err  error // more about left
}

// A Reason is why nothing is made of a document.
type Reason string

const (
	leftUnknown    Reason = "unknown content"
	leftKind       Reason = "another kind than asked for"
	leftCategory   Reason = "another category of log"
	leftType       Reason = "another type of Event Grid event"
	leftRoute      Reason = "a path that the API has no route for"
	leftNoFunction Reason = "no name of a function" // lost
	leftCut        Reason = "cut off"               // lost: the body is shorter than it was
	leftUnfit      Reason = "no Lambda event can be made of it"
)

// Lost tells whether an invocation was seen that should have been recorded.
func (l Reason) Lost() bool { return l == leftNoFunction || l == leftCut || l == leftUnfit }

// A part is what one document says of an invocation that several tell of.
type part struct {
	key      string // what the parts of one invocation have in common
	function string // "" where this part does not say
	at       time.Time
	size     int

	host     *hostLine
	line     *logLine
	request  *exchange
	response *exchange
	chunk    string // a line of tandem-recorder
}

// A reader finds out what events say. It has no state but what it was made with.
type reader struct {
	opts *Options
	make *maker
}

// read returns what an event says. There is at least one finding.
func (r *reader) read(e *event) []finding {
	if p, ok := parseHTTPMessage(e); ok {
		return []finding{r.wanted(finding{kind: KindHTTPMessage, part: p})}
	}
	if body := bytes.TrimSpace(e.body); len(body) > 0 && body[0] != '{' && body[0] != '[' && isChunk(body) {
		return []finding{r.wanted(chunkFinding(string(e.body), e.at))}
	}
	docs, err := documents(e.body)
	var found []finding
	for i, doc := range docs {
		found = append(found, r.document(e, i, doc)...)
	}
	if err != nil || len(found) == 0 {
		found = append(found, finding{left: leftUnknown, err: err})
	}
	return found
}

// wanted leaves out what is not of the kind that was asked for.
func (r *reader) wanted(f finding) finding {
	if r.opts.Kind != KindAuto && f.kind != r.opts.Kind && f.kind != "" {
		return finding{kind: f.kind, left: leftKind}
	}
	return f
}

// members are those by which documents are told apart.
type members struct {
	Records     []json.RawMessage `json:"records"`
	EventType   string            `json:"eventType"`
	SpecVersion string            `json:"specversion"`
	Type        string            `json:"type"`
	Data        json.RawMessage   `json:"Data"`
	Metadata    json.RawMessage   `json:"Metadata"`
	Category    string            `json:"category"`
	Properties  json.RawMessage   `json:"properties"`
	Method      string            `json:"method"`
	URL         string            `json:"url"`
	Event       json.RawMessage   `json:"event"`
	Trigger     string            `json:"trigger"`
	Queue       string            `json:"queue"`
	MessageID   looseText         `json:"messageId"`
}

// document tells what one JSON document says. N is its number in the event.
func (r *reader) document(e *event, n int, doc []byte) []finding {
	var m members
	if doc[0] != '{' || json.Unmarshal(doc, &m) != nil {
		return []finding{{left: leftUnknown, err: hint("not a known kind of JSON")}}
	}
	id := fmt.Sprintf("%s/%d", e.place(), n)
	switch {
	case m.Records != nil && !isLambdaBatch(m.Records):
		var found []finding
		for i, doc := range m.Records {
			found = append(found, r.wanted(r.record(e, fmt.Sprintf("%s/%d", id, i), doc)))
		}
		return found
	case m.Category != "" && m.Properties != nil:
		return []finding{r.wanted(r.record(e, id, doc))}
	case m.EventType != "" || m.SpecVersion != "":
		return []finding{r.wanted(r.eventGrid(e, doc))}
	case m.Event != nil && m.Trigger != "":
		return []finding{r.wanted(r.line(doc))}
	case m.Data != nil && m.Metadata != nil:
		return []finding{r.wanted(r.payload(e, id, doc))}
	case m.Method != "" && m.URL != "":
		return []finding{r.wanted(r.request(e, id, doc))}
	case m.Queue != "" && m.MessageID != "":
		return []finding{r.wanted(r.queueMessage(e, doc))}
	case shapeOf(doc) == shapeLambda:
		return []finding{r.wanted(whole(KindLambda)(r.make.verbatim(identity(e.at, id), r.opts.Function, e.at, doc)))}
	}
	return []finding{{left: leftUnknown, err: hint("not a known kind of JSON")}}
}

// isLambdaBatch tells the records of a Lambda event from those of a log: names are matched without case.
func isLambdaBatch(records []json.RawMessage) bool {
	if len(records) == 0 {
		return false
	}
	var first struct{ EventSource, Category string }
	err := json.Unmarshal(records[0], &first)
	return err == nil && first.EventSource != "" && first.Category == ""
}

// record tells what an entry of a diagnostic log says.
func (r *reader) record(e *event, id string, doc []byte) finding {
	var rec record
	if err := json.Unmarshal(doc, &rec); err != nil || rec.Category == "" {
		return finding{left: leftUnknown, err: hint("not a record of a log")}
	}
	switch rec.Category {
	case categoryApp:
		l, err := parseAppLog(&rec)
		if err != nil {
			return finding{left: leftUnknown, err: fmt.Errorf("a record of %s: %w", rec.Category, err)}
		}
		return r.logLine(&l)
	case categoryGateway:
		return r.gateway(id, &rec)
	}
	return finding{left: leftCategory, err: hint(rec.Category)}
}

// logLine tells what a line of a function's log says.
func (r *reader) logLine(l *logLine) finding {
	if isChunk([]byte(l.Message)) {
		return chunkFinding(string(l.Message), l.at)
	}
	h, isHost := parseHostLine(string(l.Message))
	id := strings.ToLower(string(l.InvocationID))
	if h.invocationID != "" {
		id = h.invocationID
	}
	f := finding{kind: KindLog}
	if id == "" {
		return f
	}
	p := &part{key: "log:" + id, function: r.opts.name(string(l.FunctionName), h.function), at: l.at}
	switch {
	case isHost:
		p.host = &h
	case l.failure() != nil || r.mayHaveEvent(string(l.Message)):
		p.line, p.size = l, len(l.Message)+len(l.unescaped)
	default:
		return f
	}
	f.part = p
	return f
}

func isChunk(text []byte) bool { return bytes.Contains(text, []byte(logchunk.Prefix+"{")) }

func chunkFinding(text string, at time.Time) finding {
	_, doc, _ := strings.Cut(text, logchunk.Prefix)
	var c struct{ ID string }
	if json.Unmarshal([]byte(strings.TrimSpace(doc)), &c) != nil || c.ID == "" {
		return finding{kind: KindTandem, left: leftCut, err: hint("a line of tandem-recorder that is cut off")}
	}
	return finding{kind: KindTandem, part: &part{key: "chunk:" + c.ID, at: at, size: len(text), chunk: text}}
}

// line takes a line of a recording.
func (r *reader) line(doc []byte) finding {
	inv, err := capture.ParseInvocation(doc)
	if err != nil {
		return finding{left: leftUnknown, err: err}
	}
	return finding{kind: KindTandem, whole: inv}
}

// payload takes a payload of the custom handler protocol.
func (r *reader) payload(e *event, id string, doc []byte) finding {
	req, err := customhandler.ParseRequest(doc)
	if err != nil {
		return finding{left: leftUnknown, err: err}
	}
	return whole(KindHandler)(r.make.payload(id, "", e.at, req, doc))
}

// whole returns what makes a finding of an invocation that could be made, or could not.
func whole(kind Kind) func(*capture.Invocation, error) finding {
	return func(inv *capture.Invocation, err error) finding {
		f := finding{kind: kind, whole: inv, err: err}
		if err != nil {
			f.left = reasonOf(err)
		}
		return f
	}
}
