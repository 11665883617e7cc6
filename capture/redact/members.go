package redact

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"

	"tandem/capture/jsonval"
)

// A member is the value of a member of an object, and what was found in it.
type member struct {
	name []byte
	span
	first, last mark
}

func (m member) edited() bool { return m.last.edits > m.first.edits }

// members are those of an object that depend on each other.
type members struct {
	body, md5, attributes, attributesMD5 member
	base64                               span
	named                                place    // what the value of the member "name" says of that of "value"
	values                               []member // that came before it
}

func isValueName(name []byte) bool { return string(name) == "value" || string(name) == "Value" }

// note keeps what others of its object depend on.
func (w *walker) note(o *members, m member) {
	switch string(m.name) {
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
		if pl := w.naming(m.span); pl.role != plain {
			o.named = pl
		}
	case "value", "Value":
		if c := w.src[m.start]; o.named.role == plain && c != '{' && c != '[' {
			o.values = append(o.values, m)
		}
	}
}

// naming tells what {"name": "X-Api-Key", "value": "…"} says of the value.
func (w *walker) naming(name span) place {
	if w.src[name.start] != '"' {
		return place{}
	}
	var buf [maxName]byte
	pl, ok := w.redactor.lookup(normalize(&buf, unquote(w.text(name))), secretHeaders)
	if !ok || pl.role == contentLength {
		return place{}
	}
	return pl
}

// settle makes the lengths and hashes of an object, all of which was seen, fit its contents again.
func (w *walker) settle(o *members, lengths int) {
	if o.attributes.edited() && o.attributesMD5.end > 0 {
		w.rehash(o.attributesMD5.span, o.attributes, MD5OfAttributes)
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

// again looks once more into values, now that it is known what they are.
func (w *walker) again(values []member, pl place) {
	end := w.i
	for i := len(values) - 1; i >= 0; i-- { // so that those before stay where they are
		m := values[i]
		w.edits = slices.Delete(w.edits, m.first.edits, m.last.edits)
		w.hits = slices.Delete(w.hits, m.first.hits, m.last.hits)
	}
	for _, m := range values {
		w.i = m.start
		w.path = append(w.path, segment{name: m.name, index: -1})
		w.value(pl, 0) // a string or a number, which was read before
		w.path = w.path[:len(w.path)-1]
		w.unsorted = true
	}
	w.i = end
}

// edited returns the text of m with its edits made.
func (w *walker) edited(m member) []byte {
	edits := w.edits[m.first.edits:m.last.edits]
	if w.unsorted {
		edits = slices.Clone(edits)
		slices.SortFunc(edits, func(a, b edit) int { return a.Start - b.Start })
	}
	return jsonval.Splice(w.text(m.span), m.start, edits)
}

// rehash makes the hash at s fit what it is of, if it did before. What is hashed does not overlap in any event that a
// service writes; what somebody nests for the sake of it is left as it is.
func (w *walker) rehash(s span, of member, hash func(value []byte) string) {
	if w.hashed += of.end - of.start; w.hashed > len(w.src) {
		return
	}
	if w.src[s.start] != '"' || string(unquote(w.text(s))) != hash(w.text(of.span)) {
		return
	}
	w.edits = append(w.edits, edit{Start: s.start + 1, End: s.end - 1, Text: []byte(hash(w.edited(of)))})
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
	w.edits = append(w.edits, edit{Start: s.start, End: s.end, Text: strconv.AppendInt(nil, int64(n+by), 10)})
	w.unsorted = true
}

// unquote returns the contents of a JSON string.
func unquote(value []byte) []byte { return jsonval.Escaped.Decode(value[1 : len(value)-1]) }

func base64Size(text []byte) int { return len(bytes.TrimRight(text, "=")) * 3 / 4 }
