package compare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

const (
	sortMemory = 64 << 20 // what is sorted at a time, unless that is said
	maxFanIn   = 16       // segments that are merged at a time
	spillBlock = 128 << 10
	// recordCost is what a record takes in memory beside its bytes.
	recordCost = 128
	// maxField is more than any field of a record has.
	maxField = 1 << 30
)

// A record is a trial on its way to be joined.
type record struct {
	key   []byte
	place string // where the trial was read
	data  []byte
}

// A segment is a temporary file of records.
type segment string

// A spill makes and reads segments in one folder. What they hold is compressed, and encrypted with a key that ends with
// the program.
type spill struct {
	dir    string
	memory int
	key    *age.X25519Identity
	made   int
}

func newSpill(dir string, memory int) (*spill, error) {
	if memory <= 0 {
		memory = sortMemory
	}
	key, err := age.GenerateX25519Identity()
	return &spill{dir: dir, memory: memory, key: key}, err
}

// A segmentWriter writes one segment. It has to be closed.
type segmentWriter struct {
	segment segment
	file    *os.File
	seal    io.WriteCloser
	encoder *zstd.Encoder
	w       *bufio.Writer
	head    []byte
}

func (s *spill) create() (*segmentWriter, error) {
	s.made++
	w := &segmentWriter{segment: segment(filepath.Join(s.dir, fmt.Sprint(s.made)))}
	var err error
	if w.file, err = os.OpenFile(string(w.segment), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	if w.seal, err = age.Encrypt(w.file, s.key.Recipient()); err == nil {
		w.encoder, err = zstd.NewWriter(w.seal, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(spillBlock),
			zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	}
	if err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	w.w = bufio.NewWriterSize(w.encoder, spillBlock)
	return w, nil
}

func (w *segmentWriter) write(r record) error {
	for _, field := range [][]byte{r.key, []byte(r.place), r.data} {
		w.head = binary.AppendUvarint(w.head[:0], uint64(len(field)))
		if _, err := w.w.Write(w.head); err != nil {
			return err
		}
		if _, err := w.w.Write(field); err != nil {
			return err
		}
	}
	return nil
}

func (w *segmentWriter) close() error {
	return errors.Join(w.w.Flush(), w.encoder.Close(), w.seal.Close(), w.file.Close())
}

// A segmentReader reads one segment. Its record is valid until the next one is asked for.
type segmentReader struct {
	file    *os.File
	decoder *zstd.Decoder
	r       *bufio.Reader
	record  record
	place   []byte
}

func (s *spill) open(seg segment) (*segmentReader, error) {
	r := new(segmentReader)
	var err error
	if r.file, err = os.Open(string(seg)); err != nil {
		return nil, err
	}
	open, err := age.Decrypt(bufio.NewReaderSize(r.file, spillBlock), s.key)
	if err == nil {
		r.decoder, err = zstd.NewReader(open, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(1<<20))
	}
	if err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	r.r = bufio.NewReaderSize(r.decoder, spillBlock)
	return r, nil
}

// next reads a record, and reports whether there was one.
func (r *segmentReader) next() (bool, error) {
	if _, err := r.r.Peek(1); errors.Is(err, io.EOF) {
		return false, nil
	}
	for _, field := range []*[]byte{&r.record.key, &r.place, &r.record.data} {
		n, err := binary.ReadUvarint(r.r)
		if err == nil && n > maxField {
			err = fmt.Errorf("a field of %d bytes", n)
		}
		if err == nil {
			*field = slices.Grow((*field)[:0], int(n))[:n]
			_, err = io.ReadFull(r.r, *field)
		}
		if err != nil {
			return false, fmt.Errorf("temporary file %s: %w", r.file.Name(), err)
		}
	}
	r.record.place = string(r.place)
	return true, nil
}

func (r *segmentReader) close() {
	r.decoder.Close()
	r.file.Close() // it was only read
}

// A sorter takes records in any order and leaves sorted segments.
type sorter struct {
	spill    *spill
	records  []record
	size     int
	segments []segment
}

func (s *sorter) add(r record) error {
	s.records = append(s.records, r)
	s.size += len(r.key) + len(r.place) + len(r.data) + recordCost
	if s.size < s.spill.memory {
		return nil
	}
	return s.flush()
}

func (s *sorter) flush() error {
	slices.SortStableFunc(s.records, func(a, b record) int { return bytes.Compare(a.key, b.key) })
	w, err := s.spill.create()
	if err != nil {
		return err
	}
	for _, r := range s.records {
		if err := w.write(r); err != nil {
			return errors.Join(err, w.close())
		}
	}
	s.segments = append(s.segments, w.segment)
	clear(s.records)
	s.records, s.size = s.records[:0], 0
	return w.close()
}

// end returns the segments, which are few enough to be merged at a time.
func (s *sorter) end(ctx context.Context) ([]segment, error) {
	if len(s.records) > 0 {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	s.records = nil
	for len(s.segments) > maxFanIn {
		merged, err := s.mergeFirst(ctx)
		if err != nil {
			return nil, err
		}
		s.segments = append(s.segments[maxFanIn:], merged)
	}
	return s.segments, nil
}

// mergeFirst makes one segment of the first ones, which it deletes.
func (s *sorter) mergeFirst(ctx context.Context) (merged segment, err error) {
	from := s.segments[:maxFanIn]
	c, err := s.spill.cursor(from)
	if err != nil {
		return "", err
	}
	defer c.close()
	w, err := s.spill.create()
	if err != nil {
		return "", err
	}
	for c.ok() {
		err := ctx.Err()
		if err == nil {
			err = w.write(*c.at())
		}
		if err == nil {
			err = c.advance()
		}
		if err != nil {
			return "", errors.Join(err, w.close())
		}
	}
	if err := w.close(); err != nil {
		return "", err
	}
	for _, seg := range from {
		if err := os.Remove(string(seg)); err != nil {
			return "", err
		}
	}
	return w.segment, nil
}

// A cursor reads segments as one, in the order of keys. It has to be closed.
type cursor struct {
	readers []*segmentReader // that have a record
	least   int
	key     []byte // of the record before, whose place is
	place   string
}

// cursor opens segments, and is at the first record.
func (s *spill) cursor(segments []segment) (*cursor, error) {
	c := new(cursor)
	for _, seg := range segments {
		r, err := s.open(seg)
		if err != nil {
			c.close()
			return nil, err
		}
		more, err := r.next()
		if err != nil || !more {
			r.close()
			if err != nil {
				c.close()
				return nil, err
			}
			continue
		}
		c.readers = append(c.readers, r)
	}
	c.find()
	return c, nil
}

func (c *cursor) ok() bool { return len(c.readers) > 0 }

// at is the record that the cursor is at. It is valid until advance.
func (c *cursor) at() *record { return &c.readers[c.least].record }

func (c *cursor) find() {
	c.least = 0
	for i := 1; i < len(c.readers); i++ {
		if bytes.Compare(c.readers[i].record.key, c.at().key) < 0 {
			c.least = i
		}
	}
}

// advance goes to the next record. One with the same key is an error: an invocation has one trial.
func (c *cursor) advance() error {
	c.key, c.place = append(c.key[:0], c.at().key...), c.at().place
	r := c.readers[c.least]
	more, err := r.next()
	if err != nil {
		return err
	}
	if !more {
		r.close()
		c.readers = slices.Delete(c.readers, c.least, c.least+1)
	}
	c.find()
	if c.ok() && bytes.Equal(c.at().key, c.key) {
		id := c.key[:len(c.key)-8]
		return fmt.Errorf("%s: invocation %s has two trials (the other at %s): delete one of the lines", c.at().place, id, c.place)
	}
	return nil
}

func (c *cursor) close() {
	for _, r := range c.readers {
		r.close()
	}
	c.readers = nil
}
