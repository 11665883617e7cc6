package distill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/capture"
)

// A Selection says which invocations are looked at. All of its conditions have to hold, and an empty one always does.
type Selection struct {
	Functions []string
	Triggers  []capture.Trigger
	Formats   []capture.Format
	IDs       []string
	// Statuses are those of recorded outcomes; [capture.StatusUnknown] also stands for an outcome that was not
	// recorded.
	Statuses []capture.Status
	// From is the first moment that is selected, To the first after it that is not. An invocation without a time is
	// not selected when one of them is set.
	From, To time.Time
}

// Has reports whether inv is selected.
func (s *Selection) Has(inv *capture.Invocation) bool {
	return oneOf(s.Functions, inv.Function) && oneOf(s.Triggers, inv.Trigger) &&
		oneOf(s.Formats, inv.Format) && oneOf(s.IDs, inv.ID) &&
		oneOf(s.Statuses, OutcomeClassOf(inv.Outcome).Status) && s.inTime(inv.Time)
}

func oneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func (s *Selection) inTime(t time.Time) bool {
	if s.From.IsZero() && s.To.IsZero() {
		return true
	}
	return !t.IsZero() && !t.Before(s.From) && (s.To.IsZero() || t.Before(s.To))
}

// All reports whether everything is selected.
func (s *Selection) All() bool {
	return len(s.Functions)+len(s.Triggers)+len(s.Formats)+len(s.IDs)+len(s.Statuses) == 0 &&
		s.From.IsZero() && s.To.IsZero()
}

// Check says what is wrong with the selection, given how often each function was read.
func (s *Selection) Check(functions map[string]int64) error {
	for _, name := range s.Functions {
		if functions[name] == 0 {
			names := slices.Sorted(maps.Keys(functions))
			return fmt.Errorf("no invocation is of function %q, but of: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}
