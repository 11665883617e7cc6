//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
)

// A besideRun is a recorder with a handler, started as the Functions host starts it.
type besideRun struct {
	t         *testing.T
	cmd       *exec.Cmd
	recording string
	client    customhandler.Client
	out       *bufio.Scanner
	stderr    bytes.Buffer
}

// handlerProgram builds the handler that the recorder's own tests use.
func handlerProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handler")
	build := exec.Command("go", "build", "-o", path, "./internal/beside/testdata/handler")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// unusedAddress returns an address whose port no system gives to others before it is listened on: see freePort of
// package beside.
func unusedAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_767))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func runBeside(t *testing.T, handler string, env ...string) *besideRun {
	t.Helper()
	address := unusedAddress(t)
	_, port, _ := net.SplitHostPort(address)
	r := &besideRun{
		t: t, cmd: exec.Command(recorder, "handler", "--", handler), recording: filepath.Join(t.TempDir(), "r.rec"),
		client: customhandler.Client{URL: "http://" + address, HTTP: &http.Client{Transport: &http.Transport{}}},
	}
	r.cmd.Dir = "../../fixtures/orders/functionsapp"
	r.cmd.Env = append(os.Environ(), "TANDEM_SINK=file:"+r.recording, "FUNCTIONS_CUSTOMHANDLER_PORT="+port)
	r.cmd.Env = append(r.cmd.Env, env...)
	r.cmd.Stderr, r.cmd.WaitDelay = &r.stderr, time.Second // a stopped worker has it, too
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewScanner(out)
	t.Cleanup(func() {
		r.client.HTTP.CloseIdleConnections()
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if t.Failed() {
			t.Log(r.stderr.String())
		}
	})
	// The handler says so before it listens, and the recorder listens when it does.
	for r.out.Scan() && !strings.HasPrefix(r.out.Text(), "handler starts") {
	}
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return r
		}
	}
}

func (r *besideRun) message(id string) error {
	req := customhandler.QueueTrigger{ID: id, Body: []byte("{}")}.Request("message", customhandler.Sys{})
	_, status, err := r.client.Call(r.t.Context(), "process-order", "inv-"+id, nil, req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d", status)
	}
	return err
}

// end has the handler end, and returns what was recorded by message ID.
func (r *besideRun) end() map[string]*capture.Invocation {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, readerOf(r.out))
	var exit *exec.ExitError
	if err := r.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		r.t.Errorf("ended with %v, not the handler's 7", err)
	}
	return r.recorded()
}

// awaitRecorded waits until so many are on the disk.
func (r *besideRun) awaitRecorded(want int) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		n := 0
		if rec, err := capture.Open(r.recording, capture.OpenOptions{}); err == nil { // else it has yet to be made
			for _, err := range rec.Invocations() {
				if err == nil {
					n++
				}
			}
			rec.Close()
		}
		if n >= want {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d of %d are recorded", n, want)
		}
	}
}

func readerOf(s *bufio.Scanner) io.Reader {
	var b bytes.Buffer
	for s.Scan() {
		b.Write(s.Bytes())
	}
	return &b
}

func (r *besideRun) recorded() map[string]*capture.Invocation {
	r.t.Helper()
	rec, err := capture.Open(r.recording, capture.OpenOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer rec.Close()
	got := make(map[string]*capture.Invocation)
	for inv, err := range rec.Invocations() {
		if err != nil {
			r.t.Fatal(err)
		}
		var event struct {
			Records []struct {
				MessageID string `json:"messageId"`
			}
		}
		if err := json.Unmarshal(inv.Event, &event); err != nil || len(event.Records) != 1 {
			r.t.Fatalf("%s: %v", inv.Event, err)
		}
		got[event.Records[0].MessageID] = inv
	}
	return got
}

func TestACustomHandlerIsRecorded(t *testing.T) {
	r := runBeside(t, handlerProgram(t), "TANDEM_QUEUES=orders=arn:aws:sqs:eu-west-1:1:orders", "TANDEM_FUNCTIONS=process-order=p")
	for i := range 50 {
		if err := r.message(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	got := r.end()
	if len(got) != 50 || got["49"].Function != "p" || got["49"].Outcome.Records["49"] != capture.Acked {
		t.Errorf("%d are recorded, the last is %+v", len(got), got["49"])
	}
	if want := "tandem-recorder: 50 invocations: 50 recorded\n"; !strings.HasSuffix(r.stderr.String(), want) {
		t.Errorf("it says %s", r.stderr.String())
	}
}

func TestAHandlerIsServedWhateverBecomesOfTheWorker(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		r := runBeside(t, handlerProgram(t))
		if err := r.message("before"); err != nil {
			t.Fatal(err)
		}
		worker := workerOf(t, r.cmd.Process.Pid)
		if err := syscall.Kill(worker, signal); err != nil {
			t.Fatal(err)
		}
		for signal == syscall.SIGKILL && (workerOf(t, r.cmd.Process.Pid) == worker || workerOf(t, r.cmd.Process.Pid) == 0) {
		}
		defer syscall.Kill(worker, syscall.SIGKILL) //nolint:errcheck // one that was stopped is still there
		for i := range 20 {
			if err := r.message(fmt.Sprint(i)); err != nil {
				t.Errorf("%v: message %d: %v", signal, i, err)
			}
		}
		if signal == syscall.SIGKILL {
			r.awaitRecorded(20) // not more than what the killed worker had in hand is lost
			r.end()
			if want := "1 workers died: LOST and not counted"; !strings.Contains(r.stderr.String(), want) {
				t.Errorf("it does not say %s: %s", want, r.stderr.String())
			}
			continue
		}
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, readerOf(r.out))
		_ = r.cmd.Wait()
		if !strings.Contains(r.stderr.String(), "LOST and not counted is what it had yet to report") {
			t.Errorf("a worker that hangs to the end is not told of: %s", r.stderr.String())
		}
	}
}

func TestAWrongSettingLeavesTheHandlerAlone(t *testing.T) {
	r := runBeside(t, handlerProgram(t), "TANDEM_SINK=nowhere")
	if err := r.message("1"); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, readerOf(r.out))
	_ = r.cmd.Wait()
	if code := r.cmd.ProcessState.ExitCode(); code != 7 || !strings.Contains(r.stderr.String(), "nothing is recorded: TANDEM_SINK") {
		t.Errorf("exit code %d: %s", code, r.stderr.String())
	}
}

// workerOf finds the worker among the children of a recorder; 0 if there is none.
func workerOf(t *testing.T, recorder int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", recorder))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if strings.Contains(string(line), handlerWorkerCommand) {
				var pid int
				_, _ = fmt.Sscan(child, &pid)
				return pid
			}
		}
	}
	return 0
}
