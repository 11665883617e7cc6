// Package importer makes invocations of what is kept in files.
//
// Lambda events, one a .json file, as `sam local generate-event` and the console's test events have them, or one a
// line of a .jsonl file, stay as they are, byte for byte. HTTP traffic, in the HAR files of browsers and proxies and
// in the .gor files of GoReplay, becomes the events that a function behind a gateway gets for it, with the answers as
// outcomes.
//
// What kind of file it is, is found from its contents, and only where these do not tell, from its name. Each may be
// compressed with gzip.
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
	"tandem/capture/httpproxy"
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

	// The rest is for HTTP traffic alone: HAR and GoReplay files.

	Format capture.Format // of the events that requests become; apigw-v2 by default
	// Hosts are those whose requests are imported, with or without a port. By default all are.
	Hosts []string
	// Routes are the route keys of the API, such as "POST /customers/{customerId}/orders". Requests that match none
	// are left out. By default there is $default, which matches all.
	Routes []string
	// Stage is the API's, "$default" by default. It is taken off the front of paths that begin with it.
	Stage string
}

// Check returns what is wrong with the options for HTTP traffic, nil for nothing.
func (o Options) Check() error {
	_, _, err := o.withDefaults()
	return err
}

func (o Options) withDefaults() (Options, *httpproxy.Router, error) {
	if o.Format == "" {
		o.Format = capture.FormatAPIGatewayV2
	}
	if o.Stage == "" {
		o.Stage = httpproxy.DefaultRoute
	}
	if o.Format.Trigger() != capture.TriggerHTTP {
		return o, nil, fmt.Errorf("no HTTP request makes an event of format %q", o.Format)
	}
	router, err := httpproxy.NewRouter(o.Routes)
	return o, router, err
}

// A Result counts what an import saw. Events is the sum of Imported, Duplicates, Refused and Excluded.
type Result struct {
	Files      int // read
	Events     int // and HTTP requests
	Imported   int
	Duplicates int // seen before, by [Identity]; HTTP requests by all that the file says of them
	Refused    int // could not be imported; also GoReplay's answers without a request
	Excluded   int // HTTP requests that Hosts or Routes leave out, and those that a replay sent

	Unanswered int // those of Imported that are HTTP requests whose answer the file does not have
	Skipped    int // files that are not events

	// Notes say what was refused, skipped or changed, and why; of each kind at most maxNotes, as the counts go on.
	Notes []Note
}

// A Note is a remark on a place in the input.
type Note struct {
	Path   string
	Line   int // from 1; 0 for a whole file
	Entry  int // of a HAR file, from 1; else 0
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
	return fmt.Sprintf("%s: %s: %s", origin{path: n.Path, line: n.Line, entry: n.Entry}, n.Kind, n.Reason)
}

// ErrNoFunction is what an import ends with when nothing says which function an event is for.
var ErrNoFunction = errors.New("nothing says which function this event is for: name it with --function")

// Import writes the events in paths, files and folders, to opts.Sink. Folders are walked in the order of their
// paths. An event that cannot be imported is refused and the import goes on, but when one of them was not JSON, or
// was in a format that cannot be read, the error at the end says so; of the first that was not JSON it says where,
// with a [*SyntaxError]. The import ends early when a path cannot be read, when the sink fails, when nothing names
// an event's function, or with ctx. The result is valid in every case.
//
// Memory does not grow with the files, but for the fingerprints that duplicates are found by: it holds one event or
// HAR entry at a time, and of a GoReplay file some 64 MiB of requests that wait for their answers.
func Import(ctx context.Context, paths []string, opts Options) (Result, error) {
	im, err := newImporter(ctx, opts)
	if err != nil {
		return Result{}, err
	}
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
	router *httpproxy.Router
	result Result
	seen   map[fingerprint]struct{}
	notes  map[NoteKind]int

	broken     int
	unreadable error // the first of the broken
}

type fingerprint [16]byte

func newImporter(ctx context.Context, opts Options) (*importer, error) {
	if opts.Sink == nil {
		return nil, errors.New("no sink to import to")
	}
	opts, router, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &importer{
		ctx: ctx, opts: opts, router: router, seen: make(map[fingerprint]struct{}), notes: make(map[NoteKind]int),
	}, nil
}

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
		case d.IsDir() && isRecording(path):
			im.result.Events++
			im.breakOff(origin{path: path}, fmt.Errorf("%s: %w", path, errRecording))
			return fs.SkipDir
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
	entry    int // of a HAR file
	function string
	modified time.Time
}

func (o origin) String() string {
	switch {
	case o.line > 0:
		return fmt.Sprintf("%s:%d", o.path, o.line)
	case o.entry > 0:
		return fmt.Sprintf("%s#%d", o.path, o.entry)
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
	if id := identity(doc, format); id != "" && im.again(from, id) {
		im.note(from, Duplicate, "the same "+string(format)+" event was imported already")
		return nil
	}
	at, ok := eventTime(doc)
	if !ok {
		at = from.modified
	}
	return im.write(from, at, &capture.Invocation{Trigger: trigger, Format: format, Event: data})
}

// again says whether something with this identity was imported already for the function, and then counts it.
func (im *importer) again(from origin, identity string) bool {
	sum := sha256.Sum256([]byte(from.function + "\x00" + identity))
	key := fingerprint(sum[:])
	if _, again := im.seen[key]; again {
		im.result.Duplicates++
		return true
	}
	im.seen[key] = struct{}{}
	return false
}

// write adds to inv what every import has, and hands it to the sink.
func (im *importer) write(from origin, at time.Time, inv *capture.Invocation) error {
	if at.UnixMilli() < 0 {
		at = time.UnixMilli(0) // IDs hold no earlier time
	}
	inv.ID = ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String()
	inv.Function, inv.Source, inv.Time = from.function, "import:"+from.String(), at.UTC()
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
		im.result.Notes = append(im.result.Notes,
			Note{Path: from.path, Line: from.line, Entry: from.entry, Kind: kind, Reason: reason})
	}
}
