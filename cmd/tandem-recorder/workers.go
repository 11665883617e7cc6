package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

const (
	readyTime  = 2 * time.Second        // what a worker gets to be ready
	maxWorkers = 5                      // in the life of an environment
	reportTime = 200 * time.Millisecond // what the last report may take
)

// workers keep one worker at work on one socket. When it dies another takes its place, and the runtime's connections
// wait meanwhile. When too many have died the runtime's bytes are passed on by this process. The zero pointer has
// none.
type workers struct {
	config config
	ledger *ledger
	socket *os.File // what all workers serve; this process does only when there is none any more
	stdout io.Writer
	stderr io.Writer

	done   chan struct{} // closed when the last worker is gone and nothing is passed on any more
	cancel context.CancelFunc

	mu      sync.Mutex
	current *workerProcess // nil when there is none
	changed chan struct{}  // closed and replaced when current gets its last or another value
	ending  bool
	n       int // commands given
}

// A workerProcess is a running worker.
type workerProcess struct {
	cmd      *exec.Cmd
	commands io.WriteCloser
	reports  chan int      // the numbers of the commands that were answered, if anybody waits
	gone     chan struct{} // closed when there will be no more reports
}

// startWorkers listens on loopback and starts the first worker. It returns the address, as the runtime is to be
// given.
func startWorkers(c config, l *ledger, stdout, stderr io.Writer) (w *workers, address string, err error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	if err != nil && c.port != 0 {
		l.log.Printf("%v: another port is used", err)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, "", err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File() // stays open
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w = &workers{
		config: c, ledger: l, socket: socket, stdout: stdout, stderr: stderr, done: make(chan struct{}), cancel: cancel,
		changed: make(chan struct{}),
	}
	p, err := w.start()
	if err != nil {
		cancel()
		return nil, "", errors.Join(err, socket.Close())
	}
	w.current = p
	go w.keep(ctx, p)
	return w, listener.Addr().String(), nil
}

// keep replaces workers that die.
func (w *workers) keep(ctx context.Context, p *workerProcess) {
	defer close(w.done)
	for started := 1; ; {
		err := p.cmd.Wait()
		<-p.gone
		w.mu.Lock()
		w.current = nil
		ending := w.ending
		w.mu.Unlock()
		if ending {
			return
		}
		w.ledger.died()
		w.ledger.log.Printf("the worker died (%v)", err)
		for p = nil; p == nil && started < maxWorkers; started++ {
			if p, err = w.start(); err != nil {
				w.ledger.log.Print(err)
			}
		}
		if p == nil {
			break
		}
		w.set(p)
	}
	w.ledger.note(reasonOff)
	w.set(nil)
	w.ledger.log.Print("too many workers died: the function runs unrecorded from now on")
	if err := passOn(ctx, w.socket, w.config.upstream); err != nil {
		w.ledger.log.Printf("the function cannot be served any more: %v", err)
	}
}

func (w *workers) set(p *workerProcess) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = p
	close(w.changed)
	w.changed = make(chan struct{})
}

// start starts a worker and returns when it is ready.
func (w *workers) start() (*workerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	lost, warm := w.ledger.before()
	cmd := exec.Command(self, workerCommand, "-lost", strconv.FormatInt(lost, 10), "-warm="+strconv.FormatBool(warm))
	reports, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd.ExtraFiles = []*os.File{w.socket, theirs}
	cmd.Stdout, cmd.Stderr = w.stdout, w.stderr
	p := &workerProcess{cmd: cmd, reports: make(chan int, 1), gone: make(chan struct{})}
	if p.commands, err = cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, reports.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the worker: %w", err), reports.Close())
	}
	go p.read(reports, w.ledger)
	ready := time.NewTimer(readyTime)
	defer ready.Stop()
	select {
	case <-p.reports:
		return p, nil
	case <-p.gone:
	case <-ready.C:
	}
	p.cmd.Process.Kill() //nolint:errcheck // it may be gone
	return nil, fmt.Errorf("the worker does not get ready: %v", p.cmd.Wait())
}

// read enters the worker's reports in the ledger until it is gone.
func (p *workerProcess) read(from io.ReadCloser, l *ledger) {
	defer from.Close()
	defer close(p.gone)
	for dec := json.NewDecoder(from); ; {
		var r report
		if dec.Decode(&r) != nil {
			return
		}
		l.reported(r)
		select {
		case <-p.reports: // nobody waited for that one any more
		default:
		}
		p.reports <- r.N
	}
}

// invoked tells the worker about an invocation. It returns when that is over and out of the environment, or at the
// deadline.
func (w *workers) invoked(requestID string, deadline time.Time) {
	if w != nil {
		w.ask(command{Invoke: requestID, Deadline: deadline}, deadline)
	}
}

// shutDown has the worker wind up until the deadline.
func (w *workers) shutDown(reason string, deadline time.Time) {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	if reason == "" {
		reason = "unknown"
	}
	w.ask(command{Shutdown: reason, Deadline: deadline.Add(-reportTime)}, deadline)
}

// ask gives the worker a command and waits for its report until the deadline. While a worker is being replaced it
// waits for the next one.
func (w *workers) ask(c command, deadline time.Time) {
	due := time.NewTimer(time.Until(deadline))
	defer due.Stop()
	w.mu.Lock()
	p, changed := w.current, w.changed
	w.n++
	c.N = w.n
	w.mu.Unlock()
	if p == nil && !w.ledger.isOff() {
		select {
		case <-changed:
		case <-due.C:
			return
		}
		w.mu.Lock()
		p = w.current
		w.mu.Unlock()
	}
	if p == nil {
		return
	}
	c.Seen = w.ledger.told()
	if json.NewEncoder(p.commands).Encode(c) != nil {
		return // it has died
	}
	for {
		select {
		case n := <-p.reports:
			if n == c.N {
				return
			}
		case <-p.gone:
			return
		case <-due.C:
			return
		}
	}
}

// close ends what is left. A worker that was shut down has said all that it had to say.
func (w *workers) close() {
	w.mu.Lock()
	w.ending = true
	p := w.current
	w.mu.Unlock()
	w.cancel()
	if p != nil {
		p.commands.Close()   //nolint:errcheck // it is to go
		p.cmd.Process.Kill() //nolint:errcheck // it may be gone
	}
	<-w.done
	w.socket.Close() //nolint:errcheck // the process ends
}
