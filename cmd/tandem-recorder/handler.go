package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tandem/capture/customhandler"
	"tandem/capture/wiretap"
	"tandem/cmd/tandem-recorder/internal/beside"
)

// Beside an Azure custom handler, the recorder is what the Functions host starts: it starts the handler, passes bytes on
// between the two and gives copies to a worker, as it does in Lambda. It differs in that nobody tells of invocations, and
// in that nothing is frozen: the worker flushes by itself.

const handlerCommand = "handler"

const (
	// askEvery is how often the worker is asked how it is. One that does not answer is replaced.
	askEvery = 5 * time.Second
	// windUpTime is what the worker gets when the handler has ended. The host starts another handler meanwhile, or ends.
	windUpTime = 3 * time.Second
	// defaultMaxPayload takes a blob of 12 MB, which is base64 in a payload.
	defaultMaxPayload = 16 << 20
	tapPerPayload     = 4 // payloads that may wait for the worker
)

// handle runs the handler in args and returns its exit code. When the settings are wrong the handler runs alone.
func handle(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	log := log.New(stderr, "tandem-recorder: ", 0)
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("no handler to run: write the program behind -- in the arguments of host.json")
	}
	s, complaints, err := readBeside(getenv)
	if complaints != nil {
		log.Printf("what is not known of the app is guessed: %v", complaints)
	}
	if err != nil {
		log.Printf("nothing is recorded: %v", err)
		return exitCode(beside.Replace(args, os.Environ()))
	}
	l := &ledger{log: log}
	tap := wiretap.NewTap(tapPerPayload * s.config.maxEvent)
	w := startWorkers(handlerWorkerCommand, tap, l, stdout, stderr)
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() { w.askAgain(ctx) })
	code, err := beside.Run(context.Background(), beside.Options{
		Command: args, Env: os.Environ(), Stdin: stdin, Stdout: stdout, Stderr: stderr, Tap: tap,
	})
	cancel()
	asking.Wait()
	w.shutDown("exit", time.Now().Add(windUpTime))
	died, settled := w.account()
	w.close()
	log.Print(l.end())
	if died > 0 {
		log.Printf("%d workers died: LOST and not counted is what they had in hand", died)
	}
	if !settled {
		log.Printf("the worker was not done after %v: LOST and not counted is what it had yet to report", windUpTime)
	}
	if n := tap.Dropped(); n > 0 {
		log.Printf("%d bytes were not copied: LOST and not counted is what was invoked with them", n)
	}
	return exitCode(code, err)
}

func exitCode(code int, err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return code, nil
}

// account tells how many workers have died, and whether there is one that has answered the last command.
func (w *workers) account() (died int, settled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil { // the last has died too, which was told
		return 0, false
	}
	return w.current.number - 1, w.ledger.lastReport() == w.n
}

// lastReport returns the number of the last command that a worker has answered; 0 after one has died.
func (l *ledger) lastReport() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.N
}

// askAgain asks the worker how it is until ctx ends.
func (w *workers) askAgain(ctx context.Context) {
	for ticker := time.NewTicker(askEvery); ; {
		select {
		case <-ticker.C:
			w.invoked("", time.Now().Add(2*askEvery)) // so long that one that hangs is found
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

// A besideConfig is what the app's settings and its folder say.
type besideConfig struct {
	config      config
	observer    customhandler.ObserverOptions
	completions *url.URL // nil to tell nobody
	unrecorded  bool     // it only tells completions
}

func readBeside(getenv func(string) string) (s besideConfig, complaints, err error) {
	var errs [3]error
	s.completions, errs[2] = readCompletions(getenv)
	s.unrecorded = s.completions != nil && getenv("TANDEM_SINK") == ""
	s.config, errs[0] = readRecording(func(name string) string {
		if s.unrecorded && name == "TANDEM_SINK" {
			return "log:" // which gets nothing
		}
		return getenv(name)
	})
	if getenv("TANDEM_MAX_EVENT") == "" {
		s.config.maxEvent = defaultMaxPayload
	}
	s.config.buffer = max(s.config.buffer, s.config.maxEvent)
	s.config.function = getenv("WEBSITE_SITE_NAME")
	s.observer, complaints, errs[1] = beside.ReadSettings(getenv, appFolder(getenv))
	return s, complaints, errors.Join(errs[:]...)
}

// appFolder returns where host.json is: handlers are started in the app's folder, unless host.json says otherwise.
func appFolder(getenv func(string) string) string {
	for _, dir := range []string{".", getenv("FUNCTIONS_APPLICATION_DIRECTORY"), getenv("AzureWebJobsScriptRoot"),
		"/home/site/wwwroot"} {
		if dir != "" {
			if _, err := os.Stat(filepath.Join(dir, "host.json")); err == nil {
				return dir
			}
		}
	}
	return "."
}
