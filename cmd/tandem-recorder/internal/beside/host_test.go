//go:build unix

package beside

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/effects"
	"tandem/fixtures/orders/traffic"
	"tandem/replay/local"
)

const ordersApp = "../../../../fixtures/orders/functionsapp"

// ordersWithRecorder is the folder of the sample application with a recorder beside its handler.
func ordersWithRecorder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(ordersApp)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "host.json")
	host, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const before = `"defaultExecutablePath": "handler"`
	after := fmt.Sprintf(`"defaultExecutablePath": %q, "arguments": [%q]`, os.Args[0], filepath.Join(bin, "orders"))
	if !bytes.Contains(host, []byte(before)) {
		t.Fatalf("host.json has no %s", before)
	}
	if err := os.WriteFile(file, bytes.Replace(host, []byte(before), []byte(after), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A lineCounter is a log that can be waited for.
type lineCounter struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

// await waits until the log has n times what.
func (l *lineCounter) await(t *testing.T, what string, n int) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		l.mu.Lock()
		changed, got := l.changed, strings.Count(l.text.String(), what)
		l.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q is there %d times, not %d:\n%s", what, got, n, l.text.String())
		}
	}
}

// What a client and the host's triggers see is what is recorded, for each kind of trigger and with many at once.
func TestTheSampleApplicationIsRecordedUnderAHost(t *testing.T) {
	world, err := effects.NewServer(effects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	log := &lineCounter{changed: make(chan struct{})}
	recording := filepath.Join(t.TempDir(), "r.rec")
	host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{
		App: ordersWithRecorder(t), Env: []string{recordTo + "=" + recording}, Processes: 2, FunctionKey: "SECRET",
		Effects: world, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	server := httptest.NewServer(host.Handler())
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	seam := customhandler.Client{URL: server.URL + "/tandem/handler", HTTP: client}

	var calls sync.WaitGroup
	var mu sync.Mutex
	want := make(map[string]string) // what became of what, by path, message or key
	note := func(what, outcome string) {
		mu.Lock()
		defer mu.Unlock()
		want[what] = outcome
	}
	for i, request := range traffic.Requests(12, 1) {
		calls.Go(func() {
			separator := "?"
			if strings.Contains(request.Path, "?") {
				separator = "&"
			}
			path := request.Path + separator + fmt.Sprint("n=", i)
			req, err := http.NewRequest(request.Method, server.URL+"/api"+path, bytes.NewReader(request.Body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = request.Header.Clone()
			req.Header.Set("X-Functions-Key", "SECRET")
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			out, _ := json.Marshal(capture.NewBody(resp.Header.Get("Content-Type"), body))
			note(path, fmt.Sprintf("%d %s", resp.StatusCode, out))
		})
	}
	marked := http.Header{capture.MarkHeader: {capture.Mark{Run: "r", Invocation: "i", Target: "functions"}.String()}}
	replayed := customhandler.QueueTrigger{Body: []byte("{"), ID: "from-a-replay"}.
		Request("message", customhandler.NewSys("process-order", time.Now()))
	if _, _, err := seam.Call(t.Context(), "process-order", "i", marked, replayed); err != nil {
		t.Error(err)
	}
	call := func(function, what string, req *customhandler.Request) {
		_, status, err := seam.Call(t.Context(), function, customhandler.NewInvocationID(), nil, req)
		failed, err := customhandler.Failure(status, err)
		if err != nil {
			t.Error(err)
		}
		note(what, fmt.Sprint(failed == nil))
	}
	for i, batch := range traffic.Batches(4, 1) {
		for j, body := range batch.Messages {
			calls.Go(func() {
				id := fmt.Sprintf("m-%d-%d", i, j)
				call("process-order", id, customhandler.QueueTrigger{Body: []byte(body), ID: id}.
					Request("message", customhandler.NewSys("process-order", time.Now())))
			})
		}
	}
	bodies := make(map[string][]byte)
	for _, object := range traffic.Catalogs(4, 1) {
		bodies[object.Key] = object.Body
		calls.Go(func() {
			call("import-catalog", object.Key, customhandler.BlobTrigger{
				AccountURL: "https://acct.blob.core.windows.net", Container: "catalog", Name: object.Key, Body: object.Body,
				Binary: true, Params: map[string]string{"name": object.Key},
			}.Request("blob", customhandler.NewSys("import-catalog", time.Now())))
		})
	}
	calls.Wait()
	log.await(t, recordedLine, len(want))
	if err := host.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		return
	}

	got := make(map[string]string)
	for _, name := range []string{"handler-1", "handler-2"} {
		for _, invs := range recorded(t, recording+"-"+name) {
			for _, inv := range invs {
				what, outcome := outcomeOf(t, inv, recording+"-"+name, bodies)
				if _, twice := got[what]; twice {
					t.Errorf("%s is there twice", what)
				}
				got[what] = outcome
				if strings.Contains(string(inv.Event), "SECRET") || inv.Context.RequestID == "" {
					t.Errorf("%s is recorded as %s, %+v", what, inv.Event, inv.Context)
				}
			}
		}
	}
	for what, outcome := range want {
		if got[what] != outcome {
			t.Errorf("%s: recorded %s, was %s", what, got[what], outcome)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d recorded, %d were", len(got), len(want))
	}
}

// outcomeOf says what an invocation was of and what became of it.
func outcomeOf(t *testing.T, inv *capture.Invocation, recording string, bodies map[string][]byte) (what, outcome string) {
	t.Helper()
	switch inv.Trigger {
	case capture.TriggerHTTP:
		var event events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		body, _ := json.Marshal(inv.Outcome.HTTP.Body)
		return event.RawPath + "?" + event.RawQueryString, fmt.Sprintf("%d %s", inv.Outcome.HTTP.Status, body)
	case capture.TriggerSQS:
		var event events.SQSEvent
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		id := event.Records[0].MessageId
		return id, fmt.Sprint(inv.Outcome.Records[id] == capture.Acked)
	default:
		key := inv.Objects[0].Key
		kept, err := os.ReadFile(filepath.Join(recording, "objects", "sha256", inv.Objects[0].SHA256))
		if err != nil || !bytes.Equal(kept, bodies[key]) {
			t.Errorf("%s has other bytes: %v", key, err)
		}
		return key, fmt.Sprint(inv.Outcome.Status == capture.StatusOK)
	}
}
