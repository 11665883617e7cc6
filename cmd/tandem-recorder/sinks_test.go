//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/logchunk"
)

// holdingServer answers a request when release is closed, and closes arrived when there is one.
func holdingServer(t *testing.T, arrived chan<- struct{}, release <-chan struct{}) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "released")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A faultyCollector is a collector in front of which something can be wrong.
type faultyCollector struct {
	*httptest.Server
	collector *collector.Server
	recording *capture.Writer
	path      string
	fault     atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // true: it has answered
	requests  atomic.Int64
}

func newCollector(t *testing.T, token string) *faultyCollector {
	t.Helper()
	c := &faultyCollector{path: filepath.Join(t.TempDir(), "collected.rec")}
	var err error
	if c.recording, err = capture.Create(c.path, capture.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.collector = collector.NewServer(collector.Options{Sink: c.recording, Token: token})
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		if fault := c.fault.Load(); fault != nil && (*fault)(w, r) {
			return
		}
		c.collector.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.Close()
		if err := c.recording.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCollectorThatFailsCostsNoInvocation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason string
		fault        func(w http.ResponseWriter, r *http.Request) bool
	}{
		{"500", "what it refuses for now is sent again", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(500)
			return true
		}},
		{"slow", "so is what it takes too long for", func(_ http.ResponseWriter, r *http.Request) bool {
			io.Copy(io.Discard, r.Body) // else the server does not see the client go
			<-r.Context().Done()
			return true
		}},
		{"down", "so is what does not reach it", func(w http.ResponseWriter, _ *http.Request) bool {
			panic(http.ErrAbortHandler)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, "secret")
			p := newPlatform(t, "TANDEM_SINK="+c.URL, "TANDEM_SINK_TOKEN=secret", "TANDEM_FLUSH_TIMEOUT=1s")
			p.startManaged()
			p.invoke(`{"n":0}`)
			if got := c.collector.Stats().Recorded; got != 1 {
				t.Fatalf("%d are collected when the environment is frozen", got)
			}
			c.fault.Store(&test.fault)
			for i := 1; i < 4; i++ {
				p.invoke(fmt.Sprintf(`{"n":%d}`, i))
			}
			// The first flush has failed, and the others have left the collector alone for a second.
			if got := c.requests.Load(); got > 20 {
				t.Errorf("%d requests", got)
			}
			c.fault.Store(nil)
			p.shutDown("spindown")
			told(t, p, "4 invocations: 4 recorded")
			if got := c.collector.Stats(); got.Recorded != 4 || got.Lost != 0 {
				t.Errorf("%s: %s", test.reason, got)
			}
			if !strings.Contains(p.output.String(), "tandem-recorder: cannot write to http") ||
				strings.Contains(p.output.String(), "secret") {
				t.Error("the failure is not told, or the token is")
			}
		})
	}
}

func TestCollectorThatStaysAwayCostsTheInvocationsOnly(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TANDEM_SINK=http://127.0.0.1:1", "TANDEM_BUFFER=3000")
	p.startManaged()
	for range 5 {
		p.invoke(`{"n":0}`) // two have room
	}
	p.shutDown("spindown")
	if got := strings.Count(p.output.String(), "the sink was too slow or down\n"); got != 3 {
		t.Errorf("%d losses are told when they happen, want 3", got)
	}
	if !strings.Contains(p.output.String(), "connection refused") {
		t.Error("the reason is not told")
	}
	told(t, p, "lost 2 invocations: 2 the sink had not taken them at the end")
	told(t, p, "5 invocations: 0 recorded, 5 lost")
}

func TestFullDiskCostsTheInvocationsOnly(t *testing.T) {
	t.Parallel()
	rec := filepath.Join(t.TempDir(), "x.jsonl")
	p := newPlatform(t, "TANDEM_SINK=file:"+rec, "TANDEM_FLUSH_TIMEOUT=20ms", "TANDEM_BUFFER=20000")
	// Instead of the disk, files are full: at 32 or 64 KB, as the shell counts.
	p.wrapExtension("ulimit -f 64")
	p.startManaged()
	filler := strings.Repeat("x", 5_000)
	const total = 30
	for i := range total {
		if got := string(p.invoke(fmt.Sprintf(`{"n":%d,"filler":%q}`, i, filler)).Payload); !strings.Contains(got, filler) {
			t.Fatalf("the function answered %s", got)
		}
	}
	p.shutDown("spindown")
	n := len(recorded(t, rec))
	if n == 0 || n == total {
		t.Fatalf("%d of %d are recorded: the disk was not full", n, total)
	}
	told(t, p, fmt.Sprintf("%d invocations: %d recorded, %d lost", total, n, total-n))
}

// What Lambda gave the function and what that answered may have secrets. They do not get out by any sink, nor by the log.
func TestNoSecretLeavesTheEnvironment(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-4711-tangerine"
	const event = `{"headers":{"authorization":"Bearer ` + secret + `"},"password":"` + secret + `"}`
	file := filepath.Join(t.TempDir(), "f.rec")
	collected := newCollector(t, "")
	for _, test := range []struct {
		name, sink string
		plain      bool
		read       func(p *platform) string
	}{
		{"file", "file:" + file, false, func(*platform) string { return linesOf(t, file) }},
		{"collector", collected.URL, false, func(*platform) string {
			if err := collected.recording.Flush(); err != nil {
				t.Fatal(err)
			}
			return linesOf(t, collected.path)
		}},
		{"log", "log:", false, func(p *platform) string { return strings.Join(logged(t, p), "") }},
		{"log of who wants secrets", "log:", true, func(p *platform) string { return strings.Join(logged(t, p), "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			variables := []string{"TANDEM_SINK=" + test.sink}
			if test.plain {
				variables = append(variables, "TANDEM_NO_REDACT=1")
			}
			p := newPlatform(t, variables...)
			p.startManaged()
			p.invoke(event)
			p.shutDown("spindown")
			told(t, p, "1 invocations: 1 recorded")
			kept := test.read(p)
			if got := strings.Contains(kept+p.output.String(), secret); got != test.plain {
				t.Errorf("the secret is there: %v, in:\n%s\n%s", got, kept, p.output.String())
			}
			if !test.plain && !strings.Contains(kept, "redacted") {
				t.Errorf("no token in %s", kept)
			}
		})
	}
}

// linesOf returns the lines of a recording.
func linesOf(t *testing.T, path string) string {
	t.Helper()
	r, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all strings.Builder
	for line, err := range r.Lines() {
		if err != nil {
			t.Fatal(err)
		}
		all.Write(line.Data)
	}
	return all.String()
}

func TestLogSinkCanBeReadBack(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TANDEM_SINK=log:")
	p.startManaged()
	p.invoke(`{"n":1}`)
	p.invoke(`{"do":"log","text":"noise","n":3}`)
	p.shutDown("spindown")
	var got []*capture.Invocation
	for _, line := range logged(t, p) {
		inv, err := capture.ParseInvocation([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, inv)
	}
	if diff := cmp.Diff([]string{`{"do":"log","text":"noise","n":3}`, `{"n":1}`}, eventsOf(got)); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// logged returns the invocations in a platform's log, as they are there.
func logged(t *testing.T, p *platform) []string {
	t.Helper()
	var d logchunk.Decoder
	var all []string
	for line := range strings.Lines(p.output.String()) {
		id, content, err := d.Add(line)
		if err != nil {
			t.Fatal(err)
		}
		if content == nil {
			continue
		}
		all = append(all, string(content))
		if !strings.Contains(string(content), id) {
			t.Errorf("%q is not the ID of %s", id, content)
		}
	}
	return all
}

func TestS3SinkPutsASegmentAFlush(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(gofakes3.New(backend).Server())
	defer s.Close()
	p := newPlatform(t, "TANDEM_SINK=s3://bucket/a/b/", "AWS_ENDPOINT_URL_S3="+s.URL,
		"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "TANDEM_MAX_EVENT=1000")
	p.startManaged()
	p.invoke(`{"n":1}`)
	p.invoke(`{"large":"` + strings.Repeat("x", 1000) + `"}`)
	p.invoke(`{"n":2}`)
	p.shutDown("spindown")
	told(t, p, "3 invocations: 2 recorded, 1 lost")
	objects, err := backend.ListBucket("bucket", nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, o := range objects.Contents {
		parts := strings.Split(o.Key, "/")
		if len(parts) != 5 || parts[0] != "a" || parts[1] != "b" || len(parts[2]) != len(time.DateOnly) ||
			parts[4] != fmt.Sprintf("invocations-%06d.jsonl.zst", i+1) {
			t.Errorf("the key is %q", o.Key)
		}
		object, err := backend.GetObject("bucket", o.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(object.Contents)
		if err != nil {
			t.Fatal(err)
		}
		if lost := object.Metadata["X-Amz-Meta-Tandem-Lost"]; lost != fmt.Sprint(i) {
			t.Errorf("object %d says that %s were lost: %v", i, lost, object.Metadata)
		}
		file := filepath.Join(t.TempDir(), "segment.jsonl.zst")
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
		got = append(got, eventsOf(recorded(t, file))...)
	}
	if diff := cmp.Diff([]string{`{"n":1}`, `{"n":2}`}, got); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
}
