package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/replay"
)

// runOf opens trials as a run. Lines may have {F} for the body of functions.
func runOf(t *testing.T, lines ...string) *replay.RunReader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run, err := replay.OpenRun(path, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// joinRuns compares the runs and makes sure that no file is left.
func joinRuns(t *testing.T, run, other *replay.RunReader, memory int, opts Options) (*Report, error) {
	t.Helper()
	dir := t.TempDir()
	opts.Now = now
	r, err := Runs(t.Context(), run, Other{Run: other, Name: "old.run", Dir: dir, Memory: memory}, opts)
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left behind", left)
	}
	return r, err
}

// only is a trial of functions alone.
func only(id string, repeat int, body string) string {
	return fmt.Sprintf(`{"invocation":%q,"repeat":%d,"function":"f","shape":"s","outcomes":{"functions":%s}}`, id, repeat, answer(body))
}

func TestRunsAreJoinedByInvocationAndRepeat(t *testing.T) {
	same, twice := only("a", 0, "1"), only("a", 1, "2")
	for _, tt := range []struct {
		name, reason string
		run, other   []string
		want         Verdict
		says         string
	}{
		{"alike", "the order is no matter", []string{same, twice}, []string{twice, same}, Parity, "none of 2 trials differs"},
		{"another value", "", []string{same, twice}, []string{same, only("a", 1, "3")}, Differs, "1 of 2 trials differ"},
		{"not in the other", "nothing to compare with", []string{same, twice}, []string{same}, Inconclusive, "1 trial is not in old.run"},
		{"in the other alone", "the run may have lost it", []string{same}, []string{same, twice}, Inconclusive, "1 trial is in old.run alone"},
		{"another event", "an ID that names two things", []string{same, twice},
			[]string{same, strings.Replace(twice, `"shape":"s"`, `"shape":"z"`, 1)}, Inconclusive, "1 trial is of another function or shape"},
		{"another event, and another value", "it is no difference", []string{same, twice},
			[]string{same, strings.Replace(only("a", 1, "3"), `"shape":"s"`, `"shape":"z"`, 1)}, Inconclusive, "of another function or shape"},
		{"another function", "", []string{same, twice},
			[]string{same, strings.Replace(twice, `"function":"f"`, `"function":"g"`, 1)}, Inconclusive, "of another function or shape"},
		{"nothing in common", "", []string{same}, []string{twice}, Inconclusive, "no trial could be compared"},
	} {
		r, err := joinRuns(t, runOf(t, tt.run...), runOf(t, tt.other...), 0, Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if r.Verdict != tt.want || !strings.Contains(strings.Join(r.Reasons, "\n"), tt.says) {
			t.Errorf("%s: %s (%q), want %s because %q", tt.name, r.Verdict, r.Reasons, tt.want, tt.says)
		}
		if r.Baseline != "old.run:functions" {
			t.Errorf("the baseline is %q", r.Baseline)
		}
	}
}

// However little memory there is, and however the trials are ordered, the report is that of one run with both outcomes.
func TestSpillingDoesNotChangeTheReport(t *testing.T) {
	const trials = 150
	random := rand.New(rand.NewPCG(1, 2))
	var ours, theirs, both []string
	for i := range trials {
		id, value := fmt.Sprintf("i-%d", i), fmt.Sprint(random.IntN(50))
		other := value
		if i%37 == 0 {
			other = `"another"`
		}
		ours = append(ours, only(id, 0, value))
		theirs = append(theirs, only(id, 0, other))
		both = append(both, strings.Replace(line(id, "f", answer(other), answer(value)), `"lambda"`, `"old.run:functions"`, 1))
	}
	want := mustCompare(t, Options{Baseline: "old.run:functions"}, both...)
	random.Shuffle(trials, func(i, j int) { ours[i], ours[j] = ours[j], ours[i] })
	random.Shuffle(trials, func(i, j int) { theirs[i], theirs[j] = theirs[j], theirs[i] })
	for _, memory := range []int{1, 1500, 9000, 0} { // a segment for each trial, dozens, a few, one
		got, err := joinRuns(t, runOf(t, ours...), runOf(t, theirs...), memory, Options{})
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if !bytes.Equal(a, b) {
			t.Errorf("with %d bytes of memory:\n%s\nwant\n%s", memory, b, a)
		}
	}
}

func TestASorterKeepsToItsMemory(t *testing.T) {
	s, err := newSpill(t.TempDir(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	sorter := sorter{spill: s}
	for i := range 2000 {
		if err := sorter.add(record{key: fmt.Append(nil, i, "12345678"), data: bytes.Repeat([]byte("x"), 500)}); err != nil {
			t.Fatal(err)
		}
		if sorter.size >= 10_000 || len(sorter.records) > 20 {
			t.Fatalf("%d bytes in %d records are held", sorter.size, len(sorter.records))
		}
	}
	segments, err := sorter.end(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(segments) > maxFanIn {
		t.Errorf("%d segments are to be merged at a time", len(segments))
	}
	c, err := s.cursor(segments)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	n, last := 0, []byte(nil)
	for c.ok() {
		if bytes.Compare(last, c.at().key) >= 0 {
			t.Fatalf("%q is after %q", c.at().key, last)
		}
		last = bytes.Clone(c.at().key)
		n++
		if err := c.advance(); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2000 {
		t.Errorf("%d records of 2000", n)
	}
}

func TestRunsThatCannotBeJoinedAreErrors(t *testing.T) {
	a, b := only("a", 0, "1"), only("b", 0, "1")
	for _, tt := range []struct {
		name       string
		run, other []string
		opts       Options
		memory     int
		wrong      string
	}{
		{"two trials of one invocation", []string{a, b, a}, []string{a, b}, Options{}, 0, "run.jsonl:3: invocation a has two trials (the other at"},
		{"two trials, far apart", []string{a}, []string{a, b, a}, Options{}, 1, "invocation a has two trials"},
		{"a line that is no trial", []string{a}, []string{a, "{}"}, Options{}, 0, "run.jsonl:2: not a trial"},
		{"an outcome that is not there", []string{a}, []string{line("a", "f", answer("1"), answer("1"))}, Options{Candidate: "functions2"}, 0,
			`no trial has an outcome of "functions2"; the run has outcomes of functions`},
	} {
		_, err := joinRuns(t, runOf(t, tt.run...), runOf(t, tt.other...), tt.memory, tt.opts)
		if err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		}
	}
}

func TestNothingIsLeftOfAJoinThatIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	run := runOf(t, only("a", 0, "1"))
	_, err := Runs(ctx, run, Other{Run: run, Dir: dir}, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left behind", left)
	}
}

// What is spilled may be of encrypted runs.
func TestWhatIsSpilledCannotBeRead(t *testing.T) {
	s, err := newSpill(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.create()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.write(record{key: []byte("k"), data: []byte("a secret")}); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(string(w.segment))
	if err != nil || bytes.Contains(raw, []byte("secret")) || !bytes.HasPrefix(raw, []byte("age-encryption.org/")) {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestACalibratedRunIsJoinedWithBothFirings(t *testing.T) {
	four := func(b string) (ours []string) {
		for i := range 40 {
			ours = append(ours, fmt.Sprintf(`{"invocation":"i-%d","function":"f","outcomes":{"functions":%s,"functions#2":%s}}`,
				i, answer(b), answer(b)))
		}
		return ours
	}
	r, err := joinRuns(t, runOf(t, four("1")...), runOf(t, four("1")...), 0, Options{})
	if err != nil || r.Calibrated != 40 || r.Verdict != Parity {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = joinRuns(t, runOf(t, four("1")...), runOf(t, four("2")...), 0, Options{})
	if err != nil || r.Calibrated != 40 || r.Verdict != Differs {
		t.Errorf("%+v, %v", r, err)
	}
}
