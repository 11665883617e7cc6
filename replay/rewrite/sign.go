package rewrite

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// Signing says how a header of an HTTP event is made anew that has a keyed hash (HMAC) over what the event has become.
// Where an event lacks the header, nothing is added.
type Signing struct {
	// Sign is the name of a preset, "github", "shopify", "slack", "standard-webhooks" or "stripe", or "hmac", for which
	// the header of the rule and the fields below say it all.
	Sign string `yaml:"sign"`
	Key  `yaml:",inline"`
	// Fresh signs as of the moment of sending: the time of Time is put in.
	Fresh bool `yaml:"fresh"`

	Hash     string `yaml:"hash"`     // sha256, the default, sha1 or sha512
	Encoding string `yaml:"encoding"` // hex, the default, or base64
	// Over is what is signed; default "{body}". {body} stands for the body's bytes, {header:NAME} for a header, and
	// {field:NAME} for what the signature's own header has as NAME=….
	Over string `yaml:"over"`
	// Value is what the header becomes; default "{signature}". It may also have {header:NAME} and {field:NAME}.
	Value string `yaml:"value"`
	// Time is the {header:NAME} or {field:NAME} with the time that is signed, for Fresh and shift-time.
	Time string `yaml:"time"`
}

// hmacSign is the Sign of what is no preset.
const hmacSign = "hmac"

// A webhook is how a sender signs, in a header of its own.
type webhook struct {
	header                            string
	hash, encoding, over, value, time string // as in Signing
	whsec                             bool   // the key is base64, behind "whsec_"
}

// webhooks are the presets. Sources:
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
// https://shopify.dev/docs/apps/build/webhooks/subscribe/https
// https://api.slack.com/authentication/verifying-requests-from-slack
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
// https://docs.stripe.com/webhooks#verify-manually
var webhooks = map[string][]webhook{
	"github": {
		{header: "x-hub-signature-256", value: "sha256={signature}"},
		{header: "x-hub-signature", hash: "sha1", value: "sha1={signature}"},
	},
	"shopify": {{header: "x-shopify-hmac-sha256", encoding: "base64"}},
	"slack": {{
		header: "x-slack-signature", over: "v0:{header:x-slack-request-timestamp}:{body}", value: "v0={signature}",
		time: "{header:x-slack-request-timestamp}",
	}},
	"standard-webhooks": {
		standardWebhook("webhook"), standardWebhook("svix"), // Svix' own names are older
	},
	"stripe": {{
		header: "stripe-signature", over: "{field:t}.{body}", value: "t={field:t},v1={signature}", time: "{field:t}",
	}},
}

func standardWebhook(prefix string) webhook {
	time := "{header:" + prefix + "-timestamp}"
	return webhook{
		header: prefix + "-signature", encoding: "base64", over: "{header:" + prefix + "-id}." + time + ".{body}",
		value: "v1,{signature}", time: time, whsec: true,
	}
}

var hashes = map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}

var encodings = map[string]func([]byte) string{
	"": hex.EncodeToString, "hex": hex.EncodeToString, "base64": base64.StdEncoding.EncodeToString,
}

// A signature is a header that is made anew.
type signature struct {
	source      int // index of the Change
	header      string
	hash        func() hash.Hash
	key         []byte
	encode      func([]byte) string
	over, value template
	time        part // no kind: none
	fresh       bool
	shift       bool
}

// signatures returns what a rule that signs stands for. Errors begin with the key that is wrong.
func (r *Change) signatures() ([]signature, error) {
	forms, preset := webhooks[r.Sign]
	general := Signing{Sign: r.Sign, Key: r.Signing.Key, Fresh: r.Fresh}
	switch {
	case !preset && r.Sign != hmacSign:
		names := strings.Join(slices.Sorted(maps.Keys(webhooks)), ", ")
		return nil, fmt.Errorf("sign: %q is none of hmac, %s", r.Sign, names)
	case preset && (r.Signing != general || r.Header != ""):
		return nil, fmt.Errorf("sign: %s says all but key, fresh and shift-time; others go with hmac", r.Sign)
	case !preset && r.Header == "":
		return nil, errors.New("header: hmac needs the header that has the signature")
	case r.Fresh && r.ShiftTime:
		return nil, errors.New("fresh: a time is either fresh or shifted")
	case !preset:
		forms = []webhook{{
			header: r.Header, hash: r.Hash, encoding: r.Encoding, over: r.Over, value: r.Value, time: r.Time,
		}}
	}
	var list []signature
	for _, form := range forms {
		s, err := form.signature(r.Signing.Key)
		if err != nil {
			return nil, err
		}
		s.fresh, s.shift = r.Fresh, r.ShiftTime
		if (s.fresh || s.shift) && s.time.kind == "" {
			return nil, errors.New("time: say which time is fresh or shifted, such as {header:x-timestamp}")
		}
		list = append(list, s)
	}
	return list, nil
}

func (h webhook) signature(key Key) (s signature, err error) {
	if h.whsec {
		key.Key = strings.TrimPrefix(key.Key, "whsec_")
		key.KeyEncoding = "base64"
	}
	s = signature{header: strings.ToLower(h.header), hash: hashes[h.hash], encode: encodings[h.encoding]}
	if s.key, err = key.secret(); err != nil {
		return s, err
	}
	if s.hash == nil {
		return s, fmt.Errorf("hash: %q is none of sha256, sha1, sha512", h.hash)
	}
	if s.encode == nil {
		return s, fmt.Errorf("encoding: %q is neither hex nor base64", h.encoding)
	}
	if s.over, err = parseTemplate(h.over, "{body}", "body"); err != nil {
		return s, fmt.Errorf("over: %w", err)
	}
	if s.value, err = parseTemplate(h.value, "{signature}", "signature"); err != nil {
		return s, fmt.Errorf("value: %w", err)
	}
	if h.time == "" {
		return s, nil
	}
	time, err := parseTemplate(h.time, "", "")
	if err != nil || len(time) != 1 || time[0].name == "" {
		return s, fmt.Errorf("time: %q is neither {header:NAME} nor {field:NAME}", h.time)
	}
	s.time = time[0]
	return s, nil
}

// A part of a template is a text, or stands for what its kind says: "body", "signature", "header" or "field".
type part struct{ text, kind, name string }

type template []part

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// parseTemplate reads a template, which has to have the part of the kind needed, if that is not "".
func parseTemplate(s, fallback, needed string) (template, error) {
	if s == "" {
		s = fallback
	}
	var t template
	at, found := 0, needed == ""
	for _, m := range placeholder.FindAllStringIndex(s, -1) {
		kind, name, named := strings.Cut(s[m[0]+1:m[1]-1], ":")
		switch {
		case kind == needed && !named:
			found = true
		case (kind != "header" && kind != "field") || name == "":
			return nil, fmt.Errorf("there is no %s here", s[m[0]:m[1]])
		case kind == "header":
			name = strings.ToLower(name)
		}
		t = append(t, part{text: s[at:m[0]]}, part{kind: kind, name: name})
		at = m[1]
	}
	if !found {
		return nil, fmt.Errorf("it has no {%s}", needed)
	}
	t = slices.DeleteFunc(append(t, part{text: s[at:]}), func(p part) bool { return p == part{} })
	return t, nil
}

// expand returns what a template stands for. ok is false when something of it is not there.
func (t template) expand(value func(part) (string, bool)) (s string, ok bool) {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.kind == "" {
			continue
		}
		v, ok := value(p)
		if !ok {
			return "", false
		}
		b.WriteString(v)
	}
	return b.String(), true
}

// sign makes the signatures of an event anew, of which all else is as it is sent.
func (r *Rewriter) sign(event []byte, counts []Count) []byte {
	signed := make(map[string]bool)
	for i := range r.signatures {
		s := &r.signatures[i]
		parsed, err := jsonval.Parse(event)
		if err != nil {
			return event
		}
		headers := headersOf(parsed)
		if signed[s.header] || len(headers[s.header]) == 0 {
			continue
		}
		signed[s.header] = true
		body, ok := bodyOf(parsed)
		m := message{signature: s, opts: r.opts, headers: headers, body: body, whole: ok}
		event = m.rules().apply(event, counts)
	}
	return event
}

// headersOf returns the headers of an HTTP event by their names in lower case. Those of multiValueHeaders win over
// those of headers, which has the last of several.
func headersOf(event jsonval.Value) map[string][]string {
	headers := make(map[string][]string)
	for _, field := range []string{"headers", "multiValueHeaders"} {
		found := make(map[string][]string)
		list := event.At(field)
		for i, name := range list.Names {
			name, values := strings.ToLower(name), list.Elems[i].Elems
			if list.Elems[i].Kind != jsonval.Array {
				values = list.Elems[i : i+1]
			}
			for _, v := range values {
				if v.Kind == jsonval.String {
					found[name] = append(found[name], v.Text)
				}
			}
		}
		maps.Copy(headers, found)
	}
	return headers
}

// A message is one event that is signed.
type message struct {
	*signature
	opts    Options
	headers map[string][]string
	body    []byte
	whole   bool // there is a body
}

// rules returns what signs the message.
func (m *message) rules() *rules {
	var rs rules
	signs := func(old string) bool { _, ok := m.sign(old); return ok }
	moves := m.time.kind == "header" && (m.fresh || m.shift)
	if now, ok := m.part(m.time, ""); ok && moves && slices.ContainsFunc(m.headers[m.header], signs) {
		text := func(text []byte) ([]jsonval.Edit, verdict) { return whole(text, now), took }
		rs.add(rule{source: noSource, patterns: headerPatterns(m.time.name), text: text})
	}
	text := func(text []byte) ([]jsonval.Edit, verdict) {
		made, ok := m.sign(string(text))
		if !ok {
			return nil, unsigned
		}
		return whole(text, made), took
	}
	rs.add(rule{source: m.source, patterns: headerPatterns(m.header), text: text})
	return &rs
}

// sign returns the header's value, which is old, as it has to be.
func (m *message) sign(old string) (value string, ok bool) {
	over, ok := m.over.expand(func(p part) (string, bool) { return m.part(p, old) })
	if !ok {
		return "", false
	}
	mac := hmac.New(m.hash, m.key)
	mac.Write([]byte(over))
	signature := m.encode(mac.Sum(nil))
	return m.value.expand(func(p part) (string, bool) {
		if p.kind == "signature" {
			return signature, true
		}
		return m.part(p, old)
	})
}

// part returns what a part of a template stands for, where the signature's header is old. ok is false when it is not
// there, or there more than once.
func (m *message) part(p part, old string) (value string, ok bool) {
	switch p.kind {
	case "body":
		return string(m.body), m.whole
	case "header":
		if values := m.headers[p.name]; len(values) == 1 {
			value, ok = values[0], true
		}
	case "field":
		value, ok = fieldOf(old, p.name)
	}
	if !ok || p != m.time {
		return value, ok
	}
	switch {
	case m.fresh:
		return freshTime(value, m.opts.Now())
	case m.shift:
		return shiftText(value, m.opts.Shift)
	}
	return value, true
}

// fieldOf returns what a header has as NAME=…, between commas or semicolons.
func fieldOf(header, name string) (value string, ok bool) {
	for field := range strings.FieldsFuncSeq(header, func(c rune) bool { return c == ',' || c == ';' }) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(field), name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// freshTime returns a time in the form of another one.
func freshTime(like string, now time.Time) (string, bool) {
	then, ok := parseTime(like)
	if !ok {
		return like, false
	}
	return shiftText(like, now.Sub(then).Truncate(time.Second))
}
