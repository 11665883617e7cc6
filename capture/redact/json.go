package redact

import (
	"bytes"
	"slices"

	"tandem/capture/jsonval"
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
		slices.SortFunc(p.edits[before.edits:], func(a, b edit) int { return a.Start - b.Start })
	}
	return true
}

// A walker walks one document. Its methods return false when that is not JSON.
type walker struct {
	*pass
	src      []byte
	i        int
	unsorted bool
	hashed   int    // bytes
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
			w.edits[i].Text = jsonval.Escape(w.edits[i].Text)
		}
		shift(w.edits[before:], start)
		return
	}
	w.at(jsonval.Escaped.Decode(raw), pl)
	if len(w.edits) > before {
		jsonval.Escaped.Outward(raw, w.edits[before:], start)
	}
}

func shift(edits []edit, by int) {
	for i := range edits {
		edits[i].Start += by
		edits[i].End += by
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
		m := member{name: name, span: span{start: w.i}, first: w.mark()}
		child := w.member(pl, name, w.src[w.i])
		if isValueName(name) && o.named.role != plain {
			child = o.named
		}
		w.path = append(w.path, segment{name: name, index: -1})
		ok = w.value(child, depth+1)
		w.path = w.path[:len(w.path)-1]
		if !ok {
			return false
		}
		if m.end, m.last = w.i, w.mark(); pl.role == plain {
			w.note(&o, m)
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
	if o.named.role != plain && len(o.values) > 0 {
		w.again(o.values, o.named) // comes last, for it moves edits
	}
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
		raw = jsonval.Splice(raw, w.i-1-len(raw), edits)
	}
	if escaped {
		raw = jsonval.Escaped.Decode(raw)
	}
	return raw, true
}
