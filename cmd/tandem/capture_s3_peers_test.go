//go:build peers

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"tandem/capture"
	"tandem/capture/lambdaevent"
	"tandem/fixtures/peers"
)

// A shop is a bucket and the tap that gets its notifications. Whoever calls them can be killed at a request.
type shop struct {
	s3URL, sqsURL, queue string
	objects              *s3.Client
	messages             *sqs.Client

	mu     sync.Mutex
	killAt string // "GetObject" or "DeleteMessageBatch"
	after  int    // so many of these requests
	kill   func()
}

const shopBucket = "catalog"

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{}
	target, err := url.Parse(peers.Fauxqs(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of clients that are killed
	s.sqsURL = s.serve(t, proxy)
	s.s3URL = s.serve(t, gofakes3.New(s3mem.New(), gofakes3.WithTimeSkewLimit(0)).Server())
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg.HTTPClient = &http.Client{Transport: transport}
	s.objects = s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &s.s3URL, true })
	s.messages = sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = aws.String(target.String()) })
	if _, err := s.objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(shopBucket)}); err != nil {
		t.Fatal(err)
	}
	queue, err := s.messages.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("catalog-tap")})
	if err != nil {
		t.Fatal(err)
	}
	s.queue = *queue.QueueUrl
	return s
}

func (s *shop) serve(t *testing.T, next http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := r.Header.Get("X-Amz-Target")
		if request == "" && r.Method == http.MethodGet {
			request = "GetObject"
		}
		if s.isKilled(strings.TrimPrefix(request, "AmazonSQS.")) {
			panic(http.ErrAbortHandler) // what a dead process asked for is not done
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// isKilled kills if that is due.
func (s *shop) isKilled(request string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kill == nil || request != s.killAt {
		return false
	}
	if s.after--; s.after >= 0 {
		return false
	}
	s.kill()
	s.kill = nil
	return true
}

func (s *shop) setKill(at string, after int, kill func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killAt, s.after, s.kill = at, after, kill
}

// put writes an object and returns what S3 notifies of it.
func (s *shop) put(t *testing.T, key, content string, sequencer int) string {
	t.Helper()
	out, err := s.objects.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(shopBucket), Key: &key, Body: strings.NewReader(content), ContentType: aws.String("text/csv"),
	})
	if err != nil {
		t.Fatal(err)
	}
	event, err := lambdaevent.S3(lambdaevent.S3Record{
		Name: "ObjectCreated:Put", Bucket: shopBucket, Key: key, Size: int64(len(content)),
		Sequencer: fmt.Sprintf("%018X", sequencer),
		ETag:      strings.Trim(*out.ETag, `"`), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(event)
}

func (s *shop) send(t *testing.T, body string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &s.queue, MessageBody: &body}
	if _, err := s.messages.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// flags are those that make capture s3 drain the tap of the shop.
func (s *shop) flags(rec string) []string {
	return []string{"capture", "s3", "--queue", "catalog-tap", "--endpoint", s.sqsURL, "--s3-endpoint", s.s3URL,
		"--drain-production", "--function", "import-catalog", "-o", rec, "--append", "--visibility", "1s"}
}

// readPinned returns the events of a recording in alphabetical order, each with the bytes of its object.
func readPinned(t *testing.T, path string) (all []string) {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	if _, err := rec.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		if len(inv.Objects) != 1 {
			t.Errorf("%s has %d objects", inv.Event, len(inv.Objects))
			continue
		}
		body, err := rec.OpenObject(inv.Objects[0].SHA256)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(inv.Event)+" "+string(content))
	}
	slices.Sort(all)
	return all
}

// Killed while it reads objects, and between what is on disk and its deletion from the queue: nothing is lost,
// nothing is there twice, and all objects are whole.
func TestAKilledS3CaptureGoesOn(t *testing.T) {
	s := newShop(t)
	rec := filepath.Join(t.TempDir(), "catalog.rec")
	var want []string
	const round = 30 // objects that are new, so that each kill finds something to do
	next := 0
	putRound := func() {
		for i := next; i < next+round; i++ {
			content := strings.Repeat(fmt.Sprintf("row %d\n", i), 1000)
			event := s.put(t, fmt.Sprintf("incoming/%d.csv", i), content, i)
			want = append(want, event+" "+content)
			s.send(t, event)
			if i%10 == 0 {
				s.send(t, event) // S3 notifies at least once
			}
		}
		next += round
	}
	for _, c := range []struct {
		at    string
		after int
	}{{"GetObject", 3}, {"DeleteMessageBatch", 0}, {"GetObject", 20}, {"DeleteMessageBatch", 2}, {"GetObject", 0}} {
		putRound()
		p, err := startProcess("", nil, lean(), s.flags(rec)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		s.setKill(c.at, c.after, p.kill)
		if code, err := p.finish(); err != nil || code != -1 {
			text, _ := p.stderr.read()
			t.Fatalf("killed at %s: exit code %d, %v:\n%s", c.at, code, err, text)
		}
	}
	code, stdout, stderr := call(t, append(s.flags(rec), "--idle", "3s", "--json")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	slices.Sort(want)
	got := readPinned(t, rec)
	if !slices.Equal(got, want) {
		t.Errorf("%d are recorded, %d were notified of", len(got), len(want))
	}
	if !strings.Contains(stdout, `"duplicates"`) || strings.Contains(stdout, `"recorded": 0,`) {
		t.Errorf("stdout %s, stderr %s", stdout, stderr)
	}
	code, _, stderr = call(t, append(s.flags(rec), "--idle", "2s")...)
	if code != 0 || !strings.Contains(stderr, "0 events: 0 recorded") {
		t.Errorf("the queue is not empty: exit code %d: %s", code, stderr)
	}
}
