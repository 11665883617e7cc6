package jsonval

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// An Edit replaces the bytes from Start to End of some text.
type Edit struct {
	Start, End int
	Text       []byte
}

// Splice applies edits, which are in order and do not overlap, to text, whose first byte is at offset base.
func Splice(text []byte, base int, edits []Edit) []byte {
	size := len(text)
	for _, e := range edits {
		size += len(e.Text) - (e.End - e.Start)
	}
	out := make([]byte, 0, size)
	at := base
	for _, e := range edits {
		out = append(out, text[at-base:e.Start-base]...)
		out = append(out, e.Text...)
		at = e.End
	}
	return append(out, text[at-base:]...)
}

// A Coding is a way to write text inside other text, in units of a few bytes.
type Coding struct {
	// Unit decodes what raw begins with. It returns how many bytes it read. Raw is not empty.
	Unit func(dst, raw []byte) (decoded []byte, n int)
	// Encode writes a replacement.
	Encode func(text []byte) []byte
}

// Escaped is how text is written in JSON strings, between their quotes.
var Escaped = Coding{escapedUnit, Escape}

// Decode returns what raw stands for.
func (c Coding) Decode(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for n := 0; len(raw) > 0; raw = raw[n:] {
		out, n = c.Unit(out, raw)
	}
	return out
}

// Outward turns edits of the decoded form of raw into edits of raw, and shifts them by shift.
func (c Coding) Outward(raw []byte, edits []Edit, shift int) {
	var unit [utf8.UTFMax]byte
	at, decoded := 0, 0
	// forward goes on to the unit that holds the decoded byte at target, or, with whole, to the first one behind it.
	forward := func(target int, whole bool) int {
		for decoded < target {
			out, n := c.Unit(unit[:0], raw[at:])
			if !whole && decoded+len(out) > target {
				break
			}
			at, decoded = at+n, decoded+len(out)
		}
		return at + shift
	}
	for i := range edits {
		e := &edits[i]
		e.Start, e.End = forward(e.Start, false), forward(e.End, true)
		e.Text = c.Encode(e.Text)
	}
}

// escapedUnit decodes one byte or escape of a JSON string. A lone surrogate becomes the three bytes that UTF-8 would
// use for it. What is no escape stands for itself.
func escapedUnit(dst, raw []byte) ([]byte, int) {
	if raw[0] != '\\' || len(raw) == 1 {
		return append(dst, raw[0]), 1
	}
	switch c := raw[1]; c {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		return unicodeUnit(dst, raw)
	default:
		return append(dst, c), 2
	}
}

func unicodeUnit(dst, raw []byte) ([]byte, int) {
	r, ok := hex4(raw)
	if !ok {
		return append(dst, raw[0]), 1
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(dst, r), 6
	}
	if low, ok := hex4(raw[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(dst, pair), 12
		}
	}
	return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f), 6
}

// hex4 reads \uXXXX.
func hex4(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}

// Escape returns text as it is written in a JSON string, between the quotes. It may return text itself.
func Escape(text []byte) []byte {
	clean := true
	for _, c := range text {
		clean = clean && c >= 0x20 && c != '"' && c != '\\'
	}
	if clean {
		return text
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(text)+len(text)/8+8)
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return out
}
