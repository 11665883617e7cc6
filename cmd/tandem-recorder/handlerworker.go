package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/wiretap"
)

const handlerWorkerCommand = "handler-worker"

// A besideWorker is the worker beside an Azure custom handler.
type besideWorker struct {
	config   config
	number   int
	recorder *customhandler.Recorder
	spool    *spool
	// completions tell a replay what became of calls; nil to tell nobody. It has been told of so many that are unknown.
	completions *spool
	unknown     int64
	reports     *json.Encoder
	noted       map[customhandler.Fate]int64 // losses that the spool knows of
	ended       bool                         // the spool is closed
}

// workBeside is the worker's life: until it is killed, or until the recorder has ended.
func workBeside(args []string, getenv func(string) string, stdin io.Reader, stdout io.Writer, log *log.Logger) error {
	flags := flag.NewFlagSet(handlerWorkerCommand, flag.ContinueOnError)
	number := flags.Int("number", 1, "how many workers there have been, with this one")
	flags.Bool("warm", false, "not used")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // the recorder says when
	s, _, err := readBeside(getenv)
	if err != nil {
		return err
	}
	samples := &sampler{config: s.config, shapes: make(map[string]int)}
	w := &besideWorker{
		config: s.config, number: *number, spool: newSpool(newSink(s.config, stdout), s.config, log),
		reports: json.NewEncoder(os.NewFile(workerReports, "reports")), noted: make(map[customhandler.Fate]int64),
	}
	opts := customhandler.RecorderOptions{
		ObserverOptions: s.observer, Sink: w.spool, Keep: samples.keep, Logf: log.Printf,
	}
	if s.unrecorded {
		opts.Keep = func(*capture.Invocation) bool { return false }
	}
	if s.completions != nil {
		w.completions = newCompletions(s.config, s.completions, getenv("TANDEM_COMPLETIONS_TOKEN"), log)
		opts.Completions = w.completions
	}
	w.recorder, err = customhandler.NewRecorder(opts)
	if err != nil {
		return err
	}
	return w.watch(wiretap.NewDecoder(stdin))
}

// watch takes what has passed, until the recorder ends.
func (w *besideWorker) watch(frames *wiretap.Decoder) error {
	assembler := wiretap.NewAssembler(wiretap.Observer{Done: w.recorder.Done}, w.config.maxEvent)
	for said := time.Now(); ; {
		s, err := frames.Decode()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read what has passed: %w", err)
		}
		if s.Kind != wiretap.Note {
			assembler.Add(s)
			if time.Since(said) > beat { // it is busy, and does not hang
				w.say(0)
				said = time.Now()
			}
			continue
		}
		var c command
		if err := json.Unmarshal(s.Data, &c); err != nil {
			return fmt.Errorf("read what has passed: %w", err)
		}
		if c.Worker == w.number { // else it was for one that is dead
			if c.Shutdown != "" {
				assembler.End()
			}
			w.handle(c)
		}
	}
	if w.ended {
		return nil
	}
	assembler.End() // the recorder was killed, and the handler with it
	w.windUp(time.Now().Add(windUpTime))
	return nil
}

// handle does what a command asks for and says how that went.
func (w *besideWorker) handle(c command) {
	w.spool.lostBefore(c.Lost)
	if c.Shutdown != "" && !w.ended {
		w.windUp(c.Deadline)
	} else if w.completions != nil && !w.ended {
		w.completions.nudge()
	}
	w.say(c.N)
}

// windUp flushes for the last time.
func (w *besideWorker) windUp(deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	w.noteUntold(w.noteLosses().Untold)
	var both sync.WaitGroup
	if w.completions != nil {
		both.Go(func() { w.completions.close(ctx) })
	}
	w.spool.close(ctx)
	both.Wait()
	w.ended = true
}

func (w *besideWorker) say(n int) {
	w.reports.Encode(w.report(n)) //nolint:errcheck // the recorder is gone, then, which is seen on standard input
}

// noteLosses tells the spool, and so the sink, of what was lost before it.
func (w *besideWorker) noteLosses() customhandler.Stats {
	stats := w.recorder.Stats()
	for fate, n := range stats.Lost {
		w.spool.addLost(string(fate), n-w.noted[fate])
		w.noted[fate] = n
	}
	return stats
}

func (w *besideWorker) report(n int) report {
	stats := w.noteLosses()
	durable, waiting, lost := w.spool.counts()
	told, untold := w.noteUntold(stats.Untold)
	return report{
		N: n, Recorded: durable, Waiting: waiting, Lost: lost, Replays: stats.LeftOut[customhandler.LeftReplay],
		Told: told, Untold: untold,
		Sampled: stats.LeftOut[customhandler.LeftSample] + stats.LeftOut[customhandler.LeftRoute],
	}
}
