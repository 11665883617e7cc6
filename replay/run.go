package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"filippo.io/age"

	"tandem/capture/journal"
)

// RunOptions say how a run is read. The zero value works.
type RunOptions struct {
	// Salvage skips damaged parts, which are then told by [RunReader.Notices], where they are errors otherwise.
	Salvage bool
	// Identities open an encrypted run.
	Identities []age.Identity
}

// A RunReader reads the trials of a run.
type RunReader struct {
	path     string
	manifest *RunManifest
	lines    *journal.Reader
	salvage  bool
	badLines int64 // skipped by the last pass
}

// OpenRun opens a run: a folder that [Run] made or is making, or a lone .jsonl or .jsonl.zst file of trials, whoever
// made it.
func OpenRun(path string, opts RunOptions) (*RunReader, error) {
	if path == "-" {
		return nil, errors.New("a run is read more than once, so not from stdin: name its folder or file")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r := &RunReader{path: path, salvage: opts.Salvage}
	if info.IsDir() {
		if r.manifest, err = readManifest(path); err != nil {
			return nil, err
		}
	}
	r.lines, err = journal.Open(path, journal.ReaderOptions{
		Prefix: trialPrefix, AllowCut: true, Salvage: opts.Salvage, Identities: opts.Identities,
	})
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	if info.IsDir() && r.manifest == nil && !holdsTrials(path) {
		return nil, fmt.Errorf("%s is not a run: it has neither %s nor %s files", path, ManifestName, trialPrefix)
	}
	return r, nil
}

func holdsTrials(dir string) bool {
	found, err := fs.Glob(os.DirFS(dir), trialPrefix+"-*.jsonl*")
	return err == nil && len(found) > 0
}

// Manifest returns how the run was made, nil when nobody says.
func (r *RunReader) Manifest() *RunManifest { return r.manifest }

// Lines reads the run's lines as they are, from the beginning; see [journal.Reader.Lines]. [ParseTrial] reads one.
func (r *RunReader) Lines() iter.Seq2[journal.Line, error] { return r.lines.Lines() }

// Trials reads the run from the beginning, in the order in which trials ended. An error is the last thing that it
// gives, and says in which file and line.
func (r *RunReader) Trials() iter.Seq2[*Trial, error] {
	return func(yield func(*Trial, error) bool) {
		r.badLines = 0
		for line, err := range r.Lines() {
			if err != nil {
				yield(nil, err)
				return
			}
			trial, err := ParseTrial(line.Data)
			switch {
			case err == nil:
			case r.salvage:
				r.badLines++
				continue
			default:
				yield(nil, fmt.Errorf("%s:%d: not a trial: %w", line.File, line.Number, err))
				return
			}
			if !yield(trial, nil) {
				return
			}
		}
	}
}

// Notices says, a sentence each, what a reader should know about the run: that it is not complete, that its end was
// cut off, what salvage skipped. They are complete once a pass has reached the end.
func (r *RunReader) Notices() []string {
	var notices []string
	if m := r.manifest; m != nil && !m.Complete {
		notices = append(notices, fmt.Sprintf("%s: the run is not complete; replay --resume goes on with it", r.path))
	}
	damage := r.lines.Damage()
	if damage.Cut != nil {
		notices = append(notices, damage.Cut.String())
	}
	if damage.Frames > 0 {
		notices = append(notices, fmt.Sprintf("%s: skipped %d bytes that are damaged, in %d places",
			r.path, damage.Bytes, damage.Frames))
	}
	if damage.Breaks > 0 {
		notices = append(notices, fmt.Sprintf("%s: in %d places, frames were taken out, repeated or moved",
			r.path, damage.Breaks))
	}
	if n := r.badLines + int64(damage.Lines); n > 0 {
		notices = append(notices, fmt.Sprintf("%s: skipped %d lines that are not trials", r.path, n))
	}
	for _, name := range damage.Missing {
		notices = append(notices, fmt.Sprintf("%s: %s is missing", r.path, name))
	}
	return notices
}
