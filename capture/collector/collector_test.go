package collector

import (
	"bytes"
	stdcmp "cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tandem/capture"
	"tandem/capture/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collecting starts a server that records into the path that it returns when the recording is closed.
func collecting(t *testing.T, opts Options) (s *Server, client *Client, closeRecording func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.rec")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Sink == nil {
		opts.Sink = w
	}
	s = NewServer(opts)
	mux := http.NewServeMux()
	mux.Handle("/base/", http.StripPrefix("/base", s))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	closeOnce := sync.OnceFunc(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeOnce)
	client = &Client{URL: u, Token: opts.Token, Instance: "i", HTTP: server.Client()}
	return s, client, func() string { closeOnce(); return path }
}

func invocation(id, event string) *capture.Invocation {
	return &capture.Invocation{ID: id, Function: "f", Trigger: "other", Format: "other", Event: []byte(event)}
}

func read(t *testing.T, path string) (ids, events []string, lost int64) {
	t.Helper()
	r, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for inv, err := range r.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		ids, events = append(ids, inv.ID), append(events, string(inv.Event))
	}
	return ids, events, r.Manifest().Counts.Lost
}

func TestWhatIsSentIsRecordedOnceByteForByte(t *testing.T) {
	s, client, closed := collecting(t, Options{Token: "secret"})
	events := []string{
		`{"a":1.0,"a":2}`, "{\"invalid\":\"\xff\"}", "{ \"space\" : [\n] }\n", `"` + strings.Repeat("x", 6<<20) + `"`,
	}
	var batch []*capture.Invocation
	for i, event := range events {
		batch = append(batch, invocation(fmt.Sprint(i), event))
	}
	for _, send := range []struct {
		batch []*capture.Invocation
		lost  int64
	}{
		{batch[:2], 0},
		{batch[:3], 2}, // with two that were sent already
		{batch[2:], 2},
		{nil, 5},
		{nil, 1}, // an old message that came late
	} {
		if err := client.Send(t.Context(), send.batch, send.lost); err != nil {
			t.Fatal(err)
		}
	}
	want := Stats{Batches: 5, Recorded: 4, Duplicates: 3, Lost: 5}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	ids, got, lost := read(t, closed())
	if !slices.Equal(got, events) || !slices.Equal(ids, []string{"0", "1", "2", "3"}) || lost != 5 {
		t.Errorf("recorded %q, %d lost; or the events differ", ids, lost)
	}
}

func TestOneBatchManyTimesAtOnceIsRecordedOnce(t *testing.T) {
	_, client, closed := collecting(t, Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 20 {
				batch := []*capture.Invocation{invocation(fmt.Sprint(i), "1"), invocation(fmt.Sprint(i+1), "1")}
				if err := client.Send(t.Context(), batch, int64(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ids, _, lost := read(t, closed())
	slices.Sort(ids)
	if len(ids) != 21 || len(slices.Compact(ids)) != 21 || lost != 19 {
		t.Errorf("recorded %d, %d lost", len(ids), lost)
	}
}

func TestWhatCannotBeTakenIsRefused(t *testing.T) {
	s, client, closed := collecting(t, Options{Token: "secret"})
	large := make([]byte, MaxBatch+1)
	good, err := AppendBatch(nil, []*capture.Invocation{invocation("a", "1")})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, reason string
		method, path string
		header       http.Header
		body         []byte
		want         int
	}{
		{name: "no token", reason: "recordings are not for everyone",
			header: http.Header{"Authorization": nil}, want: 401},
		{name: "other token", reason: "nor for those who guess",
			header: http.Header{"Authorization": {"Bearer x"}}, want: 401},
		{name: "other path", reason: "a mistyped URL", path: "/base/x", want: 404},
		{name: "GET", reason: "a browser", method: "GET", want: 405},
		{name: "not JSON", reason: "a line has no sense", body: []byte("{\n"), want: 400},
		{name: "second line", reason: "all of a batch or nothing",
			body: []byte(`{"id":"b","function":"f","event":1}` + "\n{}\n"), want: 400},
		{name: "white space", reason: "an ID that the recording refuses",
			body: []byte(`{"id":"a b","function":"f","event":1}`),
			want: 400},
		{name: "encoding", reason: "an encoding that is not known",
			header: http.Header{"Content-Encoding": {"br"}}, want: 400},
		{name: "cut off", reason: "half a frame",
			header: http.Header{"Content-Encoding": {"zstd"}}, body: good[:len(good)-5],
			want: 400},
		{name: "lost", reason: "a count that is none", header: http.Header{HeaderLost: {"-1"}}, want: 400},
		{name: "large", reason: "memory has an end", body: large, want: 413},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := *client.URL
			target.Path = stdcmp.Or(test.path, "/base/invocations")
			req, err := http.NewRequest(stdcmp.Or(test.method, "POST"), target.String(), bytes.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer secret")
			for name, values := range test.header {
				req.Header[name] = values
			}
			resp, err := client.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != test.want || strings.Contains(string(text), "secret") {
				t.Errorf("%s: got %d %s, want %d", test.reason, resp.StatusCode, text, test.want)
			}
		})
	}
	if got := s.Stats(); got.Refused != int64(len(tests)) || got.Recorded != 0 {
		t.Errorf("stats are %+v", got)
	}
	if ids, _, _ := read(t, closed()); len(ids) != 0 {
		t.Errorf("recorded %q", ids)
	}
}

// brokenSink fails at Sync, as a disk that is full does, after it seemed to take what was written.
type brokenSink struct{ written int }

func (s *brokenSink) Write(*capture.Invocation) error { s.written++; return nil }
func (s *brokenSink) Sync() error                     { return errors.New("disk full") }
func (s *brokenSink) AddLost(int64)                   {}

func TestNothingIsAcknowledgedThatIsNotOnDisk(t *testing.T) {
	var told []error
	sink := &brokenSink{}
	s, client, _ := collecting(t, Options{Sink: sink, Failed: func(err error) { told = append(told, err) }})
	for range 2 {
		err := client.Send(t.Context(), []*capture.Invocation{invocation("a", "1")}, 3)
		if err == nil || !strings.Contains(err.Error(), "disk full") || errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.Stats(); got != (Stats{Refused: 2}) || len(told) != 1 || sink.written != 1 {
		t.Errorf("stats are %+v, told %v, written %d", got, told, sink.written)
	}
}

// pickySink has no place for invocations of one function.
type pickySink struct {
	written []string
	lost    int64
}

func (s *pickySink) Write(inv *capture.Invocation) error {
	if inv.Function == "large" {
		return fmt.Errorf("write: %w", journal.ErrLine)
	}
	s.written = append(s.written, inv.ID)
	return nil
}

func (s *pickySink) Sync() error     { return nil }
func (s *pickySink) AddLost(n int64) { s.lost += n }

func TestWhatNoRecordingCanHoldIsLostAlone(t *testing.T) {
	sink := &pickySink{}
	s, client, _ := collecting(t, Options{Sink: sink, Failed: func(err error) { t.Error(err) }})
	large := invocation("b", "1")
	large.Function = "large"
	for range 2 {
		err := client.Send(t.Context(), []*capture.Invocation{invocation("a", "1"), large, invocation("c", "1")}, 0)
		if err != nil {
			t.Error(err)
		}
	}
	want := Stats{Batches: 2, Recorded: 2, Duplicates: 3, TooLarge: 1}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	if !slices.Equal(sink.written, []string{"a", "c"}) || sink.lost != 1 {
		t.Errorf("written %q, lost %d", sink.written, sink.lost)
	}
	if text := s.Stats().String(); !strings.HasSuffix(text, "1 lost here, too large for a recording") {
		t.Error(text)
	}
}

func TestClientTellsWhatCanBeSentAgain(t *testing.T) {
	for status, refused := range map[int]bool{400: true, 413: true, 401: false, 404: false, 500: false, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "why", status)
		}))
		u, err := url.Parse(strings.Replace(server.URL, "://", "://user:password@", 1))
		if err != nil {
			t.Fatal(err)
		}
		err = (&Client{URL: u, HTTP: server.Client()}).Send(t.Context(), nil, 0)
		if errors.Is(err, ErrRefused) != refused || !strings.Contains(err.Error(), "why") ||
			strings.Contains(err.Error(), "password") {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
		if err := (&Client{URL: u, HTTP: server.Client()}).Send(t.Context(), nil, 0); err == nil ||
			strings.Contains(err.Error(), "password") {
			t.Errorf("down: %v", err)
		}
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent[int](3)
	for i, text := range []string{"a", "b", "a", "c", "d", "e"} {
		r.put(text, i)
	}
	for text, want := range map[string]int{"a": -1, "b": -1, "c": 3, "d": 4, "e": 5} {
		got, ok := r.get(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
	if len(r.values) != 3 {
		t.Errorf("%d are kept", len(r.values))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"a","function":"f","event":{"n":1}}` + "\n\n" + `{"id":"b","function":"f","event":1}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		batch, err := parse(text)
		if err != nil {
			return
		}
		body, err := AppendBatch(nil, batch)
		if err != nil {
			t.Fatal(err)
		}
		back, err := readBody(bytes.NewReader(body), "zstd")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(back)
		if err != nil || len(again) != len(batch) {
			t.Fatalf("%d came back of %d: %v", len(again), len(batch), err)
		}
		for i := range batch {
			if again[i].ID != batch[i].ID || !bytes.Equal(again[i].Event, batch[i].Event) {
				t.Fatalf("%q came back as %q", batch[i].Event, again[i].Event)
			}
		}
	})
}
