package compare

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/replay"
)

// Other is an earlier run that one is compared with. Run is needed.
type Other struct {
	Run     *replay.RunReader
	Name    string // for people: its path
	Outcome string // the name of its outcome; default: the candidate's
	// Dir is where temporary files are made, in a folder that is deleted afterwards; default: the system's place. They
	// are encrypted with a key that is nowhere written, for runs may be encrypted.
	Dir string
	// Memory bounds what is sorted at a time, in bytes; default 64 MiB.
	Memory int
}

// Runs compares the candidate's outcomes in a run with outcomes in another run, and judges them. Trials are joined by
// invocation and repeat. Those of which the other run has none, or has another event, are inconclusive; so are those that
// it alone has, unless the run was told to leave invocations out. [Options.Baseline] is not used: the baseline is named
// "last.run:functions", after the other run. Memory does not grow with the runs; the disk has to hold both once more.
func Runs(ctx context.Context, run *replay.RunReader, other Other, opts Options) (r *Report, err error) {
	opts = opts.withDefaults()
	other.Outcome = cmp.Or(other.Outcome, opts.Candidate)
	other.Name = cmp.Or(other.Name, "the other run")
	opts.Baseline = filepath.Base(other.Name) + ":" + other.Outcome
	dir, err := os.MkdirTemp(other.Dir, "tandem-join-")
	if err != nil {
		return nil, fmt.Errorf("join the runs: %w", err)
	}
	defer func() {
		if gone := os.RemoveAll(dir); gone != nil && err == nil {
			r, err = nil, fmt.Errorf("join the runs: %w", gone)
		}
	}()
	s, err := newSpill(dir, other.Memory)
	if err != nil {
		return nil, fmt.Errorf("join the runs: %w", err)
	}
	j := join{run: run, other: other, opts: opts, spill: s}
	if err := j.make(ctx); err != nil {
		return nil, err
	}
	return compareTrials(ctx, &j, opts, againstOther(other.Outcome), j.remarks())
}

// A join is two runs as one, whose trials have the candidate's outcomes of the one and the baseline's of the other.
type join struct {
	run   *replay.RunReader
	other Other
	opts  Options
	spill *spill

	joined                       segment
	both, here, there, otherwise int64 // trials in both, in one alone, and those whose events are not alike
	otherTrials, skipped         int64
}

// make writes the joined trials.
func (j *join) make(ctx context.Context) error {
	ours, _, err := j.sort(ctx, j.run, j.opts.Candidate, j.opts.Candidate)
	if err != nil {
		return err
	}
	theirs, n, err := j.sort(ctx, j.other.Run, j.other.Outcome, j.opts.Baseline)
	if err != nil {
		return err
	}
	j.otherTrials = n
	if err := j.merge(ctx, ours, theirs); err != nil {
		return fmt.Errorf("join the runs: %w", err)
	}
	return nil
}

// sort writes the trials of a run in the order of their keys, with the outcome of that name, and of firing twice, under
// the name given.
func (j *join) sort(ctx context.Context, run *replay.RunReader, outcome, name string) ([]segment, int64, error) {
	sorter := sorter{spill: j.spill}
	n, names := int64(0), make(map[string]bool)
	for line, err := range run.Lines() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, 0, err
		}
		place := capture.Place{File: line.File, Line: line.Number}
		t, err := replay.ParseTrial(line.Data)
		switch {
		case err == nil:
		case j.opts.Salvage:
			j.skipped++
			continue
		default:
			return nil, 0, notATrial(place, err)
		}
		n++
		for name := range t.Outcomes {
			names[name] = true
		}
		t.Outcomes = outcomesOf(t.Outcomes, outcome, name)
		data, err := t.AppendJSON(nil)
		if err == nil {
			err = sorter.add(record{key: joinKey(t), place: place.String(), data: data})
		}
		if err != nil {
			return nil, 0, fmt.Errorf("join the runs: %w", err)
		}
	}
	if n > 0 && !names[outcome] {
		return nil, 0, noOutcome(outcome, names)
	}
	segments, err := sorter.end(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("join the runs: %w", err)
	}
	return segments, n, nil
}

// outcomesOf returns the outcome of that name, and that of the second firing, under another. Where there is none, it is one
// that is not known, because a trial has at least one.
func outcomesOf(outcomes map[string]*capture.Outcome, from, to string) map[string]*capture.Outcome {
	picked := make(map[string]*capture.Outcome, 2)
	for _, round := range []string{"", second} {
		if o := outcomes[from+round]; o != nil {
			picked[to+round] = o
		}
	}
	if picked[to] == nil {
		picked[to] = &capture.Outcome{Status: capture.StatusUnknown, Error: &capture.Error{Message: "no outcome of " + from}}
	}
	return picked
}

// joinKey tells the trials of a run apart, and is the same for the same trial of another.
func joinKey(t *replay.Trial) []byte {
	return binary.BigEndian.AppendUint64([]byte(t.Invocation), uint64(t.Repeat))
}

// merge pairs what the two runs have.
func (j *join) merge(ctx context.Context, ours, theirs []segment) (err error) {
	a, err := j.spill.cursor(ours)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := j.spill.cursor(theirs)
	if err != nil {
		return err
	}
	defer b.close()
	w, err := j.spill.create()
	if err != nil {
		return err
	}
	defer func() {
		if closing := w.close(); err == nil {
			err = closing
		}
		j.joined = w.segment
	}()
	for a.ok() || b.ok() {
		if err := ctx.Err(); err != nil {
			return err
		}
		order := 0
		switch {
		case !b.ok():
			order = -1
		case !a.ok():
			order = 1
		default:
			order = bytes.Compare(a.at().key, b.at().key)
		}
		if err := j.pair(w, a, b, order); err != nil {
			return err
		}
		if order <= 0 {
			if err := a.advance(); err != nil {
				return err
			}
		}
		if order >= 0 {
			if err := b.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair writes what a (order -1), b (1) or both (0) are at.
func (j *join) pair(w *segmentWriter, a, b *cursor, order int) error {
	switch {
	case order < 0:
		j.here++
		return w.write(*a.at())
	case order > 0:
		j.there++
		if j.leavesOut() {
			return nil
		}
		return w.write(*b.at())
	}
	ours, err := replay.ParseTrial(a.at().data)
	if err != nil {
		return err
	}
	theirs, err := replay.ParseTrial(b.at().data)
	if err != nil {
		return err
	}
	if ours.Function != theirs.Function || ours.Shape != theirs.Shape && ours.Shape != "" && theirs.Shape != "" {
		j.otherwise++
		return w.write(*a.at())
	}
	j.both++
	for name, o := range theirs.Outcomes {
		ours.Outcomes[name] = o
	}
	data, err := ours.AppendJSON(nil)
	if err != nil {
		return err
	}
	return w.write(record{key: a.at().key, place: a.at().place, data: data})
}

// leavesOut reports whether the run was told not to look at all invocations. What it has missed beside these is told by
// its manifest.
func (j *join) leavesOut() bool {
	m := j.run.Manifest()
	return m != nil && m.Counts.LeftOut > 0
}

// Lines implements [trialSource].
func (j *join) Lines() iter.Seq2[journal.Line, error] {
	return func(yield func(journal.Line, error) bool) {
		r, err := j.spill.open(j.joined)
		if err != nil {
			yield(journal.Line{}, err)
			return
		}
		defer r.close()
		for n := 1; ; n++ {
			more, err := r.next()
			if err != nil {
				yield(journal.Line{}, err)
				return
			}
			if !more || !yield(journal.Line{Data: r.record.data, File: r.record.place, Number: n}, nil) {
				return
			}
		}
	}
}

// Manifest implements [trialSource].
func (j *join) Manifest() *replay.RunManifest { return j.run.Manifest() }

// Notices implements [trialSource].
func (j *join) Notices() []string {
	notices := append(j.run.Notices(), j.other.Run.Notices()...)
	if m := j.other.Run.Manifest(); m != nil && m.Planned() > j.otherTrials {
		notices = append(notices, fmt.Sprintf("%d of %d invocations have no trial in %s", m.Planned()-j.otherTrials,
			m.Planned(), j.other.Name))
	}
	if j.here > 0 {
		notices = append(notices, fmt.Sprintf("%s not in %s", isAre(j.here), j.other.Name))
	}
	if j.there > 0 && !j.leavesOut() {
		notices = append(notices, fmt.Sprintf("%s in %s alone", isAre(j.there), j.other.Name))
	}
	if j.otherwise > 0 {
		notices = append(notices, fmt.Sprintf("%s of another function or shape in %s", isAre(j.otherwise), j.other.Name))
	}
	if j.skipped > 0 {
		notices = append(notices, fmt.Sprintf("%d lines of the runs are not trials and were skipped", j.skipped))
	}
	return notices
}

// remarks say what does not stand in the way of a verdict.
func (j *join) remarks() []string {
	if j.there > 0 && j.leavesOut() {
		return []string{fmt.Sprintf("%s in %s alone; this one leaves invocations out", isAre(j.there), j.other.Name)}
	}
	return nil
}

func isAre(n int64) string { return plural(int(n), "trial") + verb(n, " is", " are") }
