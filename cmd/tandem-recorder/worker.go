package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tandem/capture/runtimeapi"
	"tandem/capture/wiretap"
)

// The worker is the process that makes invocations of what has passed and takes them out of the environment. The
// extension gives it copies of the bytes on standard input, with commands among them, and gets reports.

const workerCommand = "worker"

// workerReports is the file that reports go to.
const workerReports = 3

type worker struct {
	config    config
	number    int
	recorder  *runtimeapi.Recorder
	assembler *wiretap.Assembler
	samples   *sampler
	spool     *spool
	ended     bool         // the spool is closed
	adding    atomic.Int64 // when the segment came that is being taken, in ns since 1970; 0 when none is

	mu      sync.Mutex // guards what follows
	reports *json.Encoder
	noted   runtimeapi.Stats // losses that the spool knows of
}

// work is the worker's life: until it is killed, or until the extension has died.
func work(args []string, getenv func(string) string, stdin io.Reader, stdout io.Writer, log *log.Logger) error {
	flags := flag.NewFlagSet(workerCommand, flag.ContinueOnError)
	number := flags.Int("number", 1, "how many workers there have been, with this one")
	warm := flags.Bool("warm", false, "the runtime has been given events")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // the extension says when
	// The function's memory is paid for. The limit counts for invocations of megabytes only.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(32 << 20)
	c, err := readConfig(getenv)
	if err != nil {
		return err
	}
	w := &worker{
		config: c, number: *number, spool: newSpool(newSink(c, stdout), c, log),
		samples: &sampler{config: c, shapes: make(map[string]int)},
		reports: json.NewEncoder(os.NewFile(workerReports, "reports")),
	}
	w.recorder = runtimeapi.NewRecorder(runtimeapi.RecorderOptions{
		Sink: w.spool, Function: c.function, Keep: w.samples.keep, Warm: *warm, Concurrency: c.concurrency,
		MaxEvent: c.maxEvent, Log: slog.New(slog.NewTextHandler(log.Writer(), nil)),
	})
	w.assembler = wiretap.NewAssembler(w.recorder.Observer(), w.recorder.MaxBody())
	return w.watch(wiretap.NewDecoder(stdin))
}

// watch takes what has passed, until the extension dies.
func (w *worker) watch(frames *wiretap.Decoder) error {
	commands := make(chan command, 100)
	var handling sync.WaitGroup
	handling.Go(func() {
		for c := range commands {
			w.handle(c)
		}
	})
	var err error
	for err == nil {
		err = w.next(frames, commands)
	}
	close(commands)
	handling.Wait()
	if err != io.EOF {
		return fmt.Errorf("read what has passed: %w", err)
	}
	if w.ended {
		return nil
	}
	w.recorder.Close()
	ctx, cancel := context.WithTimeout(context.Background(), w.config.flushTimeout)
	defer cancel()
	w.spool.close(ctx)
	return nil
}

// next takes one segment. Commands are handled elsewhere, because that takes until what is to come has passed.
func (w *worker) next(frames *wiretap.Decoder, commands chan<- command) error {
	s, err := frames.Decode()
	if err != nil {
		return err
	}
	if s.Kind != wiretap.Note {
		w.adding.Store(time.Now().UnixNano())
		w.assembler.Add(s)
		w.adding.Store(0)
		return nil
	}
	var c command
	if err := json.Unmarshal(s.Data, &c); err != nil {
		return err
	}
	if c.Worker == w.number { // else it was for one that is dead
		w.account(c)
		commands <- c
	}
	return nil
}

// account puts down as lost what should have passed by now and was not seen.
func (w *worker) account(c command) {
	w.spool.lostBefore(c.Lost)
	if c.Shutdown != "" {
		w.recorder.AbortAll(responseTo(c.Shutdown))
	}
	r := w.report(0)
	w.spool.addLost(lostUnseen, c.Seen-c.Settled-r.settled()-r.Waiting)
}

// handle does what a command asks for, and says how that went. Meanwhile it says that it is alive, unless it seems to
// hang in what it makes of a segment.
func (w *worker) handle(c command) {
	done := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		for ticker := time.NewTicker(beat); ; {
			select {
			case <-ticker.C:
				if since := w.adding.Load(); since == 0 || time.Now().UnixNano()-since < int64(beat) {
					w.send(0)
				}
			case <-done:
				ticker.Stop()
				return
			}
		}
	})
	switch {
	case w.ended:
	case c.Shutdown != "":
		w.shutDown(c)
	default:
		w.invoked(c)
	}
	close(done)
	beats.Wait()
	w.send(c.N)
}

// invoked returns when an invocation is over and out of the environment, or when the time for that is.
func (w *worker) invoked(c command) {
	ctx, cancel := context.WithDeadline(context.Background(), c.Deadline)
	defer cancel()
	w.spool.hold(true)
	w.recorder.Wait(ctx, c.Invoke)
	w.spool.hold(false) // whoever is late flushes at once
	ctx, cancel = context.WithTimeout(ctx, w.config.flushTimeout)
	defer cancel()
	w.spool.flush(ctx, false)
}

// shutDown flushes for the last time.
func (w *worker) shutDown(c command) {
	ctx, cancel := context.WithDeadline(context.Background(), c.Deadline)
	defer cancel()
	w.spool.close(ctx)
	w.ended = true
}

// responseTo returns what Lambda answers for an invocation that the environment is shut down for; nil if it is not
// known that there is one. Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html, which
// has the reasons spindown, timeout and failure.
func responseTo(reason string) *runtimeapi.Response {
	var r runtimeapi.Response
	switch reason {
	case "timeout":
		r = runtimeapi.ErrorResponse("Sandbox.Timedout", "the invocation ran out of time")
	case "failure":
		r = runtimeapi.ErrorResponse("Runtime.ExitError", "the runtime exited")
	default:
		return nil
	}
	return &r
}

func (w *worker) send(n int) {
	r := w.report(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports.Encode(r) //nolint:errcheck // the extension is gone, then, which is seen from its end of the bytes
}

func (w *worker) report(n int) report {
	w.mu.Lock()
	defer w.mu.Unlock()
	stats := w.recorder.Stats()
	w.spool.addLost(lostTooLarge, int64(stats.TooLarge-w.noted.TooLarge))
	w.spool.addLost(lostCut, int64(stats.Lost-w.noted.Lost))
	w.noted = stats
	durable, waiting, lost := w.spool.counts()
	return report{
		N: n, Recorded: durable, Sampled: int64(stats.Skipped), Replays: int64(stats.Replays),
		Waiting: waiting + int64(stats.Pending), Lost: lost,
	}
}
