//go:build peers

package lambda

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/local"
)

// queue is a queue on fauxqs.
type queue struct {
	t      *testing.T
	client *sqs.Client
	url    string
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	t.Cleanup(client.CloseIdleConnections)
	q := &queue{t: t, client: newSQS(peers.Fauxqs(t), client)}
	made, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("records")})
	if err != nil {
		t.Fatal(err)
	}
	q.url = *made.QueueUrl
	return q
}

// destination returns one that is run until the test ends.
func (q *queue) destination() *Destination {
	board := completion.NewBoard()
	d := NewDestination(DestinationOptions{Client: q.client, Queue: q.url, Board: board})
	ctx, cancel := context.WithCancel(context.Background())
	if err := d.Open(ctx); err != nil {
		q.t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- d.Run(ctx, board) }()
	q.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil || len(d.expected) > 0 || len(d.held) > 0 || d.session != nil {
			q.t.Errorf("%v, and left behind: %+v", err, d)
		}
	})
	return d
}

func (q *queue) send(ctx context.Context, record []byte) error {
	_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(string(record))})
	return err
}

// counts returns how many messages can be received, and how many were and are hidden.
func (q *queue) counts() (visible, hidden string) {
	q.t.Helper()
	got, err := q.client.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		q.t.Fatal(err)
	}
	return got.Attributes["ApproximateNumberOfMessages"], got.Attributes["ApproximateNumberOfMessagesNotVisible"]
}

// platform is an embedded Lambda whose records go to q, and the target for its function.
func (q *queue) platform(d *Destination) *Event {
	q.t.Helper()
	binary := filepath.Join(q.t.TempDir(), "function")
	if out, err := exec.Command("go", "build", "-o", binary, "../local/testdata/lambdafunction").CombinedOutput(); err != nil {
		q.t.Fatalf("%v\n%s", err, out)
	}
	l, err := local.NewLambda(local.LambdaOptions{
		Functions:   []local.LambdaFunction{{Name: "f", Command: []string{binary}, Concurrency: 2}},
		Destination: q.send,
	})
	if err != nil {
		q.t.Fatal(err)
	}
	server := httptest.NewServer(l.Handler())
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	q.t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
		if err := l.Close(); err != nil {
			q.t.Error(err)
		}
	})
	cfg := aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: client}
	return NewEvent(EventOptions{Client: NewClient(cfg, server.URL), Function: "f", Destination: d})
}

func TestOutcomesComeFromTheDestination(t *testing.T) {
	q := newQueue(t)
	d := q.destination()
	target := q.platform(d)
	for _, foreign := range []string{failedRecord, "no record at all"} {
		if err := q.send(t.Context(), []byte(foreign)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			inv := event(fmt.Sprintf(`{"order":%d.0}`, i))
			out, err := target.Fire(t.Context(), inv)
			if err != nil || out.Status != capture.StatusOK || string(out.Result.Bytes()) != string(inv.Event) || out.DurationMS <= 0 {
				t.Errorf("%d: %+v, %v", i, out, err)
			}
		})
	}
	all.Wait()
	out, err := target.Fire(t.Context(), event(`{"do":"fail","text":"no"}`))
	if err != nil || out.Status != capture.StatusFunctionError || *out.Error != (capture.Error{Type: "errorString", Message: "no"}) {
		t.Errorf("got %+v, %v", out, err)
	}
	if visible, hidden := q.counts(); visible != "0" || hidden != "2" {
		t.Errorf("%s and %s messages are left, and two were others'", visible, hidden)
	}
}

func TestARecordMayOvertakeTheAnswer(t *testing.T) {
	q := newQueue(t)
	target := newEvent(t, q.destination(), func(w http.ResponseWriter, r *http.Request) {
		if err := q.send(r.Context(), []byte(strings.ReplaceAll(failedRecord, "q1", "early"))); err != nil {
			t.Error(err)
		}
		for hidden := ""; hidden != "1"; { // until it was received
			_, hidden = q.counts()
		}
		taken("early")(w, r)
	})
	out, err := target.Fire(t.Context(), event(`{}`))
	if err != nil || out.Status != capture.StatusFunctionError {
		t.Errorf("got %+v, %v", out, err)
	}
	if visible, hidden := q.counts(); visible != "0" || hidden != "0" {
		t.Errorf("%s and %s messages are left", visible, hidden)
	}
}

func TestSilenceIsNoOutcome(t *testing.T) {
	q := newQueue(t)
	d := q.destination()
	target := newEvent(t, d, taken("silent"))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for expected := 0; expected == 0; { // until it is waited for
			d.mu.Lock()
			expected = len(d.expected)
			d.mu.Unlock()
		}
		cancel(fmt.Errorf("no answer within a while"))
	}()
	out, err := target.Fire(ctx, event(`{}`))
	if out != nil || err == nil || !strings.Contains(err.Error(), "silent was taken, and no record of it came: no answer within") {
		t.Errorf("got %+v, %v", out, err)
	}
}
