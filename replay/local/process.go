package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A processSpec says what to start.
type processSpec struct {
	Command []string // the program and its arguments; never empty
	Dir     string   // the working directory; "" is this process's own
	Env     []string // the whole environment, not an addition to it; of two equal names the last one counts
	// Output gets what the process writes to standard output and standard error, in the order in which it was
	// written. It is never called by two goroutines at once, and not any more once the process has ended. A nil
	// Output discards.
	Output io.Writer
}

// A process is a child of this one, in a process group of its own, so that a terminal's Ctrl-C does not reach it and
// killing it takes the programs it started along. On Linux it dies when this process does, even of kill -9.
//
// All methods may be called by several goroutines at once.
type process struct {
	cmd    *exec.Cmd
	output *processOutput

	peak    atomic.Int64  // what peakMemoryMB last read, in bytes
	exited  chan struct{} // closed when the process is gone and its output has been read to the end
	waitErr error         // what exec.Cmd.Wait said; to be read after exited is closed
}

// errProcessExited is the cause of the end of a context that [process.watch] made.
var errProcessExited = errors.New("the process has exited")

// drainTime is how long the output of a process that has ended is waited for. It ends at once unless a program that
// the process started has left its process group and holds the pipe open.
const drainTime = time.Second

// startProcess starts a child process. Whoever calls it must in the end call kill or stop, or wait until it has
// ended. The error is that of [exec.Cmd.Start], such as an [*exec.Error] or [*os.PathError].
func startProcess(spec processSpec) (*process, error) {
	output, w, err := newProcessOutput(spec.Output)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(spec.Command[0], spec.Command[1:]...)
	cmd.Dir, cmd.Env = spec.Dir, spec.Env
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = childAttributes()
	p := &process{cmd: cmd, output: output, exited: make(chan struct{})}

	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the process and stays with it to its end. Linux kills a child when the thread that started it ends, not
// the program, so the thread is held until the child is gone (https://go.dev/issue/27505).
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		p.output.close()
		started <- err
		return
	}
	started <- nil
	p.waitErr = p.cmd.Wait()
	killGroup(p.cmd.Process) // what the process started and left behind
	p.output.close()
	close(p.exited)
}

// kill ends the process and everything in its group, and waits until they are gone and the output has been read.
func (p *process) kill() {
	select {
	case <-p.exited:
		return
	default:
	}
	p.peakMemoryMB()
	killGroup(p.cmd.Process)
	<-p.exited
}

// alive tells whether the process has not ended yet.
func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// watch returns a context that also ends when the process does, with errProcessExited as its cause. Call stop when
// done with it.
func (p *process) watch(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.exited:
			cancel(errProcessExited)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-watched
	}
}

// exitText says how a process that has ended did so, as "exit status 1" or "signal: killed"; it is "" for success.
// Call it only after exited is closed.
func (p *process) exitText() string {
	if p.waitErr == nil {
		return ""
	}
	return p.waitErr.Error()
}

// peakMemoryMB is the most memory that the process has had resident, in MB rounded up; 0 where that cannot be told.
// Of a process that has ended it is what was last asked for, or what kill saw: what wait4 tells includes the memory of
// this process, from which the child was forked.
func (p *process) peakMemoryMB() int {
	if bytes := residentPeak(p.cmd.Process.Pid); bytes > 0 && p.alive() {
		p.peak.Store(bytes)
	}
	return int((p.peak.Load() + 1<<20 - 1) >> 20)
}

// flush returns once everything that the process had written when flush was called has reached Output. That includes
// what it wrote before anything that the caller has seen it do, such as making a request.
func (p *process) flush() { p.output.flush() }

// processOutput carries what a process writes to a writer. To know when everything up to a moment has come through,
// flush writes a mark, which no program can guess, into the pipe that the process writes to; the reader takes it out
// again. Pipes keep order, so what was written before the mark is read before it.
type processOutput struct {
	to   io.Writer
	r    *os.File
	done chan struct{} // closed when the reader has ended

	mark []byte
	seen chan struct{} // gets one value for each mark read

	mu sync.Mutex // held by one flush at a time, and by close
	w  *os.File   // nil once closed
}

func newProcessOutput(to io.Writer) (out *processOutput, w *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if to == nil {
		to = io.Discard
	}
	out = &processOutput{
		to: to, r: r, w: w,
		done: make(chan struct{}),
		mark: []byte("\x00" + rand.Text()),
		seen: make(chan struct{}, 1),
	}
	go out.read()
	return out, w, nil
}

func (o *processOutput) read() {
	defer close(o.done)
	s := markSplitter{mark: o.mark}
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		s.split(buf[:n], func(text []byte) {
			o.to.Write(text) //nolint:errcheck // a log that cannot be written must not stop the process
		}, func() { o.seen <- struct{}{} })
		if err != nil {
			if len(s.held) > 0 {
				o.to.Write(s.held) //nolint:errcheck // as above
			}
			return
		}
	}
}

func (o *processOutput) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return // closed, so it has all been read
	}
	if _, err := o.w.Write(o.mark); err != nil {
		return
	}
	<-o.seen
}

// close ends the output once the process has: what is still in the pipe is read first.
func (o *processOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w.Close()
	o.w = nil
	if err := o.r.SetReadDeadline(time.Now().Add(drainTime)); errors.Is(err, os.ErrNoDeadline) {
		timer := time.AfterFunc(drainTime, func() { o.r.Close() })
		defer timer.Stop()
	}
	<-o.done
	o.r.Close()
}

// A markSplitter takes marks out of a stream that comes in pieces.
type markSplitter struct {
	mark []byte
	held []byte // the end of what has come, which may be the start of a mark
}

// split hands the text in piece to text and calls marked for each mark, in order.
func (s *markSplitter) split(piece []byte, text func([]byte), marked func()) {
	if len(s.held) > 0 {
		piece = append(s.held, piece...)
		s.held = nil
	}
	for {
		before, after, found := bytes.Cut(piece, s.mark)
		if !found {
			break
		}
		if len(before) > 0 {
			text(before)
		}
		marked()
		piece = after
	}
	hold := min(len(piece), len(s.mark)-1)
	for ; hold > 0 && !bytes.HasSuffix(piece, s.mark[:hold]); hold-- {
	}
	if keep := len(piece) - hold; keep > 0 {
		text(piece[:keep])
	}
	if hold > 0 {
		s.held = bytes.Clone(piece[len(piece)-hold:])
	}
}
