package replay_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

func TestAStopRuleEndsTheFiringAndTheRunCanBeGoneOnWith(t *testing.T) {
	recording := writeRecording(t, orders(200)...)
	var broken atomic.Bool
	var requests atomic.Int64
	opts := optionsFor(t, recording, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if broken.Load() && strings.HasPrefix(r.URL.Path, "/b/") {
			hijack("", true)(w, r)
			return
		}
		echo(w, r)
	})
	broken.Store(true)
	rule, err := replay.ParseStopRule("transport_error>10%/1m")
	if err != nil {
		t.Fatal(err)
	}
	opts.StopOn = []replay.StopRule{rule}
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || m.Complete || !strings.HasPrefix(m.Stopped, "transport_error>10%/1m: 20 of 20 trials failed within 1m") {
		t.Fatalf("%+v, %v", m, err)
	}
	if n := requests.Load(); n > 2*(20+2*int64(opts.InFlight)) {
		t.Errorf("%d requests were made for the first 20 trials", n)
	}
	broken.Store(false)
	stopped := m.Stopped
	resumeToTheEnd(t, opts, 200, m)
	if _, m = readRun(t, opts.Dir); m.Stopped != "" || m.Resumed[0].Stopped != stopped || m.StopOn[0] != rule.String() {
		t.Errorf("the manifest does not say why it was stopped: %+v", m)
	}
}

func TestThrottlesLowerWhatIsInFlightAndEachIsTold(t *testing.T) {
	var inFlight, most atomic.Int64
	opts := optionsFor(t, writeRecording(t, orders(60)...), func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/b/") {
			return
		}
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		if n > 2 { // it has room for two at once
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		most.Store(max(most.Load(), n))
		time.Sleep(2 * time.Millisecond) // it works
	})
	opts.InFlight = 16
	opts.Retry = replay.RetryPolicy{Attempts: 100, MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond}
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete {
		t.Fatalf("%+v, %v", m, err)
	}
	trials, _ := readRun(t, opts.Dir)
	var tries int64
	for id, trial := range trials {
		out := trial.Outcomes["functions"]
		if out.Status != capture.StatusOK || len(out.Tries) != out.Attempts-1 {
			t.Errorf("%s: %+v", id, out)
		}
		for _, try := range out.Tries {
			if tries++; try.Status != capture.StatusThrottled || try.WaitMS <= 0 {
				t.Errorf("%s: %+v", id, try)
			}
		}
	}
	for _, ref := range m.Targets {
		switch {
		case ref.Name == "lambda" && (ref.Throttled != 0 || ref.LowestInFlight != 0):
			t.Errorf("nothing was throttled at %+v", ref)
		case ref.Name == "functions" && (ref.Throttled != tries || tries == 0 || ref.LowestInFlight > 8):
			t.Errorf("%d tries, and %+v", tries, ref)
		}
	}
}

func TestWhatMayHaveRunIsFiredAgainOnlyWhereThatIsSafe(t *testing.T) {
	for _, safe := range []bool{false, true} {
		var requests atomic.Int64
		opts := optionsFor(t, writeRecording(t, orders(1)...), func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/b/") && requests.Add(1) == 1 {
				hijack("", true)(w, r)
			}
		})
		opts.Targets["create-order"][1].RetrySafe = safe
		opts.Retry.MinWait = time.Millisecond
		m, err := replay.Run(t.Context(), t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		trials, _ := readRun(t, opts.Dir)
		out := trials["i0"].Outcomes["functions"]
		if !safe && (requests.Load() != 1 || out.Status != capture.StatusTransport) {
			t.Errorf("%d requests, outcome %+v; want one", requests.Load(), out)
		}
		if safe && (requests.Load() != 2 || out.Status != capture.StatusOK || len(out.Tries) != 1 ||
			out.Tries[0].Status != capture.StatusTransport || out.Tries[0].Error == nil || !m.Targets[1].RetrySafe) {
			t.Errorf("%d requests, outcome %+v, %+v; want two", requests.Load(), out, m.Targets)
		}
	}
}

func TestATargetTakesNoMoreAtOnceThanTheConfigSays(t *testing.T) {
	var inFlight, most atomic.Int64
	opts := optionsFor(t, writeRecording(t, orders(40)...), func(http.ResponseWriter, *http.Request) {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond) // it works
	})
	opts.InFlight = 8
	opts.Targets["create-order"][0].InFlight = 2
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n > 4 {
		t.Errorf("%d requests at once, at two targets of which one takes two", n)
	}
}

func TestTheManifestTellsTheErrorOfTheSchedule(t *testing.T) {
	opts := optionsFor(t, writeRecording(t, orders(50)...), echo)
	opts.Pace, opts.InFlight = replay.Pace{Rate: 500}, 50
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || m.Pace.Rate != 500 || m.Pace.LateMS == nil || m.Pace.ErrorMS == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if e := m.Pace.ErrorMS; e.P50 < 0 || e.P50 > e.P99 || e.P99 > e.Max || e.Max > m.Pace.LateMS.Max {
		t.Errorf("error %+v, late %+v", e, m.Pace.LateMS)
	}
	trials, _ := readRun(t, opts.Dir)
	first := trials["i0"].Due
	for id, trial := range trials {
		if trial.Due.IsZero() || trial.Time.Before(trial.Due) {
			t.Errorf("%s was due at %v and fired at %v", id, trial.Due, trial.Time)
		}
		if want := first.Add(time.Duration(trial.N) * 2 * time.Millisecond); trial.Due.Sub(want).Abs() > time.Microsecond {
			t.Errorf("%s is due at %v, want %v", id, trial.Due, want)
		}
	}
}

func TestResumeRefusesOtherTrials(t *testing.T) {
	opts := optionsFor(t, writeRecording(t, orders(40)...), echo)
	opts.Select = replay.Selection{Sample: 0.5, Seed: 7}
	opts.Repeat = 2
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	opts.Resume = true
	tests := []struct {
		name   string
		change func(*replay.Options)
		want   string // "" when it is not refused
	}{
		{"another seed", func(o *replay.Options) { o.Select.Seed = 8 },
			"made with --sample 0.5 --seed 7 --repeat 2, and this is --sample 0.5 --seed 8 --repeat 2"},
		{"another share", func(o *replay.Options) { o.Select.Sample = 0.6 }, "--sample 0.6"},
		{"other conditions", func(o *replay.Options) { o.Select.Only = []string{"trigger=http"} }, "--only trigger=http"},
		{"other repeats", func(o *replay.Options) { o.Repeat = 3 }, "--repeat 3"},
		{"calibration", func(o *replay.Options) { o.Calibrate = true }, "--calibrate"},
		{"all of it", func(o *replay.Options) { o.Select, o.Repeat = replay.Selection{}, 1 }, "this is every invocation once"},
		{"another pace changes no trial", func(o *replay.Options) { o.Pace.Rate = 1000 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := opts
			tt.change(&opts)
			_, err := replay.Run(t.Context(), t.Context(), opts)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}
