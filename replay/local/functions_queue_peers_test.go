//go:build peers

package local

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/fixtures/peers"
)

// queuesAt returns a client of the account's queues.
func queuesAt(t *testing.T, s peers.Storage) *azqueue.ServiceClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := azqueue.NewServiceClientFromConnectionString(s.ConnectionString(), &azqueue.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func createQueue(t *testing.T, account *azqueue.ServiceClient, name string) *azqueue.QueueClient {
	t.Helper()
	if _, err := account.CreateQueue(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	return account.NewQueueClient(name)
}

func enqueue(t *testing.T, q *azqueue.QueueClient, text string) (id string) {
	t.Helper()
	got, err := q.EnqueueMessage(t.Context(), text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return *got.Messages[0].MessageID
}

func length(t *testing.T, q *azqueue.QueueClient) int64 {
	t.Helper()
	props, err := q.GetProperties(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return *props.ApproximateMessagesCount
}

// until waits until ok holds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

const quickly = `},"extensions":{"queues":{"maxPollingInterval":"00:00:00.1"`

func pollingApp(t *testing.T, host, function, queue string) string {
	return writeApp(t, host, map[string]string{function: `{"bindings":[{"type":"queueTrigger","direction":"in",` +
		`"name":"message","queueName":"` + queue + `","connection":"Orders"}]}`})
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestQueues runs everything that needs a storage account at one.
func TestQueues(t *testing.T) {
	storage := peers.Azurite(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, peers.Storage)
	}{
		{"Queues are polled", testQueuesArePolled},
		{"A failed message waits for its visibility timeout", testAFailedMessageWaitsForItsVisibilityTimeout},
		{"A long function keeps its message", testALongFunctionKeepsItsMessage},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, storage) })
	}
}

func testQueuesArePolled(t *testing.T, storage peers.Storage) {
	account := queuesAt(t, storage)
	setting := "Orders=" + storage.ConnectionString()
	for _, tt := range []struct {
		name, queue, host, function string
		text                        string // as it is in the queue
		calls                       int    // of the function
		says                        string // the handler
		poison                      bool
	}{
		{"a message that is worked on is deleted", "good", quickly + `}}`, "queue", encoded("hello"), 1,
			`queue got "hello"`, false},
		{"plain text", "plain", quickly + `,"messageEncoding":"none"}}`, "queue", "hello", 1, `queue got "hello"`, false},
		{"five attempts, then poison", "bad", quickly + `}}`, "queue", encoded("fail"), 5, `queue got "fail"`, true},
		{"as many attempts as host.json says", "once", quickly + `,"maxDequeueCount":1}}`, "queue", encoded("fail"), 1,
			"", true},
		{"not base64 is poison at once", "text", quickly + `}}`, "queue", "hello", 0, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			queue := createQueue(t, account, tt.queue)
			id := enqueue(t, queue, tt.text)
			log := new(syncBuffer)
			f, err := NewFunctions(t.Context(), FunctionsOptions{
				App: pollingApp(t, tt.host, tt.function, "%QUEUE%"), Env: []string{setting, "QUEUE=" + tt.queue}, Log: log,
			})
			if err != nil {
				t.Fatal(err)
			}
			until(t, "the queue is empty", func() bool { return length(t, queue) == 0 })
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			n := strings.Count(log.String(), "Executing 'Functions.")
			if n != tt.calls || !strings.Contains(log.String(), tt.says) {
				t.Errorf("called %d times, want %d and %q:\n%s", n, tt.calls, tt.says, log)
			}
			poison, err := account.NewQueueClient(tt.queue+"-poison").PeekMessages(t.Context(), nil)
			if !tt.poison {
				if err == nil && len(poison.Messages) > 0 {
					t.Errorf("poison: %+v", poison.Messages)
				}
				return
			}
			if err != nil || len(poison.Messages) != 1 {
				t.Fatalf("poison: %+v, %v", poison.Messages, err)
			}
			if m := poison.Messages[0]; *m.MessageText != tt.text || *m.MessageID == id {
				t.Errorf("poison message %s %q, want the text of %s under another ID", *m.MessageID, *m.MessageText, id)
			}
		})
	}
}

func testAFailedMessageWaitsForItsVisibilityTimeout(t *testing.T, storage peers.Storage) {
	queue := createQueue(t, queuesAt(t, storage), "later")
	enqueue(t, queue, encoded("fail"))
	log := new(syncBuffer)
	f, err := NewFunctions(t.Context(), FunctionsOptions{
		App: pollingApp(t, quickly+`,"visibilityTimeout":"01:00:00"}}`, "queue", "later"),
		Env: []string{"Orders=" + storage.ConnectionString()}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the attempt has failed", func() bool { return strings.Contains(log.String(), "the handler answered 500") })
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	got, err := queue.DequeueMessages(t.Context(), &azqueue.DequeueMessagesOptions{NumberOfMessages: to.Ptr[int32](1)})
	if err != nil || len(got.Messages) != 0 || length(t, queue) != 1 {
		t.Errorf("%d messages are visible of %d, %v", len(got.Messages), length(t, queue), err)
	}
}

// The message is kept hidden while its function runs, and is deleted by the receipt that this gave.
func testALongFunctionKeepsItsMessage(t *testing.T, storage peers.Storage) {
	target, err := url.Parse(storage.Queues)
	if err != nil {
		t.Fatal(err)
	}
	var renewals atomic.Int32
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host // the Host is signed and stays
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxy.ServeHTTP(w, r); r.Method == http.MethodPut {
			renewals.Add(1)
		}
	}))
	defer transport.CloseIdleConnections()
	defer front.Close()
	queue := createQueue(t, queuesAt(t, storage), "long")
	enqueue(t, queue, encoded("hello"))
	storage.Queues = front.URL + target.Path

	m, setting := newMeeting(t)
	log := new(syncBuffer)
	f, err := NewFunctions(t.Context(), FunctionsOptions{
		App: pollingApp(t, quickly+`}}`, "longqueue", "long"),
		Env: []string{"Orders=" + storage.ConnectionString(), setting}, Log: log, lease: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-m.arrived
	until(t, "two renewals", func() bool { return renewals.Load() >= 2 })
	close(m.leave)
	until(t, "the queue is empty", func() bool { return length(t, queue) == 0 })
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "Executing 'Functions."); n != 1 {
		t.Errorf("called %d times:\n%s", n, log)
	}
}
