package local

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem/capture"
	"tandem/capture/effects"
)

// recorded keeps invocations.
type recorded struct {
	mu   sync.Mutex
	kept []*capture.Invocation
}

func (r *recorded) Write(inv *capture.Invocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, inv)
	return nil
}

func newEffects(t *testing.T) *effects.Server {
	t.Helper()
	s, err := effects.NewServer(effects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// keys returns the keys of objects put.
func keys(list []capture.Effect) []string {
	var keys []string
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestLambdaIsRecordedWithOutcomesAndEffects(t *testing.T) {
	sink := &recorded{}
	watch := newEffects(t)
	l := newLambda(t, LambdaOptions{Effects: watch, Functions: []LambdaFunction{
		{Name: "f", Record: sink}, {Name: "late", Record: sink, Timeout: 200 * time.Millisecond},
	}})
	run(t, l, "f", do("put", "one", 0))
	run(t, l, "f", do("count", "", 0))
	run(t, l, "f", do("put-exit", "two", 0))
	run(t, l, "late", do("hang", "", 0))
	mark := capture.Mark{Run: "r", Invocation: "i", Target: "t"}
	if _, err := l.Run(t.Context(), LambdaRequest{
		Function: "f", Payload: do("put", "three", 0), ClientContext: mark.ClientContext(),
	}); err != nil {
		t.Fatal(err)
	}

	type line struct {
		Function, Event, Error string
		Status                 capture.Status
		Cold                   bool
		Puts                   []string
	}
	var got []line
	for _, inv := range sink.kept {
		if inv.Outcome == nil {
			t.Fatalf("an invocation has no outcome: %+v", inv)
		}
		var event struct{ Do string }
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		next := line{
			Function: inv.Function, Event: event.Do, Status: inv.Outcome.Status, Cold: inv.Context.ColdStart,
			Puts: keys(inv.Outcome.Effects),
		}
		if inv.Outcome.Error != nil {
			next.Error = inv.Outcome.Error.Type
		}
		got = append(got, next)
	}
	want := []line{
		{Function: "f", Event: "put", Status: capture.StatusOK, Cold: true, Puts: []string{"one"}},
		{Function: "f", Event: "count", Status: capture.StatusOK},
		{
			Function: "f", Event: "put-exit", Status: capture.StatusFunctionError, Error: "Runtime.ExitError",
			Puts: []string{"two"},
		},
		{Function: "late", Event: "hang", Status: capture.StatusTimeout, Error: "Sandbox.Timedout", Cold: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded, without the replay (-want +got):\n%s", diff)
	}
	if _, ok := watch.Take(mark.String()); !ok {
		t.Error("the recorder took the effects of a replay")
	}
}

func TestEffectsAreKeptUnderTheInvocationsTag(t *testing.T) {
	watch := newEffects(t)
	l := newLambda(t, LambdaOptions{Effects: watch, Functions: []LambdaFunction{{Name: "f", Concurrency: 2}}})
	_, server := newSDK(t, l)
	mark := capture.Mark{Run: "run", Invocation: "i 1", Target: "lambda", Repeat: 1}
	header := http.Header{"X-Amz-Client-Context": {mark.ClientContext()}}
	const path = "/2015-03-31/functions/f/invocations"
	if status, _, body := post(t, server, path, header, string(do("put", "a", 0))); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	plain := run(t, l, "f", do("put", "b", 0))

	client := effects.Client{URL: server.URL, HTTP: server.Client()}
	work, err := client.Take(t.Context(), mark.String())
	if err != nil {
		t.Fatalf("the marked invocation's effects: %v", err)
	}
	if diff := cmp.Diff([]string{"a"}, keys(work.Effects)); diff != "" {
		t.Errorf("the marked invocation (-want +got):\n%s", diff)
	}
	work, ok := watch.Take(plain.RequestID)
	want := effects.Work{Effects: []capture.Effect{{Kind: capture.ObjectPut, Key: "b"}}}
	ignore := cmpopts.IgnoreFields(capture.Effect{}, "Resource", "Body", "Attributes")
	if diff := cmp.Diff(want, work, ignore); !ok || diff != "" {
		t.Errorf("the unmarked invocation, %v (-want +got):\n%s", ok, diff)
	}
}

// What arrives between invocations belongs to none: here, what a function left running may send.
func TestEffectsOutsideInvocationsBelongToNone(t *testing.T) {
	watch := newEffects(t)
	l := newLambda(t, LambdaOptions{Effects: watch, Functions: []LambdaFunction{{Name: "f"}}})
	resp := run(t, l, "f", do("put", "inside", 0))
	env := l.functions["f"].pool.idle[0]
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+env.port.Addr()+"/bucket/outside", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	work, _ := watch.Take(resp.RequestID)
	if diff := cmp.Diff([]string{"inside"}, keys(work.Effects)); diff != "" || watch.Stats().Unattributed != 1 {
		t.Errorf("stats %+v, effects (-want +got):\n%s", watch.Stats(), diff)
	}
}

func TestAsynchronousInvocationGetsNoClientContext(t *testing.T) {
	sink := &recorded{}
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f", Record: sink}}})
	context := capture.Mark{Run: "r", Invocation: "i", Target: "t"}.ClientContext()
	if _, err := l.RunLater(LambdaRequest{Function: "f", ClientContext: context}); err != nil {
		t.Fatal(err)
	}
	l.running.Wait()
	if len(sink.kept) != 1 || sink.kept[0].Context.ClientContext != nil {
		t.Errorf("got %+v", sink.kept)
	}
}
