package wiretap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// A frame is a segment on its way to another process: kind, connection, both times in nanoseconds and the length of
// the data, big-endian, then the data. The highest bit of the kind is ServerLast.
const (
	frameHeader = 1 + 8 + 8 + 8 + 4
	// maxData is the most data that a frame has.
	maxData       = 1 << 20
	serverLastBit = 0x80
)

// An Encoder writes segments as frames.
type Encoder struct {
	w   io.Writer
	buf []byte
}

// NewEncoder returns an Encoder that writes each frame with one call of w.Write.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Encode writes s. Segments of a [Tap] fit; a Note of more than 1 MiB is an error.
func (e *Encoder) Encode(s Segment) error {
	if len(s.Data) > maxData {
		return fmt.Errorf("a segment of %d bytes is too large", len(s.Data))
	}
	kind := byte(s.Kind)
	if s.ServerLast {
		kind |= serverLastBit
	}
	b := append(e.buf[:0], kind)
	b = binary.BigEndian.AppendUint64(b, s.Conn)
	b = binary.BigEndian.AppendUint64(b, uint64(s.At.Wall.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(s.At.Tick))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Data)))
	e.buf = append(b, s.Data...)
	_, err := e.w.Write(e.buf)
	return err
}

// A Decoder reads frames.
type Decoder struct{ r *bufio.Reader }

// NewDecoder returns a Decoder of what an Encoder has written.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{bufio.NewReaderSize(r, 64<<10)} }

// Decode returns the next segment. The error is io.EOF at the end, io.ErrUnexpectedEOF in the middle of a frame; what
// is no frame is an error after which there is nothing to be had.
func (d *Decoder) Decode() (Segment, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(d.r, header[:]); err != nil {
		return Segment{}, err
	}
	s := Segment{
		Kind:       Kind(header[0] &^ serverLastBit),
		ServerLast: header[0]&serverLastBit != 0,
		Conn:       binary.BigEndian.Uint64(header[1:]),
		At: Moment{
			Wall: time.Unix(0, int64(binary.BigEndian.Uint64(header[9:]))).UTC(),
			Tick: time.Duration(binary.BigEndian.Uint64(header[17:])),
		},
	}
	n := binary.BigEndian.Uint32(header[25:])
	if s.Kind < Open || s.Kind > lastKind || n > maxData {
		return Segment{}, errors.New("not a frame of a wiretap")
	}
	if n == 0 {
		return s, nil
	}
	s.Data = make([]byte, n)
	if _, err := io.ReadFull(d.r, s.Data); err != nil {
		return Segment{}, io.ErrUnexpectedEOF
	}
	return s, nil
}
