//go:build peers

package drain_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture/drain"
	"tandem/fixtures/peers"
)

func newClient(url string) *sqs.Client {
	return sqs.New(sqs.Options{BaseEndpoint: &url, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}})
}

func newQueue(t *testing.T, client *sqs.Client, name string, attributes map[string]string) drain.Queue {
	t.Helper()
	out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	q, err := drain.Find(t.Context(), client, *out.QueueUrl)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// send puts messages with the bodies from..to-1 into a queue; in a FIFO queue, they take turns in groups.
func send(t *testing.T, client *sqs.Client, q drain.Queue, from, to, groups int) {
	t.Helper()
	for i := from; i < to; {
		in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
		for ; i < to && len(in.Entries) < 10; i++ {
			e := types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strconv.Itoa(i))}
			if q.FIFO {
				e.MessageGroupId = aws.String(fmt.Sprint("g", i%groups))
				e.MessageDeduplicationId = e.MessageBody
			}
			in.Entries = append(in.Entries, e)
		}
		out, err := client.SendMessageBatch(t.Context(), in)
		if err != nil || len(out.Failed) > 0 {
			t.Fatal(err, out)
		}
	}
}

// A recorder is a handler and a recording, in memory.
type recorder struct {
	mu      sync.Mutex
	bodies  []int
	batches []int
	synced  int
}

func (r *recorder) handle(_ context.Context, batch []types.Message) ([]drain.Refusal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range batch {
		n, err := strconv.Atoi(*m.Body)
		if err != nil {
			return nil, err
		}
		r.bodies = append(r.bodies, n)
	}
	r.batches = append(r.batches, len(batch))
	return nil, nil
}

func (r *recorder) Sync() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced = len(r.bodies)
	return nil
}

func options(t *testing.T, client drain.Client, q drain.Queue, r *recorder) drain.Options {
	ids := new(drain.IDs)
	t.Cleanup(func() { ids.Close() })
	return drain.Options{
		Client: client, Queue: q, Sink: r, Known: ids, Handle: r.handle,
		Idle: time.Second, Visibility: 30 * time.Second, RetryDelay: 10 * time.Millisecond, Logf: t.Logf,
	}
}

func numbers(from, to int) []int {
	all := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func left(t *testing.T, client *sqs.Client, q drain.Queue) (int64, int64) {
	t.Helper()
	q, err := drain.Find(t.Context(), client, q.URL)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages, q.InFlight
}

func TestAQueueIsEmptiedIntoTheRecording(t *testing.T) {
	client := newClient(peers.Fauxqs(t))
	q := newQueue(t, client, "orders", nil)
	send(t, client, q, 0, 1005, 0)
	var r recorder
	counts, err := drain.Run(t.Context(), options(t, client, q, &r))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(r.bodies)
	if !slices.Equal(r.bodies, numbers(0, 1005)) {
		t.Errorf("recorded %v", r.bodies)
	}
	if want := (drain.Counts{Received: 1005, Recorded: 1005, Deleted: 1005}); counts != want {
		t.Errorf("%+v", counts)
	}
	if visible, inFlight := left(t, client, q); visible+inFlight > 0 {
		t.Errorf("%d and %d are left", visible, inFlight)
	}
}
