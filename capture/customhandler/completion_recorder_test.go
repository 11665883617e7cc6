package customhandler_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"tandem/capture"
	"tandem/capture/customhandler"
)

// completions are a sink, which may refuse.
type completions struct {
	got    []*capture.Invocation
	refuse bool
}

func (c *completions) Write(inv *capture.Invocation) error {
	if c.refuse {
		return errors.New("full")
	}
	c.got = append(c.got, inv)
	return nil
}

// What a replay fires is not recorded, but what became of it is told.
func TestCompletionsAreToldOfReplaysToo(t *testing.T) {
	var told completions
	b := newBench(t, customhandler.RecorderOptions{Completions: &told}, answer(`{"Outputs":{}}`))
	c := customhandler.Client{URL: b.url, HTTP: b.client}
	mark := http.Header{capture.MarkHeader: {capture.Mark{Run: "r", Invocation: "i", Target: "t"}.String()}}
	if _, _, err := c.Call(context.Background(), "process-order", "inv-1", mark, message("{}")); err != nil {
		t.Fatal(err)
	}
	b.call("process-order", message("{}"))
	if got := b.seen(); len(got) != 1 {
		t.Errorf("%d are recorded, and one was fired by a replay", len(got))
	}
	if len(told.got) != 2 || b.recorder.Stats().Told != 2 {
		t.Fatalf("%d were told: %+v", len(told.got), b.recorder.Stats())
	}
	done, err := customhandler.ReadCompletion(told.got[0])
	if err != nil || done.About[0].Message != "m-1" || done.Attempt != 2 || done.Invocation != "inv-1" || done.Open {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestCompletionsThatCannotBeToldAreCounted(t *testing.T) {
	told := completions{refuse: true}
	b := newBench(t, customhandler.RecorderOptions{Completions: &told}, answer(`{"Outputs":{}}`))
	b.call("process-order", message("{}"))
	if got := b.seen(); len(got) != 1 {
		t.Errorf("%d are recorded", len(got)) // which is no reason not to record
	}
	if s := b.recorder.Stats(); s.Told != 0 || s.Untold != 1 {
		t.Errorf("%+v", s)
	}
}
