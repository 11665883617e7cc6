package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// Formats that are told apart, and that are not events.
var (
	errHAR       = errors.New("HAR files cannot be imported yet")
	errGoReplay  = errors.New("GoReplay files cannot be imported yet")
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

// goReplayHead is how a GoReplay file starts: the kind of the record, an ID and a time in nanoseconds.
var goReplayHead = regexp.MustCompile(`^[123] [0-9a-f]{24,} \d{15,}( -?\d+)?\r?\n`)

// file imports one file, which is an event, or events when it is JSON Lines.
func (im *importer) file(path, function string) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	from := origin{path: path, function: function}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json", ".jsonl", ".ndjson":
	case ".har":
		im.wholeFile(from, errHAR)
		return nil
	case ".gor":
		im.wholeFile(from, errGoReplay)
		return nil
	default:
		im.skip(path, "neither .json nor .jsonl")
		return nil
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
	from.modified = info.ModTime()
	in := bufio.NewReaderSize(f, 64<<10)
	if head, _ := in.Peek(len(bom)); bytes.Equal(head, bom) {
		_, _ = in.Discard(len(bom)) // cannot fail: it was peeked
		im.note(from, Changed, "the byte order mark was left out: it is not JSON")
	}
	if head, _ := in.Peek(256); goReplayHead.Match(head) {
		im.wholeFile(from, errGoReplay)
		return nil
	}
	im.result.Files++
	if strings.EqualFold(filepath.Ext(path), ".json") {
		return im.single(from, in)
	}
	return im.lines(from, in)
}

// wholeFile refuses a file without looking at its events: it counts as one.
func (im *importer) wholeFile(from origin, err error) {
	im.result.Files++
	im.result.Events++
	im.breakOff(from, fmt.Errorf("%s: %w", from, err))
}

// single reads a file that is one event, also where the event is a JSON array.
func (im *importer) single(from origin, in io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	switch {
	case err != nil:
		return fmt.Errorf("import: %w", err)
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
			return fmt.Errorf("import %s: %w", from, err)
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
