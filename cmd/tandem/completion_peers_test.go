//go:build peers

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/replay"
)

// A user's settings: the recorder is what the host starts, and starts the handler.
func TestTheRecorderBesideTheHandlerTellsWhatBecameOfMessages(t *testing.T) {
	s := startQueueSide(t)
	recorder := filepath.Join(t.TempDir(), "tandem-recorder")
	if out, err := exec.Command("go", "build", "-o", recorder, "../tandem-recorder").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listen := quietAddress(t)
	s.completion = fmt.Sprintf(`, completion: {recorder: {listen: "%s", token: s3cret}, deadline: 1m}`, listen)
	app := s.startHostWith(t, func(settings string) string {
		return strings.Replace(settings, `"defaultExecutablePath": "handler"`, fmt.Sprintf(
			`"defaultExecutablePath": %q, "arguments": ["handler", "--", %q]`, recorder,
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
