package completion

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"tandem/capture"
)

func outcome(status capture.Status) *capture.Outcome { return &capture.Outcome{Status: status} }

func ok(source string, attempt int, invocation string) Report {
	return Report{Key: "k", Source: source, Attempt: attempt, Invocation: invocation, Outcome: outcome(capture.StatusOK)}
}

func failed(source string, attempt int, invocation string) Report {
	r := ok(source, attempt, invocation)
	r.Outcome = outcome(capture.StatusFunctionError)
	return r
}

func open(source string, attempt int, invocation string) Report {
	r := ok(source, attempt, invocation)
	r.Open = true
	return r
}

func went(source string, to capture.Fate) Report {
	return Report{Key: "k", Source: source, Settled: to}
}

func TestReportsOnOneThingArePutTogether(t *testing.T) {
	var tests = []struct {
		name     string
		reports  []Report
		attempts int
		fate     capture.Fate
		settled  bool
		err      string
	}{
		{"silence says nothing", nil, 5, "", false, ""},
		{"a success", []Report{ok("recorder", 1, "a")}, 5, capture.Acked, true, ""},
		{"a success in a later attempt", []Report{failed("logs", 1, "a"), ok("logs", 2, "b")}, 5, capture.Acked, true, ""},
		{"a failure is tried again", []Report{failed("recorder", 1, "a")}, 5, "", false, ""},
		{"a failure of the last attempt", []Report{failed("recorder", 5, "a")}, 5, capture.DeadLettered, true, ""},
		{"the one attempt that there is has failed, and nobody says more", []Report{failed("recorder", 0, "")}, 1,
			capture.DeadLettered, true, ""},
		{"all attempts have failed, and none has a number",
			[]Report{failed("logs", 0, "a"), failed("logs", 0, "b")}, 2, capture.DeadLettered, true, ""},
		{"two sources tell of one attempt, which one of them has no number of",
			[]Report{failed("recorder", 1, "a"), failed("logs", 0, "a")}, 2, "", false, ""},
		{"two sources tell of what may be one attempt",
			[]Report{failed("recorder", 1, ""), failed("logs", 0, "a")}, 2, "", false, ""},
		{"nobody knows how often it is tried", []Report{failed("logs", 9, "a")}, 0, "", false, ""},
		{"it is in the dead-letter queue", []Report{failed("logs", 1, "a"), went("dlq", capture.DeadLettered)}, 0,
			capture.DeadLettered, true, ""},
		{"it was only seen to come back", []Report{went("dlq", capture.Retried)}, 5, "", false, ""},
		{"a refusal is no attempt", []Report{{Source: "x", Outcome: outcome(capture.StatusThrottled)}}, 1, "", false, ""},
		{"the handler has answered, and the host has outputs to write", []Report{open("recorder", 1, "a")}, 5, "", false, ""},
		{"and the host says that it has", []Report{open("recorder", 1, "a"), ok("logs", 0, "a")}, 5, capture.Acked, true, ""},
		{"and could not", []Report{open("recorder", 5, "a"), went("dlq", capture.DeadLettered)}, 5,
			capture.DeadLettered, true, ""},
		{"a time-out is a failure", []Report{{Source: "logs", Attempt: 1, Outcome: outcome(capture.StatusTimeout)}}, 1,
			capture.DeadLettered, true, ""},
		{"one attempt both ways", []Report{ok("recorder", 1, "a"), failed("logs", 1, "a")}, 5, "", true,
			"recorder says that attempt 1 succeeded, and logs that it failed"},
		{"one attempt both ways, by its invocation", []Report{ok("recorder", 1, "a"), failed("logs", 0, "a")}, 5, "", true,
			"recorder says that attempt 1 succeeded, and logs that it failed"},
		{"one source both ways", []Report{ok("logs", 0, "a"), failed("logs", 0, "a")}, 5, "", true,
			"logs says that invocation a succeeded, and logs that it failed"},
		{"a success that is in the dead-letter queue", []Report{ok("recorder", 1, "a"), went("dlq", capture.DeadLettered)}, 5,
			"", true, "recorder says that it was worked on, and dlq that it was given up"},
		{"both fates", []Report{went("queue", capture.Acked), went("dlq", capture.DeadLettered)}, 5, "", true,
			"queue says that it was worked on, and dlq that it was given up"},
		{"a success that was followed by a failure", []Report{ok("recorder", 1, "a"), failed("recorder", 2, "b")}, 5, "", true,
			"attempt 1 succeeded, and yet attempt 2 followed, which failed"},
		{"more attempts than there are", []Report{failed("logs", 0, "a"), failed("logs", 0, "b"), ok("logs", 0, "c")}, 2, "",
			true, "logs says that it was worked on, and 2 of 2 attempts failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 { // in any order
				f, settled, err := Judge(tt.reports, tt.attempts)
				if f.Fate != tt.fate || settled != tt.settled || (err == nil) != (tt.err == "") {
					t.Fatalf("%+v, %v, %v", f, settled, err)
				}
				if err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%v, want %s", err, tt.err)
				}
				rand.Shuffle(len(tt.reports), func(i, j int) { tt.reports[i], tt.reports[j] = tt.reports[j], tt.reports[i] })
			}
		})
	}
}

func TestTheFirstAttemptIsTheOneThatCounts(t *testing.T) {
	precise := failed("logs", 0, "a")
	precise.Outcome.Error = &capture.Error{Type: "ValueError", Message: "no total"}
	vague := failed("recorder", 1, "a")
	vague.Outcome.Error = &capture.Error{Message: "the handler answered 500"}
	reports := []Report{ok("recorder", 2, "b"), vague, precise}
	for range 20 {
		f, _, err := Judge(reports, 0)
		if err != nil || f.Fate != capture.Acked || f.Attempt != 1 || f.First != precise.Outcome {
			t.Fatalf("%+v, %v: not what the source said that knew most of the first attempt", f, err)
		}
		rand.Shuffle(len(reports), func(i, j int) { reports[i], reports[j] = reports[j], reports[i] })
	}
}

// Whatever the order and however often it is told, the same reports are judged alike, and nothing is acked that nobody
// has said to be.
func TestJudgmentDependsOnNothingButWhatWasSaid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 20_000 {
		var reports []Report
		for range 1 + rng.IntN(6) {
			r := Report{Key: "k", Source: []string{"recorder", "logs", "dlq"}[rng.IntN(3)], Attempt: rng.IntN(4)}
			if rng.IntN(3) > 0 {
				r.Invocation = fmt.Sprint("i", rng.IntN(4))
			}
			switch rng.IntN(6) {
			case 0:
				r.Settled = []capture.Fate{capture.Acked, capture.DeadLettered}[rng.IntN(2)]
			case 1, 2:
				r.Outcome, r.Open = outcome(capture.StatusOK), rng.IntN(2) == 0
			case 3, 4:
				r.Outcome = outcome([]capture.Status{capture.StatusFunctionError, capture.StatusTimeout}[rng.IntN(2)])
			default:
				r.Outcome = outcome(capture.StatusUnknown)
			}
			reports = append(reports, r)
		}
		attempts := rng.IntN(4)
		want, settled, wantErr := Judge(reports, attempts)
		if acked, said := want.Fate == capture.Acked, saysDone(reports); acked && !said {
			t.Fatalf("round %d: %+v is acked, and nobody says so", round, reports)
		}
		if settled != (want.Fate != "" || wantErr != nil) || wantErr != nil && want.Fate != "" {
			t.Fatalf("round %d: %+v: %+v, %v, %v", round, reports, want, settled, wantErr)
		}
		again := append(append([]Report{}, reports...), reports[rng.IntN(len(reports))])
		rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		got, _, err := Judge(again, attempts)
		if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("round %d: %+v\n%+v, %v\nin another order %+v, %v", round, reports, want, wantErr, got, err)
		}
	}
}

func saysDone(reports []Report) bool {
	for _, r := range reports {
		if r.Settled == capture.Acked || r.status() == capture.StatusOK && !r.Open {
			return true
		}
	}
	return false
}
