//go:build linux

package main

import (
	stdcmp "cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/runtimeapi"
	"tandem/capture/wiretap"
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
			if diff := cmp.Diff([]string{"INVOKE"}, p.wants()); diff != "" {
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
	exited := func(p *platform) { p.runtime.Wait() }
	tests := []struct {
		name, event, shutdown string
		over                  func(p *platform) // returns when nothing will come of the invocation any more
		want                  capture.Status
	}{
		{name: "error", event: `{"do":"fail","text":"no"}`, want: capture.StatusFunctionError},
		{name: "panic", event: `{"do":"panic","text":"no"}`, shutdown: "failure", want: capture.StatusFunctionError},
		{name: "crash", event: `{"do":"exit","n":3}`, shutdown: "failure", over: exited, want: capture.StatusFunctionError},
		{name: "killed", event: `{"do":"kill"}`, shutdown: "failure", over: exited, want: capture.StatusFunctionError},
		{name: "time-out", event: `{"do":"hang"}`, shutdown: "timeout", want: capture.StatusTimeout,
			over: func(p *platform) { p.output.wait(t, "hanging") }},
		{name: "nobody says why", event: `{"do":"kill"}`, over: exited},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rec := filepath.Join(t.TempDir(), "x.rec")
			p := newPlatform(t, "TANDEM_SINK=file:"+rec)
			p.startManaged()
			if test.over == nil {
				p.invokeOnly(t.Context(), test.event, patience)
			} else {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					defer cancel()
					test.over(p)
				}()
				p.invokeOnly(ctx, test.event, 3*time.Second) // until when the extension waits for a function that hangs
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
		"{\"invalid\":\"\xff\xfe\"}",
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
	watch := runtimeapi.NewRecorder(runtimeapi.RecorderOptions{Sink: &passed})
	other, err := wiretap.NewWire(wiretap.WireOptions{
		Upstream: p.server.Listener.Addr().String(), Observer: watch.Observer(),
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
	told(t, p, "lost 1 invocations: 1 not seen whole by the recorder")
	told(t, p, "1 invocations: 0 recorded, 1 lost")
}
