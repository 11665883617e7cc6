package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// invocation returns inv with what has to be replaced replaced. It changes nothing that inv leads to.
func (p *pass) invocation(inv *capture.Invocation) *capture.Invocation {
	out := *inv
	p.in(func() { out.Event = p.document(inv.Event) }, "event")
	p.in(func() { out.Source = p.string(inv.Source, place{}) }, "source")
	p.in(func() {
		p.in(func() { out.Context.RequestID = p.string(inv.Context.RequestID, place{}) }, "requestId")
		p.in(func() { out.Context.TraceID = p.string(inv.Context.TraceID, place{}) }, "traceId")
		p.in(func() { out.Context.ClientContext = p.document(inv.Context.ClientContext) }, "clientContext")
		p.in(func() { out.Context.CognitoIdentity = p.document(inv.Context.CognitoIdentity) }, "cognitoIdentity")
	}, "context")
	if inv.Outcome != nil {
		p.in(func() { out.Outcome = p.outcome(inv.Outcome) }, "outcome")
	}
	for i, o := range inv.Objects {
		p.in(func() {
			if key := p.string(o.Key, place{}); key != o.Key {
				out.Objects = own(out.Objects, inv.Objects)
				out.Objects[i].Key = key
			}
		}, "objects", i, "key")
	}
	return &out
}

// own returns list, or a copy of it if it is still the original.
func own[T any](list, original []T) []T {
	if &list[0] == &original[0] {
		return slices.Clone(list)
	}
	return list
}

// document redacts a JSON document. What is not JSON is redacted as text.
func (p *pass) document(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return doc
	}
	return p.apply(doc, func() {
		if !p.json(doc, place{}) {
			p.scan(doc)
		}
	})
}

// apply returns text with the edits made that look adds. It returns text itself when there are none.
func (p *pass) apply(text []byte, look func()) []byte {
	before := len(p.edits)
	look()
	edits := p.edits[before:]
	p.edits = p.edits[:before]
	if len(edits) == 0 {
		return text
	}
	return jsonval.Splice(text, 0, edits)
}

func (p *pass) string(s string, pl place) string {
	if s == "" {
		return s
	}
	if p.redactor.pointers != nil {
		pl = p.pointed(pl)
	}
	text := []byte(s)
	if out := p.apply(text, func() { p.at(text, pl) }); !bytes.Equal(out, text) {
		return string(out)
	}
	return s
}

func (p *pass) outcome(o *capture.Outcome) *capture.Outcome {
	out := *o
	if o.HTTP != nil {
		p.in(func() { out.HTTP = p.answer(o.HTTP) }, "http")
	}
	p.in(func() { out.Result = p.body(o.Result) }, "result")
	if o.Error != nil {
		out.Error = new(capture.Error)
		p.in(func() { out.Error.Type = p.string(o.Error.Type, place{}) }, "error", "type")
		p.in(func() { out.Error.Message = p.string(o.Error.Message, place{}) }, "error", "message")
	}
	for i := range o.Effects {
		p.in(func() {
			before := len(p.hits)
			if e := p.effect(o.Effects[i]); len(p.hits) > before {
				out.Effects = own(out.Effects, o.Effects)
				out.Effects[i] = e
			}
		}, "effects", i)
	}
	return &out
}

func (p *pass) answer(a *capture.HTTPAnswer) *capture.HTTPAnswer {
	out := *a
	p.in(func() { out.Body = p.body(a.Body) }, "body")
	grown := len(out.Body.Bytes()) - len(a.Body.Bytes())
	owned := false
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		values := p.header(name, a.Headers[name], grown)
		if slices.Equal(values, a.Headers[name]) {
			continue
		}
		if !owned {
			out.Headers, owned = maps.Clone(a.Headers), true
		}
		out.Headers[name] = values
	}
	for i, c := range a.Cookies {
		p.in(func() {
			pl := place{role: secret, kind: "set-cookie header"}
			if rule, ok := p.redactor.names[normalized([]byte(c.Name))]; ok {
				pl = rule
			}
			if c.Value = p.string(c.Value, pl); c.Value != a.Cookies[i].Value {
				out.Cookies = own(out.Cookies, a.Cookies)
				out.Cookies[i].Value = c.Value
			}
		}, "cookies", i, "value")
		for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
			p.in(func() {
				if value := p.string(c.Attributes[name], place{}); value != c.Attributes[name] {
					out.Cookies = own(out.Cookies, a.Cookies)
					c.Attributes = maps.Clone(c.Attributes)
					c.Attributes[name] = value
					out.Cookies[i].Attributes = c.Attributes
				}
			}, "cookies", i, "attributes", name)
		}
	}
	return &out
}

// header returns the values of a header of an answer whose body has grown by so many bytes.
func (p *pass) header(name string, values []string, grown int) []string {
	pl, _ := p.redactor.lookup([]byte(normalized([]byte(name))), secretHeaders)
	out := values
	for i, v := range values {
		p.in(func() {
			if pl.role == contentLength {
				v = longer(v, grown)
			} else {
				v = p.string(v, pl)
			}
		}, "headers", name, i)
		if v != values[i] {
			out = own(out, values)
			out[i] = v
		}
	}
	return out
}

func longer(length string, by int) string {
	n, err := strconv.Atoi(length)
	if err != nil || by == 0 {
		return length
	}
	return strconv.Itoa(n + by)
}

func (p *pass) body(b *capture.Body) *capture.Body {
	if b == nil {
		return nil
	}
	out := *b
	switch {
	case b.JSON != nil:
		p.in(func() { out.JSON = p.document(b.JSON) }, "json")
	case b.Text != nil:
		p.in(func() {
			text := p.string(*b.Text, place{})
			out.Text = &text
		}, "text")
	case b.Base64 != nil:
		p.in(func() { out.Base64 = p.apply(b.Base64, func() { p.content(b.Base64) }) }, "base64")
	}
	return &out
}

func (p *pass) effect(e capture.Effect) capture.Effect {
	p.in(func() { e.Resource = p.string(e.Resource, place{}) }, "resource")
	p.in(func() { e.Key = p.string(e.Key, place{}) }, "key")
	p.in(func() { e.Body = p.body(e.Body) }, "body")
	attributes := e.Attributes
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		p.in(func() {
			key := normalized([]byte(strings.TrimPrefix(name, "metadata.")))
			pl, _ := p.redactor.lookup([]byte(key), secretHeaders)
			value = p.string(value, pl)
		}, "attributes", name)
		if value != attributes[name] {
			e.Attributes = maps.Clone(e.Attributes)
			e.Attributes[name] = value
		}
	}
	return e
}
