package capture

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"filippo.io/age"
	"github.com/oklog/ulid/v2"

	"tandem/capture/journal"
)

const (
	invocationsPrefix = "invocations"
	objectsFolder     = "objects/sha256"
	unfinishedObject  = "new-*"
)

// CreateOptions say how a recording is written.
type CreateOptions struct {
	// Append goes on with a recording that is there, if one is.
	Append bool
	// Tool is the version of tandem, for the manifest.
	Tool string
	// Stdout is where a recording named "-" goes.
	Stdout io.Writer
	// Recipients are whom the recording is encrypted to; without any, it is not. A lone file that is encrypted is named
	// .jsonl.zst.age. Going on with a recording does not need any key that opens it.
	Recipients []age.Recipient
	// Journal says when lines are written. Its Append and Recipients are not used.
	Journal journal.WriterOptions
	// Redactor replaces what must not be in the recording; nil writes all as it is.
	Redactor Redactor
	// Redaction is what was replaced before in the invocations that will be written; nil for nothing.
	Redaction *Redaction
}

// A Writer writes a recording. Its methods may be called concurrently.
type Writer struct {
	dir      string // "" when the recording is not a folder
	lines    *journal.Writer
	redactor Redactor // nil for none

	objects sync.Mutex // held to make an object appear
	names   objectNames

	mu       sync.Mutex // guards what follows
	manifest Manifest
	ids      ids
	buf      []byte
	closed   bool
}

// Create begins a recording at path: a folder, one .jsonl or .jsonl.zst file, or with "-" plain lines to
// opts.Stdout. It refuses to touch what is there unless opts.Append is set; then it goes on after the last whole
// line, and [Writer.Cut] tells what was cut off.
//
// A folder's manifest says that the recording is not complete until [Writer.Close]. Only a folder can have objects.
func Create(path string, opts CreateOptions) (*Writer, error) {
	opts.Journal.Append, opts.Journal.Recipients = opts.Append, opts.Recipients
	if path == "-" {
		w := &Writer{lines: journal.NewWriter(opts.Stdout, opts.Journal), redactor: opts.Redactor}
		return w, w.manifest.redact(opts)
	}
	fresh, err := isFresh(path)
	if err != nil {
		return nil, err
	}
	if !fresh && !opts.Append {
		return nil, existsError(path)
	}
	w := &Writer{redactor: opts.Redactor, names: objectNames{recipients: opts.Recipients}}
	if !journal.IsFile(path) {
		w.dir = path
		if !fresh { // only a recording may be repaired
			old, err := readManifest(path)
			if err != nil {
				return nil, err
			}
			if encrypted := old.Encryption != ""; encrypted != (len(opts.Recipients) > 0) {
				return nil, &journal.MixError{Path: path, Encrypted: encrypted}
			}
		}
	}
	if w.lines, err = journal.Create(path, invocationsPrefix, opts.Journal); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = existsError(path)
		}
		return nil, err
	}
	if err := w.begin(fresh, opts); err != nil {
		w.lines.Close()
		return nil, err
	}
	return w, nil
}

func existsError(path string) error {
	return fmt.Errorf("%s exists: choose another name or add --append", path)
}

// isFresh reports whether there is nothing at path but, maybe, an empty folder, or what a kill left of an attempt to
// make a recording.
func isFresh(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil || !info.IsDir() {
		return false, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(2)
	if err == io.EOF {
		return true, nil
	}
	return len(names) == 1 && strings.HasPrefix(names[0], manifestName+"."), err
}

// begin writes the first manifest. When it goes on with a recording that was not closed, the counts are made anew, and
// objects that were not kept to their end are removed.
func (w *Writer) begin(fresh bool, opts CreateOptions) error {
	m := &w.manifest
	if w.dir == "" {
		return m.redact(opts)
	}
	if fresh {
		now := time.Now().UTC()
		*m = Manifest{Version: RecordingVersion, ID: ulid.Make().String(), CreatedAt: now, Sources: []string{}}
		if len(w.names.recipients) > 0 {
			m.Encryption = ageEncryption
		}
	} else {
		old, err := readManifest(w.dir)
		if err != nil {
			return err
		}
		*m = *old
		if !old.Complete {
			if err := w.removeUnfinished(); err != nil {
				return fmt.Errorf("append to %s: %w", w.dir, err)
			}
			if err := w.recount(); err != nil {
				return fmt.Errorf("append to %s: %w", w.dir, err)
			}
		}
	}
	if err := m.redact(opts); err != nil {
		return fmt.Errorf("append to %s: %w", w.dir, err)
	}
	m.Tandem = opts.Tool
	m.Complete = false
	return m.write(w.dir)
}

func (w *Writer) recount() (err error) {
	c := &w.manifest.Counts
	if w.manifest.Encryption == "" {
		err = w.recountPlain()
	} else {
		c.Invocations, err = journal.CountSealed(w.dir, invocationsPrefix)
	}
	if err == nil {
		c.Objects, err = countObjects(w.dir)
	}
	return err
}

func (w *Writer) recountPlain() error {
	r, err := Open(w.dir, OpenOptions{})
	if err != nil {
		return err
	}
	defer r.Close()
	w.manifest.Counts.Invocations = 0
	for inv, err := range r.Invocations() {
		if err != nil {
			return err
		}
		w.manifest.add(inv, nil)
	}
	return nil
}

// removeUnfinished removes what a kill left of objects.
func (w *Writer) removeUnfinished() error {
	folder := filepath.Join(w.dir, filepath.FromSlash(w.names.folder()))
	names, err := fs.Glob(os.DirFS(folder), unfinishedObject)
	for _, name := range names {
		err = errors.Join(err, os.Remove(filepath.Join(folder, name)))
	}
	return err
}

// countObjects counts the objects in a recording, which are in one of two folders.
func countObjects(dir string) (int64, error) {
	plain, err := countNames(filepath.Join(dir, filepath.FromSlash(objectsFolder)), "")
	if err != nil {
		return 0, err
	}
	encrypted, err := countNames(filepath.Join(dir, filepath.FromSlash(sealedFolder)), sealedExt)
	return plain + encrypted, err
}

// countNames counts the files in a folder that are named by a hash and an extension.
func countNames(dir, ext string) (int64, error) {
	folder, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	var n int64
	for {
		names, err := folder.Readdirnames(1000)
		for _, name := range names {
			if hash, ok := strings.CutSuffix(name, ext); ok && isSHA256(hash) {
				n++
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// Cut returns what was cut off the end of the recording before it was appended to, nil for nothing.
func (w *Writer) Cut() *journal.Cut { return w.lines.Cut() }

// Stats tells how many invocations were accepted and how many of them a kill can no longer lose.
func (w *Writer) Stats() journal.Stats { return w.lines.Stats() }

// Manifest returns what the manifest would say now. One file has none, but is counted all the same.
func (w *Writer) Manifest() Manifest {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.manifest
	m.Sources, m.Redaction = slices.Clone(m.Sources), m.Redaction.clone()
	return m
}

// Write adds one invocation, which it does not keep, with what the Redactor replaces replaced. When inv has no ID,
// Write sets it to a new ULID, which is greater than all that this Writer made before. An error does not spoil the
// recording unless it is one of the disk, which all later calls return as well; it tells nothing of the event.
func (w *Writer) Write(inv *Invocation) error {
	if inv.Function == "" {
		return errors.New("write invocation: no function")
	}
	written, replaced := inv, map[string]int64(nil)
	if w.redactor != nil {
		written, replaced = w.redactor.Redact(inv)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if inv.ID == "" {
		id, err := w.ids.next(time.Now())
		if err != nil {
			return fmt.Errorf("make an invocation ID: %w", err)
		}
		inv.ID, written.ID = id, id
	} else if strings.ContainsFunc(inv.ID, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return errors.New("write invocation: its ID has white space in it")
	}
	line, err := written.AppendJSON(w.buf[:0])
	if err != nil {
		return err
	}
	w.buf = line
	if err := w.lines.Append(line); err != nil {
		return fmt.Errorf("write invocation %s: %w", inv.ID, err)
	}
	w.manifest.add(written, replaced)
	return nil
}

// AddLost counts n invocations that were seen and could not be recorded.
func (w *Writer) AddLost(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manifest.Counts.Lost += n
}

// Flush returns when all invocations written before are safe from a kill of the process.
func (w *Writer) Flush() error { return w.lines.Flush() }

// Sync returns when all invocations written before are safe from a failure of the machine.
func (w *Writer) Sync() error { return w.lines.Sync() }

// PutObject keeps the bytes of an S3 object under their hash, in lower-case hex, or, when the recording is encrypted,
// under a name that only its readers can find. Bytes that this Writer kept already are not written again, and neither
// are those that are there when nothing is encrypted. It fails when the recording is not a folder.
func (w *Writer) PutObject(r io.Reader) (sha256hex string, size int64, err error) {
	if w.dir == "" {
		return "", 0, errors.New("keep an object: a recording in one file has no place for it: record into a folder")
	}
	folder, err := w.objectFolder()
	if err != nil {
		return "", 0, err
	}
	temp, err := os.CreateTemp(folder, unfinishedObject)
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	if size, err = w.names.copy(temp, io.TeeReader(r, hash)); err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return "", 0, fmt.Errorf("keep an object: %w", err)
	}
	sha256hex = hex.EncodeToString(hash.Sum(nil))
	return sha256hex, size, w.publishObject(temp, filepath.Join(folder, w.names.name(sha256hex)))
}

// objectFolder makes the folder for objects, and what their names need.
func (w *Writer) objectFolder() (string, error) {
	w.objects.Lock()
	defer w.objects.Unlock()
	folder := filepath.Join(w.dir, filepath.FromSlash(w.names.folder()))
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		err = w.names.prepare(folder)
	}
	return folder, err
}

func (w *Writer) publishObject(temp *os.File, path string) error {
	w.objects.Lock()
	defer w.objects.Unlock()
	if _, err := os.Stat(path); err == nil {
		temp.Close()
		return os.Remove(temp.Name())
	}
	if err := journal.Publish(temp, path); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manifest.Counts.Objects++
	return nil
}

// Close writes what is left and, for a folder, a manifest that says that the recording is complete. It does not say
// so when not everything was written; Close then returns the reason.
func (w *Writer) Close() error { return w.end(true) }

// CloseIncomplete is Close for a capture that did not come to its end: the manifest does not say that the recording
// has all that there was to record.
func (w *Writer) CloseIncomplete() error { return w.end(false) }

func (w *Writer) end(complete bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.lines.Err()
	}
	w.closed = true
	if w.dir != "" {
		err := w.lines.Sync()
		if err == nil {
			w.manifest.Complete = complete
			err = w.manifest.write(w.dir)
		}
		if err != nil {
			w.lines.Close()
			return err
		}
	}
	return w.lines.Close() // and only then may somebody else write here
}

// ids makes ULIDs each of which is greater than the one before, whatever the clock does.
type ids struct {
	ms      uint64
	entropy *ulid.MonotonicEntropy
}

func (g *ids) next(now time.Time) (string, error) {
	if g.entropy == nil {
		g.entropy = ulid.Monotonic(rand.Reader, 0)
	}
	g.ms = max(g.ms, ulid.Timestamp(now))
	id, err := ulid.New(g.ms, g.entropy)
	if errors.Is(err, ulid.ErrMonotonicOverflow) {
		g.ms++
		id, err = ulid.New(g.ms, g.entropy)
	}
	return id.String(), err
}
