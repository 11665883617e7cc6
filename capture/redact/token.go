package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/netip"
	"strings"
	"sync"

	"tandem/capture/jsonval"
)

// Tokens show that they are tokens by how they begin. None of this is how real values begin: the ranges of card,
// account and phone numbers are not assigned, the addresses are for documentation.
const (
	textMark   = "redacted-"
	base64Mark = "redacted"
	hexMark    = "facade00"
	keyIDMark  = "REDACTED"
	mailHost   = "@example.com"
	jwtHeader  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"HS256","typ":"JWT"}
	jwtMark    = "eyJzdWIiOiJyZWRhY3Rl"                 // {"sub":"redacte
	phoneMark  = "999"                                  // after + or 00
	localMark  = "0000"                                 // of numbers that begin with 0
	cardMark   = "00000"                                // after the first digit, which tells the brand
	ibanMark   = 5                                      // 9s, or Xs in the places of letters, after the check digits
)

// textTokenSize is the length of a token that has no form but its own.
const textTokenSize = len(textMark) + 16

// longest is the length from which on a token is not as long as its value.
const longest = 4096

// A tokenizer makes tokens. It is safe for concurrent use.
type tokenizer struct {
	macs sync.Pool // of hash.Hash
}

func newTokenizer(key []byte) *tokenizer {
	key = bytes.Clone(key)
	return &tokenizer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (t *tokenizer) sum(value []byte) (sum [sha256.Size]byte) {
	mac := t.macs.Get().(hash.Hash)
	defer t.macs.Put(mac)
	mac.Reset()
	mac.Write(value)
	mac.Sum(sum[:0])
	return sum
}

// A stream gives any number of bytes that depend on a key and a value alone.
type stream struct {
	seed, block [sha256.Size]byte
	n           int
}

func (t *tokenizer) stream(value []byte) *stream {
	s := &stream{seed: t.sum(value)}
	s.block = s.seed
	return s
}

// below returns a number from 0 to limit-1.
func (s *stream) below(limit int) byte {
	for {
		if s.n > 0 && s.n%sha256.Size == 0 {
			var counter [sha256.Size + 4]byte
			copy(counter[:], s.seed[:])
			binary.BigEndian.PutUint32(counter[sha256.Size:], uint32(s.n))
			s.block = sha256.Sum256(counter[:])
		}
		b := int(s.block[s.n%sha256.Size])
		s.n++
		if b < 256-256%limit {
			return byte(b % limit)
		}
	}
}

// fill appends n characters of alphabet.
func (s *stream) fill(dst []byte, n int, alphabet string) []byte {
	for range n {
		dst = append(dst, alphabet[s.below(len(alphabet))])
	}
	return dst
}

// IsIDToken reports whether id is what stands for a UUID.
func IsIDToken(id string) bool {
	return isUUID([]byte(id)) && strings.EqualFold(id[:len(hexMark)], hexMark)
}

// IsJWTToken reports whether text, a JWT, is what stands for one.
func IsJWTToken(text string) bool { return strings.HasPrefix(text, jwtHeader+"."+jwtMark) }

// MayHoldToken reports whether there can be a token in text, which is not encoded. Tokens of a single digit aside, it is
// false only where there is none.
func MayHoldToken(text string) bool {
	lower := strings.ToLower(text)
	marks := []string{base64Mark, hexMark, "99", cardMark, localMark, "xxx", jwtHeader, "2001:db8"}
	for _, p := range documentation[:3] {
		marks = append(marks, strings.TrimSuffix(p.Addr().String(), "0"))
	}
	digits := strings.Map(func(r rune) rune { // tokens keep what is between digits
		if strings.ContainsRune(" -./()", r) {
			return -1
		}
		return r
	}, lower)
	for _, m := range marks {
		if m = strings.ToLower(m); strings.Contains(lower, m) || strings.Contains(digits, m) {
			return true
		}
	}
	return false
}

const (
	digitChars  = "0123456789"
	letterChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	keyIDChars  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base64Chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// token returns what stands for value. It returns value itself when there is nothing to hide in it: it is empty, or
// a token.
func (t *tokenizer) token(value []byte) []byte {
	switch {
	case len(value) == 0, isText(value):
		return value
	case isJWT(value):
		return t.jwt(value)
	case isKeyID(value):
		return t.keyID(value)
	case value[0] == '-' && bytes.HasPrefix(value, []byte(pemBegin)):
		return t.pem(value)
	case isUUID(value):
		return t.uuid(value)
	case isEmail(value):
		return t.email(value)
	}
	if c := value[0]; '0' <= c && c <= '9' || c == '+' || c == ':' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f' {
		if out, ok := t.numeric(value); ok {
			return out
		}
	}
	switch {
	case isIBAN(value):
		return t.iban(value)
	case len(value) >= longest:
		return t.text(value)
	case isHex(value):
		return t.hex(value)
	case isBase64(value):
		return t.base64(value)
	}
	return t.text(value)
}

// numeric does what begins with a digit.
func (t *tokenizer) numeric(value []byte) ([]byte, bool) {
	switch {
	case isCard(value):
		return t.card(value), true
	case all(value, isDigit):
		return t.digits(value), true
	case isPhone(value):
		return t.phone(value), true
	case len(value) <= 45:
		if addr, err := netip.ParseAddr(string(value)); err == nil {
			return t.addr(value, addr), true
		}
	}
	return nil, false
}

func isText(v []byte) bool {
	return len(v) == textTokenSize && string(v[:len(textMark)]) == textMark && all(v[len(textMark):], isLowerHex)
}

func (t *tokenizer) text(value []byte) []byte {
	sum := t.sum(value)
	out := make([]byte, 0, textTokenSize)
	return hex.AppendEncode(append(out, textMark...), sum[:8])
}

// jwt keeps three parts of which the first two decode to JSON.
func (t *tokenizer) jwt(value []byte) []byte {
	if bytes.HasPrefix(value, []byte(jwtHeader+"."+jwtMark)) {
		return value
	}
	sum := t.sum(value)
	claims := append(append([]byte(`{"sub":"`), t.text(value)...), `"}`...)
	out := append([]byte(jwtHeader), '.')
	out = base64.RawURLEncoding.AppendEncode(out, claims)
	out = append(out, '.')
	return base64.RawURLEncoding.AppendEncode(out, sum[:])
}

// keyID keeps what an AWS access key ID begins with, which says of what kind it is.
func (t *tokenizer) keyID(value []byte) []byte {
	if string(value[4:12]) == keyIDMark {
		return value
	}
	out := append(bytes.Clone(value[:4]), keyIDMark...)
	return t.stream(value).fill(out, 8, keyIDChars)
}

// pem keeps the first and the last line of a private key.
func (t *tokenizer) pem(value []byte) []byte {
	start, end := pemBody(value)
	if start == end || isText(value[start:end]) {
		return value
	}
	return jsonval.Splice(value, 0, []edit{{Start: start, End: end, Text: t.text(value[start:end])}})
}

func (t *tokenizer) uuid(value []byte) []byte {
	if bytes.HasPrefix(value, []byte(hexMark)) {
		return value
	}
	sum := t.sum(bytes.ToLower(value))
	digits := hex.AppendEncode(nil, sum[:16])
	out := append([]byte(hexMark), '-')
	out = append(append(out, digits[:4]...), "-4"...)
	out = append(append(out, digits[4:7]...), "-8"...)
	out = append(append(out, digits[7:10]...), '-')
	return likeCase(value, append(out, digits[10:22]...))
}

func (t *tokenizer) email(value []byte) []byte {
	if user, ok := bytes.CutSuffix(value, []byte(mailHost)); ok && isText(user) {
		return value
	}
	return append(t.text(bytes.ToLower(value)), mailHost...)
}

func (t *tokenizer) hex(value []byte) []byte {
	if bytes.HasPrefix(bytes.ToLower(value[:len(hexMark)]), []byte(hexMark)) {
		return value
	}
	s := t.stream(value)
	return likeCase(value, s.fill([]byte(hexMark), len(value)-len(hexMark), "0123456789abcdef"))
}

func likeCase(like, token []byte) []byte {
	if bytes.ContainsAny(like, "ABCDEF") {
		return bytes.ToUpper(token)
	}
	return token
}

// base64 keeps the length, and with it that of the content.
func (t *tokenizer) base64(value []byte) []byte {
	if bytes.HasPrefix(value, []byte(base64Mark)) {
		return value
	}
	body := bytes.TrimRight(value, "=")
	s := t.stream(value)
	out := s.fill([]byte(base64Mark), len(body)-len(base64Mark), base64Chars)
	switch len(body) % 4 { // bits that no byte of the content has must be 0
	case 2:
		out[len(out)-1] = "AQgw"[s.below(4)]
	case 3:
		out[len(out)-1] = "AEIMQUYcgkosw048"[s.below(16)]
	}
	return append(out, value[len(body):]...)
}

// digits keeps the number of digits. The fewer there are, the more values have one token, and the likelier one that
// is no token begins as if it were, and stays: of numbers of four digits one in a thousand does.
func (t *tokenizer) digits(value []byte) []byte {
	mark := min(8, len(value)-len(value)/3)
	if all(value[:mark], func(c byte) bool { return c == '9' }) {
		return value
	}
	out := bytes.Repeat([]byte{'9'}, mark)
	return t.stream(value).fill(out, len(value)-mark, digitChars)
}

// card keeps the first digit and what is between the digits.
func (t *tokenizer) card(value []byte) []byte {
	digits := keep(value, isDigit)
	if string(digits[1:1+len(cardMark)]) == cardMark {
		return value
	}
	out := append(digits[:1:1], cardMark...)
	out = t.stream(digits).fill(out, len(digits)-len(out)-1, digitChars)
	return refill(value, append(out, luhnDigit(out)), isDigit)
}

// phone keeps how the number begins, "+", "00" or "0", and what is between the digits.
func (t *tokenizer) phone(value []byte) []byte {
	digits := keep(value, isDigit)
	mark := phoneMark
	switch {
	case value[0] == '+':
	case digits[1] == '0' && digits[2] != '0':
		mark = "00" + phoneMark
	default:
		mark = localMark
	}
	if bytes.HasPrefix(digits, []byte(mark)) {
		return value
	}
	out := append([]byte(nil), mark...)
	canonical := value
	if value[0] == '+' {
		canonical = append([]byte{'+'}, digits...)
	}
	out = t.stream(canonical).fill(out, len(digits)-len(out), digitChars)
	return refill(value, out, isDigit)
}

// iban keeps the country and which characters are letters, and has valid check digits.
func (t *tokenizer) iban(value []byte) []byte {
	chars := bytes.ToUpper(keep(value, isAlnum))
	if isIBANToken(chars) {
		return value
	}
	out := append(chars[:2:2], "00"...)
	s := t.stream(chars)
	for i, c := range chars[4:] {
		alphabet := letterChars
		if isDigit(c) {
			alphabet = digitChars
		}
		switch {
		case i < ibanMark && isDigit(c):
			out = append(out, '9')
		case i < ibanMark:
			out = append(out, 'X')
		default:
			out = s.fill(out, 1, alphabet)
		}
	}
	check := 98 - ibanRemainder(out)
	out[2], out[3] = byte('0'+check/10), byte('0'+check%10)
	return refill(value, out, isAlnum)
}

func isIBANToken(chars []byte) bool {
	return all(chars[4:4+ibanMark], func(c byte) bool { return c == '9' || c == 'X' })
}

var documentation = []netip.Prefix{ // RFC 5737 and RFC 3849
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
}

// addr keeps the version of the protocol. There are only 768 addresses of version 4 for documentation.
func (t *tokenizer) addr(value []byte, addr netip.Addr) []byte {
	for _, p := range documentation {
		if p.Contains(addr.Unmap()) {
			return value
		}
	}
	canonical := addr.Unmap().WithZone("").AsSlice()
	sum := t.sum(canonical)
	if addr.Unmap().Is4() {
		base := documentation[sum[0]%3].Addr().As4()
		base[3] = sum[1]
		return netip.AddrFrom4(base).AppendTo(nil)
	}
	base := documentation[3].Addr().As16()
	copy(base[4:], sum[:])
	return netip.AddrFrom16(base).AppendTo(nil)
}
