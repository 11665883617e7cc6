package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/capture"
)

// A world is a random recording, random options and targets that fail at random.
type world struct {
	t    *testing.T
	rnd  *rand.Rand
	opts Options
	invs []*capture.Invocation

	mu    sync.Mutex
	busy  map[string]int // what is being fired, by lane and target
	last  map[string]int // the last that was, by lane and target, in this session
	inAir map[string]int // by target
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 4)), inAir: make(map[string]int)}
	dir := t.TempDir()
	lines, recorded := []byte(nil), at(0)
	for i := range 1 + w.rnd.IntN(60) {
		inv := &capture.Invocation{
			ID: fmt.Sprint("i", i), Function: fmt.Sprint("f", w.rnd.IntN(2)), Trigger: capture.TriggerS3, Format: capture.FormatS3,
		}
		records := "" // of up to two lanes, or of none
		for lane := range w.rnd.IntN(3) {
			if records != "" {
				records += ","
			}
			records += fmt.Sprintf(`{"s3":{"bucket":{"name":"b"},"object":{"key":"%d"}}}`, (lane+w.rnd.IntN(5))%5)
		}
		inv.Event = fmt.Appendf(nil, `{"Records":[%s],"n":%d}`, records, i)
		if recorded = recorded.Add(upTo(w.rnd, 4*time.Second) - time.Second); w.rnd.IntN(10) > 0 {
			inv.Time = recorded
		}
		w.invs = append(w.invs, inv)
		line, err := inv.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	path := filepath.Join(dir, "random.jsonl")
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.opts = Options{
		Recording: rec, Dir: filepath.Join(dir, "run"), Repeat: 1 + w.rnd.IntN(3), Calibrate: w.rnd.IntN(2) == 0,
		InFlight: 1 + w.rnd.IntN(6), TargetTimeout: 10 * time.Second, Retry: RetryPolicy{Attempts: 3},
		Targets: make(map[string][]Deployment), coarse: true,
	}
	w.chooseOptions()
	sel, err := w.opts.Select.selector()
	if err != nil {
		t.Fatal(err)
	}
	n, err := sel.count(t.Context(), rec)
	if err != nil { // the sample has nothing in it
		w.opts.Select, n = Selection{}, int64(len(w.invs))
	}
	w.opts.WarmUp.Invocations = min(w.opts.WarmUp.Invocations, n*int64(w.opts.Repeat)-1)
	return w
}

func (w *world) chooseOptions() {
	switch w.rnd.IntN(4) {
	case 0:
		w.opts.Pace.Speed = 0.5 + 10*w.rnd.Float64()
	case 1:
		w.opts.Pace.Rate = 1 + 50*w.rnd.Float64()
	case 2:
		w.opts.Pace.Rate, w.opts.Pace.Ramp = 1+50*w.rnd.Float64(), upTo(w.rnd, 10*time.Second)
	}
	if w.rnd.IntN(3) == 0 {
		w.opts.Pace.MaxRate = 1 + 100*w.rnd.Float64()
	}
	switch w.rnd.IntN(4) {
	case 0:
		w.opts.Select = Selection{Sample: 0.2 + 0.8*w.rnd.Float64(), Seed: w.rnd.Uint64()}
	case 1:
		w.opts.Select.Only = []string{"function=" + w.invs[0].Function}
	}
	switch w.rnd.IntN(4) {
	case 0:
		w.opts.WarmUp.Invocations = w.rnd.Int64N(5)
	case 1:
		w.opts.WarmUp.For = upTo(w.rnd, 5*time.Second)
	}
	for _, function := range []string{"f0", "f1"} {
		for _, name := range []string{"a", "b"} {
			d := Deployment{Name: name, Target: &flaky{w: w, name: name, rnd: rand.New(rand.NewPCG(w.rnd.Uint64(), 5))}}
			d.RetrySafe = w.rnd.IntN(4) == 0
			if w.rnd.IntN(4) == 0 {
				d.InFlight = 1 + w.rnd.IntN(3)
			}
			w.opts.Targets[function] = append(w.opts.Targets[function], d)
		}
	}
}

// flaky is a target that takes its time and fails now and then.
type flaky struct {
	w    *world
	name string
	mu   sync.Mutex
	rnd  *rand.Rand
}

func (f *flaky) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	f.mu.Lock()
	takes, fate := upTo(f.rnd, 2*time.Second), f.rnd.IntN(20)
	f.mu.Unlock()
	mark, _ := MarkFrom(ctx)
	f.w.begin(inv, mark)
	err := sleep(ctx, takes)
	f.w.end(inv, mark)
	switch {
	case err != nil:
		return nil, err
	case fate == 0:
		return nil, errors.New("nobody knows")
	case fate <= 3:
		return nil, &ThrottledError{After: takes}
	case fate == 4:
		return &capture.Outcome{Status: capture.StatusTransport}, nil
	case fate == 5:
		return &capture.Outcome{Status: capture.StatusFunctionError}, nil
	}
	return &capture.Outcome{Status: capture.StatusOK}, nil
}

// begin checks that no lane is entered twice, or out of order, at one target.
func (w *world) begin(inv *capture.Invocation, mark capture.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := slices.IndexFunc(w.invs, func(i *capture.Invocation) bool { return i.ID == inv.ID })
	order := mark.Repeat*len(w.invs) + n
	if rounds := w.opts.rounds(); rounds > 1 {
		order = (mark.Repeat/rounds*len(w.invs)+n)*rounds + mark.Repeat%rounds
	}
	for _, lane := range LanesOf(inv) {
		lane += " at " + mark.Target
		if w.busy[lane]++; w.busy[lane] > 1 {
			w.t.Errorf("%v is fired while lane %s is busy", mark, lane)
		}
		if last, ok := w.last[lane]; ok && last > order {
			w.t.Errorf("%v is fired in lane %s after one that is behind it", mark, lane)
		}
		w.last[lane] = order
	}
	if w.inAir[mark.Target]++; w.inAir[mark.Target] > w.opts.InFlight {
		w.t.Errorf("%d are in flight at %s, and %d may be", w.inAir[mark.Target], mark.Target, w.opts.InFlight)
	}
}

func (w *world) end(inv *capture.Invocation, mark capture.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lane := range LanesOf(inv) {
		w.busy[lane+" at "+mark.Target]--
	}
	w.inAir[mark.Target]--
}

// session replays until the run is complete or a random moment, and checks what it left.
func (w *world) session(stops bool) (complete bool) {
	w.busy, w.last = make(map[string]int), make(map[string]int)
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	firing, stop := context.WithCancel(ctx)
	defer stop()
	if stops {
		end := stop
		if w.rnd.IntN(2) == 0 {
			end = cancel
		}
		defer time.AfterFunc(upTo(w.rnd, 30*time.Second), end).Stop()
	}
	m, err := Run(ctx, firing, w.opts)
	w.opts.Resume = true
	if m == nil {
		if !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		return false
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		w.t.Fatal(err)
	}
	w.check(m)
	if m.Complete != (m.Stopped == "") && err == nil {
		w.t.Errorf("complete is %v, and stopped %q", m.Complete, m.Stopped)
	}
	return m.Complete
}

// check compares the trials on disk with the manifest and with what they have to be.
func (w *world) check(m *RunManifest) {
	t := w.t
	c := m.Counts
	selected := (c.Invocations - c.LeftOut) * int64(w.opts.Repeat)
	if c.Invocations != int64(len(w.invs)) || selected != c.Trials+c.WarmedUp+c.NotReached || c.NotReached < 0 {
		t.Fatalf("counts do not add up for %d invocations, %d times: %+v", len(w.invs), w.opts.Repeat, c)
	}
	run, err := OpenRun(w.opts.Dir, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "b"}
	if w.opts.Calibrate {
		names = []string{"a", "a#2", "b", "b#2"}
	}
	seen := make(map[string]bool)
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("%s %d", trial.Invocation, trial.Repeat)
		if seen[key] || trial.Repeat >= w.opts.Repeat || w.invs[trial.N].ID != trial.Invocation {
			t.Errorf("trial %s is there twice, or is none of this recording", key)
		}
		seen[key] = true
		if got := slices.Sorted(maps.Keys(trial.Outcomes)); !slices.Equal(got, names) {
			t.Errorf("trial %s has outcomes %v", key, got)
		}
		if !trial.Due.IsZero() && trial.Time.Before(trial.Due) {
			t.Errorf("%s was fired %v early", key, trial.Due.Sub(trial.Time))
		}
	}
	if n := w.opts.WarmUp.Invocations; c.WarmedUp > 0 && n > 0 && w.opts.WarmUp.For == 0 && c.WarmedUp != n {
		t.Errorf("%d warmed up, not %d", c.WarmedUp, n)
	}
	if int64(len(seen)) != c.Trials || m.Planned() != c.Trials+c.NotReached {
		t.Errorf("%d trials are on disk, %d planned: %+v", len(seen), m.Planned(), c)
	}
}

// For random recordings, options and faults, and however often the replay is stopped: lanes keep their order, every
// invocation that is selected ends in exactly one trial a repeat, counts add up, and nothing is fired early.
func TestWhateverHappensEveryInvocationEndsInOneTrial(t *testing.T) {
	seeds := uint64(10)
	if os.Getenv("TANDEM_SOAK") == "1" {
		seeds = 2000
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			complete := false
			for range 2 {
				complete = complete || w.session(true)
			}
			for range 2 { // the second finds nothing to do
				if complete = w.session(false); !complete {
					t.Error("it is not complete")
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d: %+v", seed, w.opts)
			}
		})
		if t.Failed() {
			return
		}
	}
}
