//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/runtimeapi"
)

// patience is how long tests wait for what has to happen, on however slow a machine.
const patience = time.Minute

// A platform is one Lambda environment: the Runtime API and the Extensions API at one address, an extension and a
// runtime, each a process. Between invocations, when the runtime and the extension both wait for the next event, all
// processes are stopped, as Lambda freezes an environment.
type platform struct {
	t      testing.TB
	host   *runtimeapi.Host
	server *httptest.Server
	layer  string // the folder that stands for /opt
	env    []string
	output output

	mu         sync.Mutex
	api        http.Handler // what answers the runtime; by default the host
	managed    bool         // extensions may not register for invocations, as on Managed Instances
	registered []string     // the events that the extension wants; nil before it has registered
	asking     chan event
	changed    chan struct{}

	recorder, runtime *exec.Cmd
	processes         []*exec.Cmd
	n                 int
	awake             bool // nothing is ever frozen
}

// newPlatform makes an environment without processes. Variables are added to those that the processes have.
func newPlatform(t testing.TB, variables ...string) *platform {
	t.Helper()
	host, err := runtimeapi.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{t: t, host: host, changed: make(chan struct{}), layer: newLayer(t)}
	mux := http.NewServeMux()
	p.api = host
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		api := p.api
		p.mu.Unlock()
		api.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", p.serveRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", p.serveNext)
	p.server = httptest.NewUnstartedServer(mux)
	p.server.Config.ErrorLog = quiet
	p.server.Start()
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(),
		"AWS_LAMBDA_RUNTIME_API=" + p.server.Listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=orders", "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"LAMBDA_TASK_ROOT=" + filepath.Join(p.layer, "task"),
	}, variables...)
	t.Cleanup(func() {
		for _, cmd := range p.processes {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
		}
		p.server.CloseClientConnections()
		if err := p.host.Close(); err != nil {
			t.Error(err)
		}
		p.server.Close()
		if t.Failed() {
			t.Logf("the log of the environment:\n%s", p.output.String())
		}
	})
	return p
}

// newLayer makes what the layer unpacks to, and the function's package in task.
func newLayer(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"extensions", "task"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"extensions/tandem-recorder": recorder, "task/bootstrap.real": echo}
	for _, script := range []string{"tandem-wrapper", "bootstrap"} {
		path, err := filepath.Abs(filepath.Join("layer", script))
		if err != nil {
			t.Fatal(err)
		}
		links[script] = path
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (p *platform) serveRegister(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Events []string `json:"events"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if err != nil || r.Header.Get("Lambda-Extension-Name") != extensionName {
		http.Error(w, "bad registration", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	refused := p.managed && slices.Contains(body.Events, eventInvoke)
	if !refused {
		p.registered = body.Events
	}
	p.mu.Unlock()
	if refused {
		http.Error(w, "not INVOKE", http.StatusBadRequest)
		return
	}
	w.Header().Set("Lambda-Extension-Identifier", "id-1")
	io.WriteString(w, `{"functionName":"orders","functionVersion":"$LATEST","handler":"h"}`)
}

// serveRuntimeWith has another one than the host answer the runtime.
func (p *platform) serveRuntimeWith(api http.Handler, managed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api, p.managed = api, managed
}

// wants returns the events that the extension has registered for.
func (p *platform) wants() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.registered
}

func (p *platform) serveNext(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Lambda-Extension-Identifier") != "id-1" {
		http.Error(w, "who?", http.StatusForbidden)
		return
	}
	asking := make(chan event, 1)
	p.set(asking)
	select {
	case ev := <-asking:
		json.NewEncoder(w).Encode(map[string]any{
			"eventType": ev.Type, "deadlineMs": ev.DeadlineMS, "requestId": ev.RequestID, "shutdownReason": ev.Reason,
		})
	case <-r.Context().Done():
	}
}

func (p *platform) set(asking chan event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking = asking
	close(p.changed)
	p.changed = make(chan struct{})
}

// extensionReady waits until the extension asks for an event.
func (p *platform) extensionReady(ctx context.Context) error {
	for {
		p.mu.Lock()
		asking, changed := p.asking, p.changed
		p.mu.Unlock()
		if asking != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.New("the extension does not ask for an event")
		}
	}
}

func (p *platform) tellExtension(ev event) {
	p.mu.Lock()
	asking := p.asking
	p.asking = nil
	p.mu.Unlock()
	if asking == nil {
		p.t.Fatal("the extension does not ask for an event")
	}
	asking <- ev
}

// launch starts a process of the environment in a group of its own.
func (p *platform) launch(name string, args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.processes = append(p.processes, cmd)
	return cmd
}

// startExtension does what Lambda does first.
func (p *platform) startExtension() {
	p.t.Helper()
	p.recorder = p.launch(filepath.Join(p.layer, "extensions", extensionName))
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := p.extensionReady(ctx); err != nil {
		p.t.Fatal(err)
	}
}

// wrapExtension has a shell command run before the extension, in its process.
func (p *platform) wrapExtension(command string) {
	p.t.Helper()
	path := filepath.Join(p.layer, "extensions", extensionName)
	real, err := os.Readlink(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = os.WriteFile(path, []byte("#!/bin/sh\n"+command+"\nexec "+real+" \"$@\"\n"), 0o755)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// startRuntime does what Lambda does then, and waits until the initialization is over. The runtime is what the script
// of that name starts.
func (p *platform) startRuntime(script string, args ...string) {
	p.t.Helper()
	p.runtime = p.launch(filepath.Join(p.layer, script), args...)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	err := p.host.Ready(ctx)
	if err == nil {
		err = p.extensionReady(ctx)
	}
	if err != nil {
		p.t.Fatalf("initialization: %v", err)
	}
	p.freeze()
}

// startManaged starts the environment of a managed runtime.
func (p *platform) startManaged() {
	p.t.Helper()
	p.startExtension()
	p.startRuntime("tandem-wrapper", echo)
}

// freeze stops all processes.
func (p *platform) freeze() { p.signal(syscall.SIGSTOP) }

// thaw lets them go on.
func (p *platform) thaw() { p.signal(syscall.SIGCONT) }

func (p *platform) signal(s syscall.Signal) {
	if p.awake {
		return
	}
	for _, cmd := range p.processes {
		syscall.Kill(-cmd.Process.Pid, s) // those that are gone do not matter
	}
}

// invoke runs one invocation, from thawing to freezing, and returns what the function answered.
func (p *platform) invoke(body string) runtimeapi.Response {
	p.t.Helper()
	resp, err := p.try(runtimeapi.Request{Event: []byte(body)}, patience, true)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

// try is invoke with a time-out. Without extension, only the runtime is told.
func (p *platform) try(req runtimeapi.Request, timeout time.Duration, extension bool) (runtimeapi.Response, error) {
	p.thaw()
	defer p.freeze()
	req = p.announce(req, timeout, extension)
	ctx, cancel := context.WithDeadline(p.t.Context(), req.Deadline)
	defer cancel()
	resp, err := p.host.Invoke(ctx, req)
	if err == nil {
		err = p.host.Ready(ctx)
	}
	if err == nil && extension {
		err = p.extensionReady(ctx)
	}
	return resp, err
}

// invokeOnly runs one invocation until there is an answer or ctx ends, and waits for nothing then.
func (p *platform) invokeOnly(ctx context.Context, body string, timeout time.Duration) {
	p.t.Helper()
	p.thaw()
	req := p.announce(runtimeapi.Request{Event: []byte(body)}, timeout, true)
	if _, err := p.host.Invoke(ctx, req); err != nil && ctx.Err() == nil {
		p.t.Fatal(err)
	}
}

// announce completes a request and tells the extension of it.
func (p *platform) announce(req runtimeapi.Request, timeout time.Duration, extension bool) runtimeapi.Request {
	p.n++
	req.ID = "request-" + strconv.Itoa(p.n)
	req.FunctionARN = "arn:aws:lambda:us-east-1:000000000000:function:orders"
	req.Deadline = time.Now().Add(timeout)
	if extension {
		p.tellExtension(event{Type: eventInvoke, RequestID: req.ID, DeadlineMS: req.Deadline.UnixMilli()})
	}
	return req
}

// shutDown ends the environment as Lambda does: the runtime first, then the extension, which gets 2 s.
func (p *platform) shutDown(reason string) {
	p.t.Helper()
	p.thaw()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if p.runtime != nil {
		p.runtime.Process.Kill() // it may be gone
	}
	if err := p.extensionReady(ctx); err != nil {
		p.t.Fatal(err)
	}
	p.tellExtension(event{Type: eventShutdown, Reason: reason, DeadlineMS: time.Now().Add(2 * time.Second).UnixMilli()})
	ended := make(chan error, 1)
	go func() { ended <- p.recorder.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("the extension ended with %v", err)
		}
	case <-ctx.Done():
		p.t.Fatal("the extension does not end")
	}
}

// workerOf returns the process ID of the recorder's worker.
func (p *platform) workerOf() int {
	p.t.Helper()
	pid := p.recorder.Process.Pid
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			p.t.Fatal(err)
		}
		if child, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return child
		}
	}
	return 0
}

// killWorker kills the worker, and waits until there is another or, at last, none.
func (p *platform) killWorker() {
	p.t.Helper()
	before := p.workerOf()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	wait(p.t, "no other worker", func() bool {
		now := p.workerOf()
		return now != before && (now != 0 || strings.Contains(p.output.String(), "unrecorded from now on"))
	})
}

// wait polls for something that makes no sign of itself.
func wait(t testing.TB, otherwise string, until func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !until(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// recorded returns what a recording holds.
func recorded(t testing.TB, path string) []*capture.Invocation {
	t.Helper()
	r, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []*capture.Invocation
	for inv, err := range r.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, inv)
	}
	return all
}

func eventsOf(all []*capture.Invocation) []string {
	var events []string
	for _, inv := range all {
		events = append(events, string(inv.Event))
	}
	slices.Sort(events)
	return events
}

// output is the log of an environment.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(b)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.text.String(), o.changed
}

// wait returns when the log has text.
func (o *output) wait(t testing.TB, text string) {
	timeout := time.After(patience)
	for {
		log, changed := o.read()
		if strings.Contains(log, text) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Errorf("the log has no %q", text)
			return
		}
	}
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}
