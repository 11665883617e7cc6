package redact

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Stands reports whether text is what stands for a secret, or has such in it, by a form that nothing else has: of a
// JWT, an AWS access key ID, an e-mail address, a UUID, of 16 hexadecimal digits or more, of base64, or of any text. It
// does not know those of other numbers and addresses, which real ones may look like, nor one of base64 that could be a
// word.
func Stands(text string) bool {
	return kindOf([]byte(text)) != noToken || strings.Contains(text, textMark) && textToken.MatchString(text)
}

// StandsFor reports whether value may be what is said by text, for which [Stands] is true: it has the form of what the
// token stands for, and is like text around it. Of which secret that is, nobody can tell.
func StandsFor(text, value string) bool {
	v := []byte(value)
	switch kindOf([]byte(text)) {
	case noToken:
		return isLike(text, value)
	case jwtToken:
		return isJWT(v)
	case keyIDToken:
		return isKeyID(v)
	case mailToken:
		return isEmail(v)
	case uuidToken:
		return isUUID(v)
	case longToken:
		return len(v) >= 16 && bytes.IndexFunc(v, isBlank) < 0 && !isJWT(v)
	default:
		return !isNothing(value) && !isJWT(v) && !isKeyID(v) && !isUUID(v)
	}
}

// isNothing reports whether value is what programs write where there is none: no secret that is worth the name.
func isNothing(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "undefined", "null", "none", "nil", "<nil>", "nan", "[object object]", "true", "false", "0":
		return true
	}
	return false
}

type standing int

const (
	noToken   standing = iota
	wordToken          // of any text
	jwtToken
	keyIDToken
	mailToken
	uuidToken
	longToken // of hexadecimal digits or base64, 16 characters or more
)

func isBlank(r rune) bool { return r <= ' ' }

// kindOf says of which form a token is, which is nothing but that.
func kindOf(v []byte) standing {
	user, host, _ := bytes.Cut(v, []byte("@"))
	switch {
	case isText(v):
		return wordToken
	case IsJWTToken(string(v)) && isJWT(v):
		return jwtToken
	case isKeyID(v) && string(v[4:12]) == keyIDMark:
		return keyIDToken
	case isText(user) && "@"+string(host) == mailHost:
		return mailToken
	case IsIDToken(string(v)):
		return uuidToken
	case isHex(v) && strings.EqualFold(string(v[:len(hexMark)]), hexMark), isBase64Token(v):
		return longToken
	}
	return noToken
}

// isBase64Token does not take what could be a word, like redactedCustomerFields.
func isBase64Token(v []byte) bool {
	if !isBase64(v) || !bytes.HasPrefix(v, []byte(base64Mark)) {
		return false
	}
	rest := bytes.TrimRight(v[len(base64Mark):], "=")
	return all(rest, isAlnum) && count(rest, isDigit) > 0 && count(rest, isUpper) > 0 && count(rest, isLower) > 0
}

// textToken is a token within a text, where it stands alone.
var textToken = regexp.MustCompile(`\b` + textMark + `[0-9a-f]{16}\b`)

// secretWithin is what one may stand for there: a text without what separates parameters, headers and words.
const secretWithin = `([^\s&;,?#"'<>]+)`

// isLike reports whether value is like text with something for each token in it.
func isLike(text, value string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	from := 0
	for _, at := range textToken.FindAllStringIndex(text, -1) {
		pattern.WriteString(regexp.QuoteMeta(text[from:at[0]]) + secretWithin)
		from = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(text[from:]) + `\z`)
	re, err := regexp.Compile(pattern.String())
	if err != nil || from == 0 {
		return false
	}
	secrets := re.FindStringSubmatch(value)
	return secrets != nil && !slices.ContainsFunc(secrets[1:], isNothing)
}
