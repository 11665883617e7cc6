//go:build peers

package completion

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/capture/eventhub"
	"tandem/fixtures/peers"
)

// A hub is what a diagnostic setting sends to.
type hub struct {
	t        *testing.T
	access   eventhub.Access
	producer *azeventhubs.ProducerClient
}

func newHub(t *testing.T, partitions, refusals int) *hub {
	t.Helper()
	connection := peers.BusyEventHubs(t, "logs", partitions, refusals)
	producer, err := azeventhubs.NewProducerClientFromConnectionString(connection, "logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close(context.Background()) }) //nolint:errcheck // the test is over
	return &hub{t, eventhub.Access{
		ConnectionString: connection, Hub: "logs",
		Retry: azeventhubs.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond},
	}, producer}
}

// send puts one event into a partition.
func (h *hub) send(partition int, body string) {
	h.t.Helper()
	batch, err := h.producer.NewEventDataBatch(h.t.Context(),
		&azeventhubs.EventDataBatchOptions{PartitionID: to.Ptr(fmt.Sprint(partition))})
	if err == nil {
		err = batch.AddEventData(&azeventhubs.EventData{Body: []byte(body)}, nil)
	}
	if err == nil {
		err = h.producer.SendEventDataBatch(h.t.Context(), batch, nil)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// logged is an event with a record of each message, as a host writes it about an invocation.
func logged(invocation string, messages ...string) string {
	var records []string
	for _, m := range messages {
		properties, _ := json.Marshal(map[string]string{
			"message": m, "functionInvocationId": invocation, "functionName": "f", "category": "Function.f",
		})
		text, _ := json.Marshal(string(properties)) // which is how most settings send it
		records = append(records,
			`{"time":"2026-03-01T10:00:00Z","category":"FunctionAppLogs","properties":`+string(text)+`}`)
	}
	return `{"records":[` + strings.Join(records, ",") + `]}`
}

func invocationID(n int) string { return fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", n) }

func ended(n int, how string) string {
	return fmt.Sprintf("Executed 'Functions.f' (%s, Id=%s, Duration=5ms)", how, invocationID(n))
}

func details(message string) string {
	return "Trigger Details: MessageId: " + message + ", DequeueCount: 1, InsertedOn: 2026-03-01T09:59:58.000+00:00"
}

// What comes the moment that the source is open is heard, in whichever partition and though nobody reads it yet; what
// was there before is not.
func TestLogsAreReadFromWhereTheyEndWhenItIsOpened(t *testing.T) {
	const partitions = 3
	h := newHub(t, partitions, 1)
	for p := range partitions - 1 { // the last one is empty
		h.send(p, logged(invocationID(p), details(fmt.Sprint("old", p)), ended(p, "Succeeded")))
		h.send(p, "no log at all")
	}
	b, l := NewBoard(), NewLogs(h.access)
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 12 { // the lines of an invocation are in different partitions, the end first
		h.send(n%partitions, logged(invocationID(100+n), ended(100+n, []string{"Succeeded", "Failed"}[n%2])))
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx, b) }()
	for n := range 12 {
		h.send((n+1)%partitions, logged(invocationID(100+n), details(fmt.Sprint("m", n)), ended(100+n, []string{"Succeeded", "Failed"}[n%2])))
	}
	for n := range 12 {
		k := Message(fmt.Sprint("m", n))
		w := b.Expect(k)
		if err := w.Await(t.Context(), func(w *Wait) bool { return len(w.Reports(k)) > 0 }); err != nil {
			t.Fatal(err)
		}
		f, _, err := Judge(w.Reports(k), 1)
		want := []capture.Fate{capture.Acked, capture.DeadLettered}[n%2]
		if err != nil || f.Fate != want || f.First.PlatformMS != 5 {
			t.Errorf("%s: %+v, %v, want %s", k, f, err, want)
		}
		w.Close()
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if s := b.Stats(); s.Sources["logs"] != s.Reports || s.Unclaimed > 0 {
		t.Errorf("what was there before was told, too: %+v", s)
	}
	if s := l.Stats(); s.Unread != partitions-1 || s.Events != 12+12+partitions-1 {
		t.Errorf("%+v", s)
	}
}

func TestAHubThatCannotBeReadIsToldBeforeAnythingIsFired(t *testing.T) {
	h := newHub(t, 1, 0)
	h.send(0, logged(invocationID(1), ended(1, "Succeeded")))
	for name, change := range map[string]func(*eventhub.Access){
		"a group that is not there": func(a *eventhub.Access) { a.ConsumerGroup = "none" },
		"a hub that is not there":   func(a *eventhub.Access) { a.Hub = "other" },
		"a wrong key":               func(a *eventhub.Access) { a.ConnectionString += ";SharedAccessKeyName=wrong" },
	} {
		access := h.access
		change(&access)
		g, err := Start(t.Context(), NewBoard(), nil, NewLogs(access))
		if err == nil {
			t.Errorf("%s: no error", name)
			g.Stop()
		} else if strings.Contains(err.Error(), "SharedAccessKey=") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A hub that goes away while the replay runs is told, so that what is not heard has a reason.
func TestAHubThatFailsLaterIsTold(t *testing.T) {
	h := newHub(t, 1, 0) // empty, so that the group is asked for when it runs only
	h.access.ConsumerGroup = "none"
	told := make(chan error, 1)
	l := NewLogs(h.access)
	g, err := Start(t.Context(), NewBoard(), func(err error) { told <- err }, l)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	if err := <-told; !strings.Contains(err.Error(), "logs in event hub logs ended before the replay did") ||
		g.Failure(l) == nil {
		t.Errorf("%v", err)
	}
}
