package jsonval

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Reader goes over JSON text that is written as expected, in a fraction of the time of encoding/json, and gives up
// where it is not: it is for what has encoding/json to fall back on. The zero value but for Data reads Data from its
// beginning. Nothing that it returns aliases Data, but what says so.
type Reader struct {
	Data []byte
	At   int // of the next value; white space before it is left out
	gone bool

	texts Texts
}

// Ok reports whether all was as expected so far. Once it is not, nothing more is read.
func (r *Reader) Ok() bool { return !r.gone }

// GiveUp makes Ok false.
func (r *Reader) GiveUp() { r.gone = true }

// next returns the next byte that is no white space, or 0.
func (r *Reader) next() byte {
	if i := r.At; uint(i) < uint(len(r.Data)) && r.Data[i] > ' ' && !r.gone {
		return r.Data[i]
	}
	return r.nextBehindSpace()
}

func (r *Reader) nextBehindSpace() byte {
	r.At = SkipSpace(r.Data, r.At)
	if r.gone || r.At >= len(r.Data) {
		return 0
	}
	return r.Data[r.At]
}

func (r *Reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.At++
	return true
}

func (r *Reader) expect(c byte) {
	if !r.take(c) {
		r.gone = true
	}
}

// Object calls member for each member, with the value next. Name is part of Data, and as it is written: a name with
// escapes is not expected.
func (r *Reader) Object(member func(name []byte)) {
	r.Members(func(name []byte) {
		if bytes.IndexByte(name, '\\') >= 0 {
			r.gone = true
		}
		if r.Colon(); !r.gone {
			member(name[1 : len(name)-1])
		}
	})
}

// Members calls member for each member, with [Reader.Colon] next. Name is part of Data, in its quotes.
func (r *Reader) Members(member func(name []byte)) {
	r.expect('{')
	for more := !r.gone && !r.take('}'); more && !r.gone; more = !r.end('}') {
		if name := r.span('"'); !r.gone {
			member(name)
		}
	}
}

// Colon reads what is between a member's name and its value.
func (r *Reader) Colon() { r.expect(':') }

// Array calls elem for each element, with it next.
func (r *Reader) Array(elem func()) {
	r.expect('[')
	for more := !r.gone && !r.take(']'); more && !r.gone; more = !r.end(']') {
		elem()
	}
}

// end takes a comma or what ends a list of values.
func (r *Reader) end(c byte) bool {
	if r.take(c) {
		return true
	}
	r.expect(',')
	return false
}

// span returns the text of the next value, which is part of Data and begins with first, if that is not 0.
func (r *Reader) span(first byte) []byte {
	if c := r.next(); c == 0 || first != 0 && c != first {
		r.gone = true
		return nil
	}
	end := bad
	if first == '"' {
		i := r.At + 1
		i += plain(r.Data, i)
		if i < len(r.Data) && r.Data[i] == '"' { // most are names
			end = i + 1
		} else {
			end = skipText(r.Data, i)
		}
	} else {
		end, _ = skip(r.Data, r.At, nil)
	}
	if end < 0 {
		r.gone = true
		return nil
	}
	text := r.Data[r.At:end:end]
	r.At = end
	return text
}

// Raw returns the text of the next value, which is part of Data.
func (r *Reader) Raw() []byte { return r.span(0) }

// Begins reports whether the next value is written as text is, which is a value, and reads it if so.
func (r *Reader) Begins(text []byte) bool {
	if r.next() == 0 || len(text) == 0 || !bytes.HasPrefix(r.Data[r.At:], text) {
		return false
	}
	if end := r.At + len(text); end < len(r.Data) {
		switch r.Data[end] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			r.At = end
			return true
		}
	}
	return false // a longer number
}

// IsObject reports whether the next value is an object.
func (r *Reader) IsObject() bool { return r.next() == '{' }

// Reset makes r read another text, from its beginning.
func (r *Reader) Reset(text []byte) { r.Data, r.At, r.gone = text, 0, false }

// Begin makes r read a text of its own, if there is one. What r gave up on before stays so.
func (r *Reader) Begin(text []byte) bool {
	r.Data, r.At = text, 0
	return text != nil
}

// Next returns where the next value begins.
func (r *Reader) Next() int {
	r.next()
	return r.At
}

// RawUnlessNull is Raw, and nil for null.
func (r *Reader) RawUnlessNull() []byte {
	if r.Null() {
		return nil
	}
	return r.Raw()
}

// RawLeaves is Raw, says how many leaves the value has, and adds the names of members to names; see [SkipNames].
func (r *Reader) RawLeaves(names *NameSet) (text []byte, leaves int) {
	if r.next() == 0 {
		r.gone = true
		return nil, 0
	}
	end, leaves := skip(r.Data, r.At, names)
	if end < 0 {
		r.gone = true
		return nil, 0
	}
	text = r.Data[r.At:end:end]
	r.At = end
	return text, leaves
}

// RawText is Raw for a string.
func (r *Reader) RawText() []byte { return r.span('"') }

// Null reads null, if it is next.
func (r *Reader) Null() bool {
	if r.next() != 'n' {
		return false
	}
	r.span('n')
	return !r.gone
}

// Text reads a string as encoding/json does.
func (r *Reader) Text() string {
	raw := r.span('"')
	if r.gone {
		return ""
	}
	if !isPlain(raw) {
		return r.unquote(raw)
	}
	return r.texts.String(raw[1 : len(raw)-1])
}

// isPlain reports whether a string says what it says without escapes and in ASCII.
func isPlain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// unquote leaves a string to encoding/json, which says what invalid Unicode becomes.
func (r *Reader) unquote(raw []byte) (s string) {
	r.gone = json.Unmarshal(raw, &s) != nil
	return s
}

// TextOf reads a string and returns it, as one of known if it is one of these, which takes no memory.
func (r *Reader) TextOf(known ...string) string {
	at := r.At
	raw := r.span('"')
	if r.gone {
		return ""
	}
	for _, k := range known {
		if string(raw[1:len(raw)-1]) == k {
			return k
		}
	}
	r.At = at
	return r.Text()
}

// maxNames is how many names a Reader keeps.
const maxNames = 10_000

// TextIn reads a string that may come again, and keeps it in known, unless that is nil.
func (r *Reader) TextIn(known map[string]string) string {
	raw := r.span('"')
	if r.gone {
		return ""
	}
	if isPlain(raw) {
		return r.Name(raw[1:len(raw)-1], known)
	}
	return r.unquote(raw)
}

// Name returns a name that may come again, and keeps it in known, unless that is nil.
func (r *Reader) Name(name []byte, known map[string]string) string {
	text, ok := known[string(name)]
	if !ok {
		if text = string(name); known != nil && len(known) < maxNames {
			known[text] = text
		}
	}
	return text
}

// Float reads a number.
func (r *Reader) Float() float64 {
	raw := r.number()
	v, err := strconv.ParseFloat(string(raw), 64)
	r.gone = r.gone || err != nil
	return v
}

// Int reads a number without fraction and exponent.
func (r *Reader) Int() int64 {
	raw := r.number()
	v, err := strconv.ParseInt(string(raw), 10, 64)
	r.gone = r.gone || err != nil
	return v
}

func (r *Reader) number() []byte {
	if c := r.next(); c != '-' && (c < '0' || c > '9') {
		r.gone = true
	}
	return r.span(0)
}

// Unmarshal leaves the next value to encoding/json.
func (r *Reader) Unmarshal(into any) {
	raw := r.span(0)
	r.gone = r.gone || json.Unmarshal(raw, into) != nil
}

// AtEnd reports whether nothing is left.
func (r *Reader) AtEnd() bool { return SkipSpace(r.Data, r.At) == len(r.Data) }
