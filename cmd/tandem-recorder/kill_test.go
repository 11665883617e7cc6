//go:build linux

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"tandem/capture"
	"tandem/capture/runtimeapi"
)

// counts returns what the extension's last line says.
func counts(t *testing.T, p *platform) (seen, recorded, lost int) {
	t.Helper()
	found := regexp.MustCompile(`tandem-recorder: (\d+) invocations: (\d+) recorded(?:, (\d+) lost)?\n`).
		FindStringSubmatch(p.output.String())
	if found == nil {
		t.Fatal("the extension does not say what became of the invocations")
	}
	var n [3]int
	for i, text := range found[1:] {
		n[i], _ = strconv.Atoi(text) // "" is 0
	}
	if n[0] != n[1]+n[2] {
		t.Errorf("the counts do not add up: %s", found[0])
	}
	return n[0], n[1], n[2]
}

func sameRuntime(t *testing.T, p *platform) {
	t.Helper()
	if err := syscall.Kill(p.runtime.Process.Pid, 0); err != nil {
		t.Errorf("the runtime is gone: %v", err)
	}
}

func TestWorkerKilledBetweenInvocationsCostsNone(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.startManaged()
	const kills = 6
	for i := range kills {
		event := fmt.Sprintf(`{"n":%d}`, i)
		if got := string(p.invoke(event).Payload); got != event {
			t.Errorf("the function answered %s", got)
		}
		p.thaw()
		p.killWorker()
		p.freeze()
	}
	p.invoke(`{"n":"last"}`)
	sameRuntime(t, p)
	p.shutDown("spindown")
	told(t, p, fmt.Sprintf("%d invocations: %d recorded", kills+1, kills+1))
	all := recorded(t, rec)
	if len(all) != kills+1 || all[0].Context.ColdStart == all[1].Context.ColdStart {
		t.Errorf("%d are recorded", len(all))
	}
}

func TestWorkersThatKeepDyingAreGivenUp(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.startManaged()
	p.invoke(`{"n":1}`)
	p.thaw()
	for p.workerOf() != 0 {
		p.killWorker()
	}
	p.freeze()
	for range 2 {
		if got := string(p.invoke(`{"n":2}`).Payload); got != `{"n":2}` {
			t.Errorf("the function answered %s", got)
		}
	}
	sameRuntime(t, p)
	p.shutDown("spindown")
	told(t, p, "lost 2 invocations: 2 the recorder is off")
	told(t, p, "3 invocations: 1 recorded, 2 lost")
}

func TestFunctionRunsOnWhenNoWorkerCanBeStarted(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TANDEM_SINK=file:"+filepath.Join(t.TempDir(), "x.rec"))
	// The program's file is gone when the extension, which runs, starts it again.
	p.wrapExtension(`cp ` + recorder + ` "$0.$$" && exec 3<"$0.$$" && rm "$0.$$" && exec /proc/self/fd/3 "$@"`)
	p.startManaged()
	for range 2 {
		if got := string(p.invoke(`{"n":1}`).Payload); got != `{"n":1}` {
			t.Errorf("the function answered %s", got)
		}
	}
	p.shutDown("spindown")
	told(t, p, "too many workers died: the function runs unrecorded from now on")
	told(t, p, "2 invocations: 0 recorded, 2 lost")
}

func TestWorkerKilledDuringAnInvocationLosesThatOne(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	arrived, release := make(chan struct{}), make(chan struct{})
	url := holdingServer(t, arrived, release)
	p.startManaged()
	p.invoke(`{"n":1}`)
	result := make(chan error, 1)
	large := strings.Repeat("x", 200_000) // so that the event is not all in the pipe to the worker
	go func() {
		event := `{"do":"get","url":"` + url + `","x":"` + large + `"}`
		_, err := p.try(runtimeapi.Request{Event: []byte(event)}, patience, true)
		result <- err
	}()
	<-arrived
	p.killWorker()
	close(release)
	if err := <-result; err != nil {
		t.Errorf("the function was harmed: %v", err)
	}
	p.invoke(`{"n":3}`)
	sameRuntime(t, p)
	p.shutDown("spindown")
	told(t, p, "lost 1 invocations: 1 not seen whole by the recorder")
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

// Whenever the worker dies, also while a megabyte of an answer is being posted, the function is not harmed.
func TestWorkerKilledAtAnyMomentHarmsNoFunction(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.awake = true
	p.startManaged()
	kills := 5
	if os.Getenv("TANDEM_SOAK") != "" {
		kills = maxDeaths - 1
	}
	total := 2 * kills
	for i := range total {
		var killed sync.WaitGroup
		if i%2 == 1 { // after one that was recorded, so that the worker is replaced
			worker, after := p.workerOf(), time.Duration(rand.IntN(20))*time.Millisecond
			killed.Go(func() {
				<-time.After(after)
				if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			})
		}
		want := 1_000_000 + i
		got := p.invoke(fmt.Sprintf(`{"do":"big","n":%d}`, want))
		if len(got.Payload) != want+2 || got.FunctionError != "" {
			t.Fatalf("invocation %d has an answer of %d bytes, want %d: %.100s", i, len(got.Payload), want+2, got.Payload)
		}
		killed.Wait()
	}
	sameRuntime(t, p)
	p.shutDown("spindown")
	seen, counted, lost := counts(t, p)
	all := recorded(t, rec)
	if seen != total || len(all) < counted || len(all) > counted+kills {
		t.Errorf("after %d kills: %d seen, %d recorded, %d lost; %d are there", kills, seen, counted, lost, len(all))
	}
	ids := map[string]bool{}
	for _, inv := range all {
		ids[inv.Context.RequestID] = true
	}
	if len(ids) != len(all) {
		t.Errorf("%d of %d are there twice", len(all)-len(ids), len(all))
	}
}

func TestWorkerKilledWhileItFlushesLosesThatOne(t *testing.T) {
	t.Parallel()
	c := newCollector(t, "")
	p := newPlatform(t, "TANDEM_SINK="+c.URL, "TANDEM_FLUSH_TIMEOUT=1h")
	p.startManaged()
	flushing := make(chan struct{}, 1)
	stuck := func(_ http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body) // else the server does not see the client go
		flushing <- struct{}{}
		<-r.Context().Done()
		return true
	}
	c.fault.Store(&stuck)
	result := make(chan error, 1)
	go func() {
		_, err := p.try(runtimeapi.Request{Event: []byte(`{"n":1}`)}, patience, true)
		result <- err
	}()
	<-flushing
	c.fault.Store(nil)
	p.killWorker()
	if err := <-result; err != nil {
		t.Errorf("the function was harmed: %v", err)
	}
	p.invoke(`{"n":2}`)
	sameRuntime(t, p)
	p.shutDown("spindown")
	told(t, p, "lost 1 invocations: 1 not seen whole by the recorder")
	told(t, p, "2 invocations: 1 recorded, 1 lost")
	if got := c.collector.Stats(); got.Recorded != 1 {
		t.Errorf("the collector has %s", got)
	}
}

func TestWorkerThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.awake = true
	p.startManaged()
	p.invoke(`{"n":1}`)
	hung := p.workerOf()
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	large := `{"n":"` + strings.Repeat("x", 1<<20) + `"}` // it fills the pipe to the worker
	if got := string(p.invoke(large).Payload); got != large {
		t.Errorf("the function answered %.100s", got)
	}
	p.invoke(`{"n":3}`)
	sameRuntime(t, p)
	p.shutDown("spindown")
	told(t, p, "the worker hangs and is replaced")
	seen, counted, lost := counts(t, p)
	if seen != 3 || lost > 1 || counted != len(recorded(t, rec)) {
		t.Errorf("%d seen, %d recorded, %d lost", seen, counted, lost)
	}
}

// What a worker has sent is sent, and what it has not is lost with it, whichever the sink: nothing is doubled, and
// the counts are those of what is there but for what a worker could not say any more.
func TestWorkersThatDieOrHangOverANetworkSinkDoubleNothing(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		for _, kind := range []string{"collector", "s3"} {
			t.Run(kind+" "+signal.String(), func(t *testing.T) {
				t.Parallel()
				variables, events := networkSink(t, kind)
				p := newPlatform(t, variables...)
				p.awake = true
				p.startManaged()
				const each = 4
				rounds := 3
				if signal == syscall.SIGSTOP { // it takes seconds to tell that a worker hangs
					rounds = 1
				}
				for range rounds {
					p.invoke(`{"n":"first"}`) // so that the worker is replaced
					worker, after := p.workerOf(), time.Duration(rand.IntN(30))*time.Millisecond
					var struck sync.WaitGroup
					struck.Go(func() {
						<-time.After(after)
						if err := syscall.Kill(worker, signal); err != nil {
							t.Error(err)
						}
					})
					for range each - 1 {
						event := `{"n":"` + strings.Repeat("x", 300_000) + `"}`
						if got := p.invoke(event); string(got.Payload) != event || got.FunctionError != "" {
							t.Fatalf("the function answered %.100s", got.Payload)
						}
					}
					struck.Wait()
				}
				sameRuntime(t, p)
				p.shutDown("spindown")
				seen, counted, lost := counts(t, p)
				there := events()
				if seen != rounds*each || len(there) < counted || len(there) > counted+rounds {
					t.Errorf("%d seen, %d recorded, %d lost; %d are there", seen, counted, lost, len(there))
				}
				ids := map[string]bool{}
				for _, inv := range there {
					ids[inv.Context.RequestID] = true
				}
				if len(ids) != len(there) {
					t.Errorf("%d of %d are there twice", len(there)-len(ids), len(there))
				}
			})
		}
	}
}

// networkSink starts a sink and returns the variables that name it, and what reads what it has got.
func networkSink(t *testing.T, kind string) (variables []string, read func() []*capture.Invocation) {
	t.Helper()
	if kind == "collector" {
		c := newCollector(t, "")
		return []string{"TANDEM_SINK=" + c.URL}, func() []*capture.Invocation {
			if err := c.recording.Flush(); err != nil {
				t.Fatal(err)
			}
			return recorded(t, c.path)
		}
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(s.Close)
	variables = []string{"TANDEM_SINK=s3://bucket/a", "AWS_ENDPOINT_URL_S3=" + s.URL, "AWS_ACCESS_KEY_ID=k",
		"AWS_SECRET_ACCESS_KEY=s"}
	return variables, func() (all []*capture.Invocation) {
		objects, err := backend.ListBucket("bucket", nil, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects.Contents {
			object, err := backend.GetObject("bucket", o.Key, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(object.Contents)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "segment.jsonl.zst")
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			all = append(all, recorded(t, file)...)
		}
		return all
	}
}

// Lambda ends an environment whose extension has died, and there is nothing to be done about it. What the worker has is
// not lost.
func TestKilledExtensionLosesNothingThatWasOver(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.rec")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec)
	p.awake = true
	p.startManaged()
	p.invoke(`{"n":1}`)
	worker := p.workerOf()
	if err := p.recorder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.recorder.Wait()
	wait(t, "the worker does not end", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", worker))
		return err != nil || strings.Contains(string(text), ") Z ")
	})
	r, err := capture.Open(rec, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m := r.Manifest(); !m.Complete || m.Counts.Invocations != 1 {
		t.Errorf("the manifest says %+v", m)
	}
}
