package redact

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"slices"

	"tandem/capture/jsonval"
)

const (
	// maxNesting is how many layers of JSON, base64 and escapes are looked through. Forms are found in the innermost.
	maxNesting = 8
	// maxInflated is how much of the compressed texts of an invocation is looked through, in bytes.
	maxInflated = 64 << 20
	// minBase64 is the least that is looked at as base64, in characters: enough for {"pin":1}.
	minBase64 = 12
)

// at looks into the text of a value at pl and adds edits of it.
func (p *pass) at(text []byte, pl place) {
	switch pl.role {
	case plain, headers, params, contentLength:
		p.any(text)
	case secret, secretTexts:
		p.secret(text, pl)
	case secretBytes:
		p.secretBytes(text, pl)
	case query:
		p.query(text, 0, len(text))
	case authorization:
		p.authorization(text, 0, len(text), pl.kind)
	case cookies:
		p.cookies(text, 0, len(text), pl.kind)
	case setCookie:
		p.setCookies(text, pl.kind)
	case objectKey:
		p.encoded(queryEscaped, text, 0, len(text))
	}
}

// any looks into text of which nothing is known.
func (p *pass) any(text []byte) {
	if len(text) < 4 {
		return
	}
	if p.nesting < maxNesting {
		p.nesting++
		done := mayBeJSON(text) && p.json(text, place{}) || p.base64(text) || p.form(text)
		p.nesting--
		if done {
			return
		}
	}
	p.scan(text)
}

func mayBeJSON(text []byte) bool {
	for _, c := range text {
		if !isSpace(c) {
			return c == '{' || c == '[' || c == '"'
		}
	}
	return false
}

// base64 looks into what text is the base64 of, and returns whether something in there was replaced.
func (p *pass) base64(text []byte) bool {
	encoding := base64Of(text)
	if encoding == nil {
		return false
	}
	content := make([]byte, encoding.DecodedLen(len(text)))
	n, err := encoding.Decode(content, text)
	if err != nil {
		return false
	}
	content = content[:n]
	if isAzureKey(text) {
		p.replace(0, len(text), text, "form:azure-key")
		return true
	}
	before := p.mark()
	p.content(content)
	edits := p.edits[before.edits:]
	if len(edits) == 0 {
		return false
	}
	content = jsonval.Splice(content, 0, edits)
	p.edits = append(p.edits[:before.edits], edit{Start: 0, End: len(text), Text: encoding.AppendEncode(nil, content)})
	return true
}

// form looks into text that is a form of several parameters, as it is posted. It returns whether it is.
func (p *pass) form(text []byte) bool {
	name := bytes.IndexByte(text[:min(len(text), maxName)], '=')
	if name < 1 || !all(text[:name], isNameChar) || bytes.IndexByte(text, '&') < name || !all(text, isFormChar) {
		return false
	}
	p.query(text, 0, len(text))
	return true
}

func isFormChar(c byte) bool {
	return isNameChar(c) || '!' <= c && c <= '@' && bytes.IndexByte([]byte(`"#<>;`), c) < 0 || c == '~'
}

// content looks into bytes, which may be compressed. In a picture there is much that looks like an address.
func (p *pass) content(content []byte) {
	if inflated := p.inflate(content); inflated != nil {
		p.compressed(content, inflated)
		return
	}
	binary := p.binary
	p.binary = p.binary || bytes.IndexByte(content[:min(len(content), 8<<10)], 0) >= 0
	p.any(content)
	p.binary = binary
}

func (p *pass) compressed(content, inflated []byte) {
	before := len(p.edits)
	p.any(inflated)
	if edits := p.edits[before:]; len(edits) > 0 {
		whole := deflate(jsonval.Splice(inflated, 0, edits))
		p.edits = append(p.edits[:before], edit{Start: 0, End: len(content), Text: whole})
	}
}

// base64Of returns the encoding that text may be in, nil for none.
func base64Of(text []byte) *base64.Encoding {
	if len(text) < minBase64 {
		return nil
	}
	body := bytes.TrimRight(text, "=")
	if len(text)-len(body) > 2 {
		return nil
	}
	urlSafe, standard := false, false
	for _, c := range body {
		if isAlnum(c) {
			continue
		}
		switch c {
		case '-', '_':
			urlSafe = true
		case '+', '/':
			standard = true
		default:
			return nil
		}
	}
	padded := len(text)%4 == 0
	switch {
	case urlSafe && standard || !padded && len(body) < len(text):
		return nil
	case urlSafe && padded:
		return base64.URLEncoding.Strict()
	case urlSafe:
		return base64.RawURLEncoding.Strict()
	case padded:
		return base64.StdEncoding.Strict()
	default:
		return base64.RawStdEncoding.Strict()
	}
}

// isAzureKey tells keys of Azure's services by the signatures that they have near their end: of storage, Batch,
// Cosmos DB; of Service Bus, Event Hubs, Relay, IoT Hub, Redis; of Functions and Search. Source:
// https://learn.microsoft.com/purview/sit-defn-azure-storage-account-key and the pages beside it.
func isAzureKey(text []byte) bool {
	var signatures []string
	switch n := len(text); {
	case n == 88:
		signatures = []string{"+ASt", "+ABa", "ACDb"}
	case n == 44:
		signatures = []string{"+ASb", "+AEh", "+ARm", "AIoT", "AzCa"}
	case n >= 52 && n <= 56:
		signatures = []string{"AzFu", "AzSe"}
	default:
		return false
	}
	return text[len(text)-1] == '=' && slices.ContainsFunc(signatures, func(signature string) bool {
		return bytes.Contains(text[len(text)-16:], []byte(signature))
	})
}

// inflate returns what was compressed with gzip, nil if content was not or if it and what was inflated before are too
// much.
func (p *pass) inflate(content []byte) []byte {
	if len(content) < 18 || content[0] != 0x1f || content[1] != 0x8b {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil
	}
	left := maxInflated - p.inflated
	plain, err := io.ReadAll(io.LimitReader(z, int64(left)+1))
	p.inflated += min(len(plain), left)
	if err != nil || len(plain) > left {
		return nil
	}
	return plain
}

func deflate(content []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(content) // a bytes.Buffer takes all
	z.Close()
	return out.Bytes()
}

// secret replaces a whole value. A structure keeps its form: JSON its members, and what says of which scheme it is
// its scheme.
func (p *pass) secret(text []byte, pl place) {
	if p.nesting < maxNesting && mayBeJSON(text) {
		p.nesting++
		done := p.json(text, place{role: secretTexts, kind: pl.kind})
		p.nesting--
		if done {
			return
		}
	}
	p.credential(text, 0, len(text), pl.kind)
}

func (p *pass) secretBytes(text []byte, pl place) {
	content, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		p.credential(text, 0, len(text), pl.kind)
		return
	}
	if token := p.token(content); !bytes.Equal(token, content) {
		p.hit(pl.kind)
		p.edits = append(p.edits, edit{Start: 0, End: len(text), Text: base64.StdEncoding.AppendEncode(nil, token)})
	}
}

// encoded looks into text[start:end], which is in a coding of its own.
func (p *pass) encoded(c jsonval.Coding, text []byte, start, end int) {
	raw := text[start:end]
	if p.nesting >= maxNesting {
		return
	}
	p.nesting++
	before := len(p.edits)
	decoded := raw
	if bytes.IndexByte(raw, '%') >= 0 || bytes.IndexByte(raw, '+') >= 0 {
		decoded = c.Decode(raw)
	}
	p.any(decoded)
	c.Outward(raw, p.edits[before:], start)
	p.nesting--
}

// query looks into text[start:end], which is a query as in a URL.
func (p *pass) query(text []byte, start, end int) {
	for start < end {
		next := cutAt(text, start, end, '&')
		p.param(text, start, cutAt(text, start, next, '='), next)
		start = next + 1
	}
}

// param looks into one parameter of a query, whose name ends at equals, and which ends at end.
func (p *pass) param(text []byte, start, equals, end int) {
	if equals >= end {
		p.encoded(queryEscaped, text, start, end)
		return
	}
	name := text[start:equals]
	if bytes.IndexByte(name, '%') >= 0 {
		name = queryEscaped.Decode(name)
	}
	var buf [maxName]byte
	pl, ok := p.redactor.lookup(normalize(&buf, name), secretParams)
	switch {
	case !ok:
		if len(name) >= minNameScanned {
			p.encoded(queryEscaped, text, start, equals)
		}
		p.encoded(queryEscaped, text, equals+1, end)
	case pl.role != kept:
		before := len(p.edits)
		raw := text[equals+1 : end]
		p.secret(queryEscaped.Decode(raw), pl)
		queryEscaped.Outward(raw, p.edits[before:], equals+1)
	}
}

// cutAt returns where c is in text[start:end], or end.
func cutAt(text []byte, start, end int, c byte) int {
	if i := bytes.IndexByte(text[start:end], c); i >= 0 {
		return start + i
	}
	return end
}
