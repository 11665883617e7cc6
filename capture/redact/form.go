package redact

import (
	"bytes"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isAlnum(c byte) bool { return isDigit(c) || isUpper(c) || isLower(c) }
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isLowerHex(c byte) bool  { return isDigit(c) || 'a' <= c && c <= 'f' }
func isHexDigit(c byte) bool  { return isLowerHex(c) || 'A' <= c && c <= 'F' }
func isKeyIDChar(c byte) bool { return isDigit(c) || isUpper(c) }

func isBase64Char(c byte) bool { return isAlnum(c) || c == '+' || c == '/' || c == '-' || c == '_' }

func all(v []byte, is func(byte) bool) bool {
	for _, c := range v {
		if !is(c) {
			return false
		}
	}
	return true
}

func count(v []byte, is func(byte) bool) (n int) {
	for _, c := range v {
		if is(c) {
			n++
		}
	}
	return n
}

// keep returns the bytes of v that are.
func keep(v []byte, is func(byte) bool) []byte {
	out := make([]byte, 0, len(v))
	for _, c := range v {
		if is(c) {
			out = append(out, c)
		}
	}
	return out
}

// refill puts chars in the places of the bytes of v that are.
func refill(v, chars []byte, is func(byte) bool) []byte {
	out := bytes.Clone(v)
	for i, c := range out {
		if is(c) {
			out[i], chars = chars[0], chars[1:]
		}
	}
	return out
}

// isOpaque reports whether v is long enough for a token, and too odd for a word.
func isOpaque(v []byte) bool {
	digits := count(v, isDigit)
	return len(v) >= 8 && digits > 0 || len(v) >= 16 && count(v, isUpper) > 1 || len(v) >= 32
}

// isJWT reports whether v has the three parts of a signed token or the five of an encrypted one, and a header that
// is a JSON object.
func isJWT(v []byte) bool {
	if len(v) < 10 || v[0] != 'e' || v[1] != 'y' || v[2] != 'J' {
		return false
	}
	dots := 0
	for _, c := range v {
		switch {
		case c == '.':
			dots++
		case !isAlnum(c) && c != '-' && c != '_':
			return false
		}
	}
	return dots == 2 || dots == 4
}

// isKeyID reports whether v is an AWS access key ID. Source:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes.
func isKeyID(v []byte) bool {
	if len(v) != 20 || v[0] != 'A' {
		return false
	}
	switch string(v[:4]) {
	case "AKIA", "ASIA", "ABIA", "ACCA":
		return all(v[4:], isKeyIDChar)
	}
	return false
}

const (
	pemBegin = "-----BEGIN "
	pemKey   = "PRIVATE KEY-----"
	pemEnd   = "-----END "
)

// pemBody returns where the contents of the private key are that v begins with. They are empty when it is none, and
// end with v when the end is cut off.
func pemBody(v []byte) (start, end int) {
	line := v[:min(len(v), 64)]
	at := bytes.Index(line, []byte(pemKey))
	if at < 0 {
		return 0, 0
	}
	start = at + len(pemKey)
	end = len(v)
	if i := bytes.Index(v[start:], []byte(pemEnd)); i >= 0 {
		end = start + i
	}
	for start < end && (isSpace(v[start]) || v[start] == '\\') {
		if v[start] == '\\' { // \n that was escaped once more
			start++
		}
		start = min(start+1, end)
	}
	for end > start && isSpace(v[end-1]) {
		end--
	}
	if end-start > 2 && v[end-2] == '\\' {
		end -= 2
	}
	return start, end
}

func isUUID(v []byte) bool {
	if len(v) != 36 {
		return false
	}
	for i, c := range v {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHexDigit(c) {
				return false
			}
		}
	}
	return true
}

func isHex(v []byte) bool { return len(v) >= 16 && all(v, isHexDigit) }

// isBase64 reports whether v may be base64, in one of its alphabets, with padding or without.
func isBase64(v []byte) bool {
	if len(v) < 16 {
		return false
	}
	body := bytes.TrimRight(v, "=")
	padding := len(v) - len(body)
	if padding > 2 || padding > 0 && len(v)%4 != 0 {
		return false
	}
	return all(body, isBase64Char)
}

func isMailUser(c byte) bool {
	return isAlnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\'' || c >= 0x80
}

func isMailHost(c byte) bool { return isAlnum(c) || c == '.' || c == '-' || c >= 0x80 }

func isEmail(v []byte) bool {
	at := bytes.IndexByte(v, '@')
	return at > 0 && len(v) <= 320 && all(v[:at], isMailUser) && isDomain(v[at+1:])
}

// isDomain asks for a dot and a top-level domain of letters.
func isDomain(v []byte) bool {
	dot := bytes.LastIndexByte(v, '.')
	if dot < 1 || len(v)-dot-1 < 2 || v[0] == '.' || bytes.Contains(v, []byte("..")) {
		return false
	}
	return all(v, isMailHost) && count(v[dot+1:], isDigit) == 0
}

// isCard reports whether v is a card number: 12 to 19 digits from a range of cards, with a valid check digit, maybe
// in groups with a space or a hyphen between them.
func isCard(v []byte) bool {
	if len(v) < 12 || len(v) > 30 || v[0] < '2' || v[0] > '6' || !isDigit(v[len(v)-1]) {
		return false
	}
	var separator byte
	digits := 0
	for i, c := range v {
		switch {
		case isDigit(c):
			digits++
		case c != ' ' && c != '-', separator != 0 && c != separator, !isDigit(v[i-1]):
			return false
		default:
			separator = c
		}
	}
	return digits >= 12 && digits <= 19 && (v[0] != '2' || isCardOf2(keep(v, isDigit))) && luhn(v)
}

// isCardOf2 reports whether what begins with 2 is a number of Mir or Mastercard, or a token of one, and not a time of
// this century. Source: ISO/IEC 7812, as the networks publish their ranges.
func isCardOf2(digits []byte) bool {
	first := string(digits[:4])
	return "2200" <= first && first <= "2204" || "2221" <= first && first <= "2720" || string(digits[1:6]) == cardMark
}

// luhn reports whether the last of v's digits checks the others.
func luhn(v []byte) bool {
	sum, double := 0, false
	for i := len(v) - 1; i >= 0; i-- {
		if !isDigit(v[i]) {
			continue
		}
		d := int(v[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}

// luhnDigit returns the digit that checks digits.
func luhnDigit(digits []byte) byte {
	trial := append(bytes.Clone(digits), '0')
	for c := byte('0'); ; c++ {
		if trial[len(digits)] = c; luhn(trial) {
			return c
		}
	}
}

// isPhone reports whether v is a telephone number that shows that it is one: it begins with +, or with 0 and has
// something between its digits. Source for the length: ITU-T E.164.
func isPhone(v []byte) bool {
	if len(v) < 8 || len(v) > 25 || !isDigit(v[len(v)-1]) || v[0] != '+' && v[0] != '0' {
		return false
	}
	for i, c := range v {
		if !isDigit(c) && c != ' ' && c != '-' && c != '/' && c != '(' && c != ')' && c != '.' && (c != '+' || i > 0) {
			return false
		}
		if i > 1 && !isDigit(c) && !isDigit(v[i-1]) && !isDigit(v[i-2]) {
			return false
		}
	}
	digits := count(v, isDigit)
	if v[0] == '0' && (digits == len(v) || !isDigit(v[1]) || digits < 9) { // fewer may be a date
		return false
	}
	return digits >= 7 && digits <= 15+2 // 00 for +
}

// isIBAN reports whether v is an account number with valid check digits, maybe with spaces between its characters.
// Source: ISO 13616-1.
func isIBAN(v []byte) bool {
	if len(v) < 15 || len(v) > 42 || !isAlnum(v[0]) || !isAlnum(v[len(v)-1]) {
		return false
	}
	chars := v
	if bytes.IndexByte(v, ' ') >= 0 {
		chars = keep(v, func(c byte) bool { return c != ' ' })
	}
	if len(chars) < 15 || len(chars) > 34 || !all(chars[:2], isUpper) || !all(chars[2:4], isDigit) {
		return false
	}
	return all(chars, isKeyIDChar) && ibanRemainder(chars) == 1
}

// ibanRemainder is that of the division by 97, with the first four characters at the end and letters as numbers.
func ibanRemainder(chars []byte) int {
	n := 0
	for i := range chars {
		c := chars[(i+4)%len(chars)]
		if isDigit(c) {
			n = (n*10 + int(c-'0')) % 97
		} else {
			n = (n*100 + int(c-'A') + 10) % 97
		}
	}
	return n
}
