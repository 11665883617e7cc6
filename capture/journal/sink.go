package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// A sink is where batches go. It is not used concurrently.
type sink interface {
	// write writes text in one call and returns how many bytes that made.
	write(text []byte) (int, error)
	sync() error
	close() error
}

type streamSink struct{ w io.Writer }

func (s *streamSink) write(text []byte) (int, error) { return s.w.Write(text) }
func (s *streamSink) sync() error                    { return nil }
func (s *streamSink) close() error                   { return nil }

// A fileSink appends to one file.
type fileSink struct {
	file    *os.File
	size    int64
	encoder *zstd.Encoder // nil for plain lines
	frame   []byte
}

func newEncoder() (*zstd.Encoder, error) {
	// A frame seldom has more than 1 MiB, so a larger window finds nothing more, and takes its size twice in memory.
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithWindowSize(1<<20))
}

func openFileSink(path string, opts WriterOptions) (*fileSink, *Cut, error) {
	flags := os.O_RDWR | os.O_APPEND | os.O_CREATE
	if !opts.Append {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, nil, err
	}
	s := &fileSink{file: file}
	cut, err := s.prepare(path)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return s, cut, nil
}

func (s *fileSink) prepare(path string) (*Cut, error) {
	if err := lock(s.file); err != nil {
		return nil, err
	}
	cut, err := repair(s.file, path)
	if err != nil {
		return nil, err
	}
	if s.size, err = s.file.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	compressed, err := isCompressed(s.file)
	if err == nil && compressed {
		s.encoder, err = newEncoder()
	}
	return cut, err
}

func (s *fileSink) write(text []byte) (int, error) {
	if s.encoder != nil {
		s.frame = s.encoder.EncodeAll(text, s.frame[:0])
		text = s.frame
	}
	n, err := s.file.Write(text)
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
	encoder      *zstd.Encoder
	current      *fileSink // nil before the first frame of a segment
	frame        []byte
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
	cut, err := s.prepare(opts.Append)
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return s, cut, nil
}

func (s *folderSink) prepare(goOn bool) (cut *Cut, err error) {
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
		if !goOn {
			return nil, fmt.Errorf("%s: %w", last.path, os.ErrExist)
		}
		s.number = last.number + 1
		if cut, err = repairPath(last.path); err != nil {
			return nil, err
		}
	}
	s.encoder, err = newEncoder()
	return cut, err
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
	path := filepath.Join(s.dir.Name(), segmentName(s.prefix, s.number))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.number++
	s.current = &fileSink{file: file, encoder: s.encoder, frame: s.frame}
	return nil
}

// end syncs and closes the current segment, so that only the last one can be cut off.
func (s *folderSink) end() error {
	if s.current == nil {
		return nil
	}
	err := s.current.close()
	s.frame = s.current.frame
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
