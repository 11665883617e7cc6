//go:build peers

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"tandem/capture"
	"tandem/fixtures/peers"
)

// A tapHub is a hub with a container for checkpoints, and the flags and environment that a capture of it needs.
type tapHub struct {
	connection string
	producer   *azeventhubs.ProducerClient
	partitions int
	flags, env []string

	mu     sync.Mutex
	writes int           // claims and checkpoints that may still be written before due is closed
	due    chan struct{} // nil when nobody waits
}

func newTapHub(t *testing.T, partitions int) *tapHub {
	t.Helper()
	storage := peers.Azurite(t)
	client, err := azblob.NewClientFromConnectionString(storage.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), "checkpoints", nil); err != nil {
		t.Fatal(err)
	}
	h := &tapHub{connection: peers.EventHubs(t, "tap", partitions), partitions: partitions}
	storage.Blobs = h.watch(t, storage.Blobs)
	h.producer, err = azeventhubs.NewProducerClientFromConnectionString(h.connection, "tap", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.producer.Close(t.Context()) }) //nolint:errcheck // what was sent is seen when it is read
	h.flags = []string{"--connection-string-env", "HUB", "--hub", "tap", "--checkpoints-env", "STORAGE",
		"--checkpoints", storage.Blobs + "/checkpoints"}
	h.env = append(os.Environ(), "HUB="+h.connection, "STORAGE="+storage.ConnectionString())
	return h
}

// watch puts a proxy before the Blob service, which counts what is written to it.
func (h *tapHub) watch(t *testing.T, blobs string) string {
	t.Helper()
	target, err := url.Parse(blobs)
	if err != nil {
		t.Fatal(err)
	}
	account := target.Path
	target.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of clients that are killed
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			h.wrote()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + account
}

func (h *tapHub) wrote() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.due == nil {
		return
	}
	if h.writes--; h.writes == 0 {
		close(h.due)
		h.due = nil
	}
}

// afterWrites returns what is closed at the nth claim or checkpoint from now on.
func (h *tapHub) afterWrites(n int) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes, h.due = n, make(chan struct{})
	return h.due
}

func (h *tapHub) send(t *testing.T, partition int, bodies ...string) {
	t.Helper()
	batch, err := h.producer.NewEventDataBatch(t.Context(), &azeventhubs.EventDataBatchOptions{
		PartitionID: to.Ptr(fmt.Sprint(partition % h.partitions)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if err := batch.AddEventData(&azeventhubs.EventData{Body: []byte(body)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.producer.SendEventDataBatch(t.Context(), batch, nil); err != nil {
		t.Fatal(err)
	}
}

// capture runs the program against the hub.
func (h *tapHub) capture(t *testing.T, args ...string) *process {
	t.Helper()
	p, err := startProcess("", h.env, lean(), append(append([]string{"capture", "eventhub"}, h.flags...), args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// logOf makes the records of one invocation, in three events, in each of the encodings.
func logOf(n int) (id string, events [3]string) {
	id = fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", n)
	messages := [3]string{
		fmt.Sprintf("Trigger Details: MessageId: m-%d, DequeueCount: 1, InsertedOn: 2026-03-01T10:00:00.000+00:00", n),
		fmt.Sprintf(`order: {"n":%d}`, n),
		fmt.Sprintf("Executed 'Functions.orders' (Succeeded, Id=%s, Duration=5ms)", id),
	}
	for i, message := range messages {
		props := fmt.Sprintf(`{"message":%q,"functionInvocationId":%q,"functionName":"orders"}`, message, id)
		switch (n + i) % 3 {
		case 1:
			props = fmt.Sprintf("%q", props)
		case 2:
			props = fmt.Sprintf("%q", fmt.Sprintf("{'message':'%s','functionInvocationId':'%s','functionName':'orders'}",
				message, id))
		}
		events[i] = `{"records":[{"time":"2026-03-01T10:00:01Z","category":"FunctionAppLogs","properties":` + props + `}]}`
	}
	return id, events
}

// TestKilledHubCapturesLoseNothingAndRecordNothingTwice kills the program again and again while events come, some of
// which are parts of one invocation in different partitions.
func TestKilledHubCapturesLoseNothingAndRecordNothingTwice(t *testing.T) {
	const each = 40
	kills := []int{1, 5, 6, 8, 9, 12} // claims of partitions and checkpoints that are written before
	h := newTapHub(t, 4)
	rec := filepath.Join(t.TempDir(), "azure.rec")
	args := []string{"--event-pattern", "order: (.*)", "-o", rec, "--append"}
	want := make(map[string]bool)
	var late []string // the ends of invocations that began before a kill
	for round, writes := range kills {
		due := h.afterWrites(writes)
		p := h.capture(t, args...)
		if round%2 == 0 {
			if _, err := p.await(regexp.MustCompile("recording tap")); err != nil {
				t.Fatal(err)
			}
		}
		for i := range each {
			n := round*each + i
			id, events := logOf(n)
			want[id], want[fmt.Sprintf("line-%d", n)] = true, true
			h.send(t, n, events[0], fmt.Sprintf(`{"id":"line-%d","function":"f","trigger":"other","format":"other",`+
				`"time":"2026-03-01T10:00:00Z","event":{},"context":{}}`, n))
			h.send(t, n+1, events[1])
			late = append(late, events[2])
		}
		select {
		case <-due:
		case <-time.After(patience):
			t.Fatalf("it does not write %d claims and checkpoints", writes)
		}
		p.kill()
		h.send(t, round, late[:len(late)/2]...)
		late = late[len(late)/2:]
	}
	h.send(t, 1, late...)
	p := h.capture(t, append(args, "--idle", "2s", "--json")...)
	if code, err := p.finish(); err != nil || code != 0 {
		text, _ := p.stderr.read()
		t.Fatalf("exit code %d, %v:\n%s", code, err, text)
	}
	var report struct {
		Complete  bool
		Functions map[string]struct{ Missing, Open, Unended int64 }
	}
	if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil || !report.Complete {
		t.Errorf("report %s: %v", p.stdout.Bytes(), err)
	}
	recording, err := capture.Open(rec, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer recording.Close() //nolint:errcheck // it is not from stdin
	for inv, err := range recording.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		if !want[inv.ID] {
			t.Errorf("%s was recorded twice, or was never sent", inv.ID)
		}
		delete(want, inv.ID)
		if inv.Function == "orders" && (inv.Outcome == nil || inv.Outcome.Status != capture.StatusOK) {
			t.Errorf("%s has the outcome %+v", inv.ID, inv.Outcome)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d of %d were lost", len(want), 2*len(kills)*each)
	}
}

func TestAHubCaptureEndsWithAStatementAndTellsNoKeys(t *testing.T) {
	h := newTapHub(t, 2)
	_, events := logOf(1)
	_, others := logOf(2)
	h.send(t, 0, append(events[:], `{"eventType":"another","id":"1"}`)...)
	h.send(t, 1, others[0], others[2], "what is this", `{"records":[{"category":"AppServiceHTTPLogs","properties":{}}]}`)
	rec := filepath.Join(t.TempDir(), "azure.rec")
	p := h.capture(t, "--event-pattern", "order: (.*)", "-o", rec)
	for _, last := range []string{"another category of log", "another type of Event Grid event"} { // of each partition
		if _, err := p.await(regexp.MustCompile(last)); err != nil {
			t.Fatal(err)
		}
	}
	rec2 := filepath.Join(t.TempDir(), "second.rec")
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, err := p.finish(); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
	said, _ := p.stderr.read()
	for _, part := range []string{"orders: the hub told of 2 invocations: 1 recorded, 0 without an event, 1 still open",
		"1 left out: unknown content, first at 1/2"} {
		if !strings.Contains(string(said), part) {
			t.Errorf("it does not say %q:\n%s", part, said)
		}
	}
	p = h.capture(t, "--event-pattern", "order: (.*)", "-o", rec, "--append", "--idle", "1s")
	if code, err := p.finish(); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
	if again, _ := p.stderr.read(); !strings.Contains(string(again), "1 without an event") {
		t.Errorf("what was open is not told: %s", again)
	} else {
		said = append(said, again...)
	}
	for _, wrong := range [][]string{{"--hub", "other"}, {"--checkpoints", "http://127.0.0.1:1/a/b"}} {
		p := h.capture(t, append(wrong, "-o", rec2)...)
		if code, err := p.finish(); err != nil || code == 0 {
			t.Errorf("%v: exit code %d, %v", wrong, code, err)
		}
		text, _ := p.stderr.read()
		said = append(said, text...)
		if _, err := os.Stat(rec2); err == nil {
			t.Errorf("%v leaves a recording behind", wrong)
		}
	}
	for _, secret := range []string{"SharedAccessKey=", "AccountKey=", "Eby8vdM0", "what is this"} {
		if strings.Contains(string(said), secret) {
			t.Errorf("it tells %s", secret)
		}
	}
}
