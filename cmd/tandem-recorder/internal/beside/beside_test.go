//go:build unix

package beside

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/wiretap"
)

// bin has the handlers that TestMain builds: the one of testdata and that of the sample application.
var bin string

// recordTo names the recording that this program, run again, makes as a recorder.
const recordTo = "BESIDE_TEST_RECORDING"

func TestMain(m *testing.M) {
	if path, ok := os.LookupEnv(recordTo); ok {
		os.Exit(record(path, os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "beside")
	if err != nil {
		panic(err)
	}
	bin = dir
	for name, from := range map[string]string{"handler": "./testdata/handler", "orders": "tandem/fixtures/orders/handler"} {
		build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, name), from)
		if output, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", from, err, output)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// record is the least recorder: it records in its own process.
func record(path string, command []string) int {
	app, _ := customhandler.ReadApp(".", os.Getenv)
	if instance := os.Getenv("WEBSITE_INSTANCE_ID"); instance != "" { // each recorder of a host has its own
		path += "-" + instance
	}
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	recorder, err := customhandler.NewRecorder(customhandler.RecorderOptions{
		ObserverOptions: customhandler.ObserverOptions{App: app, Objects: w}, Sink: tellingSink{w},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tap := wiretap.NewTap(64 << 20)
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		a := wiretap.NewAssembler(wiretap.Observer{Done: recorder.Done}, 8<<20)
		defer a.End()
		for {
			s, err := tap.Next(context.Background())
			if err != nil {
				return
			}
			a.Add(s)
		}
	}()
	code, err := Run(context.Background(), Options{
		Command: command, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Tap: tap,
		Ready: func() { fmt.Println("ready") },
	})
	tap.Close()
	<-observed
	fmt.Fprintln(os.Stderr, recorder.Stats())
	if err := errors.Join(err, w.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// recordedLine is what a recorder says of each invocation when it is safe.
const recordedLine = "one more is recorded"

type tellingSink struct{ *capture.Writer }

func (s tellingSink) Write(inv *capture.Invocation) error {
	if err := errors.Join(s.Writer.Write(inv), s.Writer.Flush()); err != nil {
		return err
	}
	fmt.Println(recordedLine)
	return nil
}

// A recorder is this program run as one.
type recorder struct {
	t         *testing.T
	cmd       *exec.Cmd
	url       string
	recording string
	stderr    bytes.Buffer
	stdout    *bufio.Scanner
	client    *http.Client
}

func startRecorder(t *testing.T, command ...string) *recorder {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{
		t: t, cmd: exec.Command(os.Args[0], command...), url: "http://127.0.0.1:" + port,
		recording: filepath.Join(t.TempDir(), "r.rec"), client: &http.Client{Transport: &http.Transport{}},
	}
	r.cmd.Env = append(os.Environ(), recordTo+"="+r.recording, "FUNCTIONS_CUSTOMHANDLER_PORT="+port)
	out, in, err := os.Pipe() // the handler has it too: it ends when both are gone
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr, r.stdout = in, &r.stderr, bufio.NewScanner(out)
	err = r.cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		out.Close()
		if t.Failed() {
			t.Logf("stderr:\n%s", r.stderr.String())
		}
	})
	return r
}

// says reads the output up to a line that begins with prefix and returns it.
func (r *recorder) says(prefix string) string {
	r.t.Helper()
	for r.stdout.Scan() {
		if strings.HasPrefix(r.stdout.Text(), prefix) {
			return r.stdout.Text()
		}
	}
	r.t.Fatalf("the recorder does not say %q", prefix)
	return ""
}

// post calls a function as the host does.
func (r *recorder) post(function string, payload []byte) (*http.Response, []byte, error) {
	c := customhandler.Client{URL: r.url, HTTP: r.client}
	resp, err := c.Post(r.t.Context(), function, "inv-"+function, nil, payload)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// exit waits for the recorder to end and returns its exit code.
func (r *recorder) exit() int {
	r.t.Helper()
	for r.stdout.Scan() { // to the end
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

// recorded returns the invocations of a recording, by function.
func recorded(t *testing.T, path string) map[string][]*capture.Invocation {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	got := make(map[string][]*capture.Invocation)
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		got[inv.Function] = append(got[inv.Function], inv)
	}
	return got
}

var payload = []byte(`{"Data":{"t":"x"},"Metadata":{}}`)

func TestTheHandlersEndIsTheRecordersEnd(t *testing.T) {
	tests := []struct {
		name, function string
		signal         os.Signal
		code           int
		outcome        capture.Status
	}{
		{"asked to end, it ends as it likes", "", syscall.SIGTERM, 7, ""},
		{"it exits in the middle of an invocation", "crash", nil, 3, capture.StatusFunctionError},
		{"it is killed in the middle of an invocation", "killed", nil, 128 + 9, capture.StatusFunctionError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := startRecorder(t, filepath.Join(bin, "handler"), "one", "two words")
			if got := r.says("handler starts"); got != "handler starts with one two words" {
				t.Errorf("got %q", got)
			}
			r.says("ready")
			if tt.signal != nil {
				if err := r.cmd.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
				r.says("got terminated")
			} else if _, _, err := r.post(tt.function, payload); err == nil {
				t.Error("there is an answer")
			}
			if code := r.exit(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			got := recorded(t, r.recording)[tt.function]
			if tt.outcome == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].Outcome == nil || got[0].Outcome.Status != tt.outcome {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestAHandlerThatDoesNotStartEndsTheRecorder(t *testing.T) {
	r := startRecorder(t, filepath.Join(bin, "handler"), "exit")
	if code := r.exit(); code != 9 {
		t.Errorf("exit code %d, want 9", code)
	}
	r = startRecorder(t, filepath.Join(bin, "nothing"))
	if code := r.exit(); code != 1 || !strings.Contains(r.stderr.String(), "start the handler: ") {
		t.Errorf("exit code %d, %s", code, r.stderr.String())
	}
}

func TestAKilledRecorderTakesTheHandlerAlong(t *testing.T) {
	r := startRecorder(t, filepath.Join(bin, "handler"))
	r.says("ready")
	for range 3 {
		if _, _, err := r.post("ok", payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.exit() // once the handler has closed its end of the pipe, too
}

func TestAPortThatIsTakenIsSaid(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	_, err = Run(t.Context(), Options{
		Command: []string{filepath.Join(bin, "handler")}, Env: []string{"FUNCTIONS_HTTPWORKER_PORT=" + port},
	})
	if err == nil || !strings.Contains(err.Error(), "address already in use") { // the host looks for these words
		t.Errorf("got %v", err)
	}
	if _, err := Run(t.Context(), Options{Command: []string{"true"}}); err == nil {
		t.Error("a missing port is no error")
	}
}

func TestTheEndOfTheContextKillsTheHandler(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	code, err := Run(ctx, Options{
		Command: []string{filepath.Join(bin, "handler")}, Env: []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + port}, Ready: cancel,
	})
	if code != 128+9 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestWhatPassesIsUntouched(t *testing.T) {
	r := startRecorder(t, filepath.Join(bin, "handler"))
	r.says("ready")
	large := make([]byte, 12<<20)
	_, _ = rand.Read(large)
	resp, body, err := r.post("cookies", large)
	if err != nil || resp.StatusCode != http.StatusTeapot || !bytes.Equal(body, large) {
		t.Errorf("%d bytes came back, %v", len(body), err)
	}
	if got := strings.Join(resp.Header["Set-Cookie"], " "); got != "b=2 a=1 b=3" {
		t.Errorf("cookies %s", got)
	}
	if _, _, err := r.post("garbage", payload); err == nil || !strings.Contains(err.Error(), "malformed HTTP") {
		t.Errorf("garbage came as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan error)
	go func() {
		c := customhandler.Client{URL: r.url, HTTP: r.client}
		resp, err := c.Post(ctx, "hang", "inv-hang", nil, payload)
		if err == nil {
			resp.Body.Close()
		}
		hung <- err
	}()
	r.says("hangs")
	cancel() // as the host does when the function is out of time
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, _, err := r.post("ok", payload); err != nil {
		t.Errorf("after that: %v", err)
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.exit(); code != 7 {
		t.Errorf("exit code %d", code)
	}
	got := recorded(t, r.recording)
	want := map[string]capture.Status{
		"garbage": capture.StatusFunctionError, "hang": capture.StatusFunctionError, "ok": capture.StatusOK,
	}
	for function, status := range want {
		if len(got[function]) != 1 || got[function][0].Outcome == nil || got[function][0].Outcome.Status != status {
			t.Errorf("%s: %+v", function, got[function])
		}
	}
	line := "4 exchanges: 3 recorded, 1 LOST: too large\n"
	if !strings.HasSuffix(r.stderr.String(), line) {
		t.Errorf("it says %s", r.stderr.String())
	}
}

func TestReplaceRunsTheHandlerAlone(t *testing.T) {
	if os.Getenv("BESIDE_TEST_REPLACE") != "" {
		_, err := Replace([]string{filepath.Join(os.Getenv("BESIDE_TEST_REPLACE"), "handler"), "exit"}, os.Environ())
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestReplaceRunsTheHandlerAlone$")
	cmd.Env = append(os.Environ(), "BESIDE_TEST_REPLACE="+bin)
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 9 || string(output) != "the handler does not start\n" {
		t.Errorf("got %v, %s", err, output)
	}
	if _, err := Replace([]string{filepath.Join(bin, "nothing")}, nil); err == nil {
		t.Error("a program that is not there is no error")
	}
}
