package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"tandem/capture/runtimeapi"
)

// The worker is the process that is in the function's way: the proxy, and what it records. The extension gives it the
// socket to serve and tells it, on standard input, what Lambda says; after each command it gets a report.

const workerCommand = "worker"

// The files that a worker has beside the standard ones.
const (
	workerSocket  = 3 // listens for the runtime
	workerReports = 4
)

// A command tells a worker what Lambda has told the extension: one of Invoke and Shutdown is set.
type command struct {
	N        int       `json:"n"`
	Invoke   string    `json:"invoke,omitempty"`   // the request ID
	Shutdown string    `json:"shutdown,omitempty"` // the reason
	Deadline time.Time `json:"deadline"`           // when the report is due
	// Seen is how many invocations the extension was told of since the worker was started.
	Seen int64 `json:"seen"`
}

// A report answers the command N, or, with 0, says that the worker is ready. Counts are since it was started.
type report struct {
	N        int              `json:"n"`
	Recorded int64            `json:"recorded"` // durable
	Sampled  int64            `json:"sampled"`  // left out by the config
	Replays  int64            `json:"replays"`
	Waiting  int64            `json:"waiting"` // for the sink, or for the function to answer
	Lost     map[string]int64 `json:"lost"`    // by reason
}

// settled returns how many invocations will not change their place any more.
func (r report) settled() int64 {
	n := r.Recorded + r.Sampled + r.Replays
	for _, lost := range r.Lost {
		n += lost
	}
	return n
}

type worker struct {
	config   config
	recorder *runtimeapi.Recorder
	spool    *spool
	noted    runtimeapi.Stats // losses that the spool knows of
}

// work is the worker's life: until it is told to shut down or, when the extension has died, until it is killed.
func work(args []string, getenv func(string) string, stdin io.Reader, stdout io.Writer, log *log.Logger) error {
	flags := flag.NewFlagSet(workerCommand, flag.ContinueOnError)
	warm := flags.Bool("warm", false, "the runtime has been given events")
	lost := flags.Int64("lost", 0, "invocations lost by earlier workers")
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
	socket := os.NewFile(workerSocket, "socket")
	listener, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("take over the socket: %w", err)
	}
	socket.Close() //nolint:errcheck // the listener has its own
	w := &worker{config: c, spool: newSpool(newSink(c, stdout), c, *lost, log)}
	samples := &sampler{config: c, shapes: make(map[string]int)}
	w.recorder, err = runtimeapi.NewRecorder(runtimeapi.RecorderOptions{
		Upstream: c.upstream, Listener: listener, Sink: w.spool, Function: c.function, Keep: samples.keep, Warm: *warm,
		Concurrency: c.concurrency, MaxEvent: c.maxEvent, Log: slog.New(slog.NewTextHandler(log.Writer(), nil)),
	})
	if err != nil {
		return err
	}
	return w.serve(json.NewDecoder(stdin), json.NewEncoder(os.NewFile(workerReports, "reports")))
}

func (w *worker) serve(commands *json.Decoder, reports *json.Encoder) error {
	if err := reports.Encode(w.report(0)); err != nil {
		return err
	}
	for {
		var c command
		if err := commands.Decode(&c); err != nil {
			return w.abandoned()
		}
		if c.Shutdown != "" {
			w.shutDown(c)
			return reports.Encode(w.report(c.N))
		}
		w.invoked(c)
		if err := reports.Encode(w.report(c.N)); err != nil && !errors.Is(err, syscall.EPIPE) {
			return err
		}
	}
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

// shutDown records what the platform has ended.
func (w *worker) shutDown(c command) {
	ctx, cancel := context.WithDeadline(context.Background(), c.Deadline)
	defer cancel()
	w.recorder.AbortAll(responseTo(c.Shutdown))
	r := w.report(0)
	w.spool.addLost(lostUnseen, c.Seen-r.settled()-r.Waiting)
	w.spool.close(ctx)
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

// abandoned goes on without the extension, so that the function does. Each invocation is flushed when it is over.
func (w *worker) abandoned() error {
	w.spool.hold(false)
	ctx, cancel := terminated()
	defer cancel()
	<-ctx.Done()
	err := w.recorder.Close()
	last, cancel := context.WithTimeout(context.Background(), w.config.flushTimeout)
	defer cancel()
	w.spool.close(last)
	return err
}

func (w *worker) report(n int) report {
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
