package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tandem/capture"
)

// RecordedOutcome is the name of the outcome that was recorded with the invocation, where there is one. It is no target's.
const RecordedOutcome = "recording"

// A Trial is one invocation with the outcome of every target. It is what replay writes and compare reads.
type Trial struct {
	// N is the invocation's position in the recording, from 0; -1 when it is not known, as in trials from elsewhere.
	N          int64
	Invocation string // its ID
	Repeat     int    // how often the run replayed it before
	Function   string
	Trigger    capture.Trigger
	Format     capture.Format
	Shape      string
	Lane       string    // the first of the invocation's lanes; "" when its order does not matter
	Time       time.Time // when the targets were fired at
	Due        time.Time // when they were to be fired at; zero when no time was set
	// Outcomes has the outcome by the target's name. Repeated firings are beside them as "lambda#2", and what was
	// recorded as [RecordedOutcome].
	Outcomes map[string]*capture.Outcome
}

// trialLine is the JSON form of a Trial.
type trialLine struct {
	N          *int64                      `json:"n,omitempty"`
	Invocation string                      `json:"invocation"`
	Repeat     int                         `json:"repeat,omitempty"`
	Function   string                      `json:"function"`
	Trigger    capture.Trigger             `json:"trigger,omitempty"`
	Format     capture.Format              `json:"format,omitempty"`
	Shape      string                      `json:"shape,omitempty"`
	Lane       string                      `json:"lane"`
	Time       time.Time                   `json:"time,omitzero"`
	Due        time.Time                   `json:"due,omitzero"`
	Outcomes   map[string]*capture.Outcome `json:"outcomes"`
}

// AppendJSON appends the one-line JSON form of t to dst, without a newline.
func (t *Trial) AppendJSON(dst []byte) ([]byte, error) {
	line := trialLine{
		Invocation: t.Invocation, Repeat: t.Repeat, Function: t.Function, Trigger: t.Trigger, Format: t.Format,
		Shape: t.Shape, Lane: t.Lane, Time: t.Time, Due: t.Due,
	}
	if t.N >= 0 {
		line.N = &t.N
	}
	doc, err := json.Marshal(&line)
	if err != nil {
		return dst, fmt.Errorf("trial of invocation %s: %w", t.Invocation, err)
	}
	const none = "null}" // of outcomes, which are the last member
	dst = append(append(dst, doc[:len(doc)-len(none)]...), '{')
	for i, name := range slices.Sorted(maps.Keys(t.Outcomes)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		quoted, err := json.Marshal(name)
		if err == nil {
			dst, err = t.Outcomes[name].AppendJSON(append(append(dst, quoted...), ':'))
		}
		if err != nil {
			return dst, fmt.Errorf("trial of invocation %s: %w", t.Invocation, err)
		}
	}
	return append(dst, '}', '}'), nil
}

// ParseTrial reads one line of a run. It fails when the line is not JSON, has no invocation or function, or has no
// outcome with a status. The result does not alias line.
func ParseTrial(line []byte) (*Trial, error) {
	var l trialLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, err
	}
	switch {
	case l.Invocation == "":
		return nil, errors.New(`no "invocation"`)
	case l.Function == "":
		return nil, errors.New(`no "function"`)
	case len(l.Outcomes) == 0:
		return nil, errors.New(`no "outcomes"`)
	case l.N != nil && *l.N < 0:
		return nil, fmt.Errorf(`"n" is %d`, *l.N)
	case l.Repeat < 0:
		return nil, fmt.Errorf(`"repeat" is %d`, l.Repeat)
	}
	for name, out := range l.Outcomes {
		if out == nil || out.Status == "" {
			return nil, fmt.Errorf(`outcome %q has no "status"`, name)
		}
	}
	t := &Trial{
		N: -1, Invocation: l.Invocation, Repeat: l.Repeat, Function: l.Function, Trigger: l.Trigger, Format: l.Format,
		Shape: l.Shape, Lane: l.Lane, Time: l.Time, Due: l.Due, Outcomes: l.Outcomes,
	}
	if l.N != nil {
		t.N = *l.N
	}
	return t, nil
}
