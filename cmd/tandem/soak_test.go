package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

// soak says whether tests shall take long: make soak sets it.
var soak = os.Getenv("TANDEM_SOAK") == "1"

// kills is how many times each test that kills does so.
func kills() int {
	if soak {
		return 100
	}
	return 3
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeShop writes a recording of n HTTP invocations of the function f, each of its own ID and path.
func writeShop(t *testing.T, path string, n int) {
	t.Helper()
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range n {
		event := fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":"/orders/%d","rawQueryString":"",`+
			`"headers":{"content-type":"application/json","user-agent":"shop/1.0"},`+
			`"requestContext":{"http":{"method":"POST","path":"/orders/%[1]d"},"requestId":"r%[1]d"},`+
			`"body":"{\"customer\":\"c-%[1]d\",\"lines\":[{\"sku\":\"A1\",\"quantity\":2}]}","isBase64Encoded":false}`, i)
		err := w.Write(&capture.Invocation{
			Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatAPIGatewayV2,
			Time: begin.Add(time.Duration(i) * time.Millisecond), Event: json.RawMessage(event),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// stubConfig is a config for the function f at a stub.
func stubConfig(url string) string {
	return fmt.Sprintf(`version: 1
functions:
  f:
    lambda: {function: f, endpoint: %q}
    functions: {http: {url: "%s/{path}"}}
rules:
  - use: lambda-to-functions
`, url, url)
}

// pathsIn returns the paths of the events in a recording, by how often they occur.
func pathsIn(t *testing.T, path string) map[string]int {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	if _, err := rec.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths := map[string]int{}
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		var event struct {
			Path string `json:"rawPath"`
		}
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		paths[event.Path]++
	}
	return paths
}

// captureAndKill sends traffic through a capture and kills it, again and again, at moments of which half wait for
// something to be flushed. Each time the recording opens, with all that could be read from it just before the kill,
// which is what was flushed, and nothing that was not sent, or twice.
func captureAndKill(t *testing.T, begin func(rec string) (*process, func(path string) error)) {
	t.Helper()
	dir := t.TempDir()
	var rec string
	var sent map[string]bool
	var had map[string]int
	recorded := 0
	for round := range kills() {
		if round%10 == 0 { // a new recording, because it is read often
			recorded += len(had)
			rec = filepath.Join(dir, fmt.Sprintf("%d.rec", round))
			sent, had = map[string]bool{}, map[string]int{}
		}
		p, send := begin(rec)
		moment := time.Now().Add(rand.N(1500 * time.Millisecond))
		traffic := fmt.Sprintf("/round-%d/", round)
		dying := false
		for n := 0; ; n++ {
			path := fmt.Sprint(traffic, n)
			sent[path] = true
			if err := send(path); dying && err != nil {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if n%100 == 0 && !dying && time.Now().After(moment) {
				had = pathsIn(t, rec)
				if dying = round%2 == 1 || had[traffic+"0"] > 0; dying {
					time.AfterFunc(rand.N(100*time.Millisecond), func() { _ = p.Process.Kill() })
				}
			}
		}
		p.kill()
		found := pathsIn(t, rec)
		for path, times := range found {
			if times != 1 || !sent[path] {
				t.Errorf("%s is there %d times, and it was sent: %t", path, times, sent[path])
			}
		}
		for path := range had {
			if found[path] == 0 {
				t.Errorf("%s was flushed and is not there", path)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
		had = found
	}
	t.Logf("%d requests were recorded over %d kills", recorded+len(had), kills())
}

func get200(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func TestAKilledCaptureOfHTTPLosesNothingFlushed(t *testing.T) {
	t.Parallel()
	defer http.DefaultClient.CloseIdleConnections()
	_, upstream := begin(t, `stub on (\S+)`, "stub")
	captureAndKill(t, func(rec string) (*process, func(string) error) {
		p, url := begin(t, `recording .* on (\S+) to`, "tandem", "capture", "http", "--addr", "127.0.0.1:0",
			"--to", upstream, "--function", "f", "--append", "-o", rec)
		return p, func(path string) error { return get200(url + path) }
	})
}

func TestAKilledLambdaLosesNothingFlushed(t *testing.T) {
	t.Parallel()
	defer http.DefaultClient.CloseIdleConnections()
	captureAndKill(t, func(rec string) (*process, func(string) error) {
		p, url := begin(t, `API Gateway on (\S+)`, "tandem", "local", "lambda", "--addr", "127.0.0.1:0", "--api", "127.0.0.1:0",
			"--function", "f="+filepath.Join(samples, "echo"), "--route", "f=$default", "--append", "--record", rec)
		return p, func(path string) error { return get200(url + path) }
	})
}

func TestAKilledReplayIsGoneOnWithAndFiresNothingTwiceIntoTheRun(t *testing.T) {
	t.Parallel()
	invocations, perKill := 3_000, 1_500 // each invocation makes two requests, of which a kill waits for perKill at most
	if soak {
		invocations, perKill = 30_000, 8_000
	}
	dir := t.TempDir()
	recording, run, config := filepath.Join(dir, "shop.rec"), filepath.Join(dir, "run"), filepath.Join(dir, "tandem.yaml")
	writeShop(t, recording, invocations)
	fired, allowed := make(chan struct{}), make(chan struct{}) // a request waits for either
	answer := newStubHandler(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case fired <- struct{}{}:
		case <-allowed:
		case <-r.Context().Done():
			return
		}
		answer.ServeHTTP(w, r)
	}))
	defer server.Close()
	writeFile(t, config, stubConfig(server.URL))
	args := []string{"replay", recording, "-o", run, "-c", config, "--resume"}
	had := int64(0)
	for range kills() {
		p, err := startProcess("", os.Environ(), lean(), args...)
		if err != nil {
			t.Fatal(err)
		}
		for range rand.IntN(perKill) {
			select {
			case <-fired:
			case <-p.ended: // it is complete
			}
		}
		flushed := trialsIn(t, run)
		p.kill()
		trials := trialsIn(t, run)
		if trials < max(had, flushed) {
			t.Fatalf("%d trials after a kill, and %d before", trials, max(had, flushed))
		}
		had = trials
	}
	t.Logf("%d trials after the kills", had)
	close(allowed)
	out, err := exec.Command(lean(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	want := fmt.Sprintf("\n%d invocations: %d trials, 0 not reached\n", invocations, invocations)
	if !strings.Contains(string(out), want) {
		t.Errorf("it does not add up:\n%s", out)
	}
	if got := trialsIn(t, run); got != int64(invocations) {
		t.Errorf("%d trials of %d invocations", got, invocations)
	}
	out, err = exec.Command(lean(), "compare", run, "-c", config).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// trialsIn counts the trials of a run that was killed, and fails if an invocation has two.
func trialsIn(t *testing.T, dir string) int64 {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, replay.ManifestName)); errors.Is(err, os.ErrNotExist) {
		return 0 // it was killed before it began
	}
	run, err := replay.OpenRun(dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		if seen[trial.Invocation] {
			t.Fatalf("invocation %s has two trials", trial.Invocation)
		}
		seen[trial.Invocation] = true
	}
	return int64(len(seen))
}

// cost is what one command took.
type cost struct {
	elapsed time.Duration
	peak    int64 // of resident memory, in bytes
}

func measure(t *testing.T, args ...string) (cost, string) {
	t.Helper()
	memory := filepath.Join(t.TempDir(), "memory")
	cmd := exec.Command("peak", append([]string{memory, lean()}, args...)...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tandem %s: %v:\n%s", strings.Join(args, " "), err, out)
	}
	c := cost{elapsed: time.Since(start)}
	text, err := os.ReadFile(memory)
	if err == nil {
		c.peak, err = strconv.ParseInt(string(text), 10, 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, string(out)
}

// throughAll inspects, replays and compares a recording of n invocations, and returns what each took.
func throughAll(t *testing.T, n int) map[string]cost {
	t.Helper()
	dir := t.TempDir()
	recording, run, config := filepath.Join(dir, "shop.rec"), filepath.Join(dir, "run"), filepath.Join(dir, "tandem.yaml")
	writeShop(t, recording, n)
	_, url := begin(t, `stub on (\S+)`, "stub")
	writeFile(t, config, stubConfig(url))
	costs := map[string]cost{}
	for _, step := range []struct {
		want string
		args []string
	}{
		{fmt.Sprintf("%d invocations of 1 shape, complete\n", n), []string{"inspect", recording}},
		{fmt.Sprintf("%d invocations: %d trials, 0 not reached\n", n, n), []string{"replay", recording, "-o", run, "-c", config}},
		{fmt.Sprintf("%d", n), []string{"compare", run, "-c", config}},
	} {
		c, out := measure(t, step.args...)
		if !strings.Contains(out, step.want) {
			t.Errorf("%s does not say %q:\n%s", step.args[0], step.want, out)
		}
		costs[step.args[0]] = c
		t.Logf("%s of %d: %v, %.0f/s, peak %d MiB", step.args[0], n, c.elapsed.Round(time.Millisecond),
			float64(n)/c.elapsed.Seconds(), c.peak>>20)
	}
	return costs
}

// peakTolerance is how much more memory ten times the recording may take.
const peakTolerance = 1.2

func TestMemoryDoesNotGrowWithTheRecording(t *testing.T) {
	if !soak {
		throughAll(t, 3_000)
		return
	}
	small, large := throughAll(t, 100_000), throughAll(t, 1_000_000)
	for step := range small {
		if ratio := float64(large[step].peak) / float64(small[step].peak); ratio > peakTolerance {
			t.Errorf("%s: ten times the recording takes %.2f times the memory", step, ratio)
		}
	}
}
