package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"filippo.io/age"
)

// ReaderOptions say where the lines are and how much damage is accepted. With the zero value, all of it is an error.
type ReaderOptions struct {
	// Prefix is what the names of the segments in a folder begin with. It is not used for a lone file.
	Prefix string
	// Name is what lines and errors call a lone file. The default is its path.
	Name string
	// AllowCut accepts that the last segment ends in an unfinished frame or line, as it does after a kill.
	AllowCut bool
	// Salvage skips everything that cannot be read, wherever it is.
	Salvage bool
	// Identities open encrypted files; lines of which none opens are a [*KeyError], even with Salvage.
	Identities []age.Identity
}

// A Reader reads a journal from its beginning, any number of times, but one pass after the other.
type Reader struct {
	opts     ReaderOptions
	segments []segment
	sealed   bool
	missing  []string
	damage   Damage
}

// A Line is one line of a journal.
type Line struct {
	Data   []byte // without the line end; valid until the next line is asked for
	File   string
	Number int // in its file, from 1; where salvage skipped frames, only lines that were read are counted
	// Offset is where the frame of the line begins, or the line itself in a plain file, in bytes.
	Offset int64
}

// Open finds the files of the journal at path. A segment that is missing between others is an error, unless
// [ReaderOptions.Salvage] is set. A folder without segments is a journal without lines. An encrypted journal is a
// [*KeyError] without identities.
func Open(path string, opts ReaderOptions) (*Reader, error) {
	r, err := find(path, opts)
	if err == nil && r.sealed && len(opts.Identities) == 0 {
		return nil, &KeyError{File: r.segments[0].name}
	}
	return r, err
}

func find(path string, opts ReaderOptions) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{opts: opts}
	if !info.IsDir() {
		name := opts.Name
		if name == "" {
			name = path
		}
		r.segments = []segment{{path: path, name: name, number: 1}}
		r.sealed, err = isSealedFile(path)
		return r, err
	}
	if r.segments, err = segmentsOf(path, opts.Prefix); err != nil {
		return nil, err
	}
	r.sealed = len(r.segments) > 0 && isSealed(r.segments[0].path)
	r.missing = missingSegments(r.segments, opts.Prefix)
	if len(r.missing) > 0 && !opts.Salvage {
		return nil, fmt.Errorf("%s: %s missing; --salvage reads what is there", path, isOrAre(r.missing))
	}
	r.damage.Missing = r.missing
	return r, nil
}

func isSealedFile(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	kind, err := kindOf(file)
	return kind == sealed, err
}

// Encrypted reports whether the journal is encrypted.
func (r *Reader) Encrypted() bool { return r.sealed }

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// Damage returns what the last pass left out. It is complete once the pass has reached the end.
func (r *Reader) Damage() Damage { return r.damage }

// Lines reads the journal from its beginning. Empty lines are left out but counted. An error is the last thing it
// gives; it is a [*CorruptError], a [*CutError], a [*KeyError], or about reading a file.
//
// Memory does not grow with the journal: it is that of the largest frame, and at most that of a line of [MaxLine]
// bytes. The lines of a frame are handed out after the frame's checksum was verified. Only frames over 32 MiB, as
// other tools make them, are decoded as they are read, and their checksum is verified at their end.
func (r *Reader) Lines() iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		p := &pass{opts: r.opts, yield: yield}
		p.damage.Missing = r.missing
		for i, s := range r.segments {
			goOn, err := p.segment(s, i == len(r.segments)-1)
			r.damage = p.damage
			if err != nil {
				yield(Line{}, err)
			}
			if err != nil || !goOn {
				return
			}
		}
	}
}

// A pass is one reading of a journal.
type pass struct {
	opts   ReaderOptions
	damage Damage
	chain  chain
	yield  func(Line, error) bool

	line     Line   // the next line's place
	part     []byte // the beginning of the next line, from earlier chunks
	inLine   bool   // a part, maybe of no bytes, was taken
	skipping bool   // the next line is too long: what comes is dropped up to its end
}

var utf8BOM = []byte("\xef\xbb\xbf")

// segment hands out the lines of one file. It returns false when no more are wanted.
func (p *pass) segment(s segment, last bool) (goOn bool, err error) {
	src, err := openSource(s, last, p)
	if err != nil {
		return false, err
	}
	defer src.close()
	_, plain := src.(*plainSource)
	p.line = Line{File: s.name, Number: 0}
	p.drop()
	for {
		c, err := src.next()
		if err == io.EOF {
			return p.end(last)
		}
		if err != nil {
			return false, err
		}
		if c.gap {
			p.drop()
		}
		if goOn, err = p.chunk(c, plain); !goOn || err != nil {
			return false, err
		}
	}
}

// drop forgets the line that was begun.
func (p *pass) drop() { p.part, p.inLine, p.skipping = p.part[:0], false, false }

// chunk hands out the lines that end in c and keeps the beginning of the next one.
func (p *pass) chunk(c chunk, plain bool) (goOn bool, err error) {
	for text := c.text; len(text) > 0; {
		if !p.inLine {
			p.inLine = true
			p.line.Number++
			p.line.Offset = c.offset
			if plain {
				p.line.Offset += int64(len(c.text) - len(text))
			}
		}
		end := bytes.IndexByte(text, '\n')
		data := text
		if end >= 0 {
			data, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		if err := p.checkLength(len(data)); err != nil {
			return false, err
		}
		switch {
		case end < 0 && !p.skipping:
			p.part = append(p.part, data...)
		case end >= 0:
			if len(p.part) > 0 {
				p.part = append(p.part, data...)
				data = p.part
			}
			skip := p.skipping
			p.drop()
			if !skip && !p.give(data) {
				return false, nil
			}
		}
	}
	return true, nil
}

// checkLength refuses a line, or begins to skip it, that has grown too long with the next n bytes.
func (p *pass) checkLength(n int) error {
	if p.skipping || len(p.part)+n <= MaxLine+1 { // one more for a carriage return
		return nil
	}
	if !p.opts.Salvage {
		return &CorruptError{File: p.line.File, Offset: p.line.Offset, Line: p.line.Number,
			Reason: fmt.Sprintf("line is longer than %d MiB", MaxLine>>20)}
	}
	p.damage.Lines++
	p.part = nil
	p.skipping = true
	return nil
}

// give hands out one line.
func (p *pass) give(data []byte) bool {
	if p.line.Number == 1 {
		data = bytes.TrimPrefix(data, utf8BOM)
	}
	if data = bytes.TrimSuffix(data, []byte("\r")); len(data) == 0 {
		return true
	}
	p.line.Data = data
	return p.yield(p.line, nil)
}

// end deals with text after the last line end. It is a line when it is whole, and that it can only be if it is JSON.
func (p *pass) end(last bool) (goOn bool, err error) {
	if !p.inLine || p.skipping {
		return true, nil
	}
	if isWhole(p.part) {
		return p.give(p.part), nil
	}
	cut := Cut{File: p.line.File, Offset: p.line.Offset, Bytes: int64(len(p.part))}
	switch {
	case last && (p.opts.AllowCut || p.opts.Salvage):
		p.damage.Cut = &cut
	case p.opts.Salvage:
		p.damage.Frames++
		p.damage.Bytes += cut.Bytes
	default:
		return false, &CutError{cut}
	}
	return true, nil
}

// isWhole reports whether a last line that has no line end is complete nevertheless.
func isWhole(line []byte) bool {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, utf8BOM))
	return len(line) == 0 || json.Valid(line)
}
