package replay_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

// selectable returns n invocations of two functions, an hour apart.
func selectable(n int) []*capture.Invocation {
	list := orders(n)
	for i, inv := range list {
		inv.Time = time.Date(2026, 1, 2, i, 0, 0, 0, time.UTC)
		if i%2 == 1 {
			inv.Function = "get-order"
		}
	}
	return list
}

func TestOnlyWhatIsSelectedIsFired(t *testing.T) {
	recording := writeRecording(t, selectable(6)...)
	tests := []struct {
		name string
		only []string
		want string // the IDs of the trials, or what the error says
		fail bool
	}{
		{"a function", []string{"function=get-order"}, "i1 i3 i5", false},
		{"either of two", []string{"function=get-order", "function=create-order"}, "i0 i1 i2 i3 i4 i5", false},
		{"by ID", []string{"id=i4", "id=i1"}, "i1 i4", false},
		{"two keys", []string{"id=i4", "id=i1", "function=get-order"}, "i1", false},
		{"a trigger and a format", []string{"trigger=http", "format=apigw-v2"}, "i0 i1 i2 i3 i4 i5", false},
		{"a time", []string{"from=2026-01-02T01:00:00Z", "to=2026-01-02T03:00:00Z"}, "i1 i2", false},
		{"an outcome that was not recorded", []string{"status=unknown", "id=i0"}, "i0", false},
		{"a function that is not there", []string{"function=typo"}, `of function "typo"`, true},
		{"an ID that is not there", []string{"id=i0", "id=i9"}, "no invocation with the ID i9", true},
		{"nothing", []string{"status=timeout"}, "nothing of the recording is selected", true},
		{"a key that there is none of", []string{"colour=red"}, `"colour" is none of function`, true},
		{"no value", []string{"function"}, "it is not KEY=VALUE", true},
		{"a time that is none", []string{"from=yesterday"}, `cannot parse "yesterday"`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := optionsFor(t, recording, echo)
			opts.Targets["get-order"] = opts.Targets["create-order"]
			opts.Select.Only = tt.only
			m, err := replay.Run(t.Context(), t.Context(), opts)
			if tt.fail {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q in it", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			trials, _ := readRun(t, opts.Dir)
			var ids []string
			for i := range 6 {
				if id := fmt.Sprint("i", i); trials[id] != nil {
					ids = append(ids, id)
				}
			}
			if got := strings.Join(ids, " "); got != tt.want || int(m.Counts.LeftOut) != 6-len(ids) || !m.Complete {
				t.Errorf("trials of %s, %+v; want %s", got, m.Counts, tt.want)
			}
		})
	}
}

func TestASampleIsTheSameForTheSameSeed(t *testing.T) {
	recording := writeRecording(t, orders(400)...)
	sample := func(share float64, seed uint64) map[string]*replay.Trial {
		opts := optionsFor(t, recording, echo)
		opts.Select = replay.Selection{Sample: share, Seed: seed}
		m, err := replay.Run(t.Context(), t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		trials, _ := readRun(t, opts.Dir)
		if c := m.Counts; c.LeftOut+c.Trials != 400 || c.Trials != int64(len(trials)) || m.Plan.Seed != seed {
			t.Errorf("%d trials, %+v of %+v", len(trials), c, m.Plan)
		}
		return trials
	}
	first, again, other := sample(0.25, 1), sample(0.25, 1), sample(0.25, 2)
	if n := len(first); n < 60 || n > 140 {
		t.Errorf("a quarter of 400 is %d", n)
	}
	same := 0
	for id := range first {
		if again[id] == nil {
			t.Errorf("%s is in one sample and not in the other", id)
		}
		if other[id] != nil {
			same++
		}
	}
	if same > len(first)/2 {
		t.Errorf("%d of %d are in the sample of another seed", same, len(first))
	}
}

func TestALaneIsSampledAsAWhole(t *testing.T) {
	var list []*capture.Invocation
	for i := range 300 {
		list = append(list, &capture.Invocation{
			ID: fmt.Sprint("i", i), Function: "create-order", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
			Event: fmt.Appendf(nil, `{"Records":[{"eventSourceARN":"q","attributes":{"MessageGroupId":"g%d"}}]}`, i%30),
		})
	}
	opts := optionsFor(t, writeRecording(t, list...), echo)
	opts.Select = replay.Selection{Sample: 0.5}
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, _ := readRun(t, opts.Dir)
	byLane := make(map[string]int)
	for _, trial := range trials {
		byLane[trial.Lane]++
	}
	if len(byLane) < 5 || len(byLane) > 25 {
		t.Errorf("%d of 30 lanes are in the sample", len(byLane))
	}
	for lane, n := range byLane {
		if n != 10 {
			t.Errorf("%d of the 10 invocations of %s are in the sample", n, lane)
		}
	}
}

func TestRepeatsAndCalibrationAreFiredUnderTheirOwnMarks(t *testing.T) {
	var mu sync.Mutex
	fired := make(map[string]int)
	opts := optionsFor(t, writeRecording(t, orders(3)...), func(w http.ResponseWriter, r *http.Request) {
		mark, _ := capture.ParseMark(r.Header.Get(capture.MarkHeader))
		mu.Lock()
		defer mu.Unlock()
		fired[fmt.Sprintf("%s %s %d", mark.Invocation, mark.Target, mark.Repeat)]++
	})
	opts.Repeat, opts.Calibrate = 2, true
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete || m.Counts.Trials != 6 {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(fired) != 3*2*2*2 {
		t.Errorf("%d marks: %v", len(fired), fired)
	}
	run, err := replay.OpenRun(opts.Dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	repeats := make(map[int]int)
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		repeats[trial.Repeat]++
		for _, name := range []string{"lambda", "functions", "lambda#2", "functions#2"} {
			if out := trial.Outcomes[name]; out == nil || out.Status != capture.StatusOK {
				t.Errorf("outcome %s is %+v", name, out)
			}
		}
	}
	if repeats[0] != 3 || repeats[1] != 3 {
		t.Errorf("trials by repeat: %v", repeats)
	}
}

func TestWhatWarmsUpHasNoTrial(t *testing.T) {
	var mu sync.Mutex
	fired := make(map[string]int)
	opts := optionsFor(t, writeRecording(t, orders(30)...), func(w http.ResponseWriter, r *http.Request) {
		mark, _ := capture.ParseMark(r.Header.Get(capture.MarkHeader))
		mu.Lock()
		defer mu.Unlock()
		fired[mark.Invocation]++
	})
	opts.WarmUp.Invocations, opts.Progress = 10, new(replay.Progress)
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete || m.Counts.WarmedUp != 10 || m.Counts.Trials != 20 || m.Counts.NotReached != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if n := m.Counts.WarmUp["lambda"][capture.StatusOK]; n != 10 {
		t.Errorf("outcomes of the warm-up: %v", m.Counts.WarmUp)
	}
	trials, _ := readRun(t, opts.Dir)
	for i := range 30 {
		id := fmt.Sprint("i", i)
		if fired[id] != 2 || (trials[id] != nil) != (i >= 10) {
			t.Errorf("%s was fired %d times, its trial is %v", id, fired[id], trials[id])
		}
	}
	if s := opts.Progress.Snapshot(); s.Total != 20 || s.Done != 20 || s.WarmedUp != 10 {
		t.Errorf("progress %+v", s)
	}
	// Gone on with, there is nothing to fire, and the warm-up is still told.
	opts.Resume = true
	if m, err = replay.Run(t.Context(), t.Context(), opts); err != nil || !m.Complete || m.Counts.WarmedUp != 10 {
		t.Errorf("resumed: %+v, %v", m, err)
	}
	if fired["i0"] != 2 {
		t.Error("it was warmed up again")
	}
}
