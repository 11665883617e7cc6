//go:build peers

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
)

// A user's settings: the recorder is what the host starts, and starts the handler.
func TestTheRecorderBesideTheHandlerTellsWhatBecameOfMessages(t *testing.T) {
	s := startQueueSide(t)
	listen := quietAddress(t)
	s.completion = fmt.Sprintf(`, completion: {recorder: {listen: "%s", token: s3cret}, deadline: 2m}`, listen)
	app := s.startHostWith(t, func(settings string) string {
		return strings.Replace(settings, `"defaultExecutablePath": "handler"`, fmt.Sprintf(
			`"defaultExecutablePath": %q, "arguments": ["handler", "--", %q]`, recorder(t),
			filepath.Join(s.programs, "functions", "handler")), 1)
	}, s.log, "TANDEM_COMPLETIONS=http://"+listen, "TANDEM_COMPLETIONS_TOKEN=s3cret")
	code, report, out := s.compareThrough(t, app)
	if code != 0 || report.Trials.Inconclusive != 0 || report.Trials.Total == 0 {
		t.Errorf("exit code %d: %+v", code, report)
	}
	run, err := replay.OpenRun(out, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		got := trial.Outcomes[functionsTarget]
		if got.PlatformMS <= 0 {
			t.Errorf("%s: nobody told how long it took: %+v", trial.Invocation, got)
		}
		for _, fate := range got.Records {
			if fate == capture.DeadLettered && !strings.Contains(got.Error.Message, "the handler answered 500") {
				t.Errorf("%s: its error is not the handler's: %+v", trial.Invocation, got.Error)
			}
			if fate == capture.DeadLettered {
				failures++
			}
		}
	}
	if failures == 0 {
		t.Error("nothing failed")
	}
	c := run.Manifest().Completions
	if c == nil || c.Sources["recorder"] == 0 || c.Claimed == 0 || c.Lost != 0 || c.Duplicates != 0 {
		t.Errorf("%+v", c)
	}
}

// A logRelay sends what the host says of invocations to an event hub, as a diagnostic setting does: in one of the
// encodings, to any partition, in any order, and some of it twice.
type logRelay struct {
	t     *testing.T
	hub   *tapHub
	done  chan struct{}
	mu    sync.Mutex
	lines chan string // nil when nothing more is sent
}

func startLogRelay(t *testing.T, hub *tapHub) *logRelay {
	t.Helper()
	lines := make(chan string, 10_000)
	r := &logRelay{t: t, hub: hub, lines: lines, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for line := range lines {
			together := []string{line, line}
			for len(lines) > 0 {
				together = append(together, <-lines)
			}
			rand.Shuffle(len(together), func(i, j int) { together[i], together[j] = together[j], together[i] })
			for _, line := range together {
				hub.send(t, rand.IntN(hub.partitions), record(line))
			}
		}
	}()
	return r
}

var invocationOf = regexp.MustCompile(`Id=([0-9a-f-]{36})`)

// Write takes the host's log, which comes in whole lines.
func (r *logRelay) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		line, host := strings.CutPrefix(strings.TrimSpace(line), "[host] ")
		r.mu.Lock()
		if host && r.lines != nil && invocationOf.MatchString(line) {
			r.lines <- line
		}
		r.mu.Unlock()
	}
	return len(p), nil
}

// end drops what comes from now on, and returns when all is sent.
func (r *logRelay) end() {
	r.mu.Lock()
	close(r.lines)
	r.lines = nil
	r.mu.Unlock()
	<-r.done
}

// record is an event of the hub for a line of the embedded host's, which has the ID in each line and not beside it.
func record(line string) string {
	properties := map[string]string{
		"functionInvocationId": invocationOf.FindStringSubmatch(line)[1], "functionName": "process-order",
		"category": "Function.process-order",
	}
	if strings.HasPrefix(line, "Trigger Details") {
		line, _, _ = strings.Cut(line, " (Id=")
	}
	properties["message"] = line
	if strings.Contains(line, "(Failed") {
		properties["exceptionType"] = "Microsoft.Azure.WebJobs.Host.FunctionInvocationException"
		properties["exceptionMessage"] = "Exception while executing function: Functions.process-order"
	}
	doc, err := json.Marshal(properties)
	if err == nil && rand.IntN(2) == 0 {
		doc, err = json.Marshal(string(doc))
	}
	if err != nil {
		panic(err) // texts always marshal
	}
	return fmt.Sprintf(`{"records":[{"time":"2026-03-01T10:00:00Z","category":"FunctionAppLogs","properties":%s}]}`, doc)
}

func TestTheLogOfTheAppTellsWhatBecameOfMessages(t *testing.T) {
	s := startQueueSide(t)
	hub := &tapHub{connection: peers.EventHubs(t, "logs", 2), partitions: 2}
	var err error
	if hub.producer, err = azeventhubs.NewProducerClientFromConnectionString(hub.connection, "logs", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.producer.Close(context.Background()) }) //nolint:errcheck // what was sent is seen
	hub.send(t, 0, "what was there before")
	relay := startLogRelay(t, hub)
	defer relay.end()
	t.Setenv("HUB", hub.connection)
	s.apart, s.completion = true, `, completion: {logs: {connection: "${HUB}", hub: logs}, deadline: 2m}`
	app := s.startHostWith(t, func(settings string) string { return settings }, relay)
	code, report, out := s.compareThrough(t, app)
	if code != 0 || report.Trials.Inconclusive != 0 || report.Trials.Total == 0 {
		t.Errorf("exit code %d: %+v", code, report)
	}
	run, err := replay.OpenRun(out, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		got := trial.Outcomes[functionsTarget]
		for _, fate := range got.Records {
			if fate != capture.DeadLettered {
				continue
			}
			if failures++; !strings.HasSuffix(got.Error.Type, "FunctionInvocationException") {
				t.Errorf("%s: its error is not the host's: %+v", trial.Invocation, got.Error)
			}
		}
	}
	c := run.Manifest().Completions
	if failures == 0 || c == nil || c.Sources["logs"] == 0 || c.Claimed == 0 {
		t.Errorf("%d failed, %+v", failures, c)
	}
}

// quietAddress is one whose port no system gives to others before it is listened on.
func quietAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_767))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
