package compare

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/ianaindex"
)

// maxDecoded bounds what undoing one coding may make of a body. A larger one is compared as the bytes that were sent.
const maxDecoded = 16 << 20

var (
	errTooLarge = errors.New("decoded, it is too large")
	errTrailing = errors.New("bytes after the end of the compressed ones")
	errCharset  = errors.New("not in the charset that its media type says")
)

// undoCodings undoes what Content-Encoding lists, the last coding first (RFC 9110, section 8.4). Known is false where
// it lists a coding that is not known, such as a charset that was put there by mistake, or none; raw is then returned
// as it is. An error means that raw is not in the codings that it is said to be in.
func undoCodings(list string, raw []byte) (plain []byte, known bool, err error) {
	if list == "" {
		return raw, false, nil
	}
	var codings []string
	for coding := range strings.SplitSeq(strings.ToLower(list), ",") {
		switch coding = strings.TrimSpace(coding); coding {
		case "", "identity":
		case "gzip", "x-gzip", "deflate", "br", "zstd":
			codings = append(codings, coding)
		default:
			return raw, false, nil
		}
	}
	plain = raw
	for _, coding := range slices.Backward(codings) {
		if plain, err = undoCoding(coding, plain); err != nil {
			return nil, true, fmt.Errorf("undoing %s: %w", coding, err)
		}
	}
	return plain, len(codings) > 0, nil
}

func undoCoding(coding string, raw []byte) ([]byte, error) {
	from := bytes.NewReader(raw)
	switch coding {
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		return readDecoded(r, from)
	case "deflate": // which RFC 9110 says is zlib's format; some send the bare stream
		if r, err := zlib.NewReader(from); err == nil {
			if plain, err := readDecoded(r, from); err == nil {
				return plain, nil
			}
		}
		from.Reset(raw)
		return readDecoded(flate.NewReader(from), from)
	case "br":
		// Its reader reads ahead and refuses what comes after the end by itself.
		return readDecoded(brotli.NewReader(from), from)
	}
	r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readDecoded(r, from)
}

// readDecoded reads all of r, which has to use up from.
func readDecoded(r io.Reader, from *bytes.Reader) ([]byte, error) {
	plain, err := io.ReadAll(io.LimitReader(r, maxDecoded+1))
	switch {
	case err != nil:
		return nil, err
	case len(plain) > maxDecoded:
		return nil, errTooLarge
	case from.Len() > 0:
		return nil, errTrailing
	}
	return plain, nil
}

// decodeCharset returns text in UTF-8. Text that nothing is said of is returned as it is. It fails where raw is not
// in the charset or, but for ASCII, the charset is not known; what a lossy decoding would make of it is never looked
// at.
func decodeCharset(charset string, raw []byte) ([]byte, error) {
	switch strings.ToLower(charset) {
	case "":
		return raw, nil
	case "utf-8", "utf8":
		if !utf8.Valid(raw) {
			return nil, errCharset
		}
		return raw, nil
	}
	encoding, err := ianaindex.MIME.Encoding(charset)
	if err != nil || encoding == nil {
		if ascii(string(raw)) {
			return raw, nil
		}
		return nil, errCharset
	}
	text, err := encoding.NewDecoder().Bytes(raw)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) || !utf8.Valid(text) {
		return nil, errCharset
	}
	return text, nil
}

var (
	byteOrderMark  = []byte("\ufeff")
	xmlDeclaration = regexp.MustCompile(`^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']`)
)

// decodeXML returns XML in UTF-8. What its charset is, a byte order mark says first, then the media type, then the
// XML declaration (RFC 7303, section 3).
func decodeXML(charset string, raw []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(raw, byteOrderMark):
		charset, raw = "utf-8", raw[len(byteOrderMark):]
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}) || bytes.HasPrefix(raw, []byte{0xff, 0xfe}):
		charset = "utf-16"
	case charset == "":
		charset = "utf-8"
		if declared := xmlDeclaration.FindSubmatch(raw[:min(len(raw), 200)]); declared != nil {
			charset = string(declared[1])
		}
	}
	return decodeCharset(charset, raw)
}
