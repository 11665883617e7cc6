package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// A sink is where batches go. It is not used concurrently.
type sink interface {
	// write writes text in one call and returns how many bytes that made.
	write(text []byte) (int, error)
	sync() error
	close() error
}

// A streamSink writes to what is not a file: plain lines, or sealed frames.
type streamSink struct {
	w    io.Writer
	form form
}

func (s *streamSink) write(text []byte) (int, error) {
	data, err := s.form.encode(text)
	if err != nil {
		return 0, err
	}
	return s.w.Write(data)
}

func (s *streamSink) sync() error  { return nil }
func (s *streamSink) close() error { return nil }

// A form makes of text what is written. The zero value leaves it plain.
type form struct {
	encoder *zstd.Encoder // nil for plain lines
	sealer  *sealer       // nil unless frames are encrypted
	frame   []byte
}

func newForm(kind kind, recipients []age.Recipient) (f form, err error) {
	if kind != plain {
		f.encoder, err = newEncoder()
	}
	if kind == sealed {
		f.sealer = &sealer{recipients: recipients}
	}
	return f, err
}

// encode returns text as it is written. What it returns is valid until the next call.
func (f *form) encode(text []byte) ([]byte, error) {
	switch {
	case f.sealer != nil:
		return f.sealer.seal(f.encoder, text)
	case f.encoder != nil:
		f.frame = f.encoder.EncodeAll(text, f.frame[:0])
		return f.frame, nil
	}
	return text, nil
}

// follow makes the next frame link up with the last one of what is there, of which the last segment comes last.
func (f *form) follow(segments []segment) error {
	if f.sealer == nil {
		return nil
	}
	for _, s := range slices.Backward(segments) {
		var t tally
		if err := t.add(s, false); err != nil {
			return err
		}
		if t.frames > 0 {
			f.sealer.last = t.last
			break
		}
	}
	return nil
}

func newEncoder() (*zstd.Encoder, error) {
	// A frame seldom has more than 1 MiB, so a larger window finds nothing more, and takes its size twice in memory. Of
	// lines that are much alike, the fastest level makes less than the default one, by 3 to 13 percent.
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithWindowSize(1<<20),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
}

// A fileSink appends to one file.
type fileSink struct {
	file *os.File
	size int64
	form *form
}

func openFileSink(path string, opts WriterOptions) (*fileSink, *Cut, error) {
	if err := opts.checkName(path); err != nil {
		return nil, nil, err
	}
	flags := os.O_RDWR | os.O_APPEND | os.O_CREATE
	if !opts.Append {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, nil, err
	}
	s := &fileSink{file: file}
	cut, err := s.prepare(path, opts.Recipients)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return s, cut, nil
}

// checkName makes sure that the name of a lone file says whether it is encrypted.
func (o *WriterOptions) checkName(path string) error {
	switch {
	case isSealed(path) && len(o.Recipients) == 0:
		return fmt.Errorf("%s: files of this name are encrypted: --recipient says for whom", path)
	case !isSealed(path) && len(o.Recipients) > 0:
		stem := strings.TrimSuffix(strings.TrimSuffix(path, ".zst"), plainExt)
		return fmt.Errorf("%s: encrypted files are named otherwise: %s", path, stem+sealedExt)
	}
	return nil
}

func (s *fileSink) prepare(path string, recipients []age.Recipient) (*Cut, error) {
	if err := lock(s.file); err != nil {
		return nil, err
	}
	kind, err := kindOf(s.file)
	if err != nil {
		return nil, err
	}
	if kind == sealed && len(recipients) == 0 {
		return nil, &MixError{Path: path, Encrypted: true}
	}
	cut, err := repair(s.file, path)
	if err != nil {
		return nil, err
	}
	if s.size, err = s.file.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	f, err := newForm(kind, recipients)
	if err == nil {
		err = f.follow([]segment{{path: path, name: path}})
	}
	s.form = &f
	return cut, err
}

func (s *fileSink) write(text []byte) (int, error) {
	data, err := s.form.encode(text)
	if err != nil {
		return 0, err
	}
	n, err := s.file.Write(data)
	if err != nil {
		// What was written of the frame is of no use. If it cannot be removed, readers tell it as cut off.
		if n > 0 && s.file.Truncate(s.size) == nil {
			n = 0
		}
		return n, err
	}
	s.size += int64(n)
	return n, nil
}

func (s *fileSink) sync() error { return s.file.Sync() }

func (s *fileSink) close() error {
	err := s.file.Sync()
	if cerr := s.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// A folderSink appends to the segments of a folder. A segment's file is made with its first frame.
type folderSink struct {
	dir          *os.File // locked
	prefix       string
	number       int // of the next segment
	segmentBytes int64
	form         form
	current      *fileSink // nil before the first frame of a segment
}

func openFolderSink(path, prefix string, opts WriterOptions) (*folderSink, *Cut, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	s := &folderSink{dir: dir, prefix: prefix, segmentBytes: opts.SegmentBytes}
	cut, err := s.prepare(opts)
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return s, cut, nil
}

func (s *folderSink) prepare(opts WriterOptions) (cut *Cut, err error) {
	if err = lock(s.dir); err != nil {
		return nil, err
	}
	segments, err := segmentsOf(s.dir.Name(), s.prefix)
	if err != nil {
		return nil, err
	}
	s.number = 1
	if n := len(segments); n > 0 {
		last := segments[n-1]
		if !opts.Append {
			return nil, fmt.Errorf("%s: %w", last.path, os.ErrExist)
		}
		if isSealed(last.path) != (len(opts.Recipients) > 0) {
			return nil, &MixError{Path: s.dir.Name(), Encrypted: isSealed(last.path)}
		}
		s.number = last.number + 1
		if cut, err = repairPath(last.path); err != nil {
			return nil, err
		}
	}
	kind := compressed
	if len(opts.Recipients) > 0 {
		kind = sealed
	}
	if s.form, err = newForm(kind, opts.Recipients); err != nil {
		return nil, err
	}
	return cut, s.form.follow(segments)
}

func (s *folderSink) write(text []byte) (int, error) {
	if s.current == nil {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	n, err := s.current.write(text)
	if err == nil && s.current.size >= s.segmentBytes {
		err = s.end()
	}
	return n, err
}

// begin makes the file of the next segment.
func (s *folderSink) begin() error {
	ext := compressedExt
	if s.form.sealer != nil {
		ext = sealedExt
	}
	path := filepath.Join(s.dir.Name(), segmentName(s.prefix, s.number, ext))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.number++
	s.current = &fileSink{file: file, form: &s.form}
	return nil
}

// end syncs and closes the current segment, so that only the last one can be cut off.
func (s *folderSink) end() error {
	if s.current == nil {
		return nil
	}
	err := s.current.close()
	s.current = nil
	if serr := syncDir(s.dir); err == nil {
		err = serr
	}
	return err
}

func (s *folderSink) sync() error {
	if s.current == nil {
		return nil
	}
	if err := s.current.sync(); err != nil {
		return err
	}
	return syncDir(s.dir)
}

func (s *folderSink) close() error {
	err := s.end()
	if cerr := s.dir.Close(); err == nil {
		err = cerr
	}
	return err
}
