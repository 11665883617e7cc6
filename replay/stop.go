package replay

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/capture"
)

// A StopRule ends the firing when too many trials fail within some time.
type StopRule struct {
	// Status is the one that counts as a failure at any target; "" for every one but ok and unreplayable.
	Status capture.Status
	// Percent is the share of the trials in the window that may fail, below 100. It is not looked at before there are
	// 20 trials in the window. With 0, Count says how many may fail.
	Percent float64
	Count   int64
	Window  time.Duration
}

// minTrials is how many trials in its window a share is worth anything of: with fewer, the first failure would be
// more than any usual limit.
const minTrials = 20

var stopRule = regexp.MustCompile(`^([a-z_]+)>([0-9]+(?:\.[0-9]+)?)(%?)/([0-9a-z.µ]+)$`)

// ParseStopRule reads a rule such as "errors>5%/30s", "transport_error>10/1m": more than so many trials, or more than
// that share of them, within the time, fail at any target. What fails is errors, for all that is neither ok nor
// unreplayable, or one status of an outcome.
func ParseStopRule(text string) (StopRule, error) {
	part := stopRule.FindStringSubmatch(text)
	if part == nil {
		return StopRule{}, fmt.Errorf("%q is not a rule like errors>5%%/30s or timeout>10/1m", text)
	}
	var r StopRule
	if part[1] != "errors" {
		r.Status = capture.Status(part[1])
		if !slices.Contains(statuses[:], r.Status) {
			return r, fmt.Errorf("%s: %q is neither errors nor a status of outcomes", text, part[1])
		}
	}
	var err error
	if part[3] == "%" {
		r.Percent, err = strconv.ParseFloat(part[2], 64)
		if err == nil && r.Percent >= 100 {
			err = fmt.Errorf("%s: more than %s%% cannot fail", text, part[2])
		}
	} else {
		r.Count, err = strconv.ParseInt(part[2], 10, 64)
	}
	if err != nil {
		return r, err
	}
	if r.Window, err = time.ParseDuration(part[4]); err != nil || r.Window <= 0 {
		return r, fmt.Errorf("%s: %q is not a time like 30s or 1m", text, part[4])
	}
	return r, nil
}

// String is the form that [ParseStopRule] reads.
func (r StopRule) String() string {
	what, limit := string(r.Status), strconv.FormatInt(r.Count, 10)
	if what == "" {
		what = "errors"
	}
	if r.Percent > 0 {
		limit = strconv.FormatFloat(r.Percent, 'f', -1, 64) + "%"
	}
	window := r.Window.String()
	if s, ok := strings.CutSuffix(window, "m0s"); ok {
		window = s + "m"
	}
	if s, ok := strings.CutSuffix(window, "h0m"); ok {
		window = s + "h"
	}
	return what + ">" + limit + "/" + window
}

// failed reports whether a trial is one that the rule counts.
func (r *StopRule) failed(t *Trial) bool {
	for name, out := range t.Outcomes {
		switch {
		case name == RecordedOutcome:
		case r.Status != "":
			if out.Status == r.Status {
				return true
			}
		case out.Status != capture.StatusOK && out.Status != capture.StatusUnreplayable:
			return true
		}
	}
	return false
}

// A tripwire watches for what a StopRule says. It is safe for concurrent use.
type tripwire struct {
	rule StopRule
	mu   sync.Mutex
	part [32]struct{ number, trials, failed int64 } // of the window, each counted by its number since the begin
}

// see notes a trial that ended at that moment, and returns why the firing has to end, "" when it has not.
func (w *tripwire) see(elapsed time.Duration, t *Trial) (why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const parts = int64(len(w.part))
	number := int64(elapsed / max(w.rule.Window/time.Duration(parts), 1))
	p := &w.part[number%parts]
	if p.number != number {
		p.number, p.trials, p.failed = number, 0, 0
	}
	p.trials++
	if !w.rule.failed(t) {
		return ""
	}
	p.failed++
	var trials, failed int64
	for _, p := range w.part {
		if p.number > number-parts {
			trials += p.trials
			failed += p.failed
		}
	}
	if w.rule.Percent > 0 {
		if trials < minTrials || 100*float64(failed) <= w.rule.Percent*float64(trials) {
			return ""
		}
	} else if failed <= w.rule.Count {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d trials failed within %v", w.rule, failed, trials, w.rule.Window)
}
