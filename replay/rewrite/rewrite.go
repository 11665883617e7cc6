package rewrite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tandem/capture/jsonval"
)

// Options are what rules take from the run.
type Options struct {
	Run   string        // its ID, which namespaces are made of
	Shift time.Duration // of times, in whole seconds
}

// A Rewriter applies rules to events. It is safe for concurrent use.
type Rewriter struct {
	rules []Change
	start []position
	opts  Options
}

// New returns what applies rules. Where several end at one value, the first that can change it does.
func New(rules []Change, opts Options) (*Rewriter, error) {
	r := &Rewriter{rules: rules, opts: opts}
	for i := range rules {
		if err := rules[i].Validate(); err != nil {
			return nil, err
		}
		patterns, err := rules[i].patterns()
		if err != nil {
			return nil, err
		}
		for j := range patterns {
			r.start = skipped(r.start, position{rule: i, pattern: &patterns[j]})
		}
	}
	return r, nil
}

// Event returns an event as the rules make it, and how many values each of them took. All other bytes are those of
// event, which is not changed.
func (r *Rewriter) Event(event []byte) (rewritten []byte, counts []int64, err error) {
	counts = make([]int64, len(r.rules))
	if !json.Valid(event) {
		return event, counts, fmt.Errorf("the event is not JSON, which rules could be applied to")
	}
	w := walker{Rewriter: r, src: event, counts: counts}
	w.space()
	w.value(r.start)
	if len(w.edits) == 0 {
		return event, counts, nil
	}
	return jsonval.Splice(event, 0, w.edits), counts, nil
}

// maxNesting is how many strings with JSON in them are gone into.
const maxNesting = 8

// A walker walks over one document, which is valid JSON.
type walker struct {
	*Rewriter
	src     []byte
	i       int
	edits   []jsonval.Edit // of src, in order
	counts  []int64
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
		w.each('}', func(int) {
			raw := w.string()
			w.space()
			w.i++ // the colon
			w.space()
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
	var edits []jsonval.Edit
	changed := ending(at, func(rule int) (ok bool) {
		edits, ok = w.change(&w.rules[rule], text)
		if ok {
			w.counts[rule]++
		}
		return ok
	})
	if !changed {
		edits = w.inside(text, at)
	}
	jsonval.Escaped.Outward(raw, edits, start)
	w.edits = append(w.edits, edits...)
}

// inside returns the edits of JSON that a string holds.
func (w *walker) inside(text []byte, at []position) []jsonval.Edit {
	goesOn := func(p position) bool { return p.next < len(p.pattern.segments) }
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if w.nesting >= maxNesting || len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' ||
		!slices.ContainsFunc(at, goesOn) || !json.Valid(text) {
		return nil
	}
	inner := walker{Rewriter: w.Rewriter, src: text, counts: w.counts, nesting: w.nesting + 1}
	inner.space()
	inner.value(at)
	return inner.edits
}

// change returns the edits that a rule makes in a text. ok is false when it can do nothing with it.
func (w *walker) change(rule *Change, text []byte) (edits []jsonval.Edit, ok bool) {
	switch {
	case rule.Set != nil:
		return whole(text, *rule.Set), true
	case rule.From != "":
		for at := 0; ; {
			i := bytes.Index(text[at:], []byte(rule.From))
			if i < 0 {
				return edits, len(edits) > 0
			}
			end := at + i + len(rule.From)
			edits = append(edits, jsonval.Edit{Start: at + i, End: end, Text: []byte(*rule.To)})
			at = end
		}
	case rule.Namespace:
		if len(text) == 0 {
			return nil, false
		}
		return whole(text, namespaced(w.opts.Run, string(text))), true
	default:
		shifted, ok := shiftText(string(text), w.opts.Shift)
		return whole(text, shifted), ok
	}
}

// whole returns the edit that puts another text in place of one, unless they are the same.
func whole(text []byte, by string) []jsonval.Edit {
	if string(text) == by {
		return nil
	}
	return []jsonval.Edit{{Start: 0, End: len(text), Text: []byte(by)}}
}

// scalar walks over a number or a literal.
func (w *walker) scalar(at []position) {
	start := w.i
	for w.i < len(w.src) && bytes.IndexByte([]byte(" \t\r\n,]}"), w.src[w.i]) < 0 {
		w.i++
	}
	text := string(w.src[start:w.i])
	ending(at, func(i int) bool {
		by, ok := "", false
		switch rule := &w.rules[i]; {
		case rule.Set != nil:
			by, ok = *rule.Set, isScalar(*rule.Set)
		case rule.ShiftTime:
			by, ok = shiftNumber(text, w.opts.Shift)
		}
		if !ok {
			return false
		}
		w.counts[i]++
		if by != text {
			w.edits = append(w.edits, jsonval.Edit{Start: start, End: w.i, Text: []byte(by)})
		}
		return true
	})
}

// isScalar reports whether s is a JSON number, true, false or null.
func isScalar(s string) bool {
	v, err := jsonval.Parse([]byte(s))
	return err == nil && (v.Kind == jsonval.Number || v.Kind == jsonval.Bool || v.Kind == jsonval.Null)
}
