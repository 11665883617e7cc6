package redact

import (
	"bytes"
	"encoding/base64"
)

// replace replaces text, which is at start to end, by its token.
func (p *pass) replace(start, end int, text []byte, kind string) {
	p.keyID = p.keyID || isKeyID(text)
	token := p.token(text)
	if bytes.Equal(token, text) {
		return
	}
	p.hit(kind)
	p.edits = append(p.edits, edit{Start: start, End: end, Text: token})
}

// credential replaces text[start:end]. What is a list of values is replaced one by one, as gateways join with commas
// what is repeated, and of what begins with an authorization scheme the scheme stays.
func (p *pass) credential(text []byte, start, end int, kind string) {
	if schemeEnd(text[start:end]) > 0 {
		p.authorization(text, start, end, kind)
		return
	}
	for start <= end {
		next := cutAt(text, start, end, ',')
		p.replace(start, next, text[start:next], kind)
		start = next + 1
	}
}

// authorization replaces the value of an Authorization header, but for its scheme.
func (p *pass) authorization(text []byte, start, end int, kind string) {
	at := start + schemeEnd(text[start:end])
	if at > start && bytes.EqualFold(text[start:start+5], []byte("basic")) && p.basic(text, at, end, kind) {
		return
	}
	p.replace(at, end, text[at:end], kind)
}

// basic replaces user and password, each by a token of its own.
func (p *pass) basic(text []byte, start, end int, kind string) bool {
	plain, err := base64.StdEncoding.DecodeString(string(text[start:end]))
	if err != nil {
		return false
	}
	user, password, ok := bytes.Cut(plain, []byte{':'})
	if !ok {
		return false
	}
	token := append(append(bytes.Clone(p.token(user)), ':'), p.token(password)...)
	if !bytes.Equal(token, plain) {
		p.hit(kind)
		p.edits = append(p.edits, edit{Start: start, End: end, Text: base64.StdEncoding.AppendEncode(nil, token)})
	}
	return true
}

// schemeEnd returns where what follows an authorization scheme begins, 0 if text does not begin with one that is
// known. Source: https://www.iana.org/assignments/http-authschemes, and what AWS and Azure use besides.
func schemeEnd(text []byte) int {
	i := 0
	for i < len(text) && i < 24 && (isAlnum(text[i]) || text[i] == '-') {
		i++
	}
	if i+1 >= len(text) || text[i] != ' ' {
		return 0
	}
	switch string(bytes.ToLower(text[:i])) {
	case "bearer", "basic", "digest", "token", "apikey", "api-key", "dpop", "hawk", "hmac", "jwt", "key", "negotiate",
		"ntlm", "oauth", "pop", "signature", "vapid", "privatetoken", "sharedkey", "sharedkeylite", "sharedaccesssignature",
		"aws4-hmac-sha256", "aws4-ecdsa-p256-sha256":
	default:
		return 0
	}
	for i < len(text)-1 && text[i] == ' ' {
		i++
	}
	return i
}

// cookies replaces the values in the value of a Cookie header.
func (p *pass) cookies(text []byte, start, end int, kind string) {
	for start < end {
		next := cutAt(text, start, end, ';')
		p.cookie(text, start, next, kind)
		start = next + 1
	}
}

// setCookies replaces the values of what a Set-Cookie header sets, which is several cookies where a gateway joined
// lines with commas.
func (p *pass) setCookies(text []byte, kind string) {
	for start := 0; start < len(text); {
		next := nextCookie(text, start)
		p.cookie(text, start, cutAt(text, start, next, ';'), kind)
		start = next + 1
	}
}

// nextCookie returns where the comma is after which another cookie begins, or the end. A date has a comma, too.
func nextCookie(text []byte, start int) int {
	for i := start; i < len(text); i++ {
		if text[i] != ',' {
			continue
		}
		name := i + 1
		for name < len(text) && text[name] == ' ' {
			name++
		}
		equals := name
		for equals < len(text) && isNameChar(text[equals]) {
			equals++
		}
		if equals > name && equals < len(text) && text[equals] == '=' {
			return i
		}
		i = equals - 1
	}
	return len(text)
}

// cookie replaces the value of one cookie.
func (p *pass) cookie(text []byte, start, end int, kind string) {
	if i := bytes.IndexByte(text[start:end], '='); i >= 0 {
		if pl, ok := p.redactor.names[normalized(text[start:start+i])]; ok && pl.role == kept {
			return
		}
		start += i + 1
	}
	for start < end && (text[start] == ' ' || text[start] == '"') {
		start++
	}
	for end > start && (text[end-1] == ' ' || text[end-1] == '"') {
		end--
	}
	before := len(p.edits)
	p.secret(text[start:end], place{role: secret, kind: kind})
	shift(p.edits[before:], start)
}
