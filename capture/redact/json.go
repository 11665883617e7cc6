package redact

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
)

// maxDepth is how deep arrays and objects may nest. It is what encoding/json allows.
const maxDepth = 10_000

// json looks for what has to be replaced in a JSON document, or in several with white space between them. It adds
// edits of doc and returns true, or returns false, and adds nothing, when doc is not JSON.
func (p *pass) json(doc []byte, pl place) bool {
	before := p.mark()
	w := walker{pass: p, src: doc}
	w.space()
	for more := true; more; more = w.i < len(doc) {
		if !w.value(pl, 0) {
			p.rollback(before)
			return false
		}
		w.space()
	}
	if w.unsorted {
		slices.SortFunc(p.edits[before.edits:], func(a, b edit) int { return a.start - b.start })
	}
	return true
}

// A walker walks one document. Its methods return false when that is not JSON.
type walker struct {
	*pass
	src      []byte
	i        int
	unsorted bool
	lengths  []span // of Content-Length headers in objects that have not ended
}

// A span is some of a document's text.
type span struct{ start, end int }

func (w *walker) text(s span) []byte { return w.src[s.start:s.end] }

func (w *walker) space() {
	for w.i < len(w.src) && isSpace(w.src[w.i]) {
		w.i++
	}
}

func (w *walker) take(c byte) bool {
	if w.i < len(w.src) && w.src[w.i] == c {
		w.i++
		return true
	}
	return false
}

func (w *walker) value(pl place, depth int) bool {
	if w.i >= len(w.src) || depth > maxDepth {
		return false
	}
	if w.redactor.pointers != nil {
		pl = w.pointed(pl)
	}
	switch c := w.src[w.i]; c {
	case '{':
		return w.object(pl, depth)
	case '[':
		return w.array(pl, depth)
	case '"':
		raw, escaped, ok := w.string()
		if ok {
			w.contents(raw, escaped, pl)
		}
		return ok
	case 't':
		return w.literal("true")
	case 'f':
		return w.literal("false")
	case 'n':
		return w.literal("null")
	default:
		return w.number(pl)
	}
}

func (w *walker) literal(text string) bool {
	if !bytes.HasPrefix(w.src[w.i:], []byte(text)) {
		return false
	}
	w.i += len(text)
	return true
}

func (w *walker) number(pl place) bool {
	start := w.i
	for w.i < len(w.src) && numberChars[w.src[w.i]] {
		w.i++
	}
	number := w.src[start:w.i]
	if len(number) == 0 {
		return false
	}
	before := len(w.edits)
	switch {
	case pl.role == secret:
		digits := keep(number, isDigit)
		w.replace(start, w.i, digits, pl.kind) // whose token is a number too
	case pl.role == plain && w.redactor.forms != 0 && len(number) >= 12:
		w.scan(number)
		shift(w.edits[before:], start)
	}
	return true
}

var numberChars = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '+': true, '.': true, 'e': true, 'E': true,
}

// string reads a string and returns what is between its quotes.
func (w *walker) string() (raw []byte, escaped, ok bool) {
	start := w.i + 1
	for i := start; i < len(w.src); i++ {
		switch w.src[i] {
		case '"':
			w.i = i + 1
			return w.src[start:i], escaped, true
		case '\\':
			escaped = true
			i++
		}
	}
	return nil, false, false
}

// contents looks into a string, which has just been read.
func (w *walker) contents(raw []byte, escaped bool, pl place) {
	if len(raw) == 0 || pl.role == kept {
		return
	}
	before, start := len(w.edits), w.i-1-len(raw)
	if pl.role == contentLength && all(raw, isDigit) {
		w.lengths = append(w.lengths, span{start, w.i - 1})
		return
	}
	if !escaped {
		w.at(raw, pl)
		for i := before; i < len(w.edits); i++ {
			w.edits[i].text = escapeJSON(w.edits[i].text)
		}
		shift(w.edits[before:], start)
		return
	}
	w.at(jsonString.decode(raw), pl)
	if len(w.edits) > before {
		jsonString.outward(raw, w.edits[before:], start)
	}
}

func shift(edits []edit, by int) {
	for i := range edits {
		edits[i].start += by
		edits[i].end += by
	}
}

func (w *walker) array(pl place, depth int) bool {
	w.i++
	w.space()
	if w.take(']') {
		return true
	}
	if pl.role == headers || pl.role == params {
		pl = place{} // a list of names and values
	}
	for n := 0; ; n++ {
		w.path = append(w.path, segment{index: n})
		ok := w.value(pl, depth+1)
		w.path = w.path[:len(w.path)-1]
		if !ok {
			return false
		}
		w.space()
		if w.take(']') {
			return true
		}
		if !w.take(',') {
			return false
		}
		w.space()
	}
}

func (w *walker) object(pl place, depth int) bool {
	w.i++
	w.space()
	if w.take('}') {
		return true
	}
	var o members
	lengths := len(w.lengths)
	for {
		if w.i >= len(w.src) || w.src[w.i] != '"' {
			return false
		}
		name, ok := w.name()
		if !ok {
			return false
		}
		w.space()
		if !w.take(':') {
			return false
		}
		w.space()
		if w.i >= len(w.src) {
			return false
		}
		m := span{start: w.i}
		before := len(w.edits)
		child := w.member(pl, name, w.src[w.i])
		w.path = append(w.path, segment{name: name, index: -1})
		ok = w.value(child, depth+1)
		w.path = w.path[:len(w.path)-1]
		if !ok {
			return false
		}
		if m.end = w.i; pl.role == plain {
			o.note(name, member{m, before, len(w.edits)})
		}
		w.space()
		if w.take('}') {
			break
		}
		if !w.take(',') {
			return false
		}
		w.space()
	}
	w.settle(&o, lengths)
	if pl.role != headers {
		w.lengths = w.lengths[:lengths]
	}
	return true
}

// minNameScanned is the length of names in which forms are looked for, in bytes. Shorter ones hold no credential.
const minNameScanned = 16

// name reads the name of a member. What has to be replaced in it is so in what it returns, too, which reports show.
func (w *walker) name() (name []byte, ok bool) {
	raw, escaped, ok := w.string()
	if !ok {
		return nil, false
	}
	before := len(w.edits)
	if len(raw) >= minNameScanned || w.redactor.forms != 0 {
		w.contents(raw, escaped, place{})
	}
	if edits := w.edits[before:]; len(edits) > 0 {
		raw = splice(raw, w.i-1-len(raw), edits)
	}
	if escaped {
		raw = jsonString.decode(raw)
	}
	return raw, true
}

// A member is the value of a member of an object, and which edits are in it.
type member struct {
	span
	first, last int
}

func (m member) edited() bool { return m.last > m.first }

// members are those of an object that depend on each other.
type members struct {
	body, md5, attributes, attributesMD5 member
	base64                               span
	name, value                          member
}

func (o *members) note(name []byte, m member) {
	switch string(name) {
	case "body":
		o.body = m
	case "md5OfBody":
		o.md5 = m
	case "messageAttributes":
		o.attributes = m
	case "md5OfMessageAttributes":
		o.attributesMD5 = m
	case "isBase64Encoded":
		o.base64 = m.span
	case "name", "key", "Name", "Key":
		o.name = m
	case "value", "Value":
		o.value = m
	}
}

// settle does what can be done only when all of an object was seen: its lengths and hashes fit its contents again,
// and a value that goes with a name is treated as its member.
func (w *walker) settle(o *members, lengths int) {
	if o.name.end > 0 && o.value.end > 0 && !o.value.edited() {
		w.pair(o.name.span, o.value.span)
	}
	if o.attributes.edited() && o.attributesMD5.end > 0 {
		w.rehash(o.attributesMD5.span, o.attributes, md5OfAttributes)
	}
	if !o.body.edited() || w.src[o.body.start] != '"' {
		return
	}
	if o.md5.end > 0 {
		w.rehash(o.md5.span, o.body, md5OfString)
	}
	if len(w.lengths) == lengths {
		return
	}
	before, after := unquote(w.text(o.body.span)), unquote(w.edited(o.body))
	grown := len(after) - len(before)
	if o.base64.end > 0 && w.src[o.base64.start] == 't' {
		grown = base64Size(after) - base64Size(before)
	}
	for _, s := range w.lengths[lengths:] {
		w.lengthen(s, grown)
	}
}

// pair looks into the value in {"name": "X-Api-Key", "value": "…"}.
func (w *walker) pair(name, value span) {
	if w.src[name.start] != '"' || w.src[value.start] != '"' {
		return
	}
	var buf [maxName]byte
	pl, ok := w.redactor.lookup(normalize(&buf, unquote(w.text(name))), secretHeaders)
	if !ok || pl.role == contentLength {
		return
	}
	end := w.i
	w.i = value.end
	w.path = append(w.path, segment{name: []byte("value"), index: -1})
	raw := w.src[value.start+1 : value.end-1]
	w.contents(raw, bytes.IndexByte(raw, '\\') >= 0, pl)
	w.path = w.path[:len(w.path)-1]
	w.i = end
	w.unsorted = true
}

// edited returns the text of m with its edits made.
func (w *walker) edited(m member) []byte {
	edits := w.edits[m.first:m.last]
	if w.unsorted {
		edits = slices.Clone(edits)
		slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	}
	return splice(w.text(m.span), m.start, edits)
}

// rehash makes the hash at s fit what it is of, if it did before.
func (w *walker) rehash(s span, of member, hash func(value []byte) string) {
	if w.src[s.start] != '"' || string(unquote(w.text(s))) != hash(w.text(of.span)) {
		return
	}
	w.edits = append(w.edits, edit{s.start + 1, s.end - 1, []byte(hash(w.edited(of)))})
	w.unsorted = true
}

// md5OfString is the hash of the contents of a JSON string.
func md5OfString(value []byte) string {
	sum := md5.Sum(unquote(value))
	return hex.EncodeToString(sum[:])
}

// lengthen adds to the number at s.
func (w *walker) lengthen(s span, by int) {
	n, err := strconv.Atoi(string(w.text(s)))
	if err != nil || by == 0 {
		return
	}
	w.edits = append(w.edits, edit{s.start, s.end, strconv.AppendInt(nil, int64(n+by), 10)})
	w.unsorted = true
}

// unquote returns the contents of a JSON string.
func unquote(value []byte) []byte { return jsonString.decode(value[1 : len(value)-1]) }

func base64Size(text []byte) int { return len(bytes.TrimRight(text, "=")) * 3 / 4 }
