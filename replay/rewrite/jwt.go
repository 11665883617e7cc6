package rewrite

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tandem/capture/jsonval"
	"tandem/capture/redact"
)

// Token says how JSON Web Tokens (RFC 7519) are signed anew, wherever they stand in a text. All that it does not say
// stays as it is in them, byte for byte.
type Token struct {
	Key `yaml:",inline"`
	// Alg is how it is signed (RFC 7518), such as HS256, RS256, PS256, ES256 or EdDSA.
	Alg string `yaml:"alg"`
	// KID takes the place of the header's key ID, or is added.
	KID string `yaml:"kid"`
	// ShiftTime moves exp, nbf, iat and auth_time by the run's constant.
	ShiftTime bool `yaml:"shift-time"`
	// Lifetime, such as "1h", makes exp that much later than the moment of sending, and nbf, iat and auth_time, where
	// they are there, that moment.
	Lifetime string `yaml:"lifetime"`
	// Set has claims that take the place of those of the same name, or are added.
	Set map[string]any `yaml:"set"`
	// Claims are those of a token that is made where there was one that cannot be read, because it is redacted or
	// encrypted. It has iat and exp, too, with a Lifetime. Without Claims such tokens stay, and are told.
	Claims map[string]any `yaml:"claims"`
}

// A claim is a member of an object, and its value as JSON.
type claim struct {
	name  string
	value []byte
}

// A jwtSigner does what a Token says. It is safe for concurrent use.
type jwtSigner struct {
	method       jwt.SigningMethod
	key          any // as method needs it
	kid          string
	shift        bool
	lifetime     time.Duration
	set, claims  []claim // by name
	mintsTheRest bool
	opts         Options
}

// signer returns an error that begins with the key that is wrong.
func (t *Token) signer() (*jwtSigner, error) {
	s := &jwtSigner{method: jwt.GetSigningMethod(t.Alg), kid: t.KID, shift: t.ShiftTime, mintsTheRest: t.Claims != nil}
	if s.method == nil || s.method == jwt.SigningMethodNone {
		return nil, fmt.Errorf("alg: %q is no way to sign, such as HS256, RS256, ES256 or EdDSA", t.Alg)
	}
	if t.Lifetime != "" {
		var err error
		if s.lifetime, err = time.ParseDuration(t.Lifetime); err != nil || s.lifetime < time.Second {
			return nil, fmt.Errorf("lifetime: %q is no time of a second or more, such as 1h", t.Lifetime)
		}
		if t.ShiftTime {
			return nil, errors.New("lifetime: times are either shifted or made anew")
		}
	}
	var err error
	if s.set, err = claimsOf(t.Set); err != nil {
		return nil, fmt.Errorf("set: %w", err)
	}
	if s.claims, err = claimsOf(t.Claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if s.key, err = t.Key.signingKey(s.method); err != nil {
		return nil, err
	}
	if _, err := s.signature("x"); err != nil {
		return nil, fmt.Errorf("key: it cannot sign with %s", t.Alg) // too short, or of another curve
	}
	return s, nil
}

func claimsOf(values map[string]any) (claims []claim, err error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(values[name]); err != nil {
			return nil, fmt.Errorf("%s: it cannot be JSON", name)
		}
		claims = append(claims, claim{name, bytes.TrimSpace(value.Bytes())})
	}
	return claims, nil
}

// signingKey reads the key that a method needs. What is wrong with a key is not told, lest a part of it is.
func (k *Key) signingKey(method jwt.SigningMethod) (any, error) {
	secret, err := k.secret()
	if err != nil {
		return nil, err
	}
	var key any
	switch method.(type) {
	case *jwt.SigningMethodHMAC:
		return secret, nil
	case *jwt.SigningMethodECDSA:
		key, err = jwt.ParseECPrivateKeyFromPEM(secret)
	case *jwt.SigningMethodEd25519:
		key, err = jwt.ParseEdPrivateKeyFromPEM(secret)
	default:
		key, err = jwt.ParseRSAPrivateKeyFromPEM(secret)
	}
	if err != nil {
		return nil, fmt.Errorf("key: it is not the private key, in PEM, that %s needs", method.Alg())
	}
	return key, nil
}

// signature signs. For all but PS256 and its like, one text has one signature.
func (s *jwtSigner) signature(signed string) ([]byte, error) {
	method, ok := s.method.(*jwt.SigningMethodECDSA)
	if !ok {
		return s.method.Sign(signed, s.key)
	}
	// The method's own Sign takes random numbers. Without them it is that of RFC 6979.
	key := s.key.(*ecdsa.PrivateKey)
	if key.Curve.Params().BitSize != method.CurveBits {
		return nil, jwt.ErrInvalidKey
	}
	h := method.Hash.New()
	h.Write([]byte(signed))
	der, err := key.Sign(nil, h.Sum(nil), method.Hash)
	if err != nil {
		return nil, err
	}
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &point); err != nil {
		return nil, err
	}
	out := make([]byte, 2*method.KeySize)
	point.R.FillBytes(out[:method.KeySize])
	point.S.FillBytes(out[method.KeySize:])
	return out, nil
}

var (
	// jwtForm is how tokens look: the first of three parts, or five when they are encrypted, decodes to "{" and so on.
	jwtForm = regexp.MustCompile(`e[wy][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2}(?:(?:\.[A-Za-z0-9_-]+){2})?`)
	bearer  = regexp.MustCompile(`^(?i:bearer) +(\S+)$`)
	// opaque is how redaction leaves what it does not know the form of.
	opaque = regexp.MustCompile(`^(?:redacted|facade00)[A-Za-z0-9+/=_-]*$`)
)

// resign is a rule's text: it signs all tokens in a text.
func (s *jwtSigner) resign(text []byte) (edits []jsonval.Edit, _ verdict) {
	if len(text) == 0 {
		return nil, passed
	}
	all := true
	places := tokensIn(text)
	for _, at := range places {
		token, ok := s.token(string(text[at[0]:at[1]]))
		all = all && ok
		if ok && token != string(text[at[0]:at[1]]) {
			edits = append(edits, jsonval.Edit{Start: at[0], End: at[1], Text: []byte(token)})
		}
	}
	if len(places) == 0 || !all {
		return nil, unsigned
	}
	return edits, took
}

// tokensIn returns where tokens are in a text, those that cannot be read, too.
func tokensIn(text []byte) (places [][]int) {
	for _, at := range jwtForm.FindAllIndex(text, -1) {
		header, _, _ := bytes.Cut(text[at[0]:at[1]], []byte("."))
		if _, ok := decodeObject(string(header)); ok && !joins(text, at[0]-1) && !joins(text, at[1]) {
			places = append(places, at)
		}
	}
	if len(places) > 0 {
		return places
	}
	if m := bearer.FindSubmatchIndex(text); m != nil {
		return [][]int{m[2:4]}
	}
	return opaque.FindAllIndex(text, 1)
}

// joins reports whether the byte at i may be part of a token.
func joins(text []byte, i int) bool {
	if i < 0 || i >= len(text) {
		return false
	}
	c := text[i]
	return c == '.' || c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// token returns what stands for a token.
func (s *jwtSigner) token(old string) (token string, ok bool) {
	header, claims, ok := parseToken(old)
	switch {
	case ok && !redact.IsJWTToken(old):
		return s.join(s.header(header), s.edited(claims))
	case !s.mintsTheRest:
		return "", false
	}
	return s.join(s.header([]byte(`{"alg":"","typ":"JWT"}`)), s.minted())
}

// parseToken returns the JSON of a token, which is not verified. ok is false for what is no signed token.
func parseToken(token string) (header, claims []byte, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, false
	}
	if header, ok = decodeObject(parts[0]); !ok {
		return nil, nil, false
	}
	if _, ok = member(header, "alg"); !ok {
		return nil, nil, false
	}
	claims, ok = decodeObject(parts[1])
	return header, claims, ok
}

func decodeObject(part string) (object []byte, ok bool) {
	object, err := base64.RawURLEncoding.DecodeString(part)
	return object, err == nil && json.Valid(object) && bytes.HasPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{"))
}

func (s *jwtSigner) join(header, claims []byte) (token string, ok bool) {
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := s.signature(signed)
	if err != nil {
		return "", false // not after the one of signer
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), true
}

func (s *jwtSigner) header(header []byte) []byte {
	set := []claim{{"alg", jsonString(s.method.Alg())}}
	if s.kid != "" {
		set = append(set, claim{"kid", jsonString(s.kid)})
	}
	return withMembers(header, set)
}

func jsonString(s string) []byte { return jsonval.Text(s).AppendJSON(nil) }

// times are the claims of RFC 7519, and of OpenID Connect, that say when a token is good.
var times = []string{"exp", "nbf", "iat", "auth_time"}

// edited returns claims as the token has them now.
func (s *jwtSigner) edited(claims []byte) []byte {
	var set []claim
	for _, name := range times {
		was, ok := member(claims, name)
		switch {
		case s.lifetime > 0 && name == "exp":
			set = append(set, claim{name, s.numericDate(s.lifetime)})
		case s.lifetime > 0 && ok:
			set = append(set, claim{name, s.numericDate(0)})
		case s.shift && ok:
			if shifted, ok := shiftNumber(string(was), s.opts.Shift); ok {
				set = append(set, claim{name, []byte(shifted)})
			}
		}
	}
	return withMembers(withMembers(claims, set), s.set)
}

// minted returns the claims of a token that is made.
func (s *jwtSigner) minted() []byte {
	claims := []byte("{}")
	if s.lifetime > 0 {
		claims = withMembers(claims, []claim{{"iat", s.numericDate(0)}, {"exp", s.numericDate(s.lifetime)}})
	}
	return withMembers(claims, s.claims)
}

func (s *jwtSigner) numericDate(after time.Duration) []byte {
	return strconv.AppendInt(nil, s.opts.Now().Add(after).Unix(), 10)
}

// withMembers returns an object, which is valid JSON, with members that take the place of those of their names, or
// are added at its end. All its other bytes stay.
func withMembers(object []byte, members []claim) []byte {
	found := make(map[string]bool)
	w := walker{src: object}
	w.space()
	var edits []jsonval.Edit
	w.members(func(raw []byte) {
		start := w.i
		w.value(nil)
		name := string(jsonval.Escaped.Decode(raw))
		if i := slices.IndexFunc(members, func(c claim) bool { return c.name == name }); i >= 0 {
			found[name] = true
			edits = append(edits, jsonval.Edit{Start: start, End: w.i, Text: members[i].value})
		}
	})
	end := w.i - 1 // the closing brace
	var added []byte
	empty := bytes.HasSuffix(bytes.TrimRight(object[:end], " \t\r\n"), []byte("{"))
	for _, m := range members {
		if found[m.name] {
			continue
		}
		if !empty || len(added) > 0 {
			added = append(added, ',')
		}
		added = append(append(append(added, jsonString(m.name)...), ':'), m.value...)
	}
	return jsonval.Splice(object, 0, append(edits, jsonval.Edit{Start: end, End: end, Text: added}))
}
