package jsonval

import (
	"encoding/binary"
	"math/bits"
)

// SkipSpace returns the index of the first byte from i on that is not white space.
func SkipSpace(data []byte, i int) int {
	for i < len(data) && data[i] <= ' ' {
		if c := data[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return i
		}
		i++
	}
	return i
}

// skipLeaf returns the index behind the string, number or literal at i, or bad.
func skipLeaf(data []byte, i int) int {
	if uint(i) >= uint(len(data)) {
		return bad
	}
	switch data[i] {
	case '"':
		return skipText(data, i+1)
	case 't':
		if i+4 <= len(data) && string(data[i:i+4]) == "true" {
			return i + 4
		}
	case 'f':
		if i+5 <= len(data) && string(data[i:i+5]) == "false" {
			return i + 5
		}
	case 'n':
		if i+4 <= len(data) && string(data[i:i+4]) == "null" {
			return i + 4
		}
	default:
		return skipNumber(data, i)
	}
	return bad
}

// SkipString returns the index behind the string that begins at i with its opening quote, or -1 where there is none.
func SkipString(data []byte, i int) int {
	if uint(i) >= uint(len(data)) || data[i] != '"' {
		return bad
	}
	return skipText(data, i+1)
}

// Eight bytes at once: a byte times ones is that byte, eight times.
const (
	ones = 0x0101010101010101
	tops = 0x80 * ones
)

// stops marks the bytes of word that are not plain, which is a quote, a backslash or a control character, with their
// top bits. The lowest mark is right, others may not be.
func stops(word uint64) uint64 {
	low := word ^ 0x02*ones // is below 0x21 for quotes and for control characters
	escape := word ^ '\\'*ones
	return ((low - 0x21*ones) | (escape - ones)) &^ word & tops
}

// plain returns how many plain bytes are at i. It looks at eight of them, and at none where there are not so many.
func plain(data []byte, i int) int {
	if i+8 > len(data) {
		return 0
	}
	if m := stops(binary.LittleEndian.Uint64(data[i : i+8])); m != 0 {
		return bits.TrailingZeros64(m) / 8
	}
	return 8
}

// skipText returns the index behind the string of which i is inside, or bad.
func skipText(data []byte, i int) int {
	data = data[:len(data):len(data)]
	for {
		for long := i + 64; i+8 <= len(data); i += 8 {
			if m := stops(binary.LittleEndian.Uint64(data[i : i+8])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			if i >= long {
				i, long = skipPlain(data, i), len(data)
			}
		}
		if uint(i) >= uint(len(data)) {
			return bad
		}
		switch c := data[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i++; uint(i) < uint(len(data)) && isEscape(data[i]) {
				i++
			} else if i = skipUnicode(data, i); i < 0 {
				return bad
			}
		case c < ' ':
			return bad
		default:
			i++
		}
	}
}

// skipPlain returns an index from which on there are eight plain bytes, as there are from i on. It is far behind i in
// a long text.
func skipPlain(data []byte, i int) int {
	data = data[:len(data):len(data)]
	for ; i+40 <= len(data); i += 32 {
		a := binary.LittleEndian.Uint64(data[i+8 : i+16])
		b := binary.LittleEndian.Uint64(data[i+16 : i+24])
		c := binary.LittleEndian.Uint64(data[i+24 : i+32])
		d := binary.LittleEndian.Uint64(data[i+32 : i+40])
		if stops(a)|stops(b)|stops(c)|stops(d) != 0 {
			break
		}
	}
	return i
}

// isEscape reports whether a backslash and c are a whole escape. Letters has a bit for each c from the backslash on.
func isEscape(c byte) bool {
	const letters = 1 | 1<<('b'-'\\') | 1<<('f'-'\\') | 1<<('n'-'\\') | 1<<('r'-'\\') | 1<<('t'-'\\')
	return c == '"' || letters>>(c-'\\')&1 != 0 || c == '/'
}

// skipUnicode reads on behind the backslash of \uXXXX.
func skipUnicode(data []byte, i int) int {
	if i+5 > len(data) || data[i] != 'u' {
		return bad
	}
	for _, c := range data[i+1 : i+5] {
		if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return bad
		}
	}
	return i + 5
}

func skipNumber(data []byte, i int) int {
	if i < len(data) && data[i] == '-' {
		i++
	}
	start := i
	if i = skipDigits(data, i); i == start || data[start] == '0' && i > start+1 {
		return bad
	}
	return skipFraction(data, i)
}

// skipFraction reads what is behind the digits that a number begins with.
func skipFraction(data []byte, i int) int {
	if i < len(data) && data[i] == '.' {
		start := i + 1
		if i = skipDigits(data, start); i == start {
			return bad
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		start := i
		if i = skipDigits(data, start); i == start {
			return bad
		}
	}
	return i
}

func skipDigits(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		digits := binary.LittleEndian.Uint64(data[i:i+8]) ^ '0'*ones // below 10
		if m := ((digits + (0x80-10)*ones) | digits) & tops; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}
