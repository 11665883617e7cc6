package importer

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// maxEvent is the size in bytes of the largest event that is read. Lambda takes 6 MB, and the JSON that holds it may
// be escaped and indented.
const maxEvent = 64 << 20

var bom = []byte("\xef\xbb\xbf")

// A SyntaxError is a place in the input that is not JSON.
type SyntaxError struct {
	Path         string
	Line, Column int // from 1; columns are counted in bytes
	Reason       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Reason)
}

// newSyntaxError places err in the file that data was found in.
func newSyntaxError(from origin, data []byte, err error) *SyntaxError {
	e := &SyntaxError{Path: from.path, Line: max(from.line, 1), Column: 1, Reason: err.Error()}
	var syntax *jsonval.SyntaxError
	if errors.As(err, &syntax) {
		before := data[:min(syntax.Offset, len(data))]
		e.Line += bytes.Count(before, []byte("\n"))
		e.Column = len(before) - bytes.LastIndexByte(before, '\n')
		e.Reason = syntax.Reason
	}
	return e
}

// What cannot be an event, or a line of events.
var (
	errHAR       = errors.New("this is a HAR file: it cannot be a line of a file of events")
	errRecording = errors.New("this is a recording already: give it to replay or inspect as it is")
)

// foreign returns why a JSON value is a file of another kind, or nil when it may be an event.
func foreign(doc jsonval.Value) error {
	if _, ok := doc.At("log").Get("entries"); ok {
		if _, ok := doc.At("log").Get("creator"); ok {
			return errHAR
		}
	}
	_, id := doc.Get("id")
	_, function := doc.Get("function")
	_, event := doc.Get("event")
	if id && function && event {
		return errRecording
	}
	return nil
}

// isRecording says whether a folder is a recording: it has a manifest and files of invocations.
func isRecording(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		return false
	}
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), "invocations-") && strings.Contains(e.Name(), ".jsonl")
	})
}

// A kind is what a file is.
type kind int

const (
	unknown   kind = iota
	single         // one event
	lines          // an event a line
	har            // an HTTP archive
	goReplay       // records of GoReplay
	recording      // of tandem, compressed
)

// headSize is how much of a file is looked at, in bytes, to tell what kind it is.
const headSize = 4 << 10

// kindOf tells what a file is by the beginning of its contents, and where that says nothing, by its name.
func kindOf(name string, head []byte) kind {
	switch {
	case goReplayHead.Match(head):
		return goReplay
	case isHAR(head):
		return har
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch filepath.Ext(name) {
	case ".json":
		return single
	case ".jsonl", ".ndjson":
		return lines
	case ".har":
		return har
	case ".gor":
		return goReplay
	}
	if strings.HasSuffix(name, ".jsonl.zst") && bytes.HasPrefix(head, zstdMagic) {
		return recording
	}
	return unknown
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// file imports one file.
func (im *importer) file(path, function string) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	from := origin{path: path, function: function, modified: info.ModTime()}
	in, err := unpack(f)
	if err != nil {
		im.result.Files++
		return im.damaged(from, err)
	}
	marked := false
	if head, _ := in.Peek(len(bom)); bytes.Equal(head, bom) {
		_, _ = in.Discard(len(bom)) // cannot fail: it was peeked
		marked = true
	}
	head, _ := in.Peek(headSize) // a short one is all there is
	k := kindOf(filepath.Base(path), head)
	if k == unknown {
		im.skip(path, "neither .json nor .jsonl, HAR or GoReplay")
		return nil
	}
	im.result.Files++
	switch k {
	case har:
		return im.har(from, in) // a byte order mark is allowed there
	case goReplay:
		return im.goReplay(from, in)
	case recording:
		im.result.Events++
		im.breakOff(from, fmt.Errorf("%s: %w", from, errRecording))
		return nil
	}
	if marked {
		im.note(from, Changed, "the byte order mark was left out: it is not JSON")
	}
	if k == single {
		return im.single(from, in)
	}
	return im.lines(from, in)
}

// unpack returns the contents of a file, decompressed when they are gzip.
func unpack(f io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(f, 64<<10)
	if head, _ := in.Peek(len(gzipMagic)); !bytes.Equal(head, gzipMagic) {
		return in, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, 64<<10), nil
}

// damaged tells of a file that could not be read on because of err. A file whose compressed contents are damaged or
// cut off counts as an event that is refused; any other failure ends the import.
func (im *importer) damaged(from origin, err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the file is cut off")
	default:
		return fmt.Errorf("import %s: %w", from, err)
	}
	im.result.Events++
	im.breakOff(from, fmt.Errorf("%s: %w", from, err))
	return nil
}

// single reads a file that is one event, also where the event is a JSON array.
func (im *importer) single(from origin, in io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	switch {
	case err != nil:
		return im.damaged(from, err)
	case len(data) > maxEvent:
		im.result.Events++
		im.refuse(from, tooLarge)
		return nil
	}
	return im.event(from, data)
}

var tooLarge = fmt.Sprintf("it is larger than %d MiB", maxEvent>>20)

// lines reads an event a line. Blank lines are not events.
func (im *importer) lines(from origin, in *bufio.Reader) error {
	for from.line = 1; ; from.line++ {
		line, err := readLine(in)
		if err != nil && err != io.EOF && err != bufio.ErrTooLong {
			return im.damaged(from, err)
		}
		switch {
		case err == bufio.ErrTooLong:
			im.result.Events++
			im.refuse(from, tooLarge)
		case len(bytes.TrimSpace(line)) > 0:
			if err := im.event(from, line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line without its end, in memory of its own. A line over maxEvent is read to its end and
// thrown away with bufio.ErrTooLong. The last line comes with io.EOF.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		piece, err := in.ReadSlice('\n')
		if long = long || len(line)+len(piece) > maxEvent; !long {
			line = append(line, piece...)
		} else {
			line = nil
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if long && err == nil {
			err = bufio.ErrTooLong
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
	}
}
