package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

const readAhead = 256 << 10

// frames goes through the frames of a compressed file. It reads as much as the file had when it was opened, so that
// a file that is being written can be read.
type frames struct {
	file    *os.File
	opener  *opener // nil unless the frames are sealed
	size    int64
	at      int64 // of the next frame
	in      *bufio.Reader
	decoder *zstd.Decoder
	buf     []byte // of the last frame
	content []byte // of the last frame, decoded
	link    sum    // of the last frame that was decoded, when it was sealed
}

// openFile opens the frames of a segment. Identities are needed to decode sealed frames, and for nothing else.
func openFile(s segment, identities []age.Identity) (*frames, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(file)
	var in *frames
	if err == nil {
		in, err = openFrames(file, kind, identities)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return in, nil
}

func openFrames(file *os.File, kind kind, identities []age.Identity) (*frames, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(wholeContent))
	if err != nil {
		return nil, err
	}
	f := &frames{file: file, size: info.Size(), decoder: decoder, buf: make([]byte, 0, maxBlock)}
	if kind == sealed {
		f.opener = &opener{identities: identities}
	}
	f.in = bufio.NewReaderSize(nil, readAhead)
	f.seek(0)
	return f, nil
}

func (f *frames) close() error {
	f.decoder.Close()
	return f.file.Close()
}

func (f *frames) seek(offset int64) {
	f.at = offset
	f.in.Reset(io.NewSectionReader(f.file, offset, f.size-offset))
}

// read reads the next frame as [readFrame] or [readSealed] does. What it returns is valid until the next call.
func (f *frames) read() (fr frame, err error) {
	if f.opener != nil {
		fr, err = readSealed(f.in, f.size-f.at, f.buf)
	} else {
		fr, err = readFrame(f.in, f.buf)
	}
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
// is errNotWhole, a *badFrame or a *KeyError.
func (f *frames) decode(fr frame) ([]byte, error) {
	if f.opener != nil {
		return f.decodeSealed(fr)
	}
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

func (f *frames) decodeSealed(fr frame) ([]byte, error) {
	link, compressed, err := f.opener.open(fr.data)
	if err != nil {
		return nil, err
	}
	content, err := f.decoder.DecodeAll(compressed, f.content[:0])
	if content != nil {
		f.content = content
	}
	if err != nil {
		return nil, badContent(err)
	}
	if n := int64(bytes.Count(content, []byte{'\n'})); n != fr.lines {
		return nil, &badFrame{fmt.Sprintf("it has %d lines, and its header says %d", n, fr.lines)}
	}
	f.link = link
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
	magic := frameMagic
	if f.opener != nil {
		magic = sealMagic
	}
	window := make([]byte, readAhead)
	for from < f.size {
		n, err := f.file.ReadAt(window[:min(int64(len(window)), f.size-from)], from)
		if err != nil && err != io.EOF {
			return err
		}
		i := bytes.Index(window[:n], magic)
		if i < 0 {
			if n < len(window) {
				break
			}
			from += int64(n - len(magic) + 1)
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
	if err == nil && f.opener == nil { // a sealed frame is good if its sum is
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
