package capture

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"tandem/capture/jsonval"
)

// AppendJSON appends what [json.Marshal] makes of o, byte for byte, in a fraction of its time: a replay writes two
// outcomes for every invocation. The JSON of bodies must be valid, as [NewBody] has it. What occurs seldom is left to
// encoding/json.
func (o *Outcome) AppendJSON(dst []byte) ([]byte, error) {
	w := jsonWriter{dst: append(dst, '{')}
	w.text("status", string(o.Status))
	if o.HTTP != nil {
		w.key("http")
		w.answer(o.HTTP)
	}
	if o.Result != nil {
		w.key("result")
		w.body(o.Result)
	}
	if len(o.Records) > 0 {
		w.any("records", o.Records)
	}
	if o.Error != nil {
		w.any("error", o.Error)
	}
	w.number("durationMs", o.DurationMS)
	w.number("platformMs", o.PlatformMS)
	w.number("initMs", o.InitMS)
	w.number("billedMs", o.BilledMS)
	w.number("memoryMb", o.MemoryMB)
	if o.Attempts != 0 {
		w.key("attempts")
		w.dst = strconv.AppendInt(w.dst, int64(o.Attempts), 10)
	}
	if len(o.Tries) > 0 {
		w.any("tries", o.Tries)
	}
	w.any("effects", o.Effects)
	w.dst = append(w.dst, '}')
	return w.dst, w.err
}

// A jsonWriter appends JSON as encoding/json writes it. It keeps its first error.
type jsonWriter struct {
	dst []byte
	err error
}

// key begins a member of an object.
func (w *jsonWriter) key(name string) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(append(append(w.dst, '"'), name...), '"', ':')
}

func (w *jsonWriter) text(name, value string) {
	w.key(name)
	w.quote(value)
}

// number leaves zeros out.
func (w *jsonWriter) number(name string, v float64) {
	if v == 0 {
		return
	}
	if abs := math.Abs(v); abs < 1e-6 || abs >= 1e21 || math.IsNaN(v) {
		w.any(name, v)
		return
	}
	w.key(name)
	w.dst = strconv.AppendFloat(w.dst, v, 'f', -1, 64)
}

// any leaves a value to encoding/json.
func (w *jsonWriter) any(name string, v any) {
	w.key(name)
	if effects, ok := v.([]Effect); ok && len(effects) == 0 {
		if effects == nil {
			w.dst = append(w.dst, "null"...)
		} else {
			w.dst = append(w.dst, "[]"...)
		}
		return
	}
	w.marshal(v)
}

func (w *jsonWriter) marshal(v any) {
	doc, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.dst = append(w.dst, doc...)
}

func (w *jsonWriter) quote(s string) { w.dst = jsonval.AppendQuoted(w.dst, s) }

func (w *jsonWriter) answer(a *HTTPAnswer) {
	w.dst = append(w.dst, '{')
	w.key("status")
	w.dst = strconv.AppendInt(w.dst, int64(a.Status), 10)
	if len(a.Headers) > 0 {
		w.key("headers")
		w.headers(a.Headers)
	}
	if len(a.Cookies) > 0 {
		w.any("cookies", a.Cookies)
	}
	if a.Body != nil {
		w.key("body")
		w.body(a.Body)
	}
	w.dst = append(w.dst, '}')
}

func (w *jsonWriter) headers(headers map[string][]string) {
	var space [16]string
	names := space[:0]
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	w.dst = append(w.dst, '{')
	for i, name := range names {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.quote(name)
		w.dst = append(w.dst, ':')
		values := headers[name]
		if values == nil {
			w.dst = append(w.dst, "null"...)
			continue
		}
		w.dst = append(w.dst, '[')
		for j, value := range values {
			if j > 0 {
				w.dst = append(w.dst, ',')
			}
			w.quote(value)
		}
		w.dst = append(w.dst, ']')
	}
	w.dst = append(w.dst, '}')
}

func (w *jsonWriter) body(b *Body) {
	if len(b.JSON) == 0 || b.Text != nil || len(b.Base64) > 0 || !isPlainJSON(b.JSON) {
		w.marshal(b)
		return
	}
	w.dst = append(w.dst, `{"json":`...)
	w.dst = append(append(w.dst, b.JSON...), '}')
}

// isPlainJSON reports whether encoding/json would write valid JSON as it is: without white space between its parts, and
// without anything to escape.
func isPlainJSON(doc []byte) bool {
	quoted := false
	for i := 0; i < len(doc); i++ {
		c := doc[i]
		if !isSpecial[c] {
			continue
		}
		switch {
		case c == '<' || c == '>' || c == '&' || c == 0xe2: // begins the two line separators
			return false
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++
		case !quoted: // white space
			return false
		}
	}
	return true
}

// isSpecial has the bytes that matter to isPlainJSON.
var isSpecial = [256]bool{
	'<': true, '>': true, '&': true, 0xe2: true, '"': true, '\\': true, ' ': true, '\t': true, '\n': true, '\r': true,
}
