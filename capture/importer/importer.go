// Package importer makes invocations of Lambda events that are kept in files: one event a .json file, as
// `sam local generate-event` and the console's test events have them, or one a line of a .jsonl file. Events stay as
// they are, byte for byte.
package importer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A Sink takes what was imported.
type Sink interface {
	Write(*capture.Invocation) error
}

// Options configure an import.
type Options struct {
	// Function is the function that the events are for. Without it each event must lie in a folder below one of the
	// imported paths, and the topmost such folder names its function: events/create-order/a.json, imported as
	// "events", is for create-order.
	Function string
	Sink     Sink // required
}

// A Result counts what an import saw. Events is the sum of Imported, Duplicates and Refused.
type Result struct {
	Files      int // read
	Events     int
	Imported   int
	Duplicates int // seen before, by [Identity]
	Refused    int
	Skipped    int // files that are not events

	// Notes say what was refused, skipped or changed, and why; of each kind at most maxNotes, as the counts go on.
	Notes []Note
}

// A Note is a remark on a place in the input.
type Note struct {
	Path   string
	Line   int // from 1; 0 for a whole file
	Kind   NoteKind
	Reason string
}

// A NoteKind says what happened to what a [Note] is about.
type NoteKind string

const (
	Refused   NoteKind = "refused"
	Skipped   NoteKind = "skipped"
	Duplicate NoteKind = "duplicate"
	Changed   NoteKind = "changed"
)

// maxNotes bounds the notes of each kind, so that a result does not grow with its input.
const maxNotes = 100

func (n Note) String() string {
	if n.Line > 0 {
		return fmt.Sprintf("%s:%d: %s: %s", n.Path, n.Line, n.Kind, n.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", n.Path, n.Kind, n.Reason)
}

// ErrNoFunction is what an import ends with when nothing says which function an event is for.
var ErrNoFunction = errors.New("nothing says which function this event is for: name it with --function")

// Import writes the events in paths, files and folders, to opts.Sink. Folders are walked in the order of their
// paths. An event that cannot be imported is refused and the import goes on, but when one of them was not JSON, or
// was in a format that cannot be read, the error at the end says so; of the first that was not JSON it says where,
// with a [*SyntaxError]. The import ends early when a path cannot be read, when the sink fails, when nothing names
// an event's function, or with ctx. The result is valid in every case.
func Import(ctx context.Context, paths []string, opts Options) (Result, error) {
	if opts.Sink == nil {
		return Result{}, errors.New("no sink to import to")
	}
	im := &importer{ctx: ctx, opts: opts, seen: make(map[fingerprint]struct{}), notes: make(map[NoteKind]int)}
	for _, path := range paths {
		if err := im.path(path); err != nil {
			return im.result, err
		}
	}
	if im.unreadable != nil && im.broken > 1 {
		return im.result, fmt.Errorf("%d places could not be read, the first: %w", im.broken, im.unreadable)
	}
	return im.result, im.unreadable
}

type importer struct {
	ctx    context.Context
	opts   Options
	result Result
	seen   map[fingerprint]struct{}
	notes  map[NoteKind]int

	broken     int
	unreadable error // the first of the broken
}

type fingerprint [16]byte

// path imports one argument.
func (im *importer) path(root string) error {
	info, err := os.Stat(root)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if !info.IsDir() {
		return im.file(root, im.opts.Function)
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("import: %w", err)
		case d.IsDir():
			return im.ctx.Err()
		case !d.Type().IsRegular():
			im.skip(path, "not a regular file")
			return nil
		}
		return im.file(path, im.functionOf(root, path))
	})
}

// functionOf names the function of a file below root.
func (im *importer) functionOf(root, path string) string {
	if im.opts.Function != "" {
		return im.opts.Function
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return ""
	}
	if top, _, below := strings.Cut(filepath.ToSlash(rel), "/"); below {
		return top
	}
	return ""
}

// An origin is where an event was found.
type origin struct {
	path     string
	line     int // 0 for a whole file
	function string
	modified time.Time
}

func (o origin) String() string {
	if o.line > 0 {
		return fmt.Sprintf("%s:%d", o.path, o.line)
	}
	return o.path
}

// event imports one event. Data is the sink's afterwards.
func (im *importer) event(from origin, data []byte) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	im.result.Events++
	if len(bytes.TrimSpace(data)) == 0 {
		im.refuse(from, "it is empty")
		return nil
	}
	doc, err := jsonval.Parse(data)
	if err != nil {
		im.breakOff(from, newSyntaxError(from, data, err))
		return nil
	}
	if err := foreign(doc); err != nil {
		im.breakOff(from, fmt.Errorf("%s: %w", from, err))
		return nil
	}
	if doc.At("Event").Text == "s3:TestEvent" {
		im.refuse(from, "s3:TestEvent is what S3 sends when a notification is set up; it is not about an object")
		return nil
	}
	trigger, format := capture.Detect(data)
	if from.function == "" {
		return fmt.Errorf("%s: %w", from, ErrNoFunction)
	}
	if id := identity(doc, format); id != "" {
		sum := sha256.Sum256([]byte(from.function + "\x00" + id))
		key := fingerprint(sum[:])
		if _, again := im.seen[key]; again {
			im.result.Duplicates++
			im.note(from, Duplicate, "the same "+string(format)+" event was imported already")
			return nil
		}
		im.seen[key] = struct{}{}
	}
	at, ok := eventTime(doc)
	if !ok {
		at = from.modified
	}
	if at.UnixMilli() < 0 {
		at = time.UnixMilli(0) // IDs hold no earlier time
	}
	inv := &capture.Invocation{
		ID:       ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String(),
		Function: from.function, Trigger: trigger, Format: format, Source: "import:" + from.String(),
		Time: at.UTC(), Event: data,
	}
	if err := im.opts.Sink.Write(inv); err != nil {
		return fmt.Errorf("import %s: %w", from, err)
	}
	im.result.Imported++
	return nil
}

func (im *importer) refuse(from origin, reason string) {
	im.result.Refused++
	im.note(from, Refused, reason)
}

// breakOff refuses what cannot be read, and keeps the first reason as the import's error.
func (im *importer) breakOff(from origin, err error) {
	reason := strings.TrimPrefix(err.Error(), from.String()+": ")
	if syntax := (*SyntaxError)(nil); errors.As(err, &syntax) {
		reason = fmt.Sprintf("line %d, column %d: %s", syntax.Line, syntax.Column, syntax.Reason)
	}
	im.refuse(from, reason)
	if im.broken++; im.unreadable == nil {
		im.unreadable = err
	}
}

func (im *importer) skip(path, reason string) {
	im.result.Skipped++
	im.note(origin{path: path}, Skipped, reason)
}

func (im *importer) note(from origin, kind NoteKind, reason string) {
	if im.notes[kind]++; im.notes[kind] <= maxNotes {
		im.result.Notes = append(im.result.Notes, Note{Path: from.path, Line: from.line, Kind: kind, Reason: reason})
	}
}
