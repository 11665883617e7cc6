package redact

import (
	"bytes"
	"net/netip"
)

// form replaces what is between s.i and end, and goes on behind it.
func (s *scanner) form(end int, kind string) bool {
	s.replace(s.i, end, s.text[s.i:end], kind)
	return s.behind(end)
}

func (s *scanner) jwt() bool {
	if !bytes.HasPrefix(s.text[s.i:], []byte("eyJ")) {
		return false
	}
	dots := 0
	end := s.run(s.i, len(s.text), func(c byte) bool {
		if c == '.' {
			dots++
		}
		return isAlnum(c) || c == '-' || c == '_' || c == '.' && dots < 5
	})
	word := s.text[s.i:end]
	switch {
	case dots < 2:
		s.i = end // one long word
		return true
	case dots != 4: // of what is not encrypted, three parts are the token
		first := bytes.IndexByte(word, '.') + 1
		second := first + bytes.IndexByte(word[first:], '.') + 1
		if third := bytes.IndexByte(word[second:], '.'); third >= 0 {
			word = word[:second+third]
		}
	}
	return s.form(s.i+len(word), "form:jwt")
}

func (s *scanner) accessKeyID() bool {
	end := s.i + 20
	if end > len(s.text) || !isKeyID(s.text[s.i:end]) || end < len(s.text) && isAlnum(s.text[end]) {
		return false
	}
	return s.form(end, "form:aws-access-key")
}

// secretKeys looks for the AWS secret keys that go with access key IDs: 40 characters of base64.
func (s *scanner) secretKeys() {
	found := append([]edit(nil), s.edits[s.first:]...)
	s.edits = s.edits[:s.first]
	next := 0
	for i := 0; i < len(s.text); {
		if next < len(found) && i >= found[next].Start {
			s.edits = append(s.edits, found[next])
			i = found[next].End
			next++
			continue
		}
		limit := len(s.text)
		if next < len(found) {
			limit = found[next].Start
		}
		end := s.run(i, limit-i, func(c byte) bool { return isAlnum(c) || c == '+' || c == '/' })
		if end-i == 40 && !all(s.text[i:end], isLowerHex) {
			s.replace(i, end, s.text[i:end], "form:aws-secret-key")
		}
		i = max(end, i+1)
	}
	s.edits = append(s.edits, found[next:]...)
}

// azureKey looks at the key that ends with the = here.
func (s *scanner) azureKey() bool {
	start := s.i
	for start > s.done && s.i-start < 88 && isBase64Char(s.text[start-1]) {
		start--
	}
	end := s.run(s.i, 2, func(c byte) bool { return c == '=' })
	if !isAzureKey(s.text[start:end]) {
		return false
	}
	s.i = start
	return s.form(end, "form:azure-key")
}

// bearer looks at "Bearer" and "Basic" and what follows them.
func (s *scanner) bearer() bool {
	var begin int
	kind := "form:bearer"
	switch rest := s.text[s.i:]; {
	case len(rest) > 7 && bytes.EqualFold(rest[:7], []byte("bearer ")):
		begin = s.i + 7
	case len(rest) > 6 && bytes.EqualFold(rest[:6], []byte("basic ")):
		begin, kind = s.i+6, "form:basic"
	default:
		return false
	}
	end := s.run(begin, len(s.text), func(c byte) bool { return isBase64Char(c) || c == '.' || c == '~' || c == '=' })
	for end > begin && s.text[end-1] == '.' {
		end--
	}
	value := s.text[begin:end]
	if kind == "form:basic" {
		if len(value) < 4 || !s.basic(s.text, begin, end, kind) {
			return false
		}
		return s.behind(end)
	}
	if !isOpaque(value) { // "a bearer token is missing"
		return false
	}
	s.i = begin
	return s.form(end, kind)
}

func (s *scanner) pem() bool {
	if !bytes.HasPrefix(s.text[s.i:], []byte(pemBegin)) {
		return false
	}
	start, end := pemBody(s.text[s.i:])
	if start == end {
		return false
	}
	return s.form(s.i+end, "form:pem")
}

func (s *scanner) email() bool {
	start := s.i
	for start > s.done && isMailUser(s.text[start-1]) {
		start--
	}
	end := s.run(s.i+1, len(s.text), isMailHost)
	for end > s.i && (s.text[end-1] == '.' || s.text[end-1] == '-') {
		end--
	}
	if !isEmail(s.text[start:end]) {
		return false
	}
	s.i = start
	return s.form(end, "form:email")
}

// number looks at card and telephone numbers.
func (s *scanner) number() bool {
	if s.i > 0 && (s.text[s.i-1] == '.' || s.text[s.i-1] == '+') {
		return false
	}
	forms := s.redactor.forms
	end := s.run(s.i, 30, func(c byte) bool {
		return isDigit(c) || c == ' ' || c == '-' || c == '/' || c == '(' || c == ')' || c == '+'
	})
	for ; end-s.i >= 8; end-- {
		if !isDigit(s.text[end-1]) || end < len(s.text) && isAlnum(s.text[end]) {
			continue
		}
		switch value := s.text[s.i:end]; {
		case forms.has(Card) && isCard(value):
			return s.form(end, "form:card")
		case forms.has(Phone) && isPhone(value) && (value[0] == '+' || !s.afterDigit()):
			return s.form(end, "form:phone")
		}
	}
	return false
}

// afterDigit reports whether there is a digit before s.i, and one byte at most between: this is in a longer number.
func (s *scanner) afterDigit() bool {
	return s.i > 1 && isDigit(s.text[s.i-2]) && !isAlnum(s.text[s.i-1])
}

func (s *scanner) iban() bool {
	rest := s.text[s.i:]
	if len(rest) < 15 || !isUpper(rest[1]) || !isDigit(rest[2]) || !isDigit(rest[3]) {
		return false
	}
	end := s.run(s.i, 42, func(c byte) bool { return isKeyIDChar(c) || c == ' ' })
	for ; end-s.i >= 15; end-- {
		if end < len(s.text) && isAlnum(s.text[end]) || s.text[end-1] == ' ' {
			continue
		}
		if isIBAN(s.text[s.i:end]) {
			return s.form(end, "form:iban")
		}
	}
	return false
}

func (s *scanner) addr() bool {
	end := s.run(s.i, 45, func(c byte) bool { return isHexDigit(c) || c == '.' || c == ':' })
	if end < len(s.text) && isAlnum(s.text[end]) || end-s.i < 4 {
		return false
	}
	word := bytes.TrimRight(s.text[s.i:end], ".")
	if i := bytes.IndexByte(word, ':'); i >= 0 && bytes.Count(word[:i], []byte{'.'}) == 3 {
		word = word[:i] // a port follows
	}
	if bytes.Count(word, []byte{'.'}) != 3 && bytes.Count(word, []byte{':'}) < 2 {
		return false
	}
	if _, err := netip.ParseAddr(string(word)); err != nil {
		return false
	}
	return s.form(s.i+len(word), "form:ip")
}
