//go:build peers

package functions

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
)

// TestStorageQueue runs everything that needs a storage account at one.
func TestStorageQueue(t *testing.T) {
	storage := peers.Azurite(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, peers.Storage)
	}{
		{"A queue learns the fate of each message", testAQueueLearnsTheFateOfEachMessage},
		{"What the queue cannot tell is unknown", testWhatTheQueueCannotTellIsUnknown},
		{"Equal messages are not guessed at", testEqualMessagesAreNotGuessedAt},
		{"A queue that is not its own is refused", testAQueueThatIsNotItsOwnIsRefused},
		{"A batch is sent whole or not at all", testABatchIsSentWholeOrNotAtAll},
		{"A service that does not tell is refused", testAServiceThatDoesNotTellIsRefused},
		{"A copy that comes back is no new one", testACopyThatComesBackIsNoNewOne},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, storage) })
	}
}

// A host stands for the Functions host at a queue: the test takes messages and settles them when it wants to.
type host struct {
	t             *testing.T
	queue, poison *azqueue.QueueClient
}

// newQueue returns a target at a new queue of the account and the queue's host.
func newQueue(t *testing.T, s peers.Storage, name string) (*Queue, *host) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	opts := QueueOptions{Account: s.ConnectionString(), Name: name, HTTP: &http.Client{Transport: transport}}
	account, err := azqueue.NewServiceClientFromConnectionString(opts.Account, &azqueue.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: opts.HTTP},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{name, name + "-poison"} {
		if _, err := account.CreateQueue(t.Context(), queue, nil); err != nil {
			t.Fatal(err)
		}
	}
	q, err := NewQueue(opts)
	if err != nil {
		t.Fatal(err)
	}
	return q, &host{t, account.NewQueueClient(name), account.NewQueueClient(name + "-poison")}
}

// take waits for n messages and takes them.
func (h *host) take(n int) []*azqueue.DequeuedMessage {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	var taken []*azqueue.DequeuedMessage
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(taken) < n {
		got, err := h.queue.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{VisibilityTimeout: to.Ptr[int32](600)})
		if err != nil {
			h.t.Fatal(err)
		}
		taken = append(taken, got.Messages...)
		<-tick.C
	}
	return taken
}

func (h *host) delete(m *azqueue.DequeuedMessage) {
	h.t.Helper()
	if _, err := h.queue.DeleteMessage(h.t.Context(), *m.MessageID, *m.PopReceipt, nil); err != nil {
		h.t.Error(err)
	}
}

func (h *host) copyToPoison(m *azqueue.DequeuedMessage) {
	h.t.Helper()
	if _, err := h.poison.EnqueueMessage(h.t.Context(), *m.MessageText, nil); err != nil {
		h.t.Error(err)
	}
}

// left is how many messages the queue has, hidden ones too.
func (h *host) left() int64 {
	props, err := h.queue.GetProperties(h.t.Context(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return *props.ApproximateMessagesCount
}

type fired struct {
	out *capture.Outcome
	err error
}

func fire(ctx context.Context, q *Queue, inv *capture.Invocation) <-chan fired {
	done := make(chan fired, 1)
	go func() {
		out, err := q.Fire(ctx, inv)
		done <- fired{out, err}
	}()
	return done
}

func body(t *testing.T, m *azqueue.DequeuedMessage) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(*m.MessageText)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func testAQueueLearnsTheFateOfEachMessage(t *testing.T, storage peers.Storage) {
	q, h := newQueue(t, storage, "fates")
	old := base64.StdEncoding.EncodeToString([]byte("good"))
	// What an earlier replay left in the poison queue, more than can be peeked at, is none of this one's.
	for range 40 {
		if _, err := h.poison.EnqueueMessage(t.Context(), old, nil); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 { // the same again: the first round's copy is not the second's
		done := fire(t.Context(), q, sqsBatch(t, "good", "bad", "slow"))
		var slow *azqueue.DequeuedMessage
		for _, m := range h.take(3) {
			if *m.DequeueCount != 1 {
				t.Errorf("%s: the host sees delivery %d first", body(t, m), *m.DequeueCount)
			}
			switch body(t, m) {
			case "good":
				h.delete(m)
			case "bad":
				if round == 0 {
					h.copyToPoison(m)
				}
				h.delete(m)
			case "slow":
				slow = m
			}
		}
		select {
		case got := <-done:
			t.Fatalf("it ended while a message was worked on: %+v, %v", got.out, got.err)
		case <-time.After(100 * time.Millisecond): // many looks long
		}
		h.delete(slow) // by the receipt that the host has: looking at the message has not changed it
		got := <-done
		if got.err != nil {
			t.Fatal(got.err)
		}
		want := map[string]capture.Fate{"m-0": capture.Acked, "m-1": capture.DeadLettered, "m-2": capture.Acked}
		if round == 1 {
			want["m-1"] = capture.Acked
		}
		if got.out.Status != capture.StatusOK || !maps.Equal(got.out.Records, want) || got.out.Effects != nil {
			t.Errorf("round %d: %+v, want %v", round, got.out, want)
		}
	}
	if len(q.grave.plots) != 0 {
		t.Errorf("%d texts are still remembered", len(q.grave.plots))
	}
}

func testWhatTheQueueCannotTellIsUnknown(t *testing.T, storage peers.Storage) {
	late := errors.New("no answer in time")
	for _, tt := range []struct {
		name string
		host func(h *host)
		want string // of the error
		left int64  // messages in the queue afterwards
	}{
		{"nobody takes it", func(*host) {}, "nobody took m-0, now withdrawn", 0},
		{"it is taken and nothing more", func(h *host) { h.take(1) }, "m-0 was taken, and neither deleted nor moved", 1},
		{"it failed and is visible again", func(h *host) {
			m := h.take(1)[0]
			_, err := h.queue.UpdateMessage(t.Context(), *m.MessageID, *m.PopReceipt, *m.MessageText, nil)
			if err != nil {
				t.Error(err)
			}
		}, "m-0 was taken", 1},
		{"its copy is written and it is not deleted", func(h *host) { h.copyToPoison(h.take(1)[0]) }, "m-0 was taken", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, h := newQueue(t, storage, "unknown"+fmt.Sprint(len(tt.name)))
			ctx, cancel := context.WithCancelCause(t.Context())
			done := fire(ctx, q, sqsBatch(t, "x"))
			h.peek()
			tt.host(h)
			cancel(late)
			got := <-done
			if got.out != nil || !errors.Is(got.err, late) || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%+v, %v; want %q", got.out, got.err, tt.want)
			}
			if left := h.left(); left != tt.left {
				t.Errorf("%d messages are left, want %d", left, tt.left)
			}
		})
	}
}

// peek waits until a message is visible, without taking it.
func (h *host) peek() {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := h.queue.PeekMessages(h.t.Context(), nil)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(got.Messages) > 0 {
			return
		}
		<-tick.C
	}
}

// Copies are hidden for a while only, and older ones may have been hidden when the replay began.
func testACopyThatComesBackIsNoNewOne(t *testing.T, storage peers.Storage) {
	q, h := newQueue(t, storage, "back")
	q.grave.hide = time.Second
	poison := &host{t, h.poison, nil}
	for i, want := range []capture.Fate{capture.DeadLettered, capture.Acked, capture.Acked} {
		target := q
		if i == 2 { // another replay, while the copy is hidden
			target = &Queue{opts: q.opts, queue: q.queue, poison: q.poison, sends: q.sends, grave: graveyard{
				hide: time.Minute, plots: make(map[[32]byte]*plot), known: make(map[string]bool),
			}}
			q.grave.hide = 2 * time.Second
			if err := q.grave.visit(t.Context(), h.poison); err != nil {
				t.Fatal(err)
			}
		}
		done := fire(t.Context(), target, sqsBatch(t, "x"))
		m := h.take(1)[0]
		if i == 0 {
			h.copyToPoison(m)
		} else {
			poison.peek()
		}
		h.delete(m)
		got := <-done
		if got.err != nil || got.out.Records["m-0"] != want {
			t.Errorf("message %d: %+v, %v; want %s", i, got.out, got.err, want)
		}
		if i < 2 {
			poison.peek()
		}
	}
}

// Of two messages with one text only one is in the poison queue: nobody can say which.
func testEqualMessagesAreNotGuessedAt(t *testing.T, storage peers.Storage) {
	for name, copies := range map[string]int{"none": 0, "one": 1} {
		q, h := newQueue(t, storage, "equal"+name)
		done := fire(t.Context(), q, sqsBatch(t, "same", "same"))
		for i, m := range h.take(2) {
			if i < copies {
				h.copyToPoison(m)
			}
			h.delete(m)
		}
		got := <-done
		acked := map[string]capture.Fate{"m-0": capture.Acked, "m-1": capture.Acked}
		if copies == 0 && (got.err != nil || !maps.Equal(got.out.Records, acked)) {
			t.Errorf("both were deleted and no copy is there: %+v, %v", got.out, got.err)
		}
		if copies == 1 && (got.err == nil || !strings.Contains(got.err.Error(), "same text")) {
			t.Errorf("one is poison: %+v, %v", got.out, got.err)
		}
	}
	// Of two invocations with one text the second waits until the first is known.
	q, h := newQueue(t, storage, "equalturns")
	one := fire(t.Context(), q, sqsBatch(t, "same", "same", "a"))
	other := fire(t.Context(), q, sqsBatch(t, "same", "same", "b"))
	for range 2 {
		turn := h.take(3)
		if more, err := h.queue.PeekMessages(t.Context(), nil); err != nil || len(more.Messages) != 0 {
			t.Errorf("both are in the queue: %v, %v", more.Messages, err)
		}
		for _, m := range turn {
			h.delete(m)
		}
	}
	for _, done := range []<-chan fired{one, other} {
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
	}
	// A message that was given up may still become poison, and must not be taken for the next with its text.
	q, h = newQueue(t, storage, "equallater")
	ctx, cancel := context.WithCancel(t.Context())
	done := fire(ctx, q, sqsBatch(t, "same"))
	first := h.take(1)[0]
	cancel()
	if got := <-done; got.err == nil {
		t.Fatalf("the first is not known: %+v", got.out)
	}
	done = fire(t.Context(), q, sqsBatch(t, "same"))
	second := h.take(1)[0]
	h.copyToPoison(first)
	h.delete(first)
	h.delete(second)
	if got := <-done; got.err == nil {
		t.Errorf("the copy was the first's, and the second got %+v", got.out)
	}
}

func testAQueueThatIsNotItsOwnIsRefused(t *testing.T, storage peers.Storage) {
	q, h := newQueue(t, storage, "busy")
	if _, err := h.queue.EnqueueMessage(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	var setup *replay.SetupError
	_, err := q.Fire(t.Context(), sqsBatch(t, "x"))
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "about 1 messages") {
		t.Errorf("a queue with messages: %v", err)
	}
	q, h = newQueue(t, storage, "deleted")
	if _, err := h.queue.Delete(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, err = q.Fire(t.Context(), sqsBatch(t, "x"))
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "404 QueueNotFound") {
		t.Errorf("a queue that is not there: %v", err)
	}
}

// An impostor answers in a service's place where it wants to.
type impostor struct {
	http.RoundTripper
	mu     sync.Mutex
	answer func(r *http.Request) *http.Response // nil to pass the request on
}

func (i *impostor) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	resp := i.answer(r)
	i.mu.Unlock()
	if resp != nil {
		return resp, nil
	}
	return i.RoundTripper.RoundTrip(r)
}

func refusal(r *http.Request, status int, code string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Body: http.NoBody, Request: r,
		Header: http.Header{"X-Ms-Error-Code": {code}},
	}
}

func testABatchIsSentWholeOrNotAtAll(t *testing.T, storage peers.Storage) {
	q, h := newQueue(t, storage, "whole")
	puts := 0
	i := &impostor{RoundTripper: q.opts.HTTP.Transport, answer: func(r *http.Request) *http.Response {
		if puts++; r.Method != http.MethodPost || puts < 3 {
			return nil
		}
		return refusal(r, http.StatusServiceUnavailable, "ServerBusy")
	}}
	q.opts.HTTP.Transport = i
	puts = -2 // the looks at both queues
	var throttled *replay.ThrottledError
	_, err := q.Fire(t.Context(), sqsBatch(t, "a", "b", "c"))
	if !errors.As(err, &throttled) || throttled.Outcome == nil {
		t.Errorf("a server that is busy: %v", err)
	}
	if left := h.left(); left != 0 {
		t.Errorf("%d messages of a batch that was not sent are left", left)
	}
	if len(q.grave.plots) != 0 {
		t.Error("they are still waited for")
	}
}

// A service that answered as if a message were gone whenever it was taken would make each look done at once.
func testAServiceThatDoesNotTellIsRefused(t *testing.T, storage peers.Storage) {
	q, h := newQueue(t, storage, "vague")
	updates := 0
	q.opts.HTTP.Transport = &impostor{RoundTripper: q.opts.HTTP.Transport, answer: func(r *http.Request) *http.Response {
		if r.Method == http.MethodPut {
			if updates++; updates == 2 {
				return refusal(r, http.StatusNotFound, "MessageNotFound")
			}
		}
		return nil
	}}
	var setup *replay.SetupError
	_, err := q.Fire(t.Context(), sqsBatch(t, "a"))
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "does not tell") {
		t.Errorf("fired with %v", err)
	}
	if left := h.left(); left != 0 {
		t.Errorf("%d messages are left", left)
	}
}
