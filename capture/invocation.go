package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tandem/capture/jsonval"
)

// An Invocation is one recorded event, with its context and what is known of its outcome. The zero value of every
// field but ID, Function and Event is usable and means "not known".
type Invocation struct {
	// ID names the invocation in recordings, runs and reports. Ids that tandem makes are ULIDs, so that they sort
	// by time; ids from elsewhere are any text without white space.
	ID       string
	Function string
	Trigger  Trigger
	Format   Format
	// Source says where the invocation was captured: "runtime-api", "http", "import:events/a.json".
	Source string
	Time   time.Time
	// Event is the JSON that the function got, byte for byte.
	Event   json.RawMessage
	Context Context
	Outcome *Outcome
	// Objects are the pinned S3 objects that the event names or that the function read.
	Objects []Object

	// Parsed is Event, once Parse was called; nil before. It is not changed.
	Parsed *jsonval.Value
}

// Parse sets Parsed, so that Value need not parse Event each time. It must not be called concurrently with anything
// else.
func (inv *Invocation) Parse() {
	if v, err := jsonval.Parse(inv.Event); err == nil {
		inv.Parsed = &v
	}
}

// Value returns Event as it was parsed, which the caller does not change, or parses it.
func (inv *Invocation) Value() (jsonval.Value, error) {
	if inv.Parsed != nil {
		return *inv.Parsed, nil
	}
	return jsonval.Parse(inv.Event)
}

// Shape returns the [Shape] of the event.
func (inv *Invocation) Shape() string {
	v, err := inv.Value()
	return shapeOf(v, err)
}

// A Context is what the platform told the function about an invocation beside the event.
type Context struct {
	RequestID       string          `json:"requestId,omitempty"`
	FunctionARN     string          `json:"functionArn,omitempty"`
	TraceID         string          `json:"traceId,omitempty"`
	ClientContext   json.RawMessage `json:"clientContext,omitempty"`
	CognitoIdentity json.RawMessage `json:"cognitoIdentity,omitempty"`
	// TimeoutMS is the time that the function was given, in milliseconds.
	TimeoutMS int64 `json:"timeoutMs,omitempty"`
	// ColdStart is true for the first invocation of an environment.
	ColdStart bool `json:"coldStart,omitempty"`
}

// An Object is one S3 object whose bytes the recording keeps, under objects/sha256.
type Object struct {
	Bucket      string `json:"bucket"`
	Key         string `json:"key"` // as stored, not as events encode it
	VersionID   string `json:"versionId,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"` // of the bytes, in lower-case hex
}

// invocationLine is the JSON form of an Invocation. Event is spliced in by AppendJSON, because encoding/json would
// compact it, and an event is kept as it came.
type invocationLine struct {
	ID       string    `json:"id"`
	Function string    `json:"function"`
	Trigger  Trigger   `json:"trigger"`
	Format   Format    `json:"format"`
	Source   string    `json:"source,omitempty"`
	Time     time.Time `json:"time"`

	Event json.RawMessage `json:"event,omitempty"`
	// EventBase64 is there only when the event's own bytes cannot stand in a line, for they have line ends or begin or
	// end with white space: it then has the exact bytes, and Event the same JSON without white space.
	EventBase64 []byte `json:"eventBase64,omitempty"`

	Context Context  `json:"context"`
	Outcome *Outcome `json:"outcome,omitempty"`
	Objects []Object `json:"objects,omitempty"`
}

// AppendJSON appends the one-line JSON form of inv to dst, without a newline. Event must hold valid JSON.
func (inv *Invocation) AppendJSON(dst []byte) ([]byte, error) {
	if !jsonval.Valid(inv.Event) {
		return dst, fmt.Errorf("invocation %s: event is not JSON", inv.ID)
	}
	line := invocationLine{
		ID: inv.ID, Function: inv.Function, Trigger: inv.Trigger, Format: inv.Format, Source: inv.Source,
		Time: inv.Time, Context: inv.Context, Outcome: inv.Outcome, Objects: inv.Objects,
	}
	event := []byte(inv.Event)
	if bytes.ContainsAny(event, "\n\r") || len(bytes.TrimSpace(event)) != len(event) {
		line.EventBase64 = event
		var compact bytes.Buffer
		if err := json.Compact(&compact, event); err != nil {
			return dst, fmt.Errorf("invocation %s: event: %w", inv.ID, err)
		}
		event = compact.Bytes()
	}
	rest, err := json.Marshal(&line)
	if err != nil {
		return dst, fmt.Errorf("invocation %s: %w", inv.ID, err)
	}
	dst = append(dst, rest[:len(rest)-1]...)
	dst = append(dst, `,"event":`...)
	dst = append(dst, event...)
	return append(dst, '}'), nil
}

// ParseInvocation reads one line of a recording. The result does not alias line. It fails when the line is not JSON,
// or has no id, function or event; a trigger or format that is left out is found from the event.
func ParseInvocation(line []byte) (*Invocation, error) {
	inv, err := parseInvocation(line)
	if err != nil {
		return nil, err
	}
	inv.Event = bytes.Clone(inv.Event)
	return inv, nil
}

// parseInvocation is ParseInvocation, with an event that may be in line's memory.
func parseInvocation(line []byte) (*Invocation, error) {
	l, ok := parseLine(line)
	if !ok {
		var err error
		if l, err = unmarshalLine(line); err != nil {
			return nil, err
		}
	}
	if l.EventBase64 != nil {
		if !jsonval.Valid(l.EventBase64) {
			return nil, errors.New("eventBase64 does not hold JSON")
		}
		l.Event = l.EventBase64
	}
	switch {
	case l.ID == "":
		return nil, errors.New(`no "id"`)
	case l.Function == "":
		return nil, errors.New(`no "function"`)
	case len(l.Event) == 0:
		return nil, errors.New(`no "event"`)
	}
	if l.Trigger == "" || l.Format == "" {
		l.Trigger, l.Format = Detect(l.Event)
	}
	return &Invocation{
		ID: l.ID, Function: l.Function, Trigger: l.Trigger, Format: l.Format, Source: l.Source, Time: l.Time,
		Event: l.Event, Context: l.Context, Outcome: l.Outcome, Objects: l.Objects,
	}, nil
}

func unmarshalLine(line []byte) (l invocationLine, err error) {
	err = json.Unmarshal(line, &l)
	return l, err
}
