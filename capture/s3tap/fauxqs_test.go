//go:build peers

package s3tap

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/capture/drain"
	"tandem/fixtures/peers"
)

// A tapQueue is a queue of a real SQS server.
type tapQueue struct {
	client *sqs.Client
	queue  drain.Queue
}

func newTapQueue(t *testing.T) *tapQueue {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(peers.Fauxqs(t)), Region: "eu-west-1",
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("tap")}); err != nil {
		t.Fatal(err)
	}
	q, err := drain.Find(t.Context(), client, "tap")
	if err != nil {
		t.Fatal(err)
	}
	return &tapQueue{client, q}
}

func (q *tapQueue) send(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := q.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &q.queue.URL, MessageBody: &body})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// left returns how many messages are in the queue, visible or not.
func (q *tapQueue) left(t *testing.T) int64 {
	t.Helper()
	now, err := drain.Find(t.Context(), q.client, q.queue.URL)
	if err != nil {
		t.Fatal(err)
	}
	return now.Messages + now.InFlight
}

func (q *tapQueue) options() drain.Options {
	return drain.Options{Client: q.client, Queue: q.queue, Visibility: time.Second, RetryDelay: time.Millisecond}
}

// While the object store is down, nothing is recorded and nothing leaves the queue. When it is back, all is.
func TestWhileTheStoreIsDownMessagesStay(t *testing.T) {
	s, rec, q := newStore(t), newRecorder(t), newTapQueue(t)
	var bodies []string
	for _, key := range []string{"a", "b", "c"} {
		bodies = append(bodies, event(t, s.put(t, key, key)))
	}
	q.send(t, bodies...)
	const outage = 5
	var n atomic.Int32
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if n.Add(1) <= outage {
			fail(w, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(w, r)
	}))
	opts := s.options(rec)
	opts.Client = s3.New(s.client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	tap := Tap{Drain: q.options()}
	tap.Drain.MaxMessages = int64(len(bodies))
	report, err := Drain(t.Context(), opts, tap)
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, report)
	if report.Recorded != 3 || report.Objects.Pinned != 3 || report.Waiting != outage {
		t.Errorf("report: %+v", report)
	}
	if c := report.Queue; c.Received != c.Recorded+c.Redelivered+c.Refused+c.Left || c.Deleted != 3 {
		t.Errorf("queue: %+v", c)
	}
	var got []string
	all, content := rec.read(t)
	for _, inv := range all {
		got = append(got, string(inv.Event))
		if contentOf(inv, content) == "none" {
			t.Errorf("%s is recorded without its object", inv.Event)
		}
	}
	slices.Sort(got)
	slices.Sort(bodies)
	if !slices.Equal(got, bodies) {
		t.Errorf("recorded %s", got)
	}
}

func TestWhatIsRefusedIsStillInTheQueueAfterwards(t *testing.T) {
	s, rec, q := newStore(t), newRecorder(t), newTapQueue(t)
	body := event(t, s.put(t, "a", "a"))
	q.send(t, testMessage, "hello", body, body)
	tap := Tap{Drain: q.options()}
	tap.Drain.Idle, tap.Drain.Visibility = time.Second, time.Hour // what is refused does not come again meanwhile
	report, err := Drain(t.Context(), s.options(rec), tap)
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, report)
	if report.Recorded != 1 || report.Duplicates != 1 || report.LeftOut[TestEvent] != 1 || report.Refused != 1 {
		t.Errorf("report: %+v", report)
	}
	if left := q.left(t); left != 1 {
		t.Errorf("%d are left", left)
	}
}

func TestTheEndOfACaptureIsNoError(t *testing.T) {
	s, rec, q := newStore(t), newRecorder(t), newTapQueue(t)
	q.send(t, event(t, s.put(t, "a", "a")))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel() // while the object is read
		next.ServeHTTP(w, r)
	}))
	report, err := Drain(ctx, s.options(rec), Tap{Drain: q.options()})
	if err != nil || report.Recorded != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	checkSum(t, report)
	if left := q.left(t); left != 0 {
		t.Errorf("%d are left", left)
	}
}
