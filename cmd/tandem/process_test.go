package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"
)

// A process is a program that a test has running.
type process struct {
	*exec.Cmd
	stdout bytes.Buffer // to be read once it ended
	stderr watchedLog
	ended  chan struct{}
	err    error // once it ended
}

// patience is how long tests wait for what has to happen, on however slow a machine.
const patience = 2 * time.Minute

func startProcess(dir string, env []string, name string, args ...string) (*process, error) {
	p := &process{Cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.stderr.changed = make(chan struct{})
	p.Dir, p.Env, p.Stdout, p.Stderr, p.WaitDelay = dir, env, &p.stdout, &p.stderr, 10*time.Second
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await waits until the process's stderr matches, and returns the first group, or the match.
func (p *process) await(pattern *regexp.Regexp) (string, error) {
	timeout := time.After(patience)
	for {
		text, changed := p.stderr.read()
		if found := pattern.FindSubmatch(text); found != nil {
			return string(found[min(1, len(found)-1)]), nil
		}
		select {
		case <-changed:
		case <-p.ended:
			text, _ = p.stderr.read()
			if found := pattern.FindSubmatch(text); found != nil {
				return string(found[min(1, len(found)-1)]), nil
			}
			return "", errors.New("it ended without saying so")
		case <-timeout:
			return "", errors.New("it does not say so")
		}
	}
}

// finish waits until the process has ended and returns its exit code, -1 for one that was killed.
func (p *process) finish() (int, error) {
	select {
	case <-p.ended:
		return p.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, errors.New("it does not end")
	}
}

// kill ends the process if it has not ended.
func (p *process) kill() {
	if err := p.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err)
	}
	<-p.ended
}

// A watchedLog keeps what is written, and tells when there is more.
type watchedLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (l *watchedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

func (l *watchedLog) read() ([]byte, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes()), l.changed
}

// begin starts a program of this suite for a test and waits until its stderr matches; it returns the first group.
func begin(t *testing.T, ready, name string, args ...string) (*process, string) {
	t.Helper()
	p, err := startProcess("", append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true"), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	found, err := p.await(regexp.MustCompile(ready))
	if err != nil {
		text, _ := p.stderr.read()
		t.Fatalf("%s: no %q: %v:\n%s", name, ready, err, text)
	}
	return p, found
}
