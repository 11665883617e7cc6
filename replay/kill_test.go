package replay_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/replay"
	"tandem/replay/functions"
)

// childEnv has the job of a child process that is made to be killed: recording, run folder, URL, and "all" for all
// options that there are, a line each.
const childEnv = "TANDEM_REPLAY_CHILD"

func child(job string) int {
	part := strings.Split(job, "\n")
	recording, err := capture.Open(part[0], capture.OpenOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	target, err := functions.NewHTTP(functions.HTTPOptions{URL: part[2] + "/{path}"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	opts := replay.Options{
		Recording: recording, Dir: part[1], Resume: true,
		Targets: map[string][]replay.Deployment{"create-order": {
			{Name: "lambda", Target: target}, {Name: "functions", Target: target},
		}},
		Journal: journal.WriterOptions{FlushAfter: 5 * time.Millisecond, FrameBytes: 4 << 10, SegmentBytes: 16 << 10},
	}
	if part[3] == "all" {
		opts.Select, opts.Repeat, opts.Calibrate = replay.Selection{Sample: 0.8, Seed: 3}, 2, true
		opts.WarmUp.Invocations, opts.Pace.Rate = 25, 20_000
	}
	m, err := replay.Run(context.Background(), context.Background(), opts)
	if err != nil || !m.Complete {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestAKilledReplayResumesWithNothingLostOrDoubled(t *testing.T) {
	kills := 3
	if os.Getenv("TANDEM_SOAK") == "1" {
		kills = 100
	}
	for _, options := range []string{"none", "all"} {
		t.Run(options, func(t *testing.T) { killAndResume(t, options, kills) })
	}
}

func killAndResume(t *testing.T, options string, kills int) {
	invocations := 100 * kills // twice what the kills let through on average, so that every one hits a replay at work
	recording := writeRecording(t, orders(invocations)...)
	dir := filepath.Join(t.TempDir(), "run")
	requests := make(chan struct{}, 1_000_000)
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		echo(w, r)
	})
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{recording, dir, url, options}, "\n"))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	for range kills {
		cmd := start()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it is killed, or was faster
		}()
		for range rand.IntN(200) {
			select {
			case <-requests:
				continue
			case <-ended:
			}
			break
		}
		if err := cmd.Process.Kill(); err != nil && err != os.ErrProcessDone {
			t.Fatal(err)
		}
		<-ended
		checkNoTrialTwice(t, dir)
	}
	if err := start().Wait(); err != nil {
		t.Fatalf("the last resume: %v", err)
	}
	trials, m := readRun(t, dir)
	want := invocations
	if options == "all" {
		want = 2*(invocations-int(m.Counts.LeftOut)) - 25
	}
	if len(trials) != want || !m.Complete || m.Counts.NotReached != 0 || m.Counts.Trials != int64(want) {
		t.Fatalf("%d trials of %d, manifest %+v", len(trials), want, m)
	}
	for _, trial := range trials {
		for name, out := range trial.Outcomes {
			if want := strings.TrimPrefix(trial.Invocation, "i"); string(out.HTTP.Body.Bytes()) != want {
				t.Errorf("%s at %s has the answer %s", trial.Invocation, name, out.HTTP.Body.Bytes())
			}
		}
	}
}

// checkNoTrialTwice reads what a kill left, if it left anything.
func checkNoTrialTwice(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, replay.ManifestName)); err == nil {
		readRun(t, dir)
	}
}
