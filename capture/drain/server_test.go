//go:build peers

package drain_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture/drain"
)

// newClient returns a client that retries as by default, but soon.
func newClient(t testing.TB, url string) *sqs.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return sqs.New(sqs.Options{
		BaseEndpoint: &url, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{Transport: transport},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff, o.RateLimiter = 10*time.Millisecond, ratelimit.None
		}),
	})
}

// An operation is what a request asks for, as "ReceiveMessage".
func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}

// intercept starts a server in front of another.
func intercept(t testing.TB, to string, wrap func(next http.Handler) http.Handler) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = transport
	// The client left.
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(wrap(proxy))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// refuse answers as SQS does when it does not do what it was asked for.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s","message":"%[1]s, says the test"}`, code)
}

// done has a request done, and the answer lost.
func done(next http.Handler, r *http.Request) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// bodyOf reads a request's body, which can be read again.
func bodyOf(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}

func setBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

var fifo = map[string]string{"FifoQueue": "true"}

func newQueue(t testing.TB, client *sqs.Client, name string, attributes map[string]string) drain.Queue {
	t.Helper()
	if attributes["FifoQueue"] != "" {
		name += ".fifo"
	}
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

const groups = 7

// send puts the numbers from..to-1 into a queue, in a FIFO queue in turns into the groups.
func send(t testing.TB, client *sqs.Client, q drain.Queue, from, to int) {
	t.Helper()
	for i := from; i < to; {
		in := &sqs.SendMessageBatchInput{QueueUrl: &q.URL}
		for ; i < to && len(in.Entries) < 10; i++ {
			e := types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strconv.Itoa(i))}
			if q.FIFO {
				e.MessageGroupId, e.MessageDeduplicationId = aws.String(strconv.Itoa(i%groups)), e.MessageBody
			}
			in.Entries = append(in.Entries, e)
		}
		out, err := client.SendMessageBatch(t.Context(), in)
		if err != nil || len(out.Failed) > 0 {
			t.Fatal(err, out)
		}
	}
}

// waiting returns how many messages can be received, and how many somebody has.
func waiting(t testing.TB, client *sqs.Client, q drain.Queue) (visible, inFlight int64) {
	t.Helper()
	q, err := drain.Find(t.Context(), client, q.URL)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages, q.InFlight
}

// A recorder is a handler and a recording, in memory. It keeps the numbers that were sent.
type recorder struct {
	mu      sync.Mutex
	numbers []int
	batches []int
	onSync  func() error // is called by Sync, unless nil
}

func (r *recorder) handle(_ context.Context, batch []types.Message) ([]drain.Refusal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range batch {
		n, err := strconv.Atoi(*m.Body)
		if err != nil {
			return nil, err
		}
		r.numbers = append(r.numbers, n)
	}
	r.batches = append(r.batches, len(batch))
	return nil, nil
}

func (r *recorder) Sync() error {
	if r.onSync != nil {
		return r.onSync()
	}
	return nil
}

// checkNumbers checks that 0..n-1 were recorded, each once, and those of a group in order.
func checkNumbers(t testing.TB, numbers []int, n int, inOrder bool) {
	t.Helper()
	seen := make([]int, n)
	last := make(map[int]int)
	for _, i := range numbers {
		seen[i]++
		if before, ok := last[i%groups]; ok && inOrder && before > i {
			t.Errorf("%d is recorded after %d, of the same group", i, before)
		}
		last[i%groups] = i
	}
	for i, times := range seen {
		if times != 1 {
			t.Errorf("%d is recorded %d times", i, times)
		}
	}
}

// options drain q to r until nothing is left.
func options(t testing.TB, client drain.Client, q drain.Queue, r *recorder) drain.Options {
	ids := new(drain.IDs)
	t.Cleanup(func() {
		if err := ids.Close(); err != nil {
			t.Error(err)
		}
	})
	return drain.Options{
		Client: client, Queue: q, Sink: r, Known: ids, Handle: r.handle,
		Idle: time.Second, Visibility: 30 * time.Second, RetryDelay: time.Millisecond,
	}
}

// run drains, and checks that the counts add up.
func run(t testing.TB, ctx context.Context, o drain.Options) (drain.Counts, error) {
	t.Helper()
	c, err := drain.Run(ctx, o)
	if c.Received != c.Recorded+c.Redelivered+c.Refused+c.Left {
		t.Errorf("the counts do not add up: %+v", c)
	}
	return c, err
}
