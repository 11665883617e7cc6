package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// chosenFaults are some of each class, of which none is all too easy.
func chosenFaults(t *testing.T, names ...string) []fault {
	t.Helper()
	var chosen []fault
	for _, f := range faults() {
		if slices.Contains(names, f.name) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) != len(names) {
		t.Fatalf("%d of the faults %q are there", len(chosen), names)
	}
	return chosen
}

func TestFaultsInTwoPercentAreFoundBesideNoiseAndNoneElsewhere(t *testing.T) {
	o := studyOptions{
		trials: 150, cleanRuns: 2, levels: []float64{.2}, shares: []float64{.02}, seed: 1,
		faults: chosenFaults(t, "total as floats add up", "notification twice"),
	}
	f, err := o.run()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Missed {
		if !m.Own { // in a field that is noisy itself, 3 trials are too few
			t.Errorf("missed: %+v", m)
		}
	}
	for _, a := range f.False {
		t.Errorf("without a fault: %+v", a)
	}
	if n := f.counts[cell{byTandem, .02, .2, false}]; n.Runs != 2 {
		t.Errorf("%d runs had a fault", n.Runs)
	}
}

func TestFalseAlarmsAreToldForEachMethodAndLevelOfNoise(t *testing.T) {
	o := studyOptions{
		trials: 20, cleanRuns: 8, cleanOnly: true, levels: []float64{0, .05, .2, .6}, shares: []float64{.02}, seed: 1,
		faults: faults(),
	}
	f, err := o.run()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Cells) > 0 || len(f.Clean) != len(methods)*5 {
		t.Errorf("%+v, %+v", f.Cells, f.Clean)
	}
	var out bytes.Buffer
	f.print(&out, false)
	if n := strings.Count(out.String(), " of 2 "); n != 3*len(methods) { // and one at the end of each line
		t.Errorf("%d counts of two runs in\n%s", n, &out)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("more than 80 columns: %q", line)
		}
	}

	o.only = f.opts.seed<<32 + 1<<31 + 3
	if f, err = o.run(); err != nil {
		t.Fatal(err)
	}
	if n := f.Clean[len(f.Clean)-1].Runs; n != 1 || f.cleanRuns[.6] != 1 {
		t.Errorf("%d runs have one seed: %v", n, f.cleanRuns)
	}
}

func TestEveryFaultChangesAnOutcomeWhereItSaysSo(t *testing.T) {
	bases, err := readBases(recordedTrials)
	if err != nil {
		t.Fatal(err)
	}
	all := faults()
	if len(all) < 60 {
		t.Errorf("there are %d faults", len(all))
	}
	names := make(map[string]bool)
	for i := range all {
		f := &all[i]
		if names[f.name] {
			t.Errorf("two faults are called %q", f.name)
		}
		names[f.name] = true
		if _, err := f.noises(bases); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatTheStudyDrawsIsNoisyAsOftenAsItSays holds the levels of noise to what they are called.
func TestWhatTheStudyDrawsIsNoisyAsOftenAsItSays(t *testing.T) {
	for _, kind := range []noiseKind{pick, fresh, jitter, shuffle, absences} {
		for _, level := range []float64{.05, .2, .45} {
			if got := disagreeing(kind, disturbs("", kind, level).share); got < level-.001 || got > level+.001 {
				t.Errorf("%s noise of %g disagrees in %g of the trials", kind, level, got)
			}
		}
	}
}
