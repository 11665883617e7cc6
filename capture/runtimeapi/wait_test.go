package runtimeapi

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"tandem/capture"
)

// waiting calls r.Wait on a goroutine.
func waiting(ctx context.Context, r tapped, id string) <-chan bool {
	done := make(chan bool, 1)
	go func() { done <- r.Wait(ctx, id) }()
	return done
}

func TestWaitReturnsWhenTheInvocationIsOver(t *testing.T) {
	tests := []struct {
		name, reason string
		end          func(rt runtime)
		want         bool
	}{
		{"response", "it is answered", func(rt runtime) { rt.post("invocation/1/response", "1") }, true},
		{"error", "it has failed", func(rt runtime) { rt.post("invocation/1/error", "{}") }, true},
		{"next", "the runtime has given it up", func(rt runtime) { rt.do("GET", "invocation/next", nil, nil, nil) }, true},
		{"gone", "the runtime is dead", func(rt runtime) { rt.client.CloseIdleConnections() }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, sink := newHost(t), &memory{}
			r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink})
			rt := newRuntime(t, r.Addr())
			result := invoke(t.Context(), h, Request{ID: "1", Event: []byte("1")})
			rt.next()
			done := waiting(t.Context(), r, "1")
			select {
			case <-done:
				t.Fatal("it returned while the function works")
			case <-time.After(2 * goneAfter):
			}
			test.end(rt)
			if got := <-done; got != test.want {
				t.Errorf("%s: got %v", test.reason, got)
			}
			if n := len(kept(r, sink)); (n == 1) != test.want {
				t.Errorf("%d are with the sink", n)
			}
			h.Close()
			<-result
		})
	}
}

func TestWaitTellsApartInvocationsOfOneID(t *testing.T) {
	h := newHost(t)
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: &memory{}})
	rt := newRuntime(t, r.Addr())
	for range 2 { // a retry of an asynchronous invocation has the same ID
		round(t, h, rt, Request{ID: "1", Event: []byte("1")}, "invocation/1/response", "1")
	}
	for i := range 2 {
		if !r.Wait(t.Context(), "1") {
			t.Errorf("call %d: got false", i+1)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if r.Wait(ctx, "1") {
		t.Error("there were two, and a third is told of")
	}
}

func TestWaitDoesNotWaitForWhoDoesNotCome(t *testing.T) {
	h := newHost(t)
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: &memory{}})
	if r.Wait(t.Context(), "1") {
		t.Error("without a runtime: got true")
	}
	rt := newRuntime(t, r.Addr())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		resp, err := rt.client.Get("http://" + r.Addr() + apiPath + "invocation/next")
		if err == nil {
			resp.Body.Close()
		}
	}()
	if r.Wait(t.Context(), "1") {
		t.Error("with a runtime that goes on waiting for an event: got true")
	}
	h.Close()
	<-asked
}

func TestLimitsAndChoicesAreCounted(t *testing.T) {
	h, sink := newHost(t), &memory{}
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink, MaxEvent: 5, Warm: true,
		Keep: func(inv *capture.Invocation) bool { return string(inv.Event) != "2" && inv.Outcome != nil },
	})
	rt := newRuntime(t, r.Addr())
	for _, event := range []string{"1", "2", "123456"} {
		resp := round(t, h, rt, Request{ID: event, Event: []byte(event)}, "invocation/"+event+"/response", event)
		if string(resp.Payload) != event {
			t.Errorf("got %s for %s", resp.Payload, event)
		}
	}
	if got, want := r.Stats(), (Stats{Recorded: 1, Skipped: 1, TooLarge: 1}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	if only(t, r, sink).Context.ColdStart {
		t.Error("a warm runtime starts cold")
	}
}

// panickingSink is a mistake in recording.
type panickingSink struct{}

func (panickingSink) Write(*capture.Invocation) error { panic("mistake") }

func TestFunctionRunsOnWhenRecordingPanics(t *testing.T) {
	h := newHost(t)
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: panickingSink{}, Log: slog.New(slog.DiscardHandler)})
	rt := newRuntime(t, r.Addr())
	for range 2 {
		resp := round(t, h, rt, Request{ID: "1", Event: []byte("1")}, "invocation/1/response", "1")
		if string(resp.Payload) != "1" {
			t.Errorf("got %s", resp.Payload)
		}
	}
	if got, want := r.Stats(), (Stats{Lost: 2}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
}

func TestAbortAllGivesThePlatformsAnswer(t *testing.T) {
	timedOut := ErrorResponse("Sandbox.Timedout", "time")
	for _, test := range []struct {
		response *Response
		want     capture.Status
	}{{&timedOut, capture.StatusTimeout}, {nil, ""}} {
		h, sink := newHost(t), &memory{}
		r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink})
		rt := newRuntime(t, r.Addr())
		ctx, cancel := context.WithCancelCause(t.Context())
		result := invoke(ctx, h, Request{ID: "1", Event: []byte(sqsEvent)})
		rt.next()
		if got := r.Stats(); got.Pending != 1 {
			t.Errorf("stats are %+v", got)
		}
		r.AbortAll(test.response)
		var got capture.Status
		if o := only(t, r, sink).Outcome; o != nil {
			got = o.Status
		}
		if got != test.want {
			t.Errorf("the outcome is %q, want %q", got, test.want)
		}
		cancel(errors.New("over"))
		<-result
	}
}
