//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

// Each of the runtimes echoes. The command is what the wrapper script is to start.
func TestEveryRuntimeIsRecorded(t *testing.T) {
	t.Parallel()
	type lambdaRuntime struct {
		name    string
		command []string
	}
	runtimes := []lambdaRuntime{
		{"aws-lambda-go", []string{echo}},
		{"a connection for each request", []string{oneshot}},
	}
	if node := nodeRuntime(t); node != nil {
		runtimes = append(runtimes, lambdaRuntime{"aws-lambda-ric for Node", node})
	}
	for _, r := range runtimes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			rec := filepath.Join(t.TempDir(), "x.rec")
			p := newPlatform(t, "TANDEM_SINK=file:"+rec)
			p.startExtension()
			p.startRuntime("tandem-wrapper", r.command...)
			events := []string{`{"n":1}`, `{"n":"` + strings.Repeat("x", 1<<20) + `"}`, `{"n":3}`}
			for _, event := range events {
				if got := string(p.invoke(event).Payload); got != event {
					t.Errorf("the function answered %.100s to %.100s", got, event)
				}
			}
			p.shutDown("spindown")
			told(t, p, "3 invocations: 3 recorded")
			var got []string
			for _, inv := range recorded(t, rec) {
				got = append(got, string(inv.Event))
				if inv.Outcome == nil || inv.Outcome.Status != capture.StatusOK {
					t.Errorf("the outcome is %+v", inv.Outcome)
				}
			}
			if !slices.Equal(got, events) {
				t.Errorf("%d events are recorded, or they differ", len(got))
			}
		})
	}
}

// The function counts its invocations, and the recording has each of them once.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	total := 2000
	if os.Getenv("TANDEM_SOAK") != "" {
		total = 100_000
	}
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.awake = true
	p.startManaged()
	var pid int
	for i := range total {
		var counted struct{ Pid, Seen int }
		if err := json.Unmarshal(p.invoke(fmt.Sprintf(`{"do":"count","n":%d}`, i)).Payload, &counted); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			pid = counted.Pid
		}
		if counted.Seen != i+1 || counted.Pid != pid {
			t.Fatalf("the function has been called %d times after %d invocations", counted.Seen, i+1)
		}
	}
	both := memoryMB(t, p.workerOf(), "smaps_rollup", "Pss") + memoryMB(t, p.recorder.Process.Pid, "smaps_rollup", "Pss")
	if both > 64 {
		t.Errorf("the recorder needs %.1f MB", both)
	}
	p.shutDown("spindown")
	told(t, p, fmt.Sprintf("%d invocations: %d recorded", total, total))
	seen := make([]int, total)
	for _, inv := range recorded(t, rec) {
		var event struct{ N int }
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		seen[event.N]++
	}
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("invocation %d is recorded %d times", i, n)
		}
	}
}

// A runtime that cannot go on does the same with the recorder as without it.
func TestRuntimeThatIsRefusedSeesWhy(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusGone, http.StatusInternalServerError} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var exits []string
			for _, with := range []bool{true, false} {
				p := newPlatform(t, "TANDEM_SINK=file:"+filepath.Join(t.TempDir(), "x.rec"))
				p.serveRuntimeWith(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					http.Error(w, "no", status)
				}), false)
				script := "task/bootstrap.real"
				if with {
					p.startExtension()
					script = "tandem-wrapper"
				}
				runtime := p.launch(filepath.Join(p.layer, script), echo)
				exits = append(exits, fmt.Sprint(runtime.Wait()))
				if with {
					p.shutDown("failure")
					told(t, p, "0 invocations: 0 recorded")
				}
				if !strings.Contains(p.output.String(), fmt.Sprint(status)) {
					t.Errorf("with a recorder %v: the runtime does not say why it ends", with)
				}
			}
			if diff := cmp.Diff(exits[1], exits[0]); diff != "" {
				t.Errorf("the runtime ends otherwise than without a recorder:\n%s", diff)
			}
		})
	}
}

func TestRuntimeThatCannotBeInitializedIsNoInvocation(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TANDEM_SINK=file:"+filepath.Join(t.TempDir(), "x.rec"), "ON_START=init-error")
	p.startExtension()
	p.runtime = p.launch(filepath.Join(p.layer, "tandem-wrapper"), echo)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.host.Ready(ctx); err == nil || !strings.Contains(err.Error(), "no TABLE") {
		t.Errorf("the platform has %v", err)
	}
	p.shutDown("failure")
	told(t, p, "0 invocations: 0 recorded")
}

// On Managed Instances an environment works on several invocations at once and is never frozen, and extensions are not
// told about invocations.
func TestInvocationsAtOnceAreRecorded(t *testing.T) {
	t.Parallel()
	const total, workers = 200, 4
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec, fmt.Sprintf("AWS_LAMBDA_MAX_CONCURRENCY=%d", workers))
	p.awake = true
	var mu sync.Mutex
	given, answered := 0, make(map[string]string)
	all := make(chan struct{})
	const prefix = "/2018-06-01/runtime/invocation/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"next", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		given++
		n := given
		mu.Unlock()
		if n > total {
			if n == total+workers { // each has had the answer to what it posted
				close(all)
			}
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprint(n))
		w.Header().Set("Lambda-Runtime-Deadline-Ms", "99999999999999")
		fmt.Fprintf(w, `{"n":%d}`, n)
	})
	mux.HandleFunc("POST "+prefix+"{id}/response", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		mu.Lock()
		defer mu.Unlock()
		answered[r.PathValue("id")] = string(body)
	})
	p.serveRuntimeWith(mux, true)
	p.startExtension()
	if diff := cmp.Diff([]string{eventShutdown}, p.wants()); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	p.runtime = p.launch(filepath.Join(p.layer, "tandem-wrapper"), echo)
	<-all
	p.shutDown("spindown")
	told(t, p, fmt.Sprintf("%d invocations: %d recorded", total, total))
	got := make(map[string]string)
	for _, inv := range recorded(t, rec) {
		if inv.Outcome == nil || inv.Outcome.Result == nil {
			t.Fatalf("invocation %s has no result", inv.Context.RequestID)
		}
		got[inv.Context.RequestID] = string(inv.Outcome.Result.Bytes())
	}
	if diff := cmp.Diff(answered, got); diff != "" {
		t.Errorf("recorded (-answered +recorded):\n%s", diff)
	}
}
