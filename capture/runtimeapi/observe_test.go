package runtimeapi

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture/wiretap"
)

// What is not an event is not counted as one, whatever the platform answers.
func TestRefusedRequestsForEventsAreNotInvocations(t *testing.T) {
	for _, status := range []int{200, 403, 410, 500, 204} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status != 200 { // what has no ID is no event
				w.Header().Set(headerRequestID, "1")
			}
			w.WriteHeader(status)
		}))
		r := newRecorder(t, upstream.Listener.Addr().String(), 0, RecorderOptions{Sink: &memory{}})
		rt := newRuntime(t, r.Addr())
		for range 2 {
			if got := rt.do("GET", "invocation/next", nil, nil, nil); got.Status != status {
				t.Errorf("the runtime got %d", got.Status)
			}
		}
		if got := r.Stats(); got != (Stats{}) {
			t.Errorf("%d: stats are %+v", status, got)
		}
		upstream.Close()
	}
}

func TestInitializationErrorIsNoInvocation(t *testing.T) {
	h := newHost(t)
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: &memory{}})
	newRuntime(t, r.Addr()).post("init/error", `{"errorType":"E"}`)
	if err := h.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be initialized") {
		t.Errorf("the platform has %v", err)
	}
	if got := r.Stats(); got != (Stats{}) {
		t.Errorf("stats are %+v", got)
	}
}

// exchanges makes what passes in one invocation, at a time of the clock on the wall and at a tick each.
func exchanges(r *Recorder, wall []time.Time, ticks []time.Duration) {
	a := wiretap.NewAssembler(r.Observer(), r.MaxBody())
	texts := []string{
		"GET " + apiPath + "invocation/next HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + headerRequestID + ": 1\r\n\r\n1",
		"POST " + apiPath + "invocation/1/response HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n2",
		"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
	}
	a.Add(wiretap.Segment{Kind: wiretap.Open, Conn: 1})
	for i, text := range texts {
		kind := wiretap.Client
		if i%2 == 1 {
			kind = wiretap.Server
		}
		at := wiretap.Moment{Wall: wall[i], Tick: ticks[i]}
		a.Add(wiretap.Segment{Kind: kind, Conn: 1, At: at, Data: []byte(text)})
	}
}

func TestClockThatGoesBackChangesNoDuration(t *testing.T) {
	sink := &memory{}
	now := time.Unix(1700000000, 0).UTC()
	exchanges(NewRecorder(RecorderOptions{Sink: sink}),
		[]time.Time{now, now.Add(time.Second), now.Add(-time.Hour), now.Add(-time.Hour)},
		[]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second})
	if len(sink.kept) != 1 || sink.kept[0].Outcome.DurationMS != 2000 || !sink.kept[0].Time.Equal(now.Add(time.Second)) {
		t.Errorf("got %+v", sink.kept)
	}
}

func TestEventThatIsCutOffIsLost(t *testing.T) {
	h, sink := newHost(t), &memory{}
	r := newRecorder(t, h.Addr(), 0, RecorderOptions{Sink: sink, Log: slog.New(slog.DiscardHandler)})
	a := wiretap.NewAssembler(r.Observer(), r.MaxBody())
	for _, s := range []wiretap.Segment{
		{Kind: wiretap.Open}, {Kind: wiretap.Client, Data: []byte("GET " + apiPath + "invocation/next HTTP/1.1\r\n\r\n")},
		{Kind: wiretap.Server, Data: []byte("HTTP/1.1 200 OK\r\n" + headerRequestID + ": 1\r\nContent-Length: 2\r\n\r\n1")},
		{Kind: wiretap.Close},
	} {
		a.Add(s)
	}
	r.Recorder.Close()
	if got := r.Stats(); got != (Stats{Lost: 1}) {
		t.Errorf("stats are %+v", got)
	}
}

// Several workers of a runtime, each with a connection of its own, as AWS_LAMBDA_MAX_CONCURRENCY has it.
func TestInvocationsAtOnceKeepTheirOwnOutcomes(t *testing.T) {
	const workers, each = 4, 50
	var mu sync.Mutex
	n := 0
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			mu.Lock()
			n++
			id := fmt.Sprint(n)
			mu.Unlock()
			w.Header().Set(headerRequestID, id)
			fmt.Fprintf(w, `{"n":%s}`, id)
			return
		}
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer upstream.Close()
	sink := &memory{}
	r := newRecorder(t, upstream.Listener.Addr().String(), 0, RecorderOptions{Sink: sink, Concurrency: workers})
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			rt := newRuntime(t, r.Addr())
			for range each {
				event := rt.next()
				id := event.header.Get(headerRequestID)
				rt.post("invocation/"+id+"/response", event.Body)
			}
			rt.client.CloseIdleConnections()
		})
	}
	all.Wait()
	if got, want := r.Stats(), (Stats{Recorded: workers * each}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	seen := map[string]bool{}
	for _, inv := range kept(r, sink) {
		if diff := cmp.Diff(string(inv.Event), string(inv.Outcome.Result.Bytes())); diff != "" {
			t.Errorf("an event has another's outcome:\n%s", diff)
		}
		seen[string(inv.Event)] = true
	}
	if len(seen) != workers*each {
		t.Errorf("%d different events of %d", len(seen), workers*each)
	}
}
