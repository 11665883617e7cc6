package s3tap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"

	"tandem/capture"
	"tandem/capture/lambdaevent"
	"tandem/capture/redact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucket = "catalog"

// A store is a server of S3 that faults may be put in front of.
type store struct {
	client  *s3.Client
	backend *s3mem.Backend
	url     string

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newStore(t *testing.T) *store {
	t.Helper()
	backend := s3mem.New()
	s := serve(t, gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server())
	s.backend = backend
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a server of S3 until the test ends.
func serve(t *testing.T, server http.Handler) *store {
	t.Helper()
	s := &store{}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		if fault != nil {
			fault(w, r, server)
			return
		}
		server.ServeHTTP(w, r)
	}))
	s.url = listener.URL
	transport := &http.Transport{}
	s.client = NewClient(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient: &http.Client{Transport: transport},
	}, s.url)
	t.Cleanup(listener.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return s
}

// setFault has requests answered by f; nil ends that.
func (s *store) setFault(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *store) setVersioned(t *testing.T) {
	t.Helper()
	_, err := s.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{
			Status: types.BucketVersioningStatusEnabled,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// put writes an object and returns what S3 would notify of it.
func (s *store) put(t *testing.T, key, content string) lambdaevent.S3Record {
	t.Helper()
	out, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(content), ContentType: aws.String("text/csv"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return lambdaevent.S3Record{
		Region: "eu-west-1", Time: time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC), Name: "ObjectCreated:Put",
		Bucket: bucket, Key: key, Size: int64(len(content)), ETag: unquote(aws.ToString(out.ETag)),
		VersionID: aws.ToString(out.VersionId), Sequencer: sequencer(),
	}
}

func (s *store) delete(t *testing.T, key string) {
	t.Helper()
	in := &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}
	if _, err := s.client.DeleteObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

var sequence struct {
	sync.Mutex
	n int
}

func sequencer() string {
	sequence.Lock()
	defer sequence.Unlock()
	sequence.n++
	return fmt.Sprintf("%018X", 0x67B1C355<<16+sequence.n)
}

func event(t *testing.T, r lambdaevent.S3Record) string {
	t.Helper()
	doc, err := lambdaevent.S3(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// A recorder is a recording that is written and then read.
type recorder struct {
	dir string
	*capture.Writer
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	return goOn(t, filepath.Join(t.TempDir(), "s3.rec"))
}

func goOn(t *testing.T, dir string) *recorder {
	t.Helper()
	return create(t, dir, nil)
}

// newRedactingRecorder begins or goes on with a recording in which e-mail addresses are replaced.
func newRedactingRecorder(t *testing.T, dir string) *recorder {
	t.Helper()
	redactor, err := redact.New(redact.Options{Rules: []redact.Rule{{Form: redact.Email}}})
	if err != nil {
		t.Fatal(err)
	}
	return create(t, dir, redactor)
}

func create(t *testing.T, dir string, redactor capture.Redactor) *recorder {
	t.Helper()
	w, err := capture.Create(dir, capture.CreateOptions{Append: true, Redactor: redactor})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &recorder{dir, w}
}

func (s *store) options(r *recorder) Options {
	return Options{Client: s.client, Function: "import", Sink: r, MaxRetryDelay: time.Nanosecond}
}

// read closes the recording and returns what is in it. Objects are checked against their hashes.
func (r *recorder) read(t *testing.T) (all []*capture.Invocation, content map[string]string) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(r.dir, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	if _, err := rec.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	content = make(map[string]string)
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, inv)
		for _, o := range inv.Objects {
			body, err := rec.OpenObject(o.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(body)
			body.Close()
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(text)
			if int64(len(text)) != o.Size || hex.EncodeToString(sum[:]) != o.SHA256 {
				t.Errorf("object %s is not what its hash and size say", o.Key)
			}
			content[o.SHA256] = string(text)
		}
	}
	return all, content
}

// contentOf returns the bytes that the recording has of an invocation's only object, "none" for none.
func contentOf(inv *capture.Invocation, content map[string]string) string {
	if len(inv.Objects) == 0 {
		return "none"
	}
	return content[inv.Objects[0].SHA256]
}

// checkSum fails the test unless everything that was seen is accounted for.
func checkSum(t *testing.T, r *Report) {
	t.Helper()
	sum := r.Recorded + r.Duplicates + r.Refused + r.Waiting
	for _, n := range r.LeftOut {
		sum += n
	}
	if sum != r.Seen {
		t.Errorf("%d were seen, %d are accounted for: %+v", r.Seen, sum, r)
	}
	var missing int64
	for _, n := range r.Objects.Missing {
		missing += n
	}
	if r.Objects.Pinned+missing > r.Recorded {
		t.Errorf("more objects than were recorded: %+v", r)
	}
}

func onlyGets(fault func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.ResponseWriter,
	*http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || strings.Contains(r.URL.RawQuery, "list-type") {
			next.ServeHTTP(w, r)
			return
		}
		fault(w, r, next)
	}
}

// record is what next answers.
func record(next http.Handler, r *http.Request) (header http.Header, body []byte) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec.Header(), bytes.Clone(rec.Body.Bytes())
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
}
