package replay

import (
	"time"
	"unicode/utf8"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A TrialText is a line of a run, taken apart as [capture.OutcomeText] has outcomes. It can read one line after the
// other, and uses its memory again.
type TrialText struct {
	Outcomes []NamedOutcome

	head     Trial
	numbered bool              // n is there
	known    map[string]string // names that come again; nil to keep none
	reader   jsonval.Reader
}

// NewTrialText returns a TrialText that keeps the names of functions, formats and the like, for many lines of a run.
func NewTrialText() *TrialText { return &TrialText{known: make(map[string]string)} }

// A NamedOutcome is one of a trial.
type NamedOutcome struct {
	Name string
	capture.OutcomeText

	facts  capture.Outcome
	answer capture.HTTPAnswer
}

// Outcome returns the outcome of that name, or nil.
func (t *TrialText) Outcome(name string) *capture.OutcomeText {
	for i := range t.Outcomes {
		if t.Outcomes[i].Name == name {
			return &t.Outcomes[i].OutcomeText
		}
	}
	return nil
}

// Read takes a line apart. Ok is false where it is not written as [Trial.AppendJSON] writes it, and [ParseTrial] has to
// say what it is. What is left as text is part of line.
func (t *TrialText) Read(line []byte) (ok bool) {
	t.head, t.Outcomes, t.numbered = Trial{N: -1, Outcomes: t.head.Outcomes}, t.Outcomes[:0], false
	r := &t.reader
	r.Reset(line)
	var seen uint
	once := func(i int) { // of a member that is there twice, encoding/json makes something of both
		if seen&(1<<i) != 0 {
			r.GiveUp()
		}
		seen |= 1 << i
	}
	r.Object(func(name []byte) {
		switch string(name) {
		case "n":
			once(1)
			t.head.N, t.numbered = r.Int(), true
		case "invocation":
			once(2)
			t.head.Invocation = r.Text()
		case "repeat":
			once(3)
			t.head.Repeat = int(r.Int())
		case "function":
			once(4)
			t.head.Function = r.TextIn(t.known)
		case "trigger":
			once(5)
			t.head.Trigger = capture.Trigger(r.TextIn(t.known))
		case "format":
			once(6)
			t.head.Format = capture.Format(r.TextIn(t.known))
		case "shape":
			once(7)
			t.head.Shape = r.TextIn(t.known)
		case "lane":
			once(8)
			t.head.Lane = r.TextOf("")
		case "time":
			once(9)
			t.head.Time = timeOf(r)
		case "due":
			once(10)
			t.head.Due = timeOf(r)
		case "outcomes":
			once(11)
			r.Object(func(name []byte) { t.readOutcome(r, name) })
		default:
			r.GiveUp()
		}
	})
	return r.Ok() && r.AtEnd() && t.complete()
}

// complete reports whether the trial has what every trial has. If not, [ParseTrial] says what is wrong.
func (t *TrialText) complete() bool {
	for i := range t.Outcomes {
		if t.Outcomes[i].Status == "" {
			return false
		}
	}
	return t.head.Invocation != "" && t.head.Function != "" && len(t.Outcomes) > 0 && t.head.Repeat >= 0 &&
		(t.head.N >= 0 || !t.numbered)
}

func (t *TrialText) readOutcome(r *jsonval.Reader, name []byte) {
	text := r.Name(name, t.known)
	if t.Outcome(text) != nil || !utf8.ValidString(text) {
		r.GiveUp()
		return
	}
	k := len(t.Outcomes)
	if k < cap(t.Outcomes) {
		t.Outcomes = t.Outcomes[:k+1] // with memory of an earlier line
	} else {
		t.Outcomes = append(t.Outcomes, NamedOutcome{})
	}
	var none capture.OutcomeText
	like := &none
	if k > 0 {
		like = &t.Outcomes[0].OutcomeText
	}
	t.Outcomes[k].Name = text
	t.Outcomes[k].Read(r, like)
}

func timeOf(r *jsonval.Reader) (t time.Time) {
	raw := r.Raw()
	if r.Ok() && t.UnmarshalJSON(raw) != nil {
		r.GiveUp()
	}
	return t
}

// Facts returns the trial without what its outcomes say: of these it has the status, the HTTP status, the durations and
// the memory. It is good until the next line is read.
func (t *TrialText) Facts() *Trial {
	if t.head.Outcomes == nil {
		t.head.Outcomes = make(map[string]*capture.Outcome)
	}
	clear(t.head.Outcomes)
	for i := range t.Outcomes {
		o := &t.Outcomes[i]
		o.facts = capture.Outcome{
			Status: o.Status, DurationMS: o.DurationMS, PlatformMS: o.PlatformMS, InitMS: o.InitMS, BilledMS: o.BilledMS,
			MemoryMB: o.MemoryMB, Attempts: o.Attempts,
		}
		if o.HTTP {
			o.answer.Status = o.HTTPStatus
			o.facts.HTTP = &o.answer
		}
		t.head.Outcomes[o.Name] = &o.facts
	}
	return &t.head
}

// trial makes the trial, which does not alias the line.
func (t *TrialText) trial() (made *Trial, ok bool) {
	trial := t.head
	trial.Outcomes = make(map[string]*capture.Outcome, len(t.Outcomes))
	for i := range t.Outcomes {
		if trial.Outcomes[t.Outcomes[i].Name], ok = t.Outcomes[i].Outcome(); !ok {
			return nil, false
		}
	}
	return &trial, true
}
