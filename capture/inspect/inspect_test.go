package inspect

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// message is an SQS event of one message.
func message(id, body string) string {
	const event = `{"Records":[{"messageId":%q,"eventSource":"aws:sqs","eventSourceARN":"arn:q","body":%q}]}`
	return fmt.Sprintf(event, id, body)
}

func record(t *testing.T, invs ...capture.Invocation) *capture.Recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.jsonl")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, inv := range invs {
		if inv.ID == "" {
			inv.ID = fmt.Sprint("i-", i)
		}
		inv.Trigger, inv.Format = capture.Detect(inv.Event)
		if err := w.Write(&inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	return rec
}

func read(t *testing.T, rec *capture.Recording) *Contents {
	t.Helper()
	c, err := Read(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContentsAreCounted(t *testing.T) {
	ok := &capture.Outcome{Status: capture.StatusOK}
	first, second := message("m-1", "a"), message("m-2", `{"b":1}`)
	early := begin.Add(-3 * time.Second)
	got := read(t, record(t,
		capture.Invocation{Function: "f", Event: []byte(first), Time: begin, Outcome: ok},
		capture.Invocation{Function: "f", Event: []byte(second), Time: begin.Add(time.Minute)},
		capture.Invocation{Function: "f", Event: []byte(first), Time: begin.Add(2 * time.Second), Outcome: ok},
		capture.Invocation{Function: "g", Event: []byte(first), Time: early.In(time.FixedZone("", 3600))},
		capture.Invocation{Function: "g", Event: []byte(`{}`)},
	))
	text, body, other := capture.Shape([]byte(first)), capture.Shape([]byte(second)), capture.Shape([]byte(`{}`))
	want := &Contents{
		Invocations: 5, Functions: map[string]int64{"f": 3, "g": 2},
		Triggers: map[capture.Trigger]int64{"sqs": 4, "other": 1}, Formats: map[capture.Format]int64{"sqs": 4, "other": 1},
		Shapes: 3, From: begin.Add(-3 * time.Second), To: begin.Add(time.Minute), Complete: true,
		Outcomes:         map[capture.Status]int64{"ok": 2, "unknown": 3},
		ShapesByFunction: map[string]map[string]int64{"f": {text: 2, body: 1}, "g": {text: 1, other: 1}},
		Sizes:            Sizes{Min: 2, P50: int64(len(first)), P99: int64(len(second)), Max: int64(len(second))},
		Histogram:        &Histogram{From: begin.Truncate(30 * time.Second), WidthMS: 30_000, Counts: []int64{3, 0, 1}},
		Gaps: []Gap{
			{begin.Add(2 * time.Second), begin.Add(time.Minute), 58},
			{begin.Add(-3 * time.Second), begin, 3}, {begin, begin.Add(2 * time.Second), 2},
		},
		GapResolutionMS: 50,
		Duplicates:      Duplicates{Invocations: 1, Examples: []string{"i-2"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyRecordingHasNothing(t *testing.T) {
	got := read(t, record(t))
	if got.Invocations != 0 || got.Shapes != 0 || got.Histogram != nil || len(got.Gaps) != 0 || !got.Complete {
		t.Errorf("%+v", got)
	}
}

func TestEveryRepeatedDeliveryIsCounted(t *testing.T) {
	var invs []capture.Invocation
	for i := range 600 {
		invs = append(invs, capture.Invocation{Function: "f", Event: []byte(message(fmt.Sprint("m-", i%200), "a"))})
	}
	got := read(t, record(t, invs...))
	want := Duplicates{Invocations: 400, Examples: []string{"i-200", "i-201", "i-202"}}
	if diff := cmp.Diff(want, got.Duplicates); diff != "" {
		t.Error(diff)
	}
	if got.Invocations != 600 {
		t.Errorf("%d invocations: passes were counted twice", got.Invocations)
	}
}

func TestPercentilesAreThoseOfTheNearestRank(t *testing.T) {
	var invs []capture.Invocation
	for n := range 1000 {
		event := `"` + strings.Repeat("x", n) + `"` // of 2 to 1001 bytes
		invs = append(invs, capture.Invocation{Function: "f", Event: []byte(event)})
	}
	got := read(t, record(t, invs...)).Sizes
	if want := (Sizes{Min: 2, P50: 501, P99: 991, Max: 1001}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	event := `"` + strings.Repeat("x", 1_234_567) + `"`
	large := read(t, record(t, capture.Invocation{Function: "f", Event: []byte(event)})).Sizes
	if want := (Sizes{1_234_569, 1_234_569, 1_234_569, 1_234_569}); large != want {
		t.Errorf("%+v, want %+v", large, want)
	}
}

func TestARecordingThatIsNotSoundIsAnError(t *testing.T) {
	twice := record(t, capture.Invocation{ID: "i", Function: "f", Event: []byte(`1`)},
		capture.Invocation{ID: "i", Function: "f", Event: []byte(`2`)})
	var duplicate *capture.DuplicateError
	if _, err := Read(t.Context(), twice); !errors.As(err, &duplicate) {
		t.Errorf("one ID twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, twice); !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v", err)
	}
}
