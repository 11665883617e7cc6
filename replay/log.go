package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/capture/journal"
)

// trialPrefix begins the names of a run's trial files.
const trialPrefix = "trials"

// A log is a run that is being made: its trial files, its manifest, and which invocations are done.
type log struct {
	dir     string
	writer  *journal.Writer
	session string // the run's ID, made unique for each time that it is gone on with
	done    bitmap // of positions in the recording, pass after pass; not written after openLog
	warmed  int64  // invocations at the begin of what is selected that an earlier session fired to warm up; -1 for none

	mu       sync.Mutex
	manifest *RunManifest
}

// openLog checks the whole recording, then makes the run's folder or goes on with it, and locks it.
func openLog(ctx context.Context, opts *Options, sel *selector) (*log, error) {
	recording, selected, err := checkRecording(ctx, opts, sel)
	if err != nil {
		return nil, err
	}
	shift, err := opts.timeShift(ctx, sel)
	if err != nil {
		return nil, err
	}
	opts.Journal.Append = opts.Resume
	writer, err := journal.Create(opts.Dir, trialPrefix, opts.Journal)
	if err != nil {
		return nil, runExists(opts.Dir, err)
	}
	l := &log{dir: opts.Dir, writer: writer, done: newBitmap(recording.Invocations * int64(opts.Repeat)), warmed: -1}
	if err := l.begin(ctx, opts, recording, selected, shift); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return l, nil
}

// begin puts the manifest in place, with what the trials that are already there say.
func (l *log) begin(ctx context.Context, opts *Options, recording RecordingRef, selected int64,
	shift time.Duration) error {
	old, err := readManifest(l.dir)
	switch {
	case err != nil:
		return err
	case old != nil && !opts.Resume:
		return runExists(l.dir, nil)
	case old == nil && holdsTrials(l.dir):
		return fmt.Errorf("%s has trials but no %s: it is not a run that can be resumed", l.dir, ManifestName)
	case old != nil:
		err = checkResume(old, opts, recording)
	}
	if err != nil {
		return err
	}
	counts := newCounts(recording.Invocations, selected, opts.Repeat)
	if err := opts.checkWarmUp(counts.NotReached); err != nil {
		return err
	}
	if old != nil {
		if old.Counts.WarmedUp > 0 {
			l.warmed = old.Counts.WarmedUp
			counts.warmedUp(l.warmed)
			maps.Copy(counts.WarmUp, old.Counts.WarmUp)
		}
		if err := l.readTrials(ctx, opts, &counts); err != nil {
			return err
		}
	}
	now := time.Now().UTC()
	m := &RunManifest{Version: manifestVersion, ID: ulid.Make().String(), Start: now}
	if old != nil {
		m.ID, m.Start = old.ID, old.Start
		if old.ShiftSeconds != 0 {
			shift = time.Duration(old.ShiftSeconds) * time.Second
		}
		m.Resumed = append(old.Resumed, Resumption{
			At: now, Trials: counts.Trials, Tool: old.Tool, ConfigHash: old.ConfigHash, FireHash: old.FireHash,
			Stopped: old.Stopped,
		})
	}
	m.Tool, m.ConfigHash, m.FireHash = opts.Tool, opts.ConfigHash, opts.FireHash
	m.Recording, m.Targets, m.InFlight, m.Counts = recording, opts.targetRefs(), opts.InFlight, counts
	m.ShiftSeconds = int64(shift / time.Second)
	m.AllowProduction = opts.AllowProduction
	m.Plan, m.Pace, m.StopOn = opts.plan(), opts.Pace.ref(), opts.stopRules()
	l.manifest = m
	l.session = m.ID
	if n := len(m.Resumed); n > 0 {
		// What an earlier session left in flight may still have effects, and they are not this one's.
		l.session = fmt.Sprintf("%s.%d", m.ID, n)
	}
	return l.writeManifest()
}

// checkRecording reads the recording, so that what is wrong with it is told before anything is fired, and returns how
// many of its invocations are selected.
func checkRecording(ctx context.Context, opts *Options, sel *selector) (ref RecordingRef, selected int64, err error) {
	ref.Path = opts.RecordingPath
	counts, err := opts.Recording.Verify(ctx)
	if err != nil {
		return ref, 0, fmt.Errorf("the recording cannot be replayed: %w", err)
	}
	ref.Invocations, selected = counts.Invocations, counts.Invocations
	if !sel.takesAll() {
		if selected, err = sel.count(ctx, opts.Recording); err != nil {
			return ref, 0, err
		}
	}
	ref.Hash, err = opts.Recording.Hash(ctx)
	return ref, selected, err
}

func runExists(dir string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("run %s: %w", dir, err)
	}
	return fmt.Errorf("%s already holds a run: go on with it with --resume, or write to another folder", dir)
}

func checkResume(old *RunManifest, opts *Options, recording RecordingRef) error {
	switch {
	case old.Recording.Hash != recording.Hash:
		return fmt.Errorf("run %s is of another recording: it has hash %s (%s, %d invocations), and this one %s "+
			"(%s, %d invocations); resume with that recording, or write to another folder", opts.Dir,
			old.Recording.Hash, old.Recording.Path, old.Recording.Invocations,
			recording.Hash, recording.Path, recording.Invocations)
	case opts.NewConfig:
	case old.FireHash == "" && old.ConfigHash != opts.ConfigHash:
		return fmt.Errorf("run %s was made by an earlier version (%s), which noted nothing but the hash of the whole "+
			"config (%s), and this config is another one (%s): whether it fires the same is not known; write to another "+
			"folder, or resume with --new-config if no function and no resource has changed", opts.Dir, old.Tool,
			old.ConfigHash, opts.ConfigHash)
	case old.FireHash != "" && old.FireHash != opts.FireHash:
		return fmt.Errorf("run %s was made with another config, whose functions or resources are not these (hash %s, and "+
			"here %s): its trials would not be alike; write to another folder, or resume with --new-config if the change "+
			"does not matter", opts.Dir, old.FireHash, opts.FireHash)
	}
	old.Plan.Repeat = max(old.Plan.Repeat, 1) // runs of earlier versions do not say
	if plan := opts.plan(); !reflect.DeepEqual(old.Plan, plan) {
		return fmt.Errorf("run %s consists of other trials: it was made with %s, and this is %s; resume with the same, "+
			"or write to another folder", opts.Dir, old.Plan, plan)
	}
	return nil
}

// readTrials notes which invocations have a trial.
func (l *log) readTrials(ctx context.Context, opts *Options, counts *Counts) error {
	run, err := OpenRun(l.dir, RunOptions{Identities: opts.Identities})
	if err != nil {
		return err
	}
	for trial, err := range run.Trials() {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case trial.N < 0 || trial.N >= counts.Invocations || trial.Repeat >= opts.Repeat:
			return fmt.Errorf("run %s: the trial of invocation %s has no position in the recording", l.dir,
				trial.Invocation)
		case l.done.has(position(counts.Invocations, trial.N, trial.Repeat)):
			return fmt.Errorf("run %s: invocation %s has two trials", l.dir, trial.Invocation)
		}
		l.done.set(position(counts.Invocations, trial.N, trial.Repeat))
		counts.add(trial)
	}
	return nil
}

// position is where the trial of an invocation stands among those of all passes over a recording.
func position(invocations, n int64, pass int) int64 { return int64(pass)*invocations + n }

// append writes a trial, in buf's memory, which it returns for the next one.
func (l *log) append(buf []byte, t *Trial) ([]byte, error) {
	line, err := t.AppendJSON(buf)
	if err != nil {
		return buf, err
	}
	if len(line) > journal.MaxLine {
		for name, out := range t.Outcomes {
			t.Outcomes[name] = &capture.Outcome{
				Status: capture.StatusUnknown, DurationMS: out.DurationMS, Attempts: out.Attempts,
				Error: &capture.Error{Message: fmt.Sprintf("outcomes of %d bytes are too large to keep", len(line))},
			}
		}
		if line, err = t.AppendJSON(buf); err != nil {
			return buf, err
		}
	}
	if err := l.writer.Append(line); err != nil {
		return line, fmt.Errorf("write trials to %s: %w", l.dir, err)
	}
	l.mu.Lock()
	l.manifest.Counts.add(t)
	l.mu.Unlock()
	return line, nil
}

// warm counts what was fired to warm up.
func (l *log) warm(t *Trial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, out := range t.Outcomes {
		addStatus(l.manifest.Counts.WarmUp, name, out.Status)
	}
}

// endWarmUp keeps that so many invocations were fired to warm up, before the first trial is written.
func (l *log) endWarmUp(n int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.manifest.Counts.warmedUp(n)
	return l.writeManifest()
}

// close ends the session: with everything on disk, the manifest says what is there. It returns the first of err and
// its own.
func (l *log) close(measured func(*RunManifest), err error) (*RunManifest, error) {
	defer l.writer.Close() // lets go of the lock, after the manifest was written
	if ferr := l.writer.Flush(); ferr != nil && err == nil {
		err = fmt.Errorf("write trials to %s: %w", l.dir, ferr)
	}
	m := l.manifest
	m.End = time.Now().UTC()
	m.Complete = err == nil && m.Counts.NotReached == 0
	measured(m)
	if err != nil && m.Stopped == "" {
		m.Stopped = err.Error()
	}
	if werr := l.writeManifest(); err == nil {
		err = werr
	}
	return m, err
}

func (l *log) writeManifest() error {
	doc, err := json.MarshalIndent(l.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("run manifest: %w", err)
	}
	return journal.WriteFile(filepath.Join(l.dir, ManifestName), append(doc, '\n'))
}

// A bitmap is a set of positions in a recording: a bit an invocation, where a set of IDs would take fifty bytes.
type bitmap []uint64

func newBitmap(n int64) bitmap    { return make(bitmap, (n+63)/64) }
func (b bitmap) has(n int64) bool { return b[n/64]&(1<<(n%64)) != 0 }
func (b bitmap) set(n int64)      { b[n/64] |= 1 << (n % 64) }
