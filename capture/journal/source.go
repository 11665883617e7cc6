package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// A chunk is a part of a file's text.
type chunk struct {
	text   []byte // valid until the next chunk is asked for
	offset int64  // of the frame, or of the text in a plain file
	gap    bool   // text is missing before this
}

// A source reads the text of one file. At the end it says io.EOF.
type source interface {
	next() (chunk, error)
	close() error
}

// openSource opens a file as its name, or else its beginning, says.
func openSource(s segment, last bool, p *pass) (source, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(file)
	if err == nil && kind == plain {
		return &plainSource{file: file, buf: make([]byte, readAhead)}, nil
	}
	var in *frames
	if err == nil {
		in, err = openFrames(file, kind, p.opts.Identities)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &frameSource{in: in, name: s.name, last: last, pass: p}, nil
}

// A kind is how a file keeps its text.
type kind int

const (
	plain kind = iota
	compressed
	sealed
)

// kindOf tells the kind of a file by its name, or by its first bytes when that says nothing.
func kindOf(file *os.File) (kind, error) {
	switch name := file.Name(); {
	case strings.HasSuffix(name, sealedExt):
		return sealed, nil
	case strings.HasSuffix(name, ".zst"):
		return compressed, nil
	}
	var head [8]byte
	n, err := file.ReadAt(head[:], 0)
	switch {
	case err != nil && err != io.EOF:
		return plain, err
	case bytes.Equal(head[:n], sealMagic):
		return sealed, nil
	case bytes.HasPrefix(head[:n], frameMagic):
		return compressed, nil
	}
	return plain, nil
}

// A plainSource reads a file of plain lines.
type plainSource struct {
	file   *os.File
	buf    []byte
	offset int64
}

func (s *plainSource) close() error { return s.file.Close() }

func (s *plainSource) next() (chunk, error) {
	n, err := s.file.Read(s.buf)
	if n == 0 && err != nil {
		return chunk{}, err
	}
	c := chunk{text: s.buf[:n], offset: s.offset}
	s.offset += int64(n)
	return c, nil
}

// A frameSource reads a compressed file, frame by frame.
type frameSource struct {
	in   *frames
	name string
	last bool // no segment comes after this one
	pass *pass
	gap  bool // frames were skipped since the last chunk

	stream   *zstd.Decoder // reads the frame at streamAt, which is too large to be read whole
	streamAt int64
}

func (s *frameSource) close() error {
	if s.stream != nil {
		s.stream.Close()
	}
	return s.in.close()
}

func (s *frameSource) next() (chunk, error) {
	for {
		at := s.in.at
		var text []byte
		var err error
		if s.stream != nil {
			at = s.streamAt
			text, err = s.nextOfStream()
		} else {
			text, err = s.nextFrame()
		}
		switch {
		case err == io.EOF:
			return chunk{}, io.EOF
		case err == nil && len(text) > 0:
			c := chunk{text: text, offset: at, gap: s.gap}
			s.gap = false
			return c, nil
		case err == nil:
			continue
		case !isDamage(err):
			return chunk{}, err
		}
		if err := s.damaged(at, err); err != nil {
			return chunk{}, err
		}
	}
}

// nextFrame returns the content of the next frame, or nothing when the frame has to be decoded as a stream, which
// it then begins.
func (s *frameSource) nextFrame() ([]byte, error) {
	at := s.in.at
	fr, err := s.in.read()
	if err != nil || fr.skip {
		return nil, err
	}
	text, err := s.in.decode(fr)
	if err == nil && s.in.opener != nil && !s.pass.chain.follow(s.in.link, fr.sum) {
		err = s.unlinked(at)
	}
	if keyless := (*KeyError)(nil); errors.As(err, &keyless) {
		return nil, &KeyError{File: s.name, Offset: at, Wrong: keyless.Wrong}
	}
	if err != errNotWhole {
		return text, err
	}
	s.streamAt = at
	s.stream, err = zstd.NewReader(io.NewSectionReader(s.in.file, at, fr.size),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	return nil, err
}

// unlinked decides what becomes of a sealed frame that does not follow the one before it.
func (s *frameSource) unlinked(offset int64) error {
	if s.pass.opts.Salvage {
		s.pass.damage.Breaks++
		return nil
	}
	return &CorruptError{File: s.name, Offset: offset,
		Reason: "it was not written after what is before it: frames were taken out, repeated or moved"}
}

// nextOfStream returns the next part of a large frame, and nothing after the last one. The checksum is verified only
// at the end, so what it returns before may be damaged.
func (s *frameSource) nextOfStream() ([]byte, error) {
	buf := s.in.content[:cap(s.in.content)]
	if len(buf) < maxBlock {
		buf = make([]byte, maxBlock)
		s.in.content = buf
	}
	n, err := s.stream.Read(buf)
	if err == nil || n > 0 {
		return buf[:n], nil
	}
	s.stream.Close()
	s.stream = nil
	if err == io.EOF {
		return nil, nil
	}
	return nil, badContent(err)
}

// damaged decides what becomes of the frame at offset, which could not be read because of err. It returns nil to go
// on at the next good frame.
func (s *frameSource) damaged(offset int64, err error) error {
	cut, cerr := s.in.cutAt(offset, err)
	if cerr != nil {
		return cerr
	}
	opts, damage := &s.pass.opts, &s.pass.damage
	switch {
	case cut && s.last && (opts.AllowCut || opts.Salvage):
		damage.Cut = &Cut{File: s.name, Offset: offset, Bytes: s.in.size - offset}
		return io.EOF
	case cut && !opts.Salvage:
		return &CutError{Cut{File: s.name, Offset: offset, Bytes: s.in.size - offset}}
	case !opts.Salvage:
		return &CorruptError{File: s.name, Offset: offset, Reason: reasonOf(err)}
	}
	s.pass.chain.broken = true
	damage.Frames++
	damage.Bytes += s.in.at - offset
	s.gap = true
	return nil
}

func reasonOf(err error) string {
	if err == io.ErrUnexpectedEOF {
		return "it does not end where the next one begins"
	}
	return err.Error()
}
