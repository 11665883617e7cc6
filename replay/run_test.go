package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/replay"
	"tandem/replay/functions"
)

// httpEvent is an API Gateway event whose body is the number n.
func httpEvent(n int) string {
	return fmt.Sprintf(`{"version":"2.0","rawPath":"/orders/%d","rawQueryString":"","headers":{},`+
		`"requestContext":{"http":{"method":"POST"}},"body":"%d"}`, n, n)
}

func writeRecording(t testing.TB, invocations ...*capture.Invocation) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.rec")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, inv := range invocations {
		if inv.Trigger == "" {
			inv.Trigger, inv.Format = capture.Detect(inv.Event)
		}
		if err := w.Write(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// orders returns n invocations of create-order, i0 and on.
func orders(n int) []*capture.Invocation {
	list := make([]*capture.Invocation, n)
	for i := range list {
		list[i] = &capture.Invocation{ID: fmt.Sprintf("i%d", i), Function: "create-order", Event: []byte(httpEvent(i))}
	}
	return list
}

func openRecording(t testing.TB, path string) *capture.Recording {
	t.Helper()
	recording, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return recording
}

// serve starts a server and returns a client that is closed with it.
func serve(t testing.TB, handler http.HandlerFunc) (url string, client *http.Client) {
	t.Helper()
	client = replay.NewHTTPClient(replay.HTTPOptions{})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return server.URL, client
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

func httpTarget(t testing.TB, name, url string, client *http.Client) replay.Deployment {
	t.Helper()
	target, err := functions.NewHTTP(functions.HTTPOptions{URL: url + "/{path}", HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	return replay.Deployment{Name: name, Kind: "http", Address: url, Target: target}
}

// optionsFor replays a recording at two servers that do as handler does.
func optionsFor(t testing.TB, recording string, handler http.HandlerFunc) replay.Options {
	t.Helper()
	url, client := serve(t, handler)
	return replay.Options{
		Recording: openRecording(t, recording), RecordingPath: recording,
		Targets: map[string][]replay.Deployment{"create-order": {
			httpTarget(t, "lambda", url+"/a", client), httpTarget(t, "functions", url+"/b", client),
		}},
		Dir: filepath.Join(t.TempDir(), "orders.run"), ConfigHash: "c1", FireHash: "f1", InFlight: 4,
	}
}

// readRun returns the trials of a run by invocation, with the number of the repeat behind it if it is one, and fails if
// one is there twice.
func readRun(t testing.TB, dir string) (map[string]*replay.Trial, *replay.RunManifest) {
	t.Helper()
	run, err := replay.OpenRun(dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	trials := make(map[string]*replay.Trial)
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		key := trial.Invocation
		if trial.Repeat > 0 {
			key = fmt.Sprintf("%s %d", key, trial.Repeat)
		}
		if trials[key] != nil {
			t.Fatalf("invocation %s has two trials", key)
		}
		trials[key] = trial
	}
	return trials, run.Manifest()
}

func TestRunWritesATrialForEveryInvocation(t *testing.T) {
	list := orders(50)
	list = append(list,
		&capture.Invocation{ID: "stranger", Function: "not-in-config", Event: []byte(`{}`)},
		&capture.Invocation{ID: "broken", Function: "create-order", Event: []byte(`{"version":"2.0"}`)})
	recording := writeRecording(t, list...)
	opts := optionsFor(t, recording, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b/orders/7" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		echo(w, r)
	})
	opts.Progress = new(replay.Progress)
	summary, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	trials, m := readRun(t, opts.Dir)
	if len(trials) != 52 || !m.Complete || !summary.Complete {
		t.Fatalf("%d trials, manifest %+v", len(trials), m)
	}
	for i := range 50 {
		trial := trials[fmt.Sprintf("i%d", i)]
		if trial.N != int64(i) || trial.Shape == "" || trial.Lane != "" {
			t.Errorf("trial %+v", trial)
		}
		for name, out := range trial.Outcomes {
			switch {
			case i == 7 && name == "functions":
				if out.Status != capture.StatusFunctionError {
					t.Errorf("i7 at functions: %+v", out)
				}
			case out.Status != capture.StatusOK || string(out.HTTP.Body.Bytes()) != fmt.Sprint(i):
				t.Errorf("i%d at %s: %+v", i, name, out)
			case out.Attempts != 1 || out.DurationMS <= 0:
				t.Errorf("i%d at %s was not measured: %+v", i, name, out)
			}
		}
	}
	for _, id := range []string{"stranger", "broken"} {
		for name, out := range trials[id].Outcomes {
			if out.Status != capture.StatusUnreplayable || out.Error.Message == "" {
				t.Errorf("%s at %s: %+v", id, name, out)
			}
		}
	}
	checkCounts(t, m.Counts, opts.Progress.Snapshot())
}

func checkCounts(t *testing.T, c replay.Counts, s replay.Snapshot) {
	t.Helper()
	if c.Invocations != 52 || c.Trials != 52 || c.NotReached != 0 {
		t.Errorf("counts %+v", c)
	}
	for _, target := range s.Targets {
		var total int64
		for status, n := range c.Outcomes[target.Name] {
			total += n
			if target.Statuses[status] != n {
				t.Errorf("%s: progress has %d %s, the manifest %d", target.Name, target.Statuses[status], status, n)
			}
		}
		if total != 52 || target.Done != 52 || target.Fired != 50 || target.P99 <= 0 {
			t.Errorf("%s: %d outcomes in the manifest, progress %+v", target.Name, total, target)
		}
	}
	var unreplayable int64
	for _, n := range c.Unreplayable {
		unreplayable += n
	}
	if unreplayable != 4 || s.Total != 52 || s.Done != 52 || s.InFlight != 0 || s.Blocked != 0 {
		t.Errorf("unreplayable %v, progress %+v", c.Unreplayable, s)
	}
}

func TestWhatOneTargetCannotBeSentIsSentToNone(t *testing.T) {
	var requests atomic.Int64
	opts := optionsFor(t, writeRecording(t, orders(1)...), func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	handler, err := functions.NewHandler(functions.HandlerOptions{URL: "http://127.0.0.1:0", Function: "create-order"})
	if err != nil {
		t.Fatal(err)
	}
	opts.Targets["create-order"][1].Target = handler // which takes no HTTP events
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, m := readRun(t, opts.Dir)
	if n := requests.Load(); n != 0 {
		t.Errorf("the other target was sent %d requests", n)
	}
	for name, out := range trials["i0"].Outcomes {
		if out.Status != capture.StatusUnreplayable || out.Error.Message == "" {
			t.Errorf("%s: %+v", name, out)
		}
	}
	if len(m.Counts.Unreplayable) != 2 {
		t.Errorf("reasons: %v", m.Counts.Unreplayable)
	}
}

// What was recorded can be the baseline of a comparison, and counts as nothing that was fired.
func TestATrialHasTheOutcomeThatWasRecorded(t *testing.T) {
	invocations := orders(2)
	invocations[0].Outcome = &capture.Outcome{Status: capture.StatusFunctionError}
	opts := optionsFor(t, writeRecording(t, invocations...), func(http.ResponseWriter, *http.Request) {})
	opts.StopOn = []replay.StopRule{{Count: 1, Window: time.Minute}}
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, m := readRun(t, opts.Dir)
	if out := trials["i0"].Outcomes[replay.RecordedOutcome]; out == nil || out.Status != capture.StatusFunctionError {
		t.Errorf("recorded: %+v", out)
	}
	if out, ok := trials["i1"].Outcomes[replay.RecordedOutcome]; ok {
		t.Errorf("nothing was recorded, and the trial has %+v", out)
	}
	if _, ok := m.Counts.Outcomes[replay.RecordedOutcome]; ok || m.Counts.Trials != 2 || len(m.Counts.Outcomes) != 2 {
		t.Errorf("counts: %+v", m.Counts)
	}
}

func TestTargetsOfAnInvocationAreFiredTogether(t *testing.T) {
	recording := writeRecording(t, orders(10)...)
	var mu sync.Mutex
	meet := make(map[string]chan struct{})
	opts := optionsFor(t, recording, func(w http.ResponseWriter, r *http.Request) {
		// Each request waits for the other target's, and so is answered only if both are made at once.
		mark, err := capture.ParseMark(r.Header.Get(capture.MarkHeader))
		if err != nil || !strings.HasPrefix(r.URL.Path, map[string]string{"lambda": "/a/", "functions": "/b/"}[mark.Target]) {
			t.Errorf("mark %+v on %s, %v", mark, r.URL.Path, err)
		}
		mu.Lock()
		other, ok := meet[mark.Invocation]
		if !ok {
			other = make(chan struct{})
			meet[mark.Invocation] = other
		}
		mu.Unlock()
		if ok {
			close(other)
		}
		<-other
	})
	opts.InFlight = 1
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete {
		t.Fatalf("%+v, %v", m, err)
	}
	if m.SkewMS.Max < m.SkewMS.P50 || m.SkewMS.Max > 60_000 {
		t.Errorf("skew %+v", m.SkewMS)
	}
}

func TestInvocationsOfALaneAreFiredInOrder(t *testing.T) {
	var list []*capture.Invocation
	for i := range 60 {
		inv := &capture.Invocation{
			ID: fmt.Sprintf("i%d", i), Function: "create-order", Event: []byte(httpEvent(i)),
			Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		}
		inv.Event = fmt.Appendf(nil, `{"Records":[{"messageId":"m%d","eventSourceARN":"q.fifo","body":"%d",`+
			`"attributes":{"MessageGroupId":"g%d"}}]}`, i, i, i%5)
		list = append(list, inv)
	}
	recording := writeRecording(t, list...)
	var mu sync.Mutex
	var seen []string
	url, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mark, _ := capture.ParseMark(r.Header.Get(capture.MarkHeader))
		mu.Lock()
		seen = append(seen, mark.Invocation)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
	target, err := functions.NewHandler(functions.HandlerOptions{URL: url, Function: "create-order", HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	m, err := replay.Run(t.Context(), t.Context(), replay.Options{
		Recording: openRecording(t, recording), Dir: dir,
		Targets: map[string][]replay.Deployment{"create-order": {{Name: "functions", Target: target}}},
	})
	if err != nil || !m.Complete || len(seen) != 60 {
		t.Fatalf("%d messages, %+v, %v", len(seen), m, err)
	}
	last := make(map[int]int)
	for _, id := range seen {
		var n int
		if _, err := fmt.Sscanf(id, "i%d", &n); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[n%5]; ok && n != before+5 {
			t.Errorf("%d came after %d", n, before)
		}
		last[n%5] = n
	}
	trials, _ := readRun(t, dir)
	if lane := trials["i3"].Lane; lane != "sqs:q.fifo/g3" {
		t.Errorf("lane %q", lane)
	}
}

// A gate holds requests back until it is opened, and tells when they have come.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 1000), make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // only then does the server see that a client goes away
	g.arrived <- struct{}{}
	select {
	case <-g.open:
		_, _ = w.Write(body)
	case <-r.Context().Done():
	}
}

func (g *gate) wait(n int) {
	for range n {
		<-g.arrived
	}
}

func TestStopLetsWhatIsInFlightFinish(t *testing.T) {
	recording := writeRecording(t, orders(30)...)
	g := newGate()
	opts := optionsFor(t, recording, g.ServeHTTP)
	firing, stop := context.WithCancel(t.Context())
	var m *replay.RunManifest
	var err error
	var run sync.WaitGroup
	run.Go(func() { m, err = replay.Run(t.Context(), firing, opts) })
	g.wait(2 * opts.InFlight)
	stop()
	close(g.open)
	run.Wait()
	if err != nil || m.Complete || m.Counts.Trials < 4 || m.Counts.NotReached != 30-m.Counts.Trials {
		t.Fatalf("%+v, %v; want some trials, and no error", m, err)
	}
	trials, _ := readRun(t, opts.Dir)
	if int64(len(trials)) != m.Counts.Trials {
		t.Fatalf("%d trials are on disk, %d in the manifest", len(trials), m.Counts.Trials)
	}
	resumeToTheEnd(t, opts, 30, m)
}

func TestStopWhileTheRecordingIsReadBeginsNoRun(t *testing.T) {
	opts := optionsFor(t, writeRecording(t, orders(3)...), func(http.ResponseWriter, *http.Request) { t.Error("fired") })
	firing, stop := context.WithCancel(t.Context())
	stop()
	if m, err := replay.Run(t.Context(), firing, opts); !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestCancelWritesNoTrialOfWhatWasCutOff(t *testing.T) {
	recording := writeRecording(t, orders(30)...)
	g := newGate()
	opts := optionsFor(t, recording, g.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	var m *replay.RunManifest
	var err error
	var run sync.WaitGroup
	run.Go(func() { m, err = replay.Run(ctx, ctx, opts) })
	g.wait(2 * opts.InFlight)
	cancel()
	run.Wait()
	if !errors.Is(err, context.Canceled) || m == nil || m.Complete || m.Counts.Trials != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	close(g.open)
	resumeToTheEnd(t, opts, 30, m)
}

func resumeToTheEnd(t *testing.T, opts replay.Options, invocations int, before *replay.RunManifest) {
	t.Helper()
	opts.Resume = true
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete || m.ID != before.ID || !m.Start.Equal(before.Start) {
		t.Fatalf("resumed: %+v, %v", m, err)
	}
	if len(m.Resumed) != 1 || m.Resumed[0].Trials != before.Counts.Trials {
		t.Errorf("resumed: %+v", m.Resumed)
	}
	trials, _ := readRun(t, opts.Dir)
	if len(trials) != invocations || m.Counts.Trials != int64(invocations) {
		t.Errorf("%d trials, counts %+v", len(trials), m.Counts)
	}
}

func TestResumeFiresNothingTwiceAndUnderAnotherMark(t *testing.T) {
	recording := writeRecording(t, orders(5)...)
	var mu sync.Mutex
	runs := make(map[string]int)
	opts := optionsFor(t, recording, func(_ http.ResponseWriter, r *http.Request) {
		mark, _ := capture.ParseMark(r.Header.Get(capture.MarkHeader))
		mu.Lock()
		defer mu.Unlock()
		runs[mark.Run]++
	})
	first, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	resumeToTheEnd(t, opts, 5, first)
	if len(runs) != 1 || runs[first.ID] != 10 {
		t.Errorf("requests by run: %v", runs)
	}
}

func TestRunRefuses(t *testing.T) {
	recording := writeRecording(t, orders(3)...)
	opts := optionsFor(t, recording, echo)
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*replay.Options)
		want   string // "" when it is not refused
	}{
		{"a folder that holds a run", func(*replay.Options) {}, "--resume"},
		{"to resume with another recording", func(o *replay.Options) {
			o.Resume = true
			o.Recording = openRecording(t, writeRecording(t, orders(4)...))
		}, "another recording"},
		{"to resume with what fires other things", func(o *replay.Options) {
			o.Resume, o.ConfigHash, o.FireHash = true, "c2", "f2"
		}, "another config, whose functions or resources are not these (hash f1, and here f2)"},
		{"no other config that fires the same", func(o *replay.Options) {
			o.Resume, o.ConfigHash = true, "c2"
		}, ""},
		{"no other config that was said to be one", func(o *replay.Options) {
			o.Resume, o.NewConfig, o.ConfigHash, o.FireHash = true, true, "c2", "f2"
		}, ""},
		{"two targets of one name", func(o *replay.Options) {
			o.Targets = map[string][]replay.Deployment{"f": {{Name: "lambda"}, {Name: "lambda"}}}
		}, "names that differ"},
		{"no targets at all", func(o *replay.Options) { o.Targets = nil }, "no targets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := opts
			tt.change(&opts)
			_, err := replay.Run(t.Context(), t.Context(), opts)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestTwoReplaysIntoOneFolderAreRefused(t *testing.T) {
	recording := writeRecording(t, orders(3)...)
	g := newGate()
	opts := optionsFor(t, recording, g.ServeHTTP)
	var run sync.WaitGroup
	var err error
	run.Go(func() { _, err = replay.Run(t.Context(), t.Context(), opts) })
	g.wait(1)
	second := opts
	second.Recording, second.Resume = openRecording(t, recording), true
	if _, err := replay.Run(t.Context(), t.Context(), second); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("error %v, want %v", err, journal.ErrLocked)
	}
	close(g.open)
	run.Wait()
	if err != nil {
		t.Errorf("the first replay: %v", err)
	}
}

func TestABadRecordingIsToldBeforeAnythingIsFired(t *testing.T) {
	good := `{"id":"i0","function":"create-order","event":` + httpEvent(0) + `}`
	tests := []struct{ name, lines, want string }{
		{"a bad line", good + "\n{\n" + good + "\n", ":2:"},
		{"a duplicate", good + "\n" + good + "\n", "appears twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.jsonl")
			if err := os.WriteFile(path, []byte(tt.lines), 0o644); err != nil {
				t.Fatal(err)
			}
			opts := optionsFor(t, path, func(http.ResponseWriter, *http.Request) { t.Error("it was fired") })
			_, err := replay.Run(t.Context(), t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if _, err := os.Stat(opts.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Error("a folder was made")
			}
		})
	}
}

func TestATargetThatDoesNotAnswerIsUnknown(t *testing.T) {
	recording := writeRecording(t, orders(1)...)
	g := newGate()
	opts := optionsFor(t, recording, g.ServeHTTP)
	opts.TargetTimeout = 50 * time.Millisecond
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, _ := readRun(t, opts.Dir)
	for name, out := range trials["i0"].Outcomes {
		if out.Status != capture.StatusUnknown || !strings.Contains(out.Error.Message, "no answer within 50ms") {
			t.Errorf("%s: %+v, %+v", name, out, out.Error)
		}
	}
}
