package capture

import (
	"bytes"

	"tandem/capture/jsonval"
)

// Outcome makes the outcome, which does not alias the text. Ok is false where the text is not written as expected, and
// encoding/json has to say what it is.
func (o *OutcomeText) Outcome() (made *Outcome, ok bool) {
	made = &Outcome{
		Status: o.Status, DurationMS: o.DurationMS, PlatformMS: o.PlatformMS, InitMS: o.InitMS, BilledMS: o.BilledMS,
		MemoryMB: o.MemoryMB, Attempts: o.Attempts,
	}
	r := new(jsonval.Reader)
	if o.HTTP {
		made.HTTP = &HTTPAnswer{Status: o.HTTPStatus, Body: o.Body.body(r)}
		if r.Begin(o.Headers) {
			made.HTTP.Headers = headersOf(r)
		}
		if r.Begin(o.Cookies) {
			made.HTTP.Cookies = []Cookie{}
			r.Array(func() { made.HTTP.Cookies = append(made.HTTP.Cookies, cookieOf(r)) })
		}
	}
	made.Result = o.Result.body(r)
	if r.Begin(o.Records) {
		made.Records = textsOf[Fate](r)
	}
	if r.Begin(o.Error) {
		r.Unmarshal(&made.Error)
	}
	if r.Begin(o.Tries) {
		r.Unmarshal(&made.Tries)
	}
	if o.Watched {
		made.Effects = make([]Effect, len(o.Effects))
	}
	for i := range o.Effects {
		made.Effects[i] = o.Effects[i].effect(r)
	}
	return made, r.Ok()
}

// IsPlain reports whether the text is certainly that of an outcome, also in what was left as text. It takes a fraction of
// the time of [OutcomeText.Outcome], and is false of some outcomes that are seldom, such as those with errors or bytes.
func (o *OutcomeText) IsPlain() bool {
	r := new(jsonval.Reader)
	if r.Begin(o.Headers) {
		plainTexts(r, func() { r.Array(func() { r.RawText() }) })
	}
	if r.Begin(o.Records) {
		plainTexts(r, func() { r.RawText() })
	}
	for i := range o.Effects {
		e := &o.Effects[i]
		if r.Begin(e.Attributes) {
			plainTexts(r, func() { r.RawText() })
		}
		if e.Body.Form == Base64Body {
			return false
		}
	}
	_, cookies := o.CookieList()
	return r.Ok() && cookies && o.Error == nil && o.Tries == nil && o.Body.Form != Base64Body &&
		o.Result.Form != Base64Body
}

// plainTexts reads an object of texts, or of what value reads.
func plainTexts(r *jsonval.Reader, value func()) {
	r.Members(func([]byte) {
		r.Colon()
		value()
	})
}

func (e *EffectText) effect(r *jsonval.Reader) Effect {
	made := Effect{Kind: e.Kind, Body: e.Body.body(r)}
	if r.Begin(e.Resource) {
		made.Resource = r.Text()
	}
	if r.Begin(e.Key) {
		made.Key = r.Text()
	}
	if r.Begin(e.Attributes) {
		made.Attributes = textsOf[string](r)
	}
	return made
}

func (b *BodyText) body(r *jsonval.Reader) *Body {
	switch b.Form {
	case JSONBody:
		return &Body{JSON: bytes.Clone(b.Text)}
	case TextBody:
		r.Begin(b.Text)
		text := r.Text()
		return &Body{Text: &text}
	case Base64Body:
		made := new(Body)
		r.Begin(b.Text)
		r.Unmarshal(&made.Base64)
		return made
	}
	return nil
}

// CookieList returns the cookies of the HTTP answer. Ok is false where they are not written as expected.
func (o *OutcomeText) CookieList() (cookies []Cookie, ok bool) {
	if o.Cookies == nil {
		return nil, true
	}
	r := &jsonval.Reader{Data: o.Cookies}
	r.Array(func() { cookies = append(cookies, cookieOf(r)) })
	return cookies, r.Ok()
}

func headersOf(r *jsonval.Reader) map[string][]string {
	headers := make(map[string][]string, 8)
	single := make([]string, 0, 8) // the values of most names
	r.Object(func(name []byte) {
		start := len(single)
		r.Array(func() { single = append(single, r.TextOf("application/json")) })
		there := len(headers)
		headers[headerName(r, name)] = single[start:len(single):len(single)]
		if len(headers) == there {
			r.GiveUp()
		}
	})
	return headers
}

// headerName is a name as encoding/json reads it. Those that most answers have need no memory of their own.
func headerName(r *jsonval.Reader, name []byte) string {
	switch string(name) {
	case "cache-control":
		return "cache-control"
	case "content-length":
		return "content-length"
	case "content-type":
		return "content-type"
	case "date":
		return "date"
	case "etag":
		return "etag"
	case "location":
		return "location"
	case "server":
		return "server"
	case "vary":
		return "vary"
	}
	return asciiOf(r, name)
}

// asciiOf gives up on a name that is not ASCII, of which encoding/json may make something else.
func asciiOf(r *jsonval.Reader, name []byte) string {
	for _, c := range name {
		if c >= 0x80 {
			r.GiveUp()
		}
	}
	return string(name)
}

// textsOf reads an object of texts.
func textsOf[T ~string](r *jsonval.Reader) map[string]T {
	texts := make(map[string]T)
	r.Object(func(name []byte) {
		there := len(texts)
		texts[asciiOf(r, name)] = T(r.Text())
		if len(texts) == there {
			r.GiveUp()
		}
	})
	return texts
}

func cookieOf(r *jsonval.Reader) Cookie {
	var c Cookie
	var seen outcomeMembers
	r.Object(func(name []byte) {
		switch string(name) {
		case "name":
			seen.once(r, 0)
			c.Name = r.Text()
		case "value":
			seen.once(r, 1)
			c.Value = r.Text()
		case "attributes":
			seen.once(r, 2)
			c.Attributes = textsOf[string](r)
		default:
			r.GiveUp()
		}
	})
	return c
}
