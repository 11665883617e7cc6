package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"tandem/capture/wiretap"
)

const (
	maxDeaths  = 20                     // of workers, in the life of an environment
	maxInARow  = 5                      // of workers that have settled nothing
	reportTime = 200 * time.Millisecond // what the last report may take
	// A worker that says nothing in so many beats, while it is expected to, hangs. Beats are counted, not time, because
	// an environment may be frozen in between.
	hungAfter = 10
	beat      = 500 * time.Millisecond
)

// workers keep one worker at work on what a tap holds. One that dies or hangs is replaced by another, which goes on
// with what the tap still has; when too many have died, the tap is closed. The function notices nothing of all that.
type workers struct {
	kind   string // the command that a worker is started with
	tap    *wiretap.Tap
	ledger *ledger
	stdout io.Writer
	stderr io.Writer

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when there will be no worker any more

	mu      sync.Mutex
	current *workerProcess
	changed chan struct{} // closed and replaced when there is another current, or none any more
	n       int           // commands given
}

// A workerProcess is a running worker.
type workerProcess struct {
	number  int // from 1
	cmd     *exec.Cmd
	reports chan int      // the numbers of the commands that were answered, if anybody waits
	gone    chan struct{} // closed when there will be no more reports
}

// startWorkers starts the first worker and sees to it that there is always one.
func startWorkers(kind string, tap *wiretap.Tap, l *ledger, stdout, stderr io.Writer) *workers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &workers{
		kind: kind, tap: tap, ledger: l, stdout: stdout, stderr: stderr, ctx: ctx, cancel: cancel,
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	go w.keep()
	return w
}

// keep runs one worker after the other.
func (w *workers) keep() {
	defer close(w.done)
	for deaths, inARow := 0, 0; deaths < maxDeaths && inARow < maxInARow; deaths++ {
		err := w.runOne(deaths + 1)
		if w.ctx.Err() != nil {
			return
		}
		inARow++
		if w.ledger.died() > 0 {
			inARow = 1
		}
		w.ledger.log.Printf("the worker died (%v)", err)
	}
	w.tap.Close()
	w.ledger.turnOff()
	w.set(nil)
	w.ledger.log.Print("too many workers died: the function runs unrecorded from now on")
}

// runOne starts a worker and returns when it has ended.
func (w *workers) runOne(number int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reports, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reports.Close()
	cmd := exec.CommandContext(w.ctx, self, w.kind, "-number", strconv.Itoa(number),
		"-warm="+strconv.FormatBool(w.ledger.warm()))
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = w.stdout, w.stderr
	frames, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	theirs.Close() //nolint:errcheck // the worker has its own
	if err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	p := &workerProcess{number: number, cmd: cmd, reports: make(chan int, 1), gone: make(chan struct{})}
	w.tap.Restart()
	w.set(p)
	ctx, cancel := context.WithCancel(w.ctx)
	var both sync.WaitGroup
	both.Go(func() { w.feed(ctx, frames) })
	both.Go(func() { p.read(reports, w.ledger) })
	<-p.gone
	cmd.Process.Kill() //nolint:errcheck // in case it has only closed its end
	cancel()
	frames.Close() //nolint:errcheck // ends a write that nobody reads
	both.Wait()
	return cmd.Wait()
}

// feed gives the worker what the tap holds, until the worker is gone.
func (w *workers) feed(ctx context.Context, frames io.Writer) {
	for e := wiretap.NewEncoder(frames); ; {
		s, err := w.tap.Next(ctx)
		if err != nil || e.Encode(s) != nil {
			return
		}
	}
}

// read enters the worker's reports in the ledger until it is gone.
func (p *workerProcess) read(from io.Reader, l *ledger) {
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

func (w *workers) set(p *workerProcess) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = p
	close(w.changed)
	w.changed = make(chan struct{})
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
	if reason == "" {
		reason = "unknown"
	}
	w.ask(command{Shutdown: reason, Deadline: deadline.Add(-reportTime)}, deadline)
}

// ask gives the worker a command and waits for its report until the deadline. When another worker takes over it gets
// the command, too.
func (w *workers) ask(c command, deadline time.Time) {
	due := time.NewTimer(time.Until(deadline))
	defer due.Stop()
	w.mu.Lock()
	w.n++
	c.N = w.n
	w.mu.Unlock()
	for {
		w.mu.Lock()
		p, changed := w.current, w.changed
		w.mu.Unlock()
		if p == nil && w.ledger.isOff() {
			return
		}
		if p != nil {
			w.tell(p, c)
		}
		if w.await(p, c.N, changed, due.C) {
			return
		}
	}
}

// tell puts a command for p behind all that has passed so far.
func (w *workers) tell(p *workerProcess, c command) {
	c.Worker = p.number
	c.Seen, c.Settled, c.Lost = w.ledger.account()
	if c.Shutdown == "" {
		c.Seen-- // the one that it is told about may be yet to come
	}
	note, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain fields always marshal
	}
	w.tap.Note(note)
}

// await returns true when p has answered command n or it is time not to wait any more, and false when p is not the
// worker any more. It kills p if p hangs. P is nil while there is no worker.
func (w *workers) await(p *workerProcess, n int, changed <-chan struct{}, due <-chan time.Time) bool {
	beats := time.NewTicker(beat)
	defer beats.Stop()
	var reports chan int
	if p != nil {
		reports = p.reports
	}
	for silent := 0; ; {
		select {
		case answered := <-reports:
			silent = 0
			if answered == n {
				return true
			}
		case <-changed:
			return false
		case <-due:
			return true
		case <-beats.C:
			if silent++; p != nil && silent == hungAfter {
				w.ledger.log.Print("the worker hangs and is replaced")
				p.cmd.Process.Kill() //nolint:errcheck // it may be gone
			}
		}
	}
}

// close ends what is left. A worker that was shut down has said all that it had to say.
func (w *workers) close() {
	w.cancel()
	<-w.done
}
