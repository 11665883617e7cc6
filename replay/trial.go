package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tandem/capture"
	"tandem/capture/jsonval"
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

// AppendJSON appends the one-line JSON form of t to dst, without a newline. It is what encoding/json makes of a
// trialLine.
func (t *Trial) AppendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, '{')
	if t.N >= 0 {
		dst = append(strconv.AppendInt(append(dst, `"n":`...), t.N, 10), ',')
	}
	dst = jsonval.AppendQuoted(append(dst, `"invocation":`...), t.Invocation)
	if t.Repeat != 0 {
		dst = strconv.AppendInt(append(dst, `,"repeat":`...), int64(t.Repeat), 10)
	}
	dst = jsonval.AppendQuoted(append(dst, `,"function":`...), t.Function)
	for _, m := range [...]struct{ name, text string }{
		{"trigger", string(t.Trigger)}, {"format", string(t.Format)}, {"shape", t.Shape},
	} {
		if m.text != "" {
			dst = jsonval.AppendQuoted(append(append(append(dst, `,"`...), m.name...), `":`...), m.text)
		}
	}
	dst = jsonval.AppendQuoted(append(dst, `,"lane":`...), t.Lane)
	dst, err := appendTime(dst, `,"time":"`, t.Time)
	if err == nil {
		dst, err = appendTime(dst, `,"due":"`, t.Due)
	}
	if err == nil {
		dst, err = appendOutcomes(append(dst, `,"outcomes":`...), t.Outcomes)
	}
	if err != nil {
		return dst, fmt.Errorf("trial of invocation %s: %w", t.Invocation, err)
	}
	return append(dst, '}'), nil
}

// appendTime appends a time behind the beginning of its member, unless it is zero.
func appendTime(dst []byte, member string, at time.Time) ([]byte, error) {
	if at.IsZero() {
		return dst, nil
	}
	dst, err := at.AppendText(append(dst, member...))
	return append(dst, '"'), err
}

func appendOutcomes(dst []byte, outcomes map[string]*capture.Outcome) ([]byte, error) {
	var space [8]string
	names := space[:0]
	for name := range outcomes {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		dst, err = outcomes[name].AppendJSON(append(jsonval.AppendQuoted(dst, name), ':'))
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// ParseTrial reads one line of a run. It fails when the line is not JSON, has no invocation or function, or has no
// outcome with a status. The result does not alias line.
func ParseTrial(line []byte) (*Trial, error) {
	var text TrialText
	if text.Read(line) {
		if t, ok := text.trial(); ok {
			return t, nil
		}
	}
	return unmarshalTrial(line)
}

// unmarshalTrial is ParseTrial for any line.
func unmarshalTrial(line []byte) (*Trial, error) {
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
