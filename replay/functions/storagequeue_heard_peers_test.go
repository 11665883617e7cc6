//go:build peers

package functions

import (
	"maps"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay/completion"
)

// TestAQueueIsJudgeOfFatesAndHearsOfTheRest settles one message each time, and has others tell of it meanwhile or
// later.
func TestAQueueIsJudgeOfFatesAndHearsOfTheRest(t *testing.T) {
	storage := peers.Azurite(t)
	outcome := func(status capture.Status, kind string) *capture.Outcome {
		out := &capture.Outcome{Status: status, DurationMS: 5}
		if kind != "" {
			out.Error = &capture.Error{Type: kind, Message: "no stock"}
		}
		return out
	}
	failed := completion.Report{Source: "recorder", Attempt: 1, Outcome: outcome(capture.StatusFunctionError, "ValueError")}
	fine := completion.Report{Source: "recorder", Attempt: 1, Outcome: outcome(capture.StatusOK, "")}
	later := completion.Report{Source: "recorder", Attempt: 2, Outcome: outcome(capture.StatusOK, "")}
	late := completion.Report{Source: "logs", Attempt: 1, Outcome: outcome(capture.StatusTimeout, "FunctionTimeoutException")}
	for name, tt := range map[string]struct {
		before []completion.Report // told while the message is worked on
		poison bool
		after  []completion.Report // told once it is gone
		status capture.Status
		ms     float64
		kind   string // of the error
		err    string
	}{
		"it failed":                   {[]completion.Report{failed}, true, nil, capture.StatusFunctionError, 5, "ValueError", ""},
		"it succeeded":                {[]completion.Report{fine}, false, nil, capture.StatusOK, 5, "", ""},
		"it succeeded later":          {[]completion.Report{failed, later}, false, nil, capture.StatusOK, 5, "", ""},
		"only its failure is told of": {[]completion.Report{failed}, false, nil, capture.StatusOK, 5, "", ""},
		"the report is late":          {nil, true, []completion.Report{late}, capture.StatusTimeout, 5, "FunctionTimeoutException", ""},
		"the queue says the opposite": {[]completion.Report{fine}, true, nil, "", 0, "",
			"recorder says that it was worked on, and the queue that it was given up"},
		"the others say the opposite of each other": {[]completion.Report{fine}, false, []completion.Report{late}, "", 0, "",
			"recorder says that attempt 1 succeeded, and logs that it failed"},
		"nobody tells": {nil, true, nil, capture.StatusFunctionError, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			q, h := newQueue(t, storage, strings.ReplaceAll("heard-"+strings.ReplaceAll(name, " ", "-"), "--", "-"))
			q.opts.Board, q.opts.Grace = completion.NewBoard(), time.Minute
			if name == "nobody tells" {
				q.opts.Grace = time.Millisecond
			}
			done := fire(t.Context(), q, sqsBatch(t, "body"))
			m := h.take(1)[0]
			tell := func(reports []completion.Report) {
				for _, r := range reports {
					r.Key = completion.Message(*m.MessageID)
					q.opts.Board.Report(r)
				}
			}
			tell(tt.before)
			if name == "the others say the opposite of each other" {
				tell(tt.after) // before anybody may have had enough
				tt.after = nil
			}
			if tt.poison {
				h.copyToPoison(m)
			}
			h.delete(m)
			tell(tt.after)
			got := <-done
			if tt.err != "" {
				if got.err == nil || !strings.Contains(got.err.Error(), tt.err) {
					t.Errorf("%+v, %v, want %s", got.out, got.err, tt.err)
				}
				return
			}
			if got.err != nil {
				t.Fatal(got.err)
			}
			fate := capture.Acked
			if tt.poison {
				fate = capture.DeadLettered
			}
			if !maps.Equal(got.out.Records, map[string]capture.Fate{"m-0": fate}) || got.out.Status != tt.status ||
				got.out.PlatformMS != tt.ms {
				t.Errorf("%+v", got.out)
			}
			if (got.out.Error != nil) != tt.poison || tt.poison && got.out.Error.Type != tt.kind {
				t.Errorf("error %+v", got.out.Error)
			}
		})
	}
}
