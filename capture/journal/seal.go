package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// An encrypted file is a sequence of sealed frames. Each begins with a header in the clear, so that whoever has no
// key can find frames, tell torn and damaged ones, and count lines:
//
//	 0  magic
//	 8  length of the age file that follows, in bytes, little-endian
//	12  number of lines in it, little-endian
//	16  SHA-256 of the 16 bytes before and of the age file
//	48  the age file, see https://age-encryption.org/v1
//
// The age file holds a skippable zstd frame of 32 bytes, the link, which is the SHA-256 in the header of the sealed
// frame before, or zeros in the first one of a journal, and then the zstd frame of the lines. Links are what shows
// that a frame was cut out, repeated, moved or put in between.
const (
	sealHeader = 48
	sealSumAt  = 16
	// maxSealed bounds an age file: the longest line, if it does not compress, for some thousand recipients.
	maxSealed = wholeContent + 16<<20
)

var (
	sealMagic = []byte("\xa6tandem\x01")
	linkMagic = []byte{0x5a, 0x2a, 0x4d, 0x18, sha256.Size, 0, 0, 0}
)

type sum = [sha256.Size]byte

func sumOf(sealed []byte) (s sum) {
	hash := sha256.New()
	hash.Write(sealed[:sealSumAt])
	hash.Write(sealed[sealHeader:])
	hash.Sum(s[:0])
	return s
}

// A sealer makes sealed frames.
type sealer struct {
	recipients []age.Recipient
	last       sum // of the frame before
	content    []byte
	out        bytes.Buffer
}

// seal makes one frame of text. It is valid until the next call, and links up with the frame that was made before.
func (s *sealer) seal(encoder *zstd.Encoder, text []byte) ([]byte, error) {
	if cap(s.content) > 4<<20 { // grown for one long line
		s.content, s.out = nil, bytes.Buffer{}
	}
	s.content = append(append(s.content[:0], linkMagic...), s.last[:]...)
	s.content = encoder.EncodeAll(text, s.content)
	s.out.Reset()
	s.out.Grow(sealHeader + len(s.content) + len(s.content)/1024 + 1024) // with what age adds, in most cases
	s.out.Write(make([]byte, sealHeader))
	w, err := age.Encrypt(&s.out, s.recipients...)
	if err == nil {
		_, err = w.Write(s.content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	sealed := s.out.Bytes()
	if len(sealed)-sealHeader > maxSealed {
		return nil, fmt.Errorf("encrypt: a frame of %d bytes for %d recipients is too large", len(sealed), len(s.recipients))
	}
	copy(sealed, sealMagic)
	binary.LittleEndian.PutUint32(sealed[8:], uint32(len(sealed)-sealHeader))
	binary.LittleEndian.PutUint32(sealed[12:], uint32(bytes.Count(text, []byte{'\n'})))
	s.last = sumOf(sealed)
	copy(sealed[sealSumAt:], s.last[:])
	return sealed, nil
}

// readSealed reads the next sealed frame and verifies its sum, without a key. It has left bytes at most. Its data is
// put into buf. Errors are those of [readFrame].
func readSealed(r *bufio.Reader, left int64, buf []byte) (frame, error) {
	head, err := r.Peek(sealHeader)
	if err != nil && err != io.EOF {
		return frame{}, err
	}
	if len(head) == 0 {
		return frame{}, io.EOF
	}
	if n := min(len(head), len(sealMagic)); !bytes.Equal(head[:n], sealMagic[:n]) {
		return frame{}, &badFrame{noSeal(head)}
	}
	if len(head) < sealHeader {
		return frame{}, io.ErrUnexpectedEOF
	}
	length := int64(binary.LittleEndian.Uint32(head[8:]))
	size := sealHeader + length
	switch {
	case length > maxSealed:
		return frame{}, &badFrame{fmt.Sprintf("an encrypted frame of %d bytes", length)}
	case size > left:
		return frame{}, io.ErrUnexpectedEOF
	}
	fr := frame{data: slices.Grow(buf[:0], int(size))[:size], size: size}
	if _, err := io.ReadFull(r, fr.data); err != nil {
		return frame{}, unexpectedEOF(err)
	}
	fr.lines = int64(binary.LittleEndian.Uint32(fr.data[12:]))
	fr.sum = sum(fr.data[sealSumAt:sealHeader])
	if sumOf(fr.data) != fr.sum {
		return frame{}, &badFrame{"checksum does not match"}
	}
	return fr, nil
}

func noSeal(head []byte) string {
	if bytes.HasPrefix(head, []byte("age-encryption.org/")) || bytes.HasPrefix(head, []byte("-----BEGIN AGE")) {
		return "no frame begins here, but a file that age encrypted as a whole: age -d decrypts it"
	}
	return "no encrypted frame begins here"
}

// An opener decrypts sealed frames.
type opener struct {
	identities []age.Identity
	content    bytes.Buffer
}

// open returns the link and the zstd frame in a sealed one. They are valid until the next call. The error is a
// *badFrame, or a *KeyError without a place.
func (o *opener) open(sealed []byte) (link sum, content []byte, err error) {
	if len(o.identities) == 0 {
		return link, nil, &KeyError{}
	}
	in, err := age.Decrypt(bytes.NewReader(sealed[sealHeader:]), o.identities...)
	if noMatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &noMatch) {
		return link, nil, &KeyError{Wrong: true}
	}
	o.content.Reset()
	o.content.Grow(len(sealed) + bytes.MinRead)
	if err == nil {
		_, err = o.content.ReadFrom(in)
	}
	if err != nil {
		return link, nil, &badFrame{"does not decrypt: " + err.Error()}
	}
	content, ok := bytes.CutPrefix(o.content.Bytes(), linkMagic)
	if !ok || len(content) < len(link) {
		return link, nil, &badFrame{"what is encrypted has no link"}
	}
	return sum(content[:len(link)]), content[len(link):], nil
}

// A chain follows the links of the sealed frames of one pass.
type chain struct {
	last   sum
	broken bool // frames were skipped since last, so the next one may link up with any
}

// follow takes the next frame and reports whether it links up with the one before.
func (c *chain) follow(link, next sum) bool {
	ok := c.broken || link == c.last
	c.last, c.broken = next, false
	return ok
}

// A tally is what is known of encrypted files without a key.
type tally struct {
	frames, lines int64
	last          sum // of the last frame
}

// add goes through an encrypted file. Damage is an error when strict is set, else passed over.
func (t *tally) add(s segment, strict bool) error {
	in, err := openFile(s, nil)
	if err != nil {
		return err
	}
	defer in.close()
	for {
		at := in.at
		fr, err := in.read()
		switch {
		case err == io.EOF:
			return nil
		case err == nil:
			t.frames++
			t.lines += fr.lines
			t.last = fr.sum
			continue
		case !isDamage(err):
			return err
		}
		cut, cerr := in.cutAt(at, err)
		switch {
		case cerr != nil:
			return cerr
		case strict && cut:
			return &CutError{Cut{File: s.name, Offset: at, Bytes: in.size - at}}
		case strict:
			return &CorruptError{File: s.name, Offset: at, Reason: reasonOf(err)}
		}
	}
}

// CountSealed counts the lines in the segments of an encrypted journal in a folder. It needs no key. Damage is an
// error, as it is for a [Reader].
func CountSealed(dir, prefix string) (lines int64, err error) {
	r, err := find(dir, ReaderOptions{Prefix: prefix})
	if err != nil {
		return 0, err
	}
	var t tally
	for _, s := range r.segments {
		if err := t.add(s, true); err != nil {
			return 0, err
		}
	}
	return t.lines, nil
}
