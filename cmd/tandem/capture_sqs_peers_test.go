//go:build peers

package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
	"tandem/fixtures/peers"
)

// A tapQueue is a queue on a server in front of which whoever asks can be killed at a request.
type tapQueue struct {
	client *sqs.Client
	name   string
	queue  *string // the queue's URL
	server string

	mu   sync.Mutex
	at   killPoint
	kill func() // nil when nobody is to be killed
}

// A killPoint is the n-th request for an operation, counted from 1, before it is done or after.
type killPoint struct {
	operation string
	n         int
	after     bool
}

func newTapQueue(t *testing.T, sqsURL, name string, attributes map[string]string) *tapQueue {
	t.Helper()
	target, err := url.Parse(sqsURL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	q := &tapQueue{name: name, client: sqs.New(sqs.Options{
		BaseEndpoint: &sqsURL, Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{Transport: transport},
	})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		kill, after := q.due(operation)
		if kill != nil && after {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		if kill != nil {
			kill()
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	q.server = server.URL
	out, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	q.queue = out.QueueUrl
	return q
}

func (q *tapQueue) due(operation string) (kill func(), after bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.kill == nil || operation != q.at.operation {
		return nil, false
	}
	if q.at.n--; q.at.n > 0 {
		return nil, false
	}
	kill, q.kill = q.kill, nil
	return kill, q.at.after
}

func (q *tapQueue) setKill(at killPoint, kill func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.at, q.kill = at, kill
}

const tapGroups = 7

// send puts n messages into the queue: their number, a space, and text that does not compress.
func (q *tapQueue) send(t *testing.T, n, random int) {
	t.Helper()
	for i := 0; i < n; {
		in := &sqs.SendMessageBatchInput{QueueUrl: q.queue}
		for ; i < n && len(in.Entries) < 10; i++ {
			noise := make([]byte, random)
			_, _ = rand.Read(noise)
			e := types.SendMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strconv.Itoa(i) + " " + hex.EncodeToString(noise)),
			}
			if strings.HasSuffix(q.name, ".fifo") {
				e.MessageGroupId, e.MessageDeduplicationId = aws.String(strconv.Itoa(i%tapGroups)), aws.String(strconv.Itoa(i))
			}
			in.Entries = append(in.Entries, e)
		}
		if out, err := q.client.SendMessageBatch(t.Context(), in); err != nil || len(out.Failed) > 0 {
			t.Fatal(err, out)
		}
	}
}

func (q *tapQueue) flags(rec string, more ...string) []string {
	return append([]string{
		"capture", "sqs", "--endpoint", q.server, "--drain-production", "--queue", q.name, "--function", "f", "-o", rec,
		"--visibility", "1s", "--json",
	}, more...)
}

// checkRecorded checks that a recording has the messages 0..n-1, each once, and those of a group in order if asked
// to.
func checkRecorded(t *testing.T, path string, n int, inOrder bool) {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	times, last := make([]int, n), make(map[int]int)
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		var event events.SQSEvent
		if err := json.Unmarshal(inv.Event, &event); err != nil {
			t.Fatal(err)
		}
		for _, m := range event.Records {
			number, _, _ := strings.Cut(m.Body, " ")
			i, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			times[i]++
			if before := last[i%tapGroups]; inOrder && before > i {
				t.Errorf("message %d is recorded after %d, of the same group", i, before)
			}
			last[i%tapGroups] = i
		}
	}
	for i, n := range times {
		if n != 1 {
			t.Errorf("message %d is recorded %d times", i, n)
		}
	}
}

type drained struct{ Received, Recorded, Redelivered, Refused, Left, Deleted, InQueue int64 }

// drainAll runs tandem until it ends by itself with nothing left in the queue, and returns how many came again.
func (q *tapQueue) drainAll(t *testing.T, rec string) (redelivered int64) {
	t.Helper()
	for {
		p, err := startProcess("", os.Environ(), lean(), q.flags(rec, "--append", "--idle", "2s")...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		code, err := p.finish()
		text, _ := p.stderr.read()
		var d drained
		if jerr := json.Unmarshal(p.stdout.Bytes(), &d); err != nil || code != 0 || jerr != nil {
			t.Fatalf("exit code %d, %v, %v:\n%s", code, err, jerr, text)
		}
		if d.Received != d.Recorded+d.Redelivered+d.Refused+d.Left {
			t.Errorf("the counts do not add up: %+v", d)
		}
		redelivered += d.Redelivered
		if d.InQueue == 0 {
			return redelivered
		}
	}
}

func TestAKilledSQSCaptureGoesOn(t *testing.T) {
	t.Parallel()
	server := peers.Fauxqs(t)
	points := []killPoint{
		{"DeleteMessageBatch", 1, false}, {"ReceiveMessage", 3, true}, {"DeleteMessageBatch", 2, true},
		{"ReceiveMessage", 5, false}, {"DeleteMessageBatch", 9, false}, {"ReceiveMessage", 12, true},
		{"DeleteMessageBatch", 14, true}, {"DeleteMessageBatch", 1, false},
	}
	standard, fifo := points, append(points[:3:3], points[len(points)-1])
	if os.Getenv("TANDEM_SOAK") == "1" {
		for i := range 100 {
			standard = append(standard, points[i%len(points)])
		}
	}
	for _, tc := range []struct {
		name       string
		attributes map[string]string
		messages   int
		points     []killPoint
	}{
		{"orders-tap", nil, 3000 * len(standard) / len(points), standard},
		{"orders-tap.fifo", map[string]string{"FifoQueue": "true"}, 150, fifo},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			q := newTapQueue(t, server, tc.name, tc.attributes)
			q.send(t, tc.messages, 10)
			rec := filepath.Join(t.TempDir(), "tap.rec")
			for _, at := range tc.points {
				victim := make(chan *process, 1)
				q.setKill(at, func() { (<-victim).kill() })
				p, err := startProcess("", os.Environ(), lean(), q.flags(rec, "--append")...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.kill)
				victim <- p
				if code, err := p.finish(); code != -1 || err != nil {
					text, _ := p.stderr.read()
					t.Fatalf("not killed at %+v: %d, %v:\n%s", at, code, err, text)
				}
			}
			if redelivered := q.drainAll(t, rec); redelivered == 0 {
				t.Error("what was recorded and not deleted did not come again")
			}
			checkRecorded(t, rec, tc.messages, tc.attributes != nil)
		})
	}
}

func TestAFullDiskLosesNoMessage(t *testing.T) {
	t.Parallel()
	q := newTapQueue(t, peers.Fauxqs(t), "full", nil)
	const n = 1000
	q.send(t, n, 500)
	rec := filepath.Join(t.TempDir(), "tap.rec")
	limited := append([]string{"-c", `ulimit -f 300 && exec "$0" "$@"`, lean()}, q.flags(rec)...)
	p, err := startProcess("", os.Environ(), "sh", limited...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	code, err := p.finish()
	var d drained
	jerr := json.Unmarshal(p.stdout.Bytes(), &d)
	if text, _ := p.stderr.read(); code != exitUsage || err != nil || !strings.Contains(string(text), "file too large") {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	if jerr != nil || d.Recorded == 0 || d.Recorded >= n || d.Received != d.Recorded+d.Redelivered+d.Left {
		t.Errorf("%+v, %v", d, jerr)
	}
	q.drainAll(t, rec)
	checkRecorded(t, rec, n, false)
}

func TestAnInterruptedSQSCaptureGivesAllBack(t *testing.T) {
	t.Parallel()
	q := newTapQueue(t, peers.Fauxqs(t), "interrupted", nil)
	const n = 3000 // more than are received meanwhile
	q.send(t, n, 10)
	rec := filepath.Join(t.TempDir(), "tap.rec")
	p, err := startProcess("", os.Environ(), lean(), q.flags(rec, "--visibility", "1h")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	signalled := make(chan error, 1)
	q.setKill(killPoint{"DeleteMessageBatch", 3, true}, func() { signalled <- p.Process.Signal(os.Interrupt) })
	if code, err := p.finish(); code != 0 || err != nil || <-signalled != nil {
		text, _ := p.stderr.read()
		t.Fatalf("exit code %d, %v:\n%s", code, err, text)
	}
	q.drainAll(t, rec) // which does not wait for an hour
	checkRecorded(t, rec, n, false)
}

func TestCaptureSQSIsLikeTheMapping(t *testing.T) {
	t.Parallel()
	const production = "arn:aws:sqs:us-east-1:000000000000:orders"
	mapping := func(source string) string {
		return fmt.Sprintf(`{"UUID":"6f8d1c9e-1b0a-4f6e-9f0b-0123456789ab","State":"Enabled","BatchSize":4,`+
			`"FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:process","EventSourceArn":%q,`+
			`"FilterCriteria":{"Filters":[{"Pattern":"{}"}]}}`, source)
	}
	lambdas := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := ""
		if source := r.URL.Query().Get("EventSourceArn"); source == production || source == "" {
			found = mapping(production)
		}
		fmt.Fprintf(w, `{"EventSourceMappings":[%s]}`, found)
	}))
	t.Cleanup(lambdas.Close)
	sqsURL := peers.Fauxqs(t)
	newTapQueue(t, sqsURL, "orders", nil)
	rec := filepath.Join(t.TempDir(), "tap.rec")
	args := func(queue string) []string {
		return []string{"capture", "sqs", "--endpoint", sqsURL, "--lambda-endpoint", lambdas.URL, "--queue", queue,
			"--like-mapping", "process", "--function", "process-order", "-o", rec, "--max-messages", "10"}
	}
	code, _, stderr := call(t, args("orders")...)
	if code != exitUsage || !strings.Contains(stderr, "is no tap") || !strings.Contains(stderr, "--drain-production") {
		t.Errorf("the production queue: exit code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(rec); err == nil {
		t.Error("a recording was begun")
	}
	q := newTapQueue(t, sqsURL, "orders-tap", nil)
	q.send(t, 10, 1)
	code, stdout, stderr := call(t, args("orders-tap")...)
	for _, want := range []string{
		"batches of 4, window 0s, from " + production, "filter criteria, which are not applied",
		"10 messages received: 10 recorded in 3 invocations, 0 came again, 0 given back\n", "about 0 left",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %q", want, stderr)
		}
	}
	if code != 0 || stdout != "" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	checkRecorded(t, rec, 10, false)
}
