package wiretap

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

const (
	maxHead = 1 << 20
	// maxLine is the most that the length of a chunk, with what is said beside it, may have.
	maxLine = 64 << 10
	// maxAhead is the most that is reserved for a body because of the length that it says to have.
	maxAhead = 8 << 20
)

// A parser makes messages out of what one side says, however it is cut up.
type parser struct {
	kept  []byte // of a header or a line that is not whole
	first Moment // when the message began

	// The body that is being read:
	left     int64 // bytes to come, of the body or of a chunk
	untilEnd bool  // it lasts until the connection ends
	chunked  bool
	stage    stage // of a chunked body
	lines    []byte
	trailer  http.Header
}

type stage int

const (
	chunkSize stage = iota
	chunkData
	chunkEnd
	trailerLines
)

// head returns the header of the next message once it is whole, with the empty line, and what follows it in data.
// Until then it is nil. Line ends before it are passed over. The header is valid until the next call.
func (p *parser) head(data []byte, at Moment) (head, rest []byte, err error) {
	if len(p.kept) == 0 {
		if data = bytes.TrimLeft(data, "\r\n"); len(data) == 0 {
			return nil, nil, nil
		}
		p.first = at
	}
	from := max(len(p.kept)-2, 0) // an end may have begun
	before := len(p.kept)
	if before > 0 {
		p.kept = append(p.kept, data...)
	}
	text := data
	if before > 0 {
		text = p.kept
	}
	end := headEnd(text, from)
	switch {
	case end > maxHead || end < 0 && len(text) > maxHead:
		return nil, nil, errors.New("the header is too large")
	case end < 0:
		if before == 0 {
			p.kept = append(p.kept, data...)
		}
		return nil, nil, nil
	}
	p.kept = p.kept[:0]
	return text[:end], data[end-before:], nil
}

// headEnd returns where the first empty line that ends after from ends; -1 if there is none. Lines end in "\n" or
// "\r\n", as net/http takes them.
func headEnd(text []byte, from int) int {
	for {
		i := bytes.IndexByte(text[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		if bytes.HasPrefix(text[from:], []byte("\n")) {
			return from + 1
		}
		if bytes.HasPrefix(text[from:], []byte("\r\n")) {
			return from + 2
		}
	}
}

// begin sets the parser to a body of that length; -1 is for one that lasts until the end, unless it is chunked.
func (p *parser) begin(length int64, chunked bool) {
	*p = parser{kept: p.kept[:0], first: p.first, left: length, chunked: chunked, untilEnd: length < 0 && !chunked}
	if chunked {
		p.left = 0
	}
}

// body moves the beginning of data to b, up to max bytes of it, and returns the rest and whether the body is whole.
// It must be called once after begin, also if there is no data.
func (p *parser) body(b *Body, data []byte, max int) (rest []byte, whole bool, err error) {
	if p.chunked {
		return p.chunks(b, data, max)
	}
	if b.Bytes == nil && p.left > 0 {
		b.Bytes = make([]byte, 0, min(p.left, int64(max), maxAhead))
	}
	if p.untilEnd {
		b.add(data, max)
		return nil, false, nil
	}
	n := min(int64(len(data)), p.left)
	b.add(data[:n], max)
	p.left -= n
	return data[n:], p.left == 0, nil
}

// add keeps data up to a limit, and counts all of it.
func (b *Body) add(data []byte, limit int) {
	b.Size += int64(len(data))
	if room := limit - len(b.Bytes); len(data) > room {
		data = data[:max(room, 0)]
	}
	b.Bytes = append(b.Bytes, data...)
}

func (p *parser) chunks(b *Body, data []byte, max int) (rest []byte, whole bool, err error) {
	for len(data) > 0 {
		if p.stage == chunkData {
			n := min(int64(len(data)), p.left)
			b.add(data[:n], max)
			data = data[n:]
			if p.left -= n; p.left == 0 {
				p.stage = chunkEnd
			}
			continue
		}
		var line []byte
		if line, data, err = p.line(data); err != nil || line == nil {
			return nil, false, err
		}
		switch p.stage {
		case chunkSize:
			if p.left, err = parseChunkSize(line); err != nil {
				return nil, false, err
			}
			p.stage = chunkData
			if p.left == 0 {
				p.stage = trailerLines
			}
		case chunkEnd:
			if len(bytes.TrimRight(line, "\r\n")) != 0 {
				return nil, false, errors.New("a chunk is longer than it says")
			}
			p.stage = chunkSize
		case trailerLines:
			p.lines = append(p.lines, line...)
			if len(bytes.TrimRight(line, "\r\n")) > 0 {
				if len(p.lines) > maxHead {
					return nil, false, errors.New("the trailer is too large")
				}
				continue
			}
			return data, true, p.endTrailer()
		}
	}
	return nil, false, nil
}

// line returns the next line with its end, nil if it is not whole yet, and what follows it.
func (p *parser) line(data []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(data, '\n') + 1
	if len(p.kept)+max(i, 0) > maxLine || i == 0 && len(p.kept)+len(data) > maxLine {
		return nil, nil, errors.New("a line of a chunked body is too long")
	}
	if i == 0 {
		p.kept = append(p.kept, data...)
		return nil, nil, nil
	}
	if len(p.kept) == 0 {
		return data[:i], data[i:], nil
	}
	line = append(p.kept, data[:i]...)
	p.kept = nil
	return line, data[i:], nil
}

func parseChunkSize(line []byte) (int64, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 16, 63)
	if err != nil {
		return 0, errors.New("a chunk does not say how long it is")
	}
	return int64(n), nil
}

func (p *parser) endTrailer() error {
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(p.lines))).ReadMIMEHeader()
	if err != nil {
		return err
	}
	if len(header) > 0 {
		p.trailer = http.Header(header)
	}
	p.lines = nil
	return nil
}
