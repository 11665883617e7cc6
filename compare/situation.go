package compare

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/capture"
	"tandem/replay"
)

// A situation is what decides, beside the path, which rules apply to a trial. A status is empty where the two
// outcomes do not have it in common, or have none.
type situation struct {
	function string
	trigger  capture.Trigger
	statuses [2]capture.Status
	http     [2]int // 0 for none
}

func situationOf(t *replay.Trial, b, c *capture.Outcome) situation {
	at := situation{function: t.Function, trigger: t.Trigger, statuses: [2]capture.Status{b.Status, c.Status}}
	for i, o := range []*capture.Outcome{b, c} {
		if o.HTTP != nil {
			at.http[i] = o.HTTP.Status
		}
	}
	return at
}

// narrow reports whether more than the function decides where the rule applies.
func (c *rule) narrow() bool { return !c.out && len(c.Trigger)+len(c.Status)+len(c.HTTPStatus) > 0 }

func (c *rule) appliesIn(at situation) bool {
	if c.out || len(c.On) > 0 && !slices.Contains(c.On, at.function) ||
		len(c.Trigger) > 0 && !slices.Contains(c.Trigger, at.trigger) {
		return false
	}
	for i := range at.statuses {
		has := func(named string) bool { return hasStatus(named, at.http[i]) }
		if len(c.Status) > 0 && !slices.Contains(c.Status, at.statuses[i]) ||
			len(c.HTTPStatus) > 0 && !slices.ContainsFunc(c.HTTPStatus, has) {
			return false
		}
	}
	return true
}

// hasStatus reports whether an HTTP status is the one, or of the class, that a rule names.
func hasStatus(named string, status int) bool {
	if class, ok := strings.CutSuffix(named, "xx"); ok {
		return strconv.Itoa(status/100) == class
	}
	return strconv.Itoa(status) == named
}

// Against is what a rule calls a baseline, which says when and where its outcomes came about.
type Against string

const (
	AgainstLambda    Against = "lambda"    // fired at in the same run
	AgainstFunctions Against = "functions" // likewise
	AgainstRecording Against = "recording" // what was recorded with each invocation
	AgainstRun       Against = "run"       // what was fired at in another run
)

var baselines = []Against{AgainstLambda, AgainstFunctions, AgainstRecording, AgainstRun}

// againstOutcome is what rules call a baseline of the run that is compared: "" when it is an outcome by a name of
// somebody else's.
func againstOutcome(name string) Against {
	if a := Against(strings.TrimSuffix(name, second)); a != AgainstRun && slices.Contains(baselines, a) {
		return a
	}
	return ""
}

// againstOther is what rules call a baseline in another run. What was recorded is the same in both.
func againstOther(name string) Against {
	if name == replay.RecordedOutcome {
		return AgainstRecording
	}
	return AgainstRun
}

var (
	triggers = []capture.Trigger{capture.TriggerHTTP, capture.TriggerSQS, capture.TriggerS3, capture.TriggerOther}
	// statuses are those that are compared. Others make a trial inconclusive, or are not an answer to it.
	statuses = []capture.Status{capture.StatusOK, capture.StatusFunctionError, capture.StatusTimeout}
)

// scope checks what narrows the rule down.
func (c *rule) scope() error {
	for _, t := range c.Trigger {
		if !slices.Contains(triggers, t) {
			return fmt.Errorf("trigger: %q is none of %s", t, wordList(triggers))
		}
	}
	for _, a := range c.Against {
		if !slices.Contains(baselines, a) {
			return fmt.Errorf("against: %q is none of %s", a, wordList(baselines))
		}
	}
	if c.Against != nil && len(c.Against) == 0 {
		return errors.New("against: it is empty; leave it out to mean all")
	}
	for _, s := range c.Status {
		if !slices.Contains(statuses, s) {
			return fmt.Errorf("status: %q is none of %s", s, wordList(statuses))
		}
	}
	for _, s := range c.HTTPStatus {
		code := strings.Replace(s, "xx", "00", 1)
		if n, err := strconv.Atoi(code); err != nil || n < 100 || n > 599 || len(s) != 3 || s[1] == 'x' != (s[2] == 'x') {
			return fmt.Errorf("http-status: %q is neither a status like 404 nor a class like 4xx", s)
		}
	}
	return nil
}

func wordList[T ~string](words []T) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return strings.Join(list, ", ")
}
