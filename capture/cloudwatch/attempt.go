package cloudwatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
)

// An attempt is one run of a function for an invocation, as far as it was read. An asynchronous invocation that fails
// is tried again under the same request ID.
type attempt struct {
	requestID string
	stream    string // "" while not known
	key       string // of the log event that was its first
	first     int64  // the time of START or, without one, of the first line
	last      int64  // of its last line
	started   bool   // START was read
	reported  bool   // REPORT was read
	done      bool   // it was counted, and recorded if it had an event; kept so that later lines find their place

	event     []byte
	recorded  *capture.Invocation // by tandem-recorder, nil if it did not
	broken    bool                // an event was begun that could not be read
	ambiguous bool                // several different events or answers were logged
	http      answer
	batch     answer
	given     answer // by the user's pattern
	size      int    // of event and answers

	failure     failure
	failed      bool   // a runtime or the platform said that the function failed
	status      string // what the platform said
	functionARN string
	traceID     string
	timeoutMS   int64
	metrics     metrics
}

// An answer is what was found of one kind.
type answer struct {
	doc   []byte
	other bool // a different one was found too
}

// add keeps the last answer that was found.
func (a *answer) add(doc []byte) {
	a.other = a.other || a.doc != nil && !bytes.Equal(a.doc, doc)
	a.doc = doc
}

// take adds what a line of the platform says.
func (a *attempt) take(l platformLine) {
	switch l.kind {
	case lineReport:
		a.reported = true
		a.metrics = l.metrics
	case lineFailure:
		a.failed = true
	}
	if l.status != "" && a.status != statusTimeout {
		a.status = l.status
	}
	if l.err.Message != "" || l.err.Type != "" && a.failure.Type == "" {
		a.failure = l.err
	}
	if l.functionARN != "" {
		a.functionARN = l.functionARN
	}
	if l.traceID != "" {
		a.traceID = l.traceID
	}
	a.timeoutMS = max(a.timeoutMS, l.timeoutMS)
}

// invocation is what is recorded of an attempt that has an event.
func (a *attempt) invocation(f Function) *capture.Invocation {
	if a.recorded != nil {
		return a.fromRecorder(f)
	}
	trigger, format := capture.Detect(a.event)
	return &capture.Invocation{
		ID: a.id(f), Function: f.Name, Trigger: trigger, Format: format, Source: "cloudwatch:" + f.Group,
		Time: time.UnixMilli(a.first).UTC(), Event: a.event,
		Context: capture.Context{
			RequestID: a.requestID, FunctionARN: a.functionARN, TraceID: a.traceID, TimeoutMS: a.timeoutMS,
			ColdStart: a.metrics.InitMS > 0 || a.metrics.RestoreMS > 0,
		},
		Outcome: a.outcome(format),
	}
}

// id is a ULID that depends on nothing but what was logged.
func (a *attempt) id(f Function) string {
	var id ulid.ULID
	// A log event cannot be older than 1970; a time that no ID can hold is cut.
	_ = id.SetTime(uint64(max(a.first, 0)) % (ulid.MaxTime() + 1))
	sum := sha256.Sum256([]byte(f.Group + "\x00" + f.Name + "\x00" + a.requestID + "\x00" + a.stream + "\x00" + a.key))
	copy(id[6:], sum[:10])
	return id.String()
}

// answer returns what the function answered, nil if it is not known. Of several answers that were found by their
// shape none is taken: a function may log what others answered it.
func (a *attempt) answer(trigger capture.Trigger) (doc []byte, ambiguous bool) {
	found := a.given
	if found.doc != nil {
		return found.doc, false // the user said which
	}
	switch trigger {
	case capture.TriggerHTTP:
		found = a.http
	case capture.TriggerSQS:
		found = a.batch
	}
	if found.other {
		return nil, true
	}
	return found.doc, false
}

// outcome says what is known of how the attempt ended, nil for nothing. Success without an answer that would show
// what the function did is not enough to compare with: its status is unknown, unless the trigger takes no answer.
func (a *attempt) outcome(format capture.Format) *capture.Outcome {
	var o *capture.Outcome
	doc, _ := a.answer(format.Trigger())
	switch {
	case a.ranOut() || a.hasFailed():
		o = capture.LambdaOutcome(format, a.event, a.errorDocument(), "Unhandled")
	case doc != nil:
		o = capture.LambdaOutcome(format, a.event, doc, "")
	case a.status == statusSuccess && format.Trigger() == capture.TriggerS3:
		o = &capture.Outcome{Status: capture.StatusOK}
	case a.reported:
		o = &capture.Outcome{Status: capture.StatusUnknown}
	default:
		return nil
	}
	a.measure(o)
	return o
}

// measure adds what REPORT says.
func (a *attempt) measure(o *capture.Outcome) {
	if !a.reported {
		return
	}
	o.PlatformMS, o.BilledMS, o.MemoryMB = a.metrics.DurationMS, a.metrics.BilledMS, a.metrics.MemoryMB
	o.InitMS = max(a.metrics.InitMS, a.metrics.RestoreMS)
}

func (a *attempt) ranOut() bool { return a.status == statusTimeout }

// hasFailed goes by the platform's word where there is one.
func (a *attempt) hasFailed() bool {
	switch a.status {
	case "", statusTimeout:
		return a.failed
	default:
		return a.status != statusSuccess
	}
}

func (a *attempt) errorDocument() []byte {
	f := a.failure
	if a.ranOut() {
		f.Type = timedOut
	}
	doc, err := json.Marshal(f)
	if err != nil {
		panic(err) // two strings always marshal
	}
	return doc
}

// retire frees what is not needed once the attempt was recorded.
func (a *attempt) retire() {
	a.done, a.size = true, 0
	a.event, a.recorded, a.http, a.batch, a.given = nil, nil, answer{}, answer{}, answer{}
}
