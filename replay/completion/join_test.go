package completion

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/eventhub"
)

// linesOf are what a host writes of one invocation.
func linesOf(invocation, message string, delivery int, failed bool) []eventhub.HostLine {
	end := eventhub.HostLine{Invocation: invocation, Ended: true, Failed: failed, DurationMS: 5, Time: time.Unix(9, 0)}
	if failed {
		end.Error = &capture.Error{Type: "System.Exception", Message: "no stock"}
	}
	return []eventhub.HostLine{
		{Invocation: invocation, Function: "f"}, {Invocation: invocation, Message: message, Delivery: delivery}, end,
	}
}

// Whatever the order, and though lines come twice, what is said of each message is the same; where one is missing that
// is needed, nothing is.
func TestLinesComeInAnyOrderTwiceOrNever(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 500 {
		const messages = 20
		var lines []eventhub.HostLine
		missing := make(map[string]bool)
		for i := range messages {
			id := fmt.Sprint(i)
			all := append(linesOf("a"+id, id, 1, true), linesOf("b"+id, id, 2, i%2 == 0)...)
			if rng.IntN(4) == 0 { // the second invocation's details or end are lost
				missing[id] = true
				all = slices.Delete(all, 4+rng.IntN(2), 6)
			}
			lines = append(lines, all...)
		}
		lines = append(lines, lines[:rng.IntN(len(lines))]...)
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		b, j := NewBoard(), newJoiner()
		for _, l := range lines {
			for _, r := range j.add(l) {
				b.Report(r)
			}
		}
		for i := range messages {
			id := fmt.Sprint(i)
			f, _, err := Judge(b.Expect(Message(id)).Reports(Message(id)), 2)
			want := capture.Acked
			switch {
			case missing[id]:
				want = ""
			case i%2 == 0:
				want = capture.DeadLettered
			}
			if err != nil || f.Fate != want || f.First == nil || f.First.Error.Message != "no stock" || f.Attempt != 1 {
				t.Fatalf("round %d, message %s: %+v, %v, want %q", round, id, f, err, want)
			}
		}
	}
}

func TestAnEndThatIsToldBothWaysIsAContradiction(t *testing.T) {
	j, b := newJoiner(), NewBoard()
	w := b.Expect(Message("m"))
	for _, l := range append(linesOf("a", "m", 1, true), linesOf("a", "m", 1, false)...) {
		for _, r := range j.add(l) {
			b.Report(r)
		}
	}
	if _, _, err := Judge(w.Reports(Message("m")), 0); err == nil {
		t.Errorf("%+v", w.Reports(Message("m")))
	}
}

func TestAFailureIsToldWithItsCause(t *testing.T) {
	exception := func(kind string) *capture.Error { return &capture.Error{Type: kind, Message: "no stock"} }
	for _, tt := range []struct {
		name      string
		own, line *capture.Error
		status    capture.Status
		kind      string
	}{
		{"in the line that ends it", exception("A"), exception("B"), capture.StatusFunctionError, "A"},
		{"in another line", nil, exception("B"), capture.StatusFunctionError, "B"},
		{"in none", nil, nil, capture.StatusFunctionError, ""},
		{"out of time", exception("Microsoft.Azure.WebJobs.Host.FunctionTimeoutException"), nil, capture.StatusTimeout,
			"Microsoft.Azure.WebJobs.Host.FunctionTimeoutException"},
	} {
		j := newJoiner()
		j.add(eventhub.HostLine{Invocation: "a", Error: tt.line})
		j.add(eventhub.HostLine{Invocation: "a", Blob: "c/a/b.csv"})
		got := j.add(eventhub.HostLine{Invocation: "a", Ended: true, Failed: true, Error: tt.own})
		if len(got) != 1 || got[0].Key != Blob("c", "a/b.csv", "") || got[0].Outcome.Status != tt.status ||
			got[0].Outcome.Error.Type != tt.kind {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestAJoinerForgetsTheOldest(t *testing.T) {
	j := newJoiner()
	for i := range joined + 10 {
		j.add(eventhub.HostLine{Invocation: fmt.Sprint(i), Ended: true})
	}
	if len(j.calls) != joined || len(j.order) != joined {
		t.Errorf("%d are kept", len(j.calls))
	}
}
