//go:build linux

package main

import (
	stdcmp "cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/runtimeapi"
)

var quiet = log.New(io.Discard, "", 0)

// told checks the line with which the extension ends.
func told(t *testing.T, p *platform, counts string) {
	t.Helper()
	if !strings.Contains(p.output.String(), "tandem-recorder: "+counts+"\n") {
		t.Errorf("the log does not say %q", counts)
	}
}

func TestInvocationsAreOutOfTheEnvironmentBeforeItIsFrozen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason string
		start        func(p *platform)
	}{
		{"managed", "the wrapper script sends the runtime to the extension", (*platform).startManaged},
		{"OS-only", "the bootstrap script does, where Lambda ignores wrappers", func(p *platform) {
			p.startExtension()
			p.startRuntime("bootstrap")
		}},
		{"OS-only alone", "without an extension the bootstrap script starts the recorder", func(p *platform) {
			p.startRuntime("bootstrap")
			if diff := cmp.Diff([]string{"INVOKE"}, p.registered); diff != "" {
				t.Errorf("Lambda allows internal extensions no more than INVOKE (-want +got):\n%s", diff)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rec := filepath.Join(t.TempDir(), "x.rec")
			p := newPlatform(t, "TANDEM_SINK=file:"+rec)
			p.t = t
			test.start(p)
			for i := range 3 {
				event := fmt.Sprintf(`{"n":%d}`, i)
				if got := string(p.invoke(event).Payload); got != event {
					t.Errorf("the function answered %s to %s", got, event)
				}
				if all := recorded(t, rec); len(all) != i+1 || string(all[i].Event) != event {
					t.Fatalf("%s: %d are recorded after %d", test.reason, len(all), i+1)
				}
			}
			got := recorded(t, rec)[0]
			if got.Function != "orders" || got.Source != "runtime-api" || got.Context.RequestID != "request-1" ||
				!got.Context.ColdStart || got.Outcome.DurationMS <= 0 || got.Outcome.Status != capture.StatusOK {
				t.Errorf("got %+v with %+v", got, got.Outcome)
			}
			if p.recorder != nil {
				p.shutDown("spindown")
				told(t, p, "3 invocations: 3 recorded")
			}
		})
	}
}

func TestFunctionsThatEndBadlyAreRecorded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, event, shutdown string
		want                  capture.Status
	}{
		{"error", `{"do":"fail","text":"no"}`, "", capture.StatusFunctionError},
		{"panic", `{"do":"panic","text":"no"}`, "failure", capture.StatusFunctionError},
		{"crash", `{"do":"exit","n":3}`, "failure", capture.StatusFunctionError},
		{"killed", `{"do":"kill"}`, "failure", capture.StatusFunctionError},
		{"time-out", `{"do":"hang"}`, "timeout", capture.StatusTimeout},
		{"nobody says why", `{"do":"kill"}`, "spindown", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rec := filepath.Join(t.TempDir(), "x.rec")
			p := newPlatform(t, "TANDEM_SINK=file:"+rec)
			p.startManaged()
			timeout := patience
			if test.shutdown != "" {
				timeout = 800 * time.Millisecond // a crash is no end for this platform, either
			}
			_, err := p.try(runtimeapi.Request{Event: []byte(test.event)}, timeout, true)
			if (err != nil) != (test.shutdown != "") {
				t.Fatalf("invoke: %v", err)
			}
			p.shutDown(stdcmp.Or(test.shutdown, "spindown"))
			told(t, p, "1 invocations: 1 recorded")
			all := recorded(t, rec)
			if len(all) != 1 || string(all[0].Event) != test.event {
				t.Fatalf("%d are recorded", len(all))
			}
			var got capture.Status
			if all[0].Outcome != nil {
				got = all[0].Outcome.Status
			}
			if got != test.want {
				t.Errorf("the outcome is %q, want %q", got, test.want)
			}
		})
	}
}

func TestEventsAndAnswersPassByteForByte(t *testing.T) {
	t.Parallel()
	events := []string{
		`{"a":1,"a":2,"b":1.0,"c":9007199254740993}`,
		"{ \"space\" :\t[ ] }",
		"{\"invalid\":\"\xff\xfe\x00\"}"[:14] + "\"}",
		`{"binary":"` + base64.StdEncoding.EncodeToString([]byte{0, 255, 254}) + `"}`,
		`{"big":"` + strings.Repeat("x", 6<<20-100) + `"}`,
		`{"do":"big","n":6291000}`,
		`{"do":"stream","text":"` + strings.Repeat("y", 100_000) + `"}`,
	}
	rec := filepath.Join(t.TempDir(), "x.rec")
	with := newPlatform(t, "TANDEM_SINK=file:"+rec)
	with.startManaged()
	without := newPlatform(t)
	without.set(make(chan event, 100)) // an extension that is always ready
	without.startRuntime("tandem-wrapper", echo)
	for _, event := range events {
		got := with.invoke(event)
		want, err := without.try(runtimeapi.Request{Event: []byte(event)}, patience, false)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Payload) != string(want.Payload) || got.ContentType != want.ContentType ||
			got.FunctionError != want.FunctionError {
			t.Errorf("%.60q: the answer differs from the one without a recorder:\n%.100s %.100s", event, want, got)
		}
	}
	with.shutDown("spindown")
	var got []string
	for _, inv := range recorded(t, rec) {
		got = append(got, string(inv.Event))
		if o := inv.Outcome; o.Status != capture.StatusOK {
			t.Errorf("%.60q: outcome is %q", inv.Event, o.Status)
		}
	}
	if !slices.Equal(got, events) {
		t.Errorf("%d events are recorded of %d, or they differ", len(got), len(events))
	}
}

func TestLimitsAndReplaysAreCounted(t *testing.T) {
	t.Parallel()
	mark, err := base64.StdEncoding.DecodeString(capture.Mark{Run: "r", Invocation: "i", Target: "t"}.ClientContext())
	if err != nil {
		t.Fatal(err)
	}
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec,
		"TANDEM_MAX_EVENT=20", "TANDEM_KEEP_PER_SHAPE=1", "TANDEM_SAMPLE_REST=3")
	p.startManaged()
	for i := range 5 {
		p.invoke(fmt.Sprintf(`{"n":%d}`, i)) // 0 is the first of its shape, 3 the third of the rest
	}
	p.invoke(`{"large":"` + strings.Repeat("x", 20) + `"}`)
	if _, err := p.try(runtimeapi.Request{Event: []byte(`{}`), ClientContext: mark}, patience, true); err != nil {
		t.Fatal(err)
	}
	p.shutDown("spindown")
	told(t, p, "7 invocations: 2 recorded, 3 not sampled, 1 from a replay, 1 lost")
	told(t, p, "lost 1 invocations: 1 larger than TANDEM_MAX_EVENT")
	if diff := cmp.Diff([]string{`{"n":0}`, `{"n":3}`}, eventsOf(recorded(t, rec))); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestAnotherProxyStandsBetween(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	var passed passedSink
	other, err := runtimeapi.NewRecorder(runtimeapi.RecorderOptions{
		Upstream: p.server.Listener.Addr().String(), Sink: &passed,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "TANDEM_RUNTIME_API="+other.Addr())
	p.startManaged()
	p.invoke(`{"n":1}`)
	p.shutDown("spindown")
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if got := eventsOf(recorded(t, rec)); len(got) != 1 || len(passed) != 1 {
		t.Errorf("%d are recorded, %d passed the other proxy", len(got), len(passed))
	}
}

type passedSink []*capture.Invocation

func (s *passedSink) Write(inv *capture.Invocation) error {
	*s = append(*s, inv)
	return nil
}

// What is wrong with the recorder must not be wrong with the function.
func TestFunctionRunsOnWithoutARecorder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason string
		variables    []string
		says         string
	}{
		{"no sink", "a layer that is not configured yet", nil, "TANDEM_SINK is not set"},
		{"unknown sink", "a typo", []string{"TANDEM_SINK=ftp://x:secret@y/"}, "TANDEM_SINK is none of"},
		{"bad number", "a typo", []string{"TANDEM_SINK=log:", "TANDEM_SAMPLE=much"}, `TANDEM_SAMPLE="much"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlatform(t, test.variables...)
			p.startManaged()
			for range 2 {
				if got := string(p.invoke(`{"n":1}`).Payload); got != `{"n":1}` {
					t.Errorf("%s: the function answered %s", test.reason, got)
				}
			}
			p.shutDown("spindown")
			told(t, p, "2 invocations: 0 recorded, 2 lost")
			log := p.output.String()
			if !strings.Contains(log, test.says) || strings.Contains(log, "secret") {
				t.Errorf("the log does not say %q, or it tells the secret", test.says)
			}
		})
	}
	t.Run("bootstrap", func(t *testing.T) {
		p := newPlatform(t)
		p.set(make(chan event, 1))
		p.startRuntime("bootstrap")
		if _, err := p.try(runtimeapi.Request{Event: []byte(`1`)}, patience, false); err != nil {
			t.Error(err)
		}
	})
}

func TestPortThatIsTakenIsNotUsed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	rec := filepath.Join(t.TempDir(), "x.rec")
	port := taken.Addr().(*net.TCPAddr).Port
	p := newPlatform(t, "TANDEM_SINK=file:"+rec, "TANDEM_PORT="+strconv.Itoa(port))
	p.startManaged()
	p.invoke(`1`)
	p.shutDown("spindown")
	told(t, p, "1 invocations: 1 recorded")
}

func TestFunctionThatDoesNotUseTheRecorderIsTold(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TANDEM_SINK=file:"+filepath.Join(t.TempDir(), "x.rec"))
	p.startExtension()
	runtime := p.layer + "/task/bootstrap.real"
	p.startRuntime("task/" + filepath.Base(runtime)) // nobody set AWS_LAMBDA_EXEC_WRAPPER
	started := time.Now()
	p.invoke(`1`)
	if took := time.Since(started); took > patience/2 {
		t.Errorf("the extension kept the environment for %v", took)
	}
	p.shutDown("spindown")
	told(t, p, "lost 1 invocations: 1 did not pass the recorder")
	told(t, p, "1 invocations: 0 recorded, 1 lost")
}

func TestKilledRecorderHarmsNoFunction(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.startManaged()
	pid := p.runtime.Process.Pid
	p.invoke(`{"n":1}`)
	for range maxWorkers + 1 {
		p.thaw()
		if p.workerOf() != 0 {
			asked := p.asked()
			p.killWorker()
			p.nextAgain(asked) // its client does that by itself
		}
		p.freeze()
		if got := string(p.invoke(`{"n":2}`).Payload); got != `{"n":2}` {
			t.Errorf("the function answered %s", got)
		}
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the runtime is gone: %v", err)
	}
	p.shutDown("spindown")
	n := len(recorded(t, rec))
	counts := regexp.MustCompile(`(\d+) invocations: (\d+) recorded, (\d+) lost\n`).FindStringSubmatch(p.output.String())
	if counts == nil || counts[1] != "7" || counts[2] != strconv.Itoa(n) ||
		counts[3] != strconv.Itoa(7-n) || n < maxWorkers {
		t.Errorf("%d are recorded, the counts are %q", n, counts)
	}
}

func TestKilledDuringAnInvocationLosesThatOne(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	arrived, release := make(chan struct{}), make(chan struct{})
	url := holdingServer(t, arrived, release)
	p.startManaged()
	p.invoke(`{"n":1}`)
	result := make(chan error, 1)
	go func() {
		_, err := p.try(runtimeapi.Request{Event: []byte(`{"do":"get","url":"` + url + `"}`)}, patience, true)
		result <- err
	}()
	<-arrived
	p.killWorker()
	close(release)
	if err := <-result; err != nil {
		t.Errorf("the function was harmed: %v", err)
	}
	p.invoke(`{"n":3}`)
	p.shutDown("spindown")
	told(t, p, "lost 1 invocations: 1 ") // why depends on whether the worker still said that it had seen it
	told(t, p, "3 invocations: 2 recorded, 1 lost")
	if diff := cmp.Diff([]string{`{"n":1}`, `{"n":3}`}, eventsOf(recorded(t, rec))); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	r, err := capture.Open(rec, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m := r.Manifest(); m == nil || m.Counts.Lost != 1 || !m.Complete {
		t.Errorf("the manifest says %+v", m)
	}
}

// Lambda ends an environment whose extension has died. Until then the function runs, and is recorded.
func TestKilledExtensionHarmsNoFunction(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.startManaged()
	p.invoke(`{"n":1}`)
	p.thaw()
	worker := p.workerOf()
	if err := p.recorder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(worker, syscall.SIGKILL)
	for range 2 {
		if _, err := p.try(runtimeapi.Request{Event: []byte(`{"n":2}`)}, patience, false); err != nil {
			t.Fatal(err)
		}
		p.thaw()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(recorded(t, rec)) < 3 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(errors.New("what came after the extension had died is not recorded"))
		}
	}
}
