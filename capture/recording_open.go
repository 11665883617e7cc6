package capture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"

	"tandem/capture/journal"
	"tandem/capture/keylog"
)

// OpenOptions say how a recording is read.
type OpenOptions struct {
	// Salvage reads what can be read and counts what cannot, instead of failing. See [Recording.Notices].
	Salvage bool
	// Stdin is where a recording named "-" comes from.
	Stdin io.Reader
	// Identities open an encrypted recording. Without one that does, there is a [*journal.KeyError].
	Identities []age.Identity
}

// A Recording is a recording that is there to be read. It can be read any number of times, but by one pass at a time;
// objects may be opened concurrently with anything.
type Recording struct {
	path     string
	dir      string // "" when the recording is not a folder
	spool    string // a temporary file to remove
	opts     OpenOptions
	manifest *Manifest
	lines    *journal.Reader
	nameKeys func() ([][]byte, error) // of the names of encrypted objects

	badLines     int64
	manifestNote string // what salvage accepted about the manifest
	countNote    string // and about the number of invocations
}

// Open opens the recording at path, which is a folder, one file, or "-" for opts.Stdin, in plain lines or compressed.
// Standard input is copied to a temporary file, which [Recording.Close] removes, so that it can be read twice.
//
// A recording whose manifest says that it is not complete, as a capture that was killed leaves it, may end in an
// unfinished frame, which is left out. Anywhere else that is an error.
func Open(path string, opts OpenOptions) (*Recording, error) {
	r := &Recording{path: path, opts: opts}
	if path == "-" {
		r.path = "stdin"
		if err := r.spoolStdin(); err != nil {
			return nil, fmt.Errorf("read recording from stdin: %w", err)
		}
		path = r.spool
	}
	if err := r.open(path); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Recording) spoolStdin() error {
	temp, err := os.CreateTemp("", "tandem-stdin-*")
	if err != nil {
		return err
	}
	r.spool = temp.Name()
	_, err = io.Copy(temp, r.opts.Stdin)
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(r.spool)
	}
	return err
}

func (r *Recording) open(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no recording at %s", path)
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		if isRun(path) {
			return fmt.Errorf("%s is a run, not a recording: compare reads it", path)
		}
		r.dir = path
		if err := r.readManifest(); err != nil {
			return err
		}
	}
	if r.manifest != nil && r.manifest.Encryption != "" && len(r.opts.Identities) == 0 {
		return &journal.KeyError{File: r.path}
	}
	r.lines, err = journal.Open(path, journal.ReaderOptions{
		Prefix:   invocationsPrefix,
		Name:     r.path,
		AllowCut: r.manifest != nil && !r.manifest.Complete,
		Salvage:  r.opts.Salvage,

		Identities: r.opts.Identities,
	})
	r.nameKeys = sync.OnceValues(r.readNameKeys)
	return err
}

// isRun reports whether a folder holds trials, which are easily taken for a recording by its name.
func isRun(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "trials-*.jsonl*"))
	return err == nil && len(found) > 0
}

func (r *Recording) readManifest() (err error) {
	r.manifest, err = readManifest(r.dir)
	var newer *VersionError
	if err == nil || errors.As(err, &newer) {
		return err
	}
	if !r.opts.Salvage {
		return fmt.Errorf("%w; --salvage reads the invocations without it", err)
	}
	r.manifestNote = err.Error()
	return nil
}

// Close removes what Open made.
func (r *Recording) Close() error {
	if r.spool == "" {
		return nil
	}
	return os.Remove(r.spool)
}

// Manifest returns the manifest of a folder, nil for a lone file.
func (r *Recording) Manifest() *Manifest { return r.manifest }

// Encrypted reports whether the recording is encrypted.
func (r *Recording) Encrypted() bool {
	return r.lines.Encrypted() || r.manifest != nil && r.manifest.Encryption != ""
}

// Complete reports whether the recording has all that its capture saw, as far as can be told: the manifest says so,
// and nothing was left out by the last pass. A lone file without damage is taken as complete.
func (r *Recording) Complete() bool {
	damage := r.lines.Damage()
	if !damage.None() || r.badLines > 0 || r.manifestNote != "" || r.countNote != "" {
		return false
	}
	return r.manifest == nil || r.manifest.Complete
}

// Lines reads the lines of the invocations, without parsing them, from the beginning. An error is the last thing it
// gives.
func (r *Recording) Lines() iter.Seq2[journal.Line, error] { return r.lines.Lines() }

// Invocations reads the recording from its beginning. An error is the last thing it gives; it says where in which
// file. When a complete recording turns out to have another number of invocations than its manifest says, that is an
// error too, after the last one.
func (r *Recording) Invocations() iter.Seq2[*Invocation, error] {
	return func(yield func(*Invocation, error) bool) {
		for entry, err := range r.entries() {
			if err == nil {
				entry.invocation.Event = bytes.Clone(entry.invocation.Event)
			}
			if !yield(entry.invocation, err) {
				return
			}
		}
	}
}

// An entry is an invocation and where it is. The event is valid until the next entry is asked for.
type entry struct {
	invocation *Invocation
	place      Place
}

func (r *Recording) entries() iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		r.badLines, r.countNote = 0, ""
		var n int64
		for line, err := range r.Lines() {
			if err != nil {
				yield(entry{}, err)
				return
			}
			place := Place{line.File, line.Number}
			inv, err := parseInvocation(line.Data)
			switch {
			case err == nil:
				n++
			case r.opts.Salvage:
				r.badLines++
				continue
			default:
				yield(entry{}, &LineError{Place: place, Err: err})
				return
			}
			if !yield(entry{inv, place}, nil) {
				return
			}
		}
		if err := r.checkCount(n); err != nil {
			yield(entry{}, err)
		}
	}
}

// checkCount compares the number of invocations that a whole pass found with what the manifest says.
func (r *Recording) checkCount(n int64) error {
	if r.manifest == nil || !r.manifest.Complete || r.manifest.Counts.Invocations == n {
		return nil
	}
	err := fmt.Errorf("%s: %s says %d invocations, %d found", r.path, manifestName, r.manifest.Counts.Invocations, n)
	if r.opts.Salvage {
		r.countNote = err.Error()
		return nil
	}
	return fmt.Errorf("%w; --salvage accepts that", err)
}

// A LineError is about one line of a recording.
type LineError struct {
	Place
	Err error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s: %v; fix or delete the line, or --salvage to skip it", e.Place, lineReason(e.Err))
}

func (e *LineError) Unwrap() error { return e.Err }

// lineReason puts what encoding/json says of a line in terms of the line.
func lineReason(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON: %v at column %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Sprintf("not an invocation but a JSON %s", kind.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("%q cannot be a JSON %s", kind.Field, kind.Value)
	}
	return err.Error()
}

// A DuplicateError says that two lines have the same ID.
type DuplicateError struct {
	ID            string
	First, Second Place
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%s: invocation %s appears twice (first at %s); delete one of the lines",
		e.Second, e.ID, e.First)
}

// Verify reads the whole recording and returns how much is in it. Besides what [Recording.Invocations] finds, two
// invocations with the same ID are an error, a [*DuplicateError], even when salvaging. Memory does not grow with the
// recording: beyond a quarter of a million invocations, 32 bytes of each are in a temporary file.
func (r *Recording) Verify(ctx context.Context) (Counts, error) {
	var counts Counts
	if r.manifest != nil {
		counts.Lost = r.manifest.Counts.Lost
	}
	if r.dir != "" {
		n, err := countObjects(r.dir)
		if err != nil {
			return counts, err
		}
		counts.Objects = n
	}
	var ids keylog.Duplicates
	defer ids.Close()
	for e, err := range r.entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			counts.Invocations++
			err = ids.Add(e.invocation.ID, uint64(counts.Invocations))
		}
		if err != nil {
			return counts, err
		}
	}
	found, err := ids.Find(ctx)
	if err == nil && found.Count > 0 {
		err = r.duplicateError(ctx, found.Examples[0])
	}
	return counts, err
}

// duplicateError reads the recording again to tell where two invocations of one ID are, given by their numbers, from
// 1.
func (r *Recording) duplicateError(ctx context.Context, of keylog.Repeat) error {
	var first, again *entry
	n := uint64(0)
	for e, err := range r.entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		n++
		if n == of.First {
			first = &e
		}
		if n == of.Again {
			again = &e
			break
		}
	}
	if first == nil || again == nil || first.invocation.ID != again.invocation.ID {
		return fmt.Errorf("%s has changed while it was read", r.path)
	}
	return &DuplicateError{ID: again.invocation.ID, First: first.place, Second: again.place}
}

// Notices says in words what the last pass left out, one sentence each. It is complete after a whole pass.
func (r *Recording) Notices() []string {
	var notices []string
	tell := func(format string, args ...any) { notices = append(notices, fmt.Sprintf(format, args...)) }
	if r.manifestNote != "" {
		tell("%s", r.manifestNote)
	}
	damage := r.lines.Damage()
	if len(damage.Missing) > 0 {
		tell("%s: missing: %s", r.path, strings.Join(damage.Missing, ", "))
	}
	if damage.Cut != nil {
		tell("%s; what was flushed before is all there", damage.Cut)
	}
	if damage.Frames > 0 {
		tell("%s: skipped damage in %d places, %d bytes", r.path, damage.Frames, damage.Bytes)
	}
	if damage.Breaks > 0 {
		tell("%s: in %d places, frames were taken out, repeated or moved", r.path, damage.Breaks)
	}
	if n := r.badLines + int64(damage.Lines); n > 0 {
		tell("%s: skipped %d lines that are not invocations", r.path, n)
	}
	if r.countNote != "" {
		tell("%s", r.countNote)
	}
	return notices
}

// Hash returns the SHA-256, in hex, of the lines of the invocations, each with a line feed. It is the same for a
// folder and for a lone file with the same lines.
func (r *Recording) Hash(ctx context.Context) (string, error) {
	sum := sha256.New()
	n := 0
	for line, err := range r.Lines() {
		if n++; err == nil && n%1000 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return "", fmt.Errorf("hash recording: %w", err)
		}
		sum.Write(line.Data)
		sum.Write([]byte{'\n'})
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// OpenObject returns the bytes of a pinned object. Reading fails at the end if they are not those that the hash, in
// lower-case hex, is of.
func (r *Recording) OpenObject(sha256hex string) (io.ReadCloser, error) {
	if !isSHA256(sha256hex) {
		return nil, fmt.Errorf("open an object of %s: %q is not a SHA-256 in lower-case hex", r.path, sha256hex)
	}
	if r.dir == "" {
		return nil, fmt.Errorf("open object %s: %s is one file and has no objects", sha256hex, r.path)
	}
	if r.Encrypted() {
		return r.openSealed(sha256hex)
	}
	file, err := os.Open(filepath.Join(r.dir, filepath.FromSlash(objectsFolder), sha256hex))
	if err != nil {
		return nil, err
	}
	return &object{file: file, content: file, sum: sha256.New(), want: sha256hex}, nil
}

func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// An object verifies what is read from it.
type object struct {
	file    *os.File
	content io.Reader // of the file
	sum     hash.Hash
	want    string
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.content.Read(p)
	o.sum.Write(p[:n])
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read object %s: %w", o.file.Name(), err)
	}
	if err == io.EOF && hex.EncodeToString(o.sum.Sum(nil)) != o.want {
		err = fmt.Errorf("%s: the object's bytes are not those of its hash", o.file.Name())
	}
	return n, err
}

func (o *object) Close() error { return o.file.Close() }
