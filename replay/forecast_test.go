package replay_test

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/functions"
)

// dialled fails the test when somebody connects.
func dialled(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if conn, err := l.Accept(); err == nil {
			t.Errorf("a dry run connected from %v", conn.RemoteAddr())
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

func TestAForecastTouchesNothingAndItsCountsAddUp(t *testing.T) {
	list := orders(6)
	list[1].Function = "nobodys"
	list[2].Event = []byte(`{"no":"request"}`)
	for _, i := range []int{3, 4} {
		list[i].Function = "process-order"
		list[i].Event = fmt.Appendf(nil, `{"Records":[{"messageId":"m%d","body":"1","eventSource":"aws:sqs",`+
			`"eventSourceARN":"arn:q","attributes":{"MessageGroupId":"g"}}]}`, i)
	}
	path := writeRecording(t, list...)
	url := dialled(t)
	handler, err := functions.NewHandler(functions.HandlerOptions{URL: url, Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	opts := replay.Options{
		Recording: openRecording(t, path), RecordingPath: path, Repeat: 2, Calibrate: true,
		WarmUp: replay.WarmUp{Invocations: 1}, Pace: replay.Pace{Rate: 10, MaxRate: 5},
		Targets: map[string][]replay.Deployment{
			"create-order": {httpTarget(t, "lambda", url, client), httpTarget(t, "functions", url, client)},
			"process-order": {
				httpTarget(t, "lambda", url, client),
				{Name: "functions", Kind: "handler", Address: url, Target: handler, InFlight: 3},
			},
		},
	}
	here := t.TempDir()
	t.Chdir(here)
	f, err := replay.Foresee(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(here); err != nil || len(left) > 0 {
		t.Errorf("a dry run wrote %v (%v)", left, err)
	}
	if (f.Invocations-f.LeftOut)*2 != f.Trials+f.WarmedUp || f.Invocations != 6 || f.WarmedUp != 1 {
		t.Errorf("%d invocations, %d left out, %d trials, %d warmed up", f.Invocations, f.LeftOut, f.Trials, f.WarmedUp)
	}
	if f.Lanes != 1 || f.LongestLane != 2 || f.DurationMS != 2200 {
		t.Errorf("%d lanes of up to %d, %v ms; want one of 2, and the last of 12 at 5/s after 2.2 s", f.Lanes,
			f.LongestLane, f.DurationMS)
	}
	checkForecast(t, f)
	want := map[string][2]int64{"create-order": {3, 2}, "nobodys": {1, 0}, "process-order": {2, 0}}
	for _, function := range f.Functions {
		if got := [2]int64{function.Selected, function.Fired}; got != want[function.Function] {
			t.Errorf("%s: %v selected and fired, want %v", function.Function, got, want[function.Function])
		}
	}
	if p := f.Functions[2]; p.Targets[1].Withheld != 2 || p.Targets[1].InFlight != 3 || len(p.Targets[0].Cannot) != 1 {
		t.Errorf("process-order: %+v", p.Targets)
	}
}

// checkForecast checks what holds of the counts of every forecast.
func checkForecast(t *testing.T, f *replay.Forecast) {
	t.Helper()
	var selected int64
	rounds := int64(1)
	if f.Plan.Calibrate {
		rounds = 2
	}
	for _, function := range f.Functions {
		selected += function.Selected
		if function.Selected != function.Fired+function.NotFired {
			t.Errorf("%s: %+v does not add up", function.Function, function)
		}
		for _, target := range function.Targets {
			sum := function.Fired + target.Withheld
			for _, n := range target.Cannot {
				sum += n
			}
			if sum != function.Selected || target.Sent != function.Fired*int64(f.Plan.Repeat)*rounds {
				t.Errorf("%s: %+v does not add up to %d", function.Function, target, function.Selected)
			}
		}
	}
	if selected != f.Invocations-f.LeftOut {
		t.Errorf("%d selected in all functions, of %d less %d", selected, f.Invocations, f.LeftOut)
	}
}

func TestAForecastIsWhatTheRunBecomes(t *testing.T) {
	list := orders(8)
	for i, inv := range list {
		inv.Time = time.Date(2026, 1, 2, 3, 4, 0, i*int(time.Millisecond), time.UTC)
	}
	list[3].Event, list[5].Function = []byte(`{}`), "nobodys"
	opts := optionsFor(t, writeRecording(t, list...), echo)
	opts.Select.Sample, opts.Select.Seed, opts.Repeat, opts.Pace.Speed = 0.9, 5, 3, 2
	f, err := replay.Foresee(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, f)
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if m.Counts.Trials != f.Trials || m.Counts.LeftOut != f.LeftOut {
		t.Errorf("the run has %+v, and %d trials with %d left out were foreseen", m.Counts, f.Trials, f.LeftOut)
	}
	var refused, sent int64
	for _, function := range f.Functions {
		refused += function.NotFired * int64(f.Plan.Repeat)
		for _, target := range function.Targets {
			if target.Name == "lambda" {
				sent += target.Sent
			}
		}
	}
	if got := m.Counts.Outcomes["lambda"]; got[capture.StatusOK] != sent || got[capture.StatusUnreplayable] != refused {
		t.Errorf("outcomes of lambda %v, foreseen %d sent and %d not", got, sent, refused)
	}
	var first, last time.Time
	trials, _ := readRun(t, opts.Dir)
	for _, trial := range trials {
		if trial.Due.IsZero() {
			continue
		}
		if first.IsZero() || trial.Due.Before(first) {
			first = trial.Due
		}
		if trial.Due.After(last) {
			last = trial.Due
		}
	}
	if got := replay.Milliseconds(last.Sub(first)); got != f.DurationMS {
		t.Errorf("the last was due %v ms after the first, foreseen %v", got, f.DurationMS)
	}
}

func TestAForecastFailsAsTheRunWould(t *testing.T) {
	opts := optionsFor(t, writeRecording(t, orders(3)...), echo)
	for name, change := range map[string]func(*replay.Options){
		"nothing selected": func(o *replay.Options) { o.Select.Only = []string{"status=timeout"} },
		"all warms up":     func(o *replay.Options) { o.WarmUp.Invocations = 3 },
		"two paces":        func(o *replay.Options) { o.Pace = replay.Pace{Speed: 1, Rate: 1} },
		"no targets":       func(o *replay.Options) { o.Targets = nil },
	} {
		o := opts
		change(&o)
		_, foreseen := replay.Foresee(t.Context(), o)
		_, run := replay.Run(t.Context(), t.Context(), o)
		if foreseen == nil || run == nil || foreseen.Error() != run.Error() {
			t.Errorf("%s: foreseen %v, and the run says %v", name, foreseen, run)
		}
	}
}
