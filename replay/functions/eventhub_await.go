package functions

import (
	"context"
	"fmt"
	"strings"

	"tandem/capture"
	"tandem/replay/completion"
)

// A finding is what became of one event.
type finding struct {
	completion.Finding
	name string // of the record that it was
}

// failure is the outcome of an event that the function failed on.
func (f *finding) failure() *capture.Outcome {
	out := &capture.Outcome{
		Status: capture.StatusFunctionError, Error: &capture.Error{Message: "the function failed on " + f.name},
	}
	if f.First == nil || f.First.Status == capture.StatusOK {
		return out
	}
	if f.First.Status == capture.StatusTimeout {
		out.Status = capture.StatusTimeout
	}
	if f.First.Error != nil {
		out.Error = f.First.Error
	}
	return out
}

// nobodyTells is what is known of events that who has taken, where there is no board.
func nobodyTells(who string) error {
	return fmt.Errorf("%s took the events; without a recorder nobody tells what became of them", who)
}

func expectEvents(board *completion.Board, ids []string) *completion.Wait {
	keys := make([]completion.Key, len(ids))
	for i, id := range ids {
		keys[i] = completion.Event(id)
	}
	return board.Expect(keys...)
}

// awaitEvents waits until it is known of each event what became of it. Names say in errors what they are. Attempts
// is how often the platform tries; see [completion.Judge].
func awaitEvents(ctx context.Context, wait *completion.Wait, ids, names []string, attempts int) ([]finding, error) {
	findings := make([]finding, len(ids))
	known := make([]bool, len(ids))
	var contradiction error
	settled := func(w *completion.Wait) bool {
		all := true
		for i, id := range ids {
			if known[i] {
				continue
			}
			f, ok, err := completion.Judge(w.Reports(completion.Event(id)), attempts)
			if err != nil {
				contradiction = fmt.Errorf("%s: %w", names[i], err)
				return true
			}
			findings[i], known[i] = finding{f, names[i]}, ok
			all = all && ok
		}
		return all
	}
	if err := wait.Await(ctx, settled); err != nil {
		var missing []string
		for i, name := range names {
			if !known[i] {
				missing = append(missing, name)
			}
		}
		return nil, fmt.Errorf("%w: nobody told what became of %s", err, strings.Join(missing, ", "))
	}
	return findings, contradiction
}
