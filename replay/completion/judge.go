package completion

import (
	"cmp"
	"fmt"
	"slices"

	"tandem/capture"
)

// A Finding is what reports on one thing say together.
type Finding struct {
	Fate capture.Fate // "" while it is not known
	// First is what the first attempt did that a source saw: Lambda, too, is fired once. Nil when none was seen.
	First *capture.Outcome
	// Attempt is the number of that attempt, 0 when it is not known.
	Attempt int
	// Open says that an attempt succeeded, and that nobody has said yet whether the platform had more to do for it.
	Open bool
}

// Judge puts the reports on one thing together, in whichever order they came. Attempts is how often the platform tries
// before it gives up, 0 when that is not known. Settled says that no further report is needed. An error says that the
// sources contradict each other, so that nothing is known.
func Judge(reports []Report, attempts int) (f Finding, settled bool, err error) {
	tries := triesOf(reports)
	var acked, dead string // the sources that say so
	for _, r := range reports {
		switch r.Settled {
		case capture.Acked:
			acked = least(acked, r.Source)
		case capture.DeadLettered:
			dead = least(dead, r.Source)
		}
	}
	var success, open, last try
	failures := 0
	for _, t := range tries {
		if t.ok.Source != "" && t.failed.Source != "" {
			return f, true, fmt.Errorf("%s says that %v succeeded, and %s that it failed", t.ok.Source, t, t.failed.Source)
		}
		if f.First == nil {
			f.First, f.Attempt = t.outcome(), t.number
		}
		switch {
		case t.failed.Source != "":
			failures++
			last = t
		case t.ok.Open:
			open = t
		default:
			success = t
		}
	}
	exhausted := attempts > 0 && (fewest(tries) >= attempts || last.number >= attempts)
	switch {
	case acked != "" && dead != "":
		err = fmt.Errorf("%s says that it was worked on, and %s that it was given up", acked, dead)
	case success.ok.Source != "" && dead != "":
		err = fmt.Errorf("%s says that it was worked on, and %s that it was given up", success.ok.Source, dead)
	case success.number > 0 && last.number > success.number:
		err = fmt.Errorf("%v succeeded, and yet %v followed, which failed", success, last)
	case exhausted && (acked != "" || success.ok.Source != ""):
		err = fmt.Errorf("%s says that it was worked on, and %d of %d attempts failed",
			cmp.Or(acked, success.ok.Source), max(failures, last.number), attempts)
	case acked != "" || success.ok.Source != "":
		f.Fate = capture.Acked
	case dead != "" || exhausted:
		f.Fate = capture.DeadLettered
	default:
		f.Open = open.ok.Source != ""
	}
	return f, f.Fate != "" || err != nil, err
}

// least returns the first of two names in the alphabet, but for "".
func least(a, b string) string {
	if a == "" || b < a {
		return b
	}
	return a
}

// A try is what is known of one attempt.
type try struct {
	number     int    // 0 when it is not known
	invocation string // "" when it is not known
	ok, failed Report // that say so; zero when none does
}

func (t try) String() string {
	switch {
	case t.number > 0:
		return fmt.Sprintf("attempt %d", t.number)
	case t.invocation != "":
		return "invocation " + t.invocation
	}
	return "an attempt"
}

func (t *try) outcome() *capture.Outcome {
	if t.ok.Source != "" {
		return t.ok.Outcome
	}
	return t.failed.Outcome
}

// triesOf groups the reports that have an outcome by attempt, the first attempt first and those without a number last.
func triesOf(reports []Report) []try {
	told := make([]Report, 0, len(reports))
	numbers := make(map[string]int) // by invocation
	for _, r := range reports {
		switch r.status() {
		case capture.StatusOK, capture.StatusFunctionError, capture.StatusTimeout:
			told = append(told, r)
			numbers[r.Invocation] = max(numbers[r.Invocation], r.Attempt)
		}
	}
	for i, r := range told {
		if r.Attempt == 0 && r.Invocation != "" {
			told[i].Attempt = numbers[r.Invocation]
		}
	}
	slices.SortFunc(told, func(a, b Report) int {
		return cmp.Or(cmp.Compare(uint(a.Attempt-1), uint(b.Attempt-1)), a.Time.Compare(b.Time),
			cmp.Compare(a.Invocation, b.Invocation), cmp.Compare(a.Source, b.Source), cmp.Compare(a.status(), b.status()))
	})
	var tries []try
	for _, r := range told {
		i := slices.IndexFunc(tries, func(t try) bool {
			if r.Attempt > 0 {
				return t.number == r.Attempt
			}
			return t.number == 0 && t.invocation == r.Invocation
		})
		if i < 0 {
			i = len(tries)
			tries = append(tries, try{number: r.Attempt, invocation: r.Invocation})
		}
		tries[i].take(r)
	}
	return tries
}

// take notes what r says. A success that is final counts more than an open one, and an error that has a type or a
// time-out more than one that has not: who saw only that the connection broke knows less than the platform.
func (t *try) take(r Report) {
	t.invocation = cmp.Or(t.invocation, r.Invocation)
	if r.status() == capture.StatusOK {
		if t.ok.Source == "" || t.ok.Open && !r.Open {
			t.ok = r
		}
		return
	}
	if t.failed.Source == "" || detail(r.Outcome) > detail(t.failed.Outcome) {
		t.failed = r
	}
}

func detail(o *capture.Outcome) int {
	switch {
	case o.Status == capture.StatusTimeout:
		return 3
	case o.Error != nil && o.Error.Type != "" && o.Error.Message != "":
		return 2
	case o.Error != nil:
		return 1
	}
	return 0
}

// fewest is how many attempts have failed at least: one without a number may be one of those with a number if not both
// have an invocation, and one without either may be any.
func fewest(tries []try) int {
	known, numbers, unnumbered, nameless := 0, 0, 0, 0
	for _, t := range tries {
		switch {
		case t.failed.Source == "":
		case t.invocation == "" && t.number == 0:
			nameless = 1
		case t.invocation == "":
			numbers++
		default:
			known++
			if t.number == 0 {
				unnumbered++
			}
		}
	}
	return max(known+max(0, numbers-unnumbered), nameless)
}
