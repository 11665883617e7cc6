package cloudwatch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/journal"
)

// victimEnv names the recording that this program, started again, goes on with until it is killed; serverEnv is the
// server's address.
const (
	victimEnv = "TANDEM_CLOUDWATCH_VICTIM"
	serverEnv = "TANDEM_CLOUDWATCH_SERVER"
)

// captureUntilKilled captures function f into dir, and exits with 0 if it gets to the end.
func captureUntilKilled(dir string) {
	_, err := captureInto(context.Background(), dir, os.Getenv(serverEnv), &http.Client{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// captureInto captures an hour of function f into the recording at dir, with frames so small that a kill finds every
// state between what was written and what the cursor says.
func captureInto(ctx context.Context, dir, url string, hc *http.Client) (*Report, error) {
	w, err := capture.Create(dir, capture.CreateOptions{
		Append: true, Journal: journal.WriterOptions{FrameBytes: 2000, FlushAfter: time.Millisecond},
	})
	if err != nil {
		return nil, err
	}
	r, err := Capture(ctx, Options{
		Client: newClient(url, hc), Functions: []Function{{Name: "f"}}, Sink: w, Dir: dir, Rate: 1e6, Windows: 2,
		From: time.UnixMilli(epoch), To: time.UnixMilli(epoch).Add(time.Hour), saveEvery: 1,
	})
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return r, err
}

// recorded reads a recording.
func recorded(t testing.TB, dir string) *memory {
	t.Helper()
	rec, err := capture.Open(dir, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	var m memory
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		m.invs = append(m.invs, inv)
	}
	return &m
}

func TestKillsLoseNothingAndDoubleNothing(t *testing.T) {
	const n = 250
	s := newServer(t, faults{page: 60, duplicates: true}, traffic(n, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	victim := make(chan *os.Process, 1)
	var killAt int
	s.before = func(request int) {
		if request == killAt {
			_ = (<-victim).Kill()
		}
	}
	kills := 0
	for run := 0; ; run++ {
		if run > 60 {
			t.Fatal("the capture does not get on")
		}
		s.mu.Lock()
		killAt = s.requests + 8 + run // a later one each time, so that all parts of the range see one
		s.mu.Unlock()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimEnv+"="+dir, serverEnv+"="+s.URL)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		victim <- cmd.Process
		err := cmd.Wait()
		select {
		case <-victim:
		default:
		}
		if err == nil {
			break
		}
		if cmd.ProcessState.Exited() {
			t.Fatalf("%v: %s", err, stderr.Bytes())
		}
		kills++
	}
	if kills < 3 {
		t.Errorf("only %d kills", kills)
	}
	if diff := cmp.Diff(wanted(n), recorded(t, dir).numbers(t)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	r, err := captureInto(t.Context(), dir, s.URL, s.Client()) // there is nothing left to do
	if err != nil {
		t.Fatal(err)
	}
	c := r.Functions["f"]
	checkSum(t, c)
	if c.Invocations != n || c.Missing != n/10 || c.Answers != n-n/10 || r.Requests != 0 {
		t.Errorf("%d requests, %+v", r.Requests, c)
	}
}

func TestAnInterruptIsGoneOnFrom(t *testing.T) {
	const n = 300
	s := newServer(t, faults{page: 40}, traffic(n, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	var last time.Time
	for stop := 5; ; stop += 2 {
		if stop > 500 {
			t.Fatal("the capture does not get on")
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.mu.Lock() // a request that was given up may still be answered
		first := s.requests
		s.before = func(request int) {
			if request == first+stop {
				cancel()
			}
		}
		s.mu.Unlock()
		r, err := captureInto(ctx, dir, s.URL, s.Client())
		checkSum(t, r.Functions["f"])
		if to := r.Functions["f"].To; to.Before(last) {
			t.Errorf("the end goes back from %s to %s", last, to)
		} else {
			last = to
		}
		cancel()
		if err == nil {
			break
		}
		if got := int64(len(recorded(t, dir).invs)); got < r.Functions["f"].Recorded() {
			t.Fatalf("%d in the recording, %d reported", got, r.Functions["f"].Recorded())
		}
	}
	if diff := cmp.Diff(wanted(n), recorded(t, dir).numbers(t)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}

// flushing counts what was written and how much of it was flushed.
type flushing struct {
	memory
	flushed int64
}

func (f *flushing) Flush() error {
	f.flushed = int64(len(f.invs))
	return nil
}

func TestTheCursorIsNeverAheadOfTheRecording(t *testing.T) {
	s := newServer(t, faults{page: 40}, traffic(300, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	w, err := capture.Create(dir, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var sink flushing
	o := options(t, s, &sink)
	o.Dir, o.Windows = dir, 1
	saved := 0
	o.Sink = &watched{&sink, func() {
		cursors, err := loadCursors(dir)
		if err != nil {
			t.Error(err)
			return
		}
		if c := cursors.Functions["f"]; c.Recorded > sink.flushed {
			t.Errorf("the cursor has %d invocations, of which %d were flushed", c.Recorded, sink.flushed)
		} else if c.Recorded > 0 {
			saved++
		}
	}}
	if _, err := Capture(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if saved == 0 {
		t.Error("the cursor was not saved meanwhile")
	}
}

// watched calls a function before each write.
type watched struct {
	Sink
	writing func()
}

func (w *watched) Write(inv *capture.Invocation) error {
	w.writing()
	return w.Sink.Write(inv)
}

// The cursor is no place where an event can be, as nobody redacts it.
func TestTheCursorHoldsNoEvents(t *testing.T) {
	s := newServer(t, faults{page: 40}, traffic(300, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	s.before = func(request int) {
		cursor, err := os.ReadFile(filepath.Join(dir, cursorName))
		if err == nil && (bytes.Contains(cursor, []byte("orders")) || bytes.Contains(cursor, []byte("statusCode"))) {
			t.Errorf("the cursor has an event at request %d: %s", request, cursor)
		}
	}
	if _, err := captureInto(t.Context(), dir, s.URL, s.Client()); err != nil {
		t.Fatal(err)
	}
}

func TestALaterRunGoesOnWithWhatCameSince(t *testing.T) {
	logs := traffic(100, 400)
	s := newServer(t, faults{}, logs...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	for _, to := range []int64{epoch + 10_100, epoch + 30_300, epoch + 60_000} { // in the midst of invocations
		w, err := capture.Create(dir, capture.CreateOptions{Append: true})
		if err != nil {
			t.Fatal(err)
		}
		o := options(t, s, w)
		o.Dir, o.To = dir, time.UnixMilli(to)
		r, err := Capture(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		checkSum(t, r.Functions["f"])
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := recorded(t, dir).numbers(t); !slices.Equal(got, wanted(100)) {
		t.Errorf("orders %v", got)
	}
}

func TestACursorThatDoesNotFitIsRefused(t *testing.T) {
	s := newServer(t, faults{}, traffic(10, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	if _, err := captureInto(t.Context(), dir, s.URL, s.Client()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		why, want string
		change    func(*Options)
	}{
		{"another log group", "not from other", func(o *Options) { o.Functions[0].Group = "other" }},
		{"an earlier time", "a recording of its own", func(o *Options) { o.From = o.From.Add(-time.Hour) }},
	} {
		o := options(t, s, &memory{})
		o.Dir = dir
		tc.change(&o)
		if _, err := Capture(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.why, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, cursorName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t, s, &memory{})
	o.Dir = dir
	if _, err := Capture(t.Context(), o); err == nil || !strings.Contains(err.Error(), cursorName) {
		t.Errorf("a broken cursor: %v", err)
	}
}
