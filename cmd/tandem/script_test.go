package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	programs := orders(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(patience),
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", atOnce)
			env.Setenv("ORDERS", programs)
			env.Setenv("ECHO", filepath.Join(samples, "echo"))
			env.Values[processesKey] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "await": await, "halt": halt, "signal": interrupt, "finish": collect,
			"get": get, "json": jsonAt, "plain": plain, "damage": damage,
		},
	})
}

const processesKey = "processes"

func running(ts *testscript.TestScript, name string) *process {
	p := ts.Value(processesKey).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("no process %s was started", name)
	}
	return p
}

// exits CODE PROGRAM ARG… runs a program and checks its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	checkCode(ts, args[0], codeOf(ts, err))
}

func codeOf(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

func checkCode(ts *testscript.TestScript, want string, got int) {
	if want != strconv.Itoa(got) {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

// start NAME PATTERN PROGRAM ARG… starts a program, waits until its stderr matches, and sets the variable NAME to the
// pattern's group.
func start(ts *testscript.TestScript, _ bool, args []string) {
	name, pattern, program := args[0], args[1], args[2]
	env := []string{"PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "HOME=" + ts.Getenv("HOME")}
	for _, variable := range []string{"GORACE", "LAMBDA", "APP", "STUB"} {
		if value := ts.Getenv(variable); value != "" {
			env = append(env, variable+"="+value)
		}
	}
	p, err := startProcess(ts.MkAbs("."), env, program, args[3:]...)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Value(processesKey).(map[string]*process)[name] = p
	ts.Setenv(name, awaitMatch(ts, p, pattern))
}

// await NAME PATTERN waits until a process's stderr matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	awaitMatch(ts, running(ts, args[0]), args[1])
}

func awaitMatch(ts *testscript.TestScript, p *process, pattern string) string {
	found, err := p.await(regexp.MustCompile(pattern))
	if err != nil {
		text, _ := p.stderr.read()
		ts.Fatalf("no %q: %v:\n%s", pattern, err, text)
	}
	return found
}

// signal NAME interrupts a process, as Ctrl-C does.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(running(ts, args[0]).Process.Signal(os.Interrupt))
}

// finish NAME CODE waits until a process has ended, and checks its exit code. What it wrote is the script's stdout and
// stderr.
func collect(ts *testscript.TestScript, _ bool, args []string) {
	p := running(ts, args[0])
	code, err := p.finish()
	ts.Check(err)
	text, _ := p.stderr.read()
	_, err = ts.Stdout().Write(p.stdout.Bytes())
	ts.Check(err)
	_, err = ts.Stderr().Write(text)
	ts.Check(err)
	if args[1] != strconv.Itoa(code) {
		ts.Fatalf("exit code %d, want %s; stderr:\n%s", code, args[1], text)
	}
}

// halt NAME CODE is signal and finish.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	interrupt(ts, neg, args[:1])
	collect(ts, neg, args)
}

// get URL [METHOD BODY] sends an HTTP request; its stdout is the status and the body of the answer.
func get(ts *testscript.TestScript, _ bool, args []string) {
	method, body := http.MethodGet, ""
	if len(args) > 1 {
		method, body = args[1], args[2]
	}
	req, err := http.NewRequest(method, args[0], strings.NewReader(body))
	ts.Check(err)
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", resp.StatusCode, answer)
}

// json POINTER [VALUE] checks that stdout is one JSON document and has something at the pointer: VALUE if it is given,
// written as JSON; #N for N elements or members.
func jsonAt(ts *testscript.TestScript, _ bool, args []string) {
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	var doc any
	ts.Check(dec.Decode(&doc))
	if _, err := dec.Token(); err != io.EOF {
		ts.Fatalf("there is more after the document: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(args[0], "/"), "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		found := false
		switch node := doc.(type) {
		case map[string]any:
			doc, found = node[name]
		case []any:
			n, err := strconv.Atoi(name)
			if found = err == nil && n < len(node); found {
				doc = node[n]
			}
		}
		if !found {
			ts.Fatalf("nothing at %s: no %s", args[0], name)
		}
	}
	if len(args) == 1 {
		return
	}
	text, err := json.Marshal(doc)
	ts.Check(err)
	if size, ok := strings.CutPrefix(args[1], "#"); ok {
		members, _ := doc.(map[string]any)
		elements, _ := doc.([]any)
		if got := len(members) + len(elements); strconv.Itoa(got) != size {
			ts.Fatalf("%s has %d, want %s: %s", args[0], got, size, text)
		}
	} else if string(text) != args[1] {
		ts.Fatalf("%s is %s, want %s", args[0], text, args[1])
	}
}

// plain checks that stdout and stderr have no control characters and no line is wider than 80 columns on stdout.
func plain(ts *testscript.TestScript, _ bool, _ []string) {
	for _, name := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(name)
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); i >= 0 {
			ts.Fatalf("%s has a control character: %q", name, text[max(0, i-20):i+1])
		}
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := len([]rune(line)); n > 81 {
			ts.Fatalf("%d columns: %s", n-1, line)
		}
	}
}

// damage FILE cut N removes the last N bytes of a file; damage FILE flip N changes the byte at N.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	switch args[1] {
	case "cut":
		text = text[:len(text)-n]
	case "flip":
		text = bytes.Clone(text)
		text[n] ^= 0xff
	}
	ts.Check(os.WriteFile(path, text, 0o644))
}
