package rewrite

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"tandem/capture/jsonval"
)

// maxNesting is how many strings with JSON in them are gone into.
const maxNesting = 8

// A walker walks over one document, which is valid JSON.
type walker struct {
	rules   []rule
	src     []byte
	i       int
	edits   []jsonval.Edit // of src, in order
	counts  []Count
	nesting int
}

func (w *walker) space() {
	for w.i < len(w.src) && bytes.IndexByte([]byte(" \t\r\n"), w.src[w.i]) >= 0 {
		w.i++
	}
}

// value walks over a value that these positions lead to.
func (w *walker) value(at []position) {
	switch w.src[w.i] {
	case '{':
		w.members(func(raw []byte) {
			if len(at) == 0 {
				w.value(nil)
				return
			}
			w.value(child(at, string(jsonval.Escaped.Decode(raw))))
		})
	case '[':
		w.each(']', func(n int) { w.value(child(at, strconv.Itoa(n))) })
	case '"':
		start := w.i + 1
		w.text(w.string(), start, at)
	default:
		w.scalar(at)
	}
}

// members walks over the members of an object. One walks over a member's value; raw is its name as it is written.
func (w *walker) members(one func(raw []byte)) {
	w.each('}', func(int) {
		raw := w.string()
		w.space()
		w.i++ // the colon
		w.space()
		one(raw)
	})
}

// each walks over the members or elements up to the end of an object or array.
func (w *walker) each(end byte, one func(n int)) {
	w.i++
	w.space()
	for n := 0; w.src[w.i] != end; n++ {
		one(n)
		w.space()
		if w.src[w.i] == ',' {
			w.i++
			w.space()
		}
	}
	w.i++
}

// string reads a string and returns what is between its quotes.
func (w *walker) string() []byte {
	start := w.i + 1
	for w.i = start; w.src[w.i] != '"'; w.i++ {
		if w.src[w.i] == '\\' {
			w.i++
		}
	}
	w.i++
	return w.src[start : w.i-1]
}

// text changes a string, which raw is as it is written from start on, or what is in the JSON that it holds.
func (w *walker) text(raw []byte, start int, at []position) {
	if len(at) == 0 {
		return
	}
	text := jsonval.Escaped.Decode(raw)
	edits, encoded := w.inBase64(text, at)
	if !encoded {
		edits = w.plain(text, at)
	}
	jsonval.Escaped.Outward(raw, edits, start)
	w.edits = append(w.edits, edits...)
}

// plain returns the edits of a text, or of the JSON that it holds.
func (w *walker) plain(text []byte, at []position) (edits []jsonval.Edit) {
	changed := ending(at, func(i int) bool {
		made, verdict := w.rules[i].text(text)
		edits = made
		return w.count(i, verdict)
	})
	if !changed {
		return w.inside(text, at)
	}
	return edits
}

// count counts what a rule did. It reports whether it took the value.
func (w *walker) count(i int, v verdict) bool {
	if source := w.rules[i].source; source != noSource {
		switch v {
		case took:
			w.counts[source].Values++
		case unsigned:
			w.counts[source].Unsigned++
		}
	}
	return v == took
}

// inside returns the edits of JSON that a string holds.
func (w *walker) inside(text []byte, at []position) []jsonval.Edit {
	goesOn := func(p position) bool { return p.rule != isBase64 && p.next < len(p.pattern.segments) }
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if w.nesting >= maxNesting || len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' ||
		!slices.ContainsFunc(at, goesOn) || !json.Valid(text) {
		return nil
	}
	inner := walker{rules: w.rules, src: text, counts: w.counts, nesting: w.nesting + 1}
	inner.space()
	inner.value(at)
	return inner.edits
}

// scalar walks over a number or a literal.
func (w *walker) scalar(at []position) {
	start := w.i
	for w.i < len(w.src) && bytes.IndexByte([]byte(" \t\r\n,]}"), w.src[w.i]) < 0 {
		w.i++
	}
	text := string(w.src[start:w.i])
	ending(at, func(i int) bool {
		rule := &w.rules[i]
		if rule.scalar == nil {
			return false
		}
		by, verdict := rule.scalar(text)
		if verdict == took && by != text {
			w.edits = append(w.edits, jsonval.Edit{Start: start, End: w.i, Text: []byte(by)})
		}
		return w.count(i, verdict)
	})
}
