package completion

import (
	"errors"
	"fmt"

	"tandem/capture"
)

// A Finding is what reports on one thing say together.
type Finding struct {
	Fate capture.Fate // "" while it is not known
	// First is what the first attempt did that a source saw: Lambda, too, is fired once. Nil when none was seen.
	First *capture.Outcome
}

// Judge puts the reports on one thing together. Attempts is how often the platform tries before it gives up, 0 when
// that is not known. Settled says that no further report is needed. An error says that the sources contradict each
// other, so that nothing is known.
func Judge(reports []Report, attempts int) (f Finding, settled bool, err error) {
	var acked, dead string // the sources that say so
	failed := make(map[string]bool)
	first := 0
	for _, r := range reports {
		switch {
		case r.Settled == capture.DeadLettered:
			dead = r.Source
		case r.Settled == capture.Acked, r.Outcome != nil && r.Outcome.Status == capture.StatusOK:
			acked = r.Source
		case r.Outcome != nil:
			failed[fmt.Sprint(r.Attempt, r.Invocation)] = true
		}
		if r.Outcome != nil && (f.First == nil || r.Attempt < first) {
			f.First, first = r.Outcome, r.Attempt
		}
	}
	switch {
	case acked != "" && dead != "":
		return f, true, errors.New(acked + " says that it was worked on, and " + dead + " that it was given up")
	case acked != "":
		f.Fate = capture.Acked
	case dead != "", attempts > 0 && len(failed) >= attempts:
		f.Fate = capture.DeadLettered
	}
	return f, f.Fate != "", nil
}
