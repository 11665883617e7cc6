package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Sizes of the format: https://datatracker.ietf.org/doc/html/rfc8878#section-3.1.1.
const (
	maxBlock     = 128 << 10
	checksumSize = 4
	maxHeader    = 18 + 3 // with the header of the first block
)

const (
	// wholeFrame is the largest frame, compressed, that is read whole. The writer makes frames of about a megabyte,
	// or as long as their only line; larger ones come from other tools, which make one frame of a whole file.
	wholeFrame = 32 << 20
	// wholeContent is the most that such a frame can hold; frames with more are decoded as a stream as well.
	wholeContent = MaxLine + 1<<20
	// maxWindow is what the zstd tool needs at its highest level.
	maxWindow = 128 << 20
)

var frameMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// A badFrame is the error for bytes that are not a zstd frame, or not one that was written in this form.
type badFrame struct{ reason string }

func (e *badFrame) Error() string { return e.reason }

// A frame is one zstd frame, or sealed frame, as it is on disk.
type frame struct {
	data []byte // nil when the frame is not to be held in memory
	size int64
	skip bool // the frame is there to be skipped and has no content

	lines int64 // in a sealed frame, as its header says
	sum   sum   // of a sealed frame
}

// readFrame reads the next frame by its block headers, without decoding it. The frame's data is appended to buf while
// it is shorter than wholeFrame. The error is io.EOF when r is at its end, io.ErrUnexpectedEOF when r ends within the
// frame, a *badFrame, or what r said.
func readFrame(r *bufio.Reader, buf []byte) (frame, error) {
	head, err := r.Peek(maxHeader)
	if err != nil && err != io.EOF {
		return frame{}, err
	}
	if len(head) == 0 {
		return frame{}, io.EOF
	}
	var h zstd.Header
	switch err := h.Decode(head); {
	case errors.Is(err, io.ErrUnexpectedEOF) && len(head) < maxHeader:
		if n := min(len(head), len(frameMagic)); !bytes.Equal(head[:n], frameMagic[:n]) && !isSkippable(head) {
			return frame{}, &badFrame{"no zstd frame begins here"}
		}
		return frame{}, io.ErrUnexpectedEOF
	case errors.Is(err, zstd.ErrMagicMismatch):
		return frame{}, &badFrame{"no zstd frame begins here"}
	case err != nil:
		return frame{}, &badFrame{err.Error()}
	}
	w := frameWalk{r: r, frame: frame{data: buf[:0], skip: h.Skippable}}
	if h.Skippable {
		w.data = nil
		err := w.take(int64(h.HeaderSize) + int64(h.SkippableSize))
		return w.frame, err
	}
	err = w.blocks(&h)
	return w.frame, err
}

// isSkippable reports whether head, which may be short, begins like a skippable frame.
func isSkippable(head []byte) bool {
	return head[0]&0xf0 == 0x50 && bytes.HasPrefix([]byte{0x2a, 0x4d, 0x18}, head[1:min(len(head), 4)])
}

// A frameWalk goes over one frame and keeps it as long as it is short enough.
type frameWalk struct {
	r *bufio.Reader
	frame
}

// blocks takes the frame that h begins.
func (w *frameWalk) blocks(h *zstd.Header) error {
	if err := w.take(int64(h.HeaderSize)); err != nil {
		return err
	}
	var content uint64 // the most that the blocks so far can hold
	for last := false; !last; {
		head, err := w.r.Peek(3)
		if err != nil {
			return unexpectedEOF(err)
		}
		word := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
		size := int64(word >> 3)
		if size > maxBlock {
			return &badFrame{fmt.Sprintf("a block of %d bytes", size)}
		}
		switch word >> 1 & 3 { // the type of the block
		case 1: // one byte, repeated
			size = 1
		case 3:
			return &badFrame{"a block of no known type"}
		}
		content += maxBlock
		last = word&1 != 0
		if err := w.take(3 + size); err != nil {
			return err
		}
	}
	if h.HasFCS && h.FrameContentSize > content {
		return &badFrame{fmt.Sprintf("%d bytes of content in blocks for %d", h.FrameContentSize, content)}
	}
	if h.HasFCS && h.FrameContentSize > wholeContent {
		w.data = nil
	}
	if h.HasCheckSum {
		return w.take(checksumSize)
	}
	return nil
}

// take moves over the next n bytes of the frame.
func (w *frameWalk) take(n int64) error {
	w.size += n
	if w.data == nil || w.size > wholeFrame {
		w.data = nil
		for n > 0 {
			d, err := w.r.Discard(int(min(n, math.MaxInt32)))
			if err != nil {
				return unexpectedEOF(err)
			}
			n -= int64(d)
		}
		return nil
	}
	at := len(w.data)
	w.data = slices.Grow(w.data, int(n))[:at+int(n)]
	_, err := io.ReadFull(w.r, w.data[at:])
	return unexpectedEOF(err)
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
