package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

const readAhead = 256 << 10

// frames goes through the frames of a compressed file. It reads as much as the file had when it was opened, so that
// a file that is being written can be read.
type frames struct {
	file    *os.File
	size    int64
	at      int64 // of the next frame
	in      *bufio.Reader
	decoder *zstd.Decoder
	buf     []byte // of the last frame
	content []byte // of the last frame, decoded
}

func openFrames(file *os.File) (*frames, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(wholeContent))
	if err != nil {
		return nil, err
	}
	f := &frames{file: file, size: info.Size(), decoder: decoder, buf: make([]byte, 0, maxBlock)}
	f.in = bufio.NewReaderSize(nil, readAhead)
	f.seek(0)
	return f, nil
}

func (f *frames) close() { f.decoder.Close() }

func (f *frames) seek(offset int64) {
	f.at = offset
	f.in.Reset(io.NewSectionReader(f.file, offset, f.size-offset))
}

// read reads the next frame as [readFrame] does. What it returns is valid until the next call.
func (f *frames) read() (frame, error) {
	fr, err := readFrame(f.in, f.buf)
	if fr.data != nil {
		f.buf = fr.data
	}
	if err == nil {
		f.at += fr.size
	}
	return fr, err
}

// errNotWhole is what decode says of frames that are to be decoded as a stream.
var errNotWhole = errors.New("frame is too large to be held in memory")

// decode returns the content of a frame after its checksum was verified. It is valid until the next call. The error
// is errNotWhole or a *badFrame.
func (f *frames) decode(fr frame) ([]byte, error) {
	if fr.data == nil {
		return nil, errNotWhole
	}
	content, err := f.decoder.DecodeAll(fr.data, f.content[:0])
	if content != nil {
		f.content = content
	}
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, errNotWhole
	case err != nil:
		return nil, badContent(err)
	}
	return content, nil
}

func badContent(err error) error {
	if errors.Is(err, zstd.ErrCRCMismatch) {
		return &badFrame{"checksum does not match"}
	}
	return &badFrame{"does not decompress: " + err.Error()}
}

// search moves to the first good frame at or after from. The error is io.EOF when there is none.
func (f *frames) search(from int64) error {
	window := make([]byte, readAhead)
	for from < f.size {
		n, err := f.file.ReadAt(window[:min(int64(len(window)), f.size-from)], from)
		if err != nil && err != io.EOF {
			return err
		}
		i := bytes.Index(window[:n], frameMagic)
		if i < 0 {
			if n < len(window) {
				break
			}
			from += int64(n - len(frameMagic) + 1)
			continue
		}
		from += int64(i)
		good, err := f.good(from)
		if good || err != nil {
			return err
		}
		from++
	}
	return io.EOF
}

// good reports whether a frame that can be read begins at offset, and moves there.
func (f *frames) good(offset int64) (bool, error) {
	f.seek(offset)
	fr, err := f.read()
	if err == nil {
		_, err = f.decode(fr)
	}
	f.seek(offset)
	switch {
	case err == nil, err == errNotWhole:
		return true, nil
	case isDamage(err):
		return false, nil
	}
	return false, err
}

// isDamage tells errors about what a file holds from those about reading it.
func isDamage(err error) bool {
	var bad *badFrame
	return err == io.ErrUnexpectedEOF || errors.As(err, &bad)
}

// cutAt reports whether what begins at offset, where reading a frame failed with err, is what a kill or a power
// failure leaves: the file ends within a frame, or in nothing but zeros, and no good frame follows. Otherwise f is
// then at the next good frame, or at the end.
func (f *frames) cutAt(offset int64, err error) (bool, error) {
	switch serr := f.search(offset + 1); {
	case serr == nil:
		return false, nil
	case serr != io.EOF:
		return false, serr
	}
	f.seek(f.size)
	if err == io.ErrUnexpectedEOF {
		return true, nil
	}
	return f.zerosFrom(offset)
}

func (f *frames) zerosFrom(offset int64) (bool, error) {
	rest := bufio.NewReader(io.NewSectionReader(f.file, offset, f.size-offset))
	for {
		switch b, err := rest.ReadByte(); {
		case err == io.EOF:
			return true, nil
		case err != nil || b != 0:
			return false, err
		}
	}
}
