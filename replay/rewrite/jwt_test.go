package rewrite

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"tandem/capture"
	"tandem/capture/redact"
)

// hs256 is a token whose JSON is not as encoders write it: {"typ":"JWT", "alg":"HS256"} and
// { "sub" : "u\u0031","iat":1769803200,"exp":1769806800.5, "n":1.0,"iss":"https://id.example/" }.
var hs256 = unsignedToken(`{"typ":"JWT", "alg":"HS256"}`, claims) + "c2ln"

const claims = `{ "sub" : "u\u0031","iat":1769803200,"exp":1769806800.5, "n":1.0,"iss":"https://id.example/" }`

func unsignedToken(header, claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "."
}

// keyPair returns a private key in PEM and the public one.
func keyPair(t testing.TB, private, public any, err error) (string, any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), public
}

func ecKey(t testing.TB, curve elliptic.Curve) (string, any) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return keyPair(t, key, &key.PublicKey, err)
}

func rsaKey(t testing.TB) (string, any) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return keyPair(t, key, &key.PublicKey, err)
}

func edKey(t testing.TB) (string, any) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return keyPair(t, private, public, err)
}

// tokenIn returns the header, the claims and the token that an event has, which key verifies.
func tokenIn(t *testing.T, event []byte, alg string, key any) (header, claims, token string) {
	t.Helper()
	found := jwtForm.Find(event)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithoutClaimsValidation())
	if _, err := parser.Parse(string(found), func(*jwt.Token) (any, error) { return key, nil }); err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	parts := strings.Split(string(found), ".")
	h, _ := base64.RawURLEncoding.DecodeString(parts[0])
	c, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(h), string(c), string(found)
}

func TestTokensAreSignedWithTheGivenKeyAndAllElseInThemStays(t *testing.T) {
	p256, p256Public := ecKey(t, elliptic.P256())
	p521, p521Public := ecKey(t, elliptic.P521())
	rsaPrivate, rsaPublic := rsaKey(t)
	ed, edPublic := edKey(t)
	event := []byte(`{"headers":{"Authorization":"Bearer ` + hs256 + `"}}`)
	for _, tt := range []struct {
		alg, key string
		verifier any
	}{
		{"HS256", "k", []byte("k")}, {"HS512", "k", []byte("k")}, {"RS256", rsaPrivate, rsaPublic}, {"PS384", rsaPrivate, rsaPublic},
		{"ES256", p256, p256Public}, {"ES512", p521, p521Public}, {"EdDSA", ed, edPublic},
	} {
		r := rewriter(t, Change{Header: "authorization", JWT: &Token{Key: key(tt.key), Alg: tt.alg}})
		got, counts, err := r.Event(event)
		if err != nil || counts[0] != (Count{Values: 1}) {
			t.Fatalf("%s: %+v, %v", tt.alg, counts, err)
		}
		header, kept, _ := tokenIn(t, got, tt.alg, tt.verifier)
		if want := strings.Replace(`{"typ":"JWT", "alg":"HS256"}`, "HS256", tt.alg, 1); header != want || kept != claims {
			t.Errorf("%s: the token is\n %s%s, want\n %s%s", tt.alg, header, kept, want, claims)
		}
		again, _, _ := r.Event(event)
		if random := strings.HasPrefix(tt.alg, "PS"); (string(again) == string(got)) == random {
			t.Errorf("%s: signed again, it is the same: %v", tt.alg, !random)
		}
	}
}

func TestClaimsAreShiftedSetAndAdded(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for _, tt := range []struct {
		name                  string
		token                 Token
		wantHeader, wantClaim string
	}{
		{"shifted", Token{ShiftTime: true}, `{"typ":"JWT", "alg":"HS256"}`,
			`{ "sub" : "u\u0031","iat":1769932800,"exp":1769936400.5, "n":1.0,"iss":"https://id.example/" }`},
		{"of now", Token{Lifetime: "1h"}, `{"typ":"JWT", "alg":"HS256"}`,
			`{ "sub" : "u\u0031","iat":1800000000,"exp":1800003600, "n":1.0,"iss":"https://id.example/" }`},
		{"set and added, with another key's ID", Token{KID: "k\"2", Set: map[string]any{
			"iss": "https://stg.example/?a&b", "aud": []any{"a", "b"}, "n": uint64(9007199254740993), "act": map[string]any{"sub": "x"}}},
			`{"typ":"JWT", "alg":"HS256","kid":"k\"2"}`,
			`{ "sub" : "u\u0031","iat":1769803200,"exp":1769806800.5, "n":9007199254740993,"iss":"https://stg.example/?a&b" ` +
				`,"act":{"sub":"x"},"aud":["a","b"]}`},
		{"what is set wins over what is shifted", Token{ShiftTime: true, Set: map[string]any{"exp": 5}}, `{"typ":"JWT", "alg":"HS256"}`,
			`{ "sub" : "u\u0031","iat":1769932800,"exp":5, "n":1.0,"iss":"https://id.example/" }`},
	} {
		tt.token.Alg, tt.token.Key = "HS256", key("k")
		r, err := New([]Change{{At: "/t", JWT: &tt.token}}, Options{Shift: 36 * time.Hour, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := r.Event([]byte(`{"t":"` + hs256 + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if header, claims, _ := tokenIn(t, got, "HS256", []byte("k")); header != tt.wantHeader || claims != tt.wantClaim {
			t.Errorf("%s: %s\n%s, want %s\n%s", tt.name, header, claims, tt.wantHeader, tt.wantClaim)
		}
	}
}

// redacted returns an event as a recording has it.
func redacted(t testing.TB, event string) []byte {
	t.Helper()
	r, err := redact.New(redact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inv, counts := r.Redact(&capture.Invocation{ID: "i", Function: "f", Event: []byte(event)})
	if len(counts) == 0 {
		t.Fatalf("nothing is redacted in %s", event)
	}
	return inv.Event
}

func TestWhatCannotBeReadStaysAndIsToldOrIsMadeAnewOfGivenClaims(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for name, event := range map[string][]byte{
		"a redacted token":         redacted(t, `{"headers":{"authorization":"Bearer `+hs256+`"}}`),
		"a redacted opaque token":  redacted(t, `{"headers":{"authorization":"Bearer 9aXp-_Zq1kVn33b"}}`),
		"one without a scheme":     redacted(t, `{"headers":{"authorization":"9aXp-_Zq1kVn33b"}}`),
		"an encrypted token":       []byte(`{"headers":{"authorization":"Bearer ` + hs256 + `.AAAA.BBBB"}}`),
		"a token with no claims":   []byte(`{"headers":{"authorization":"Bearer ` + unsignedToken(`{"alg":"none"}`, `[]`) + `"}}`),
		"a token without its alg":  []byte(`{"headers":{"authorization":"bearer ` + unsignedToken(`{}`, `{}`) + `"}}`),
		"an opaque one with dots":  []byte(`{"headers":{"authorization":"Bearer a.b.c"}}`),
		"an opaque token in clear": []byte(`{"headers":{"authorization":"Bearer 9aXp-_Zq1kVn33b"}}`),
	} {
		got, counts, err := rewriter(t, Change{Header: "authorization", JWT: &Token{Key: key("k"), Alg: "HS256", ShiftTime: true}}).Event(event)
		if err != nil || string(got) != string(event) || counts[0] != (Count{Unsigned: 1}) {
			t.Errorf("%s: %s, %+v, %v; want it as recorded, and told", name, got, counts, err)
		}
		r, err := New([]Change{{Header: "authorization", JWT: &Token{Key: key("k"), Alg: "HS256", KID: "7", Lifetime: "10m",
			Set: map[string]any{"sub": "not this"}, Claims: map[string]any{"sub": "qa", "aud": "api"}}}},
			Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		got, counts, err = r.Event(event)
		if err != nil || counts[0] != (Count{Values: 1}) {
			t.Fatalf("%s: %s, %+v, %v", name, got, counts, err)
		}
		header, claims, token := tokenIn(t, got, "HS256", []byte("k"))
		if header != `{"alg":"HS256","typ":"JWT","kid":"7"}` || claims != `{"iat":1800000000,"exp":1800000600,"aud":"api","sub":"qa"}` {
			t.Errorf("%s: %s%s", name, header, claims)
		}
		if s := string(got); !strings.Contains(s, `"Bearer `+token+`"`) && !strings.Contains(s, `"bearer `+token+`"`) &&
			!strings.Contains(s, `:"`+token+`"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTokensAreFoundInWhatIsAroundThem(t *testing.T) {
	token := &Token{Key: key("k"), Alg: "HS256"}
	again := rewritten(t, Change{At: "/t", JWT: token}, `{"t":"`+hs256+`"}`)
	signed := strings.TrimSuffix(strings.TrimPrefix(again, `{"t":"`), `"}`)
	in64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		rule  Change
		event string
	}{
		{Change{Header: "cookie", JWT: token}, `{"headers":{"cookie":"a=1; session=TOKEN; b=2"}}`},
		{Change{At: "/cookies/*", JWT: token}, `{"cookies":["a=1","session=TOKEN"]}`},
		{Change{At: "/body/tokens/*", JWT: token}, `{"body":"{\"tokens\":[\"TOKEN\",\"TOKEN\"]}"}`},
		{Change{At: "/rawQueryString", JWT: token}, `{"rawQueryString":"id_token=TOKEN&x=1"}`},
		{Change{At: "/body/t", JWT: token}, `{"isBase64Encoded":true,"body":"BASE64"}`},
	} {
		fill := func(token string) string {
			return strings.NewReplacer("TOKEN", token, "BASE64", in64(`{"t":"`+token+`"}`)).Replace(tt.event)
		}
		if got := rewritten(t, tt.rule, fill(hs256)); got != fill(signed) {
			t.Errorf("%s became\n %s, want\n %s", fill(hs256), got, fill(signed))
		}
	}
	for _, not := range []string{"Basic dTpw", "eyes.of.tigers", hs256 + ".", "x" + hs256, "a=1"} {
		event := []byte(`{"t":"` + not + `"}`)
		got, counts, err := rewriter(t, Change{At: "/t", JWT: &Token{Key: key("k"), Alg: "HS256", Claims: map[string]any{}}}).Event(event)
		if err != nil || string(got) != string(event) || counts[0] != (Count{Unsigned: 1}) {
			t.Errorf("%s became %s, %+v, %v", event, got, counts, err)
		}
	}
}

func rewritten(t *testing.T, rule Change, event string) string {
	t.Helper()
	got, counts, err := rewriter(t, rule).Event([]byte(event))
	if err != nil || counts[0].Values == 0 {
		t.Fatalf("%s: %+v, %v", event, counts, err)
	}
	return string(got)
}

func FuzzTokens(f *testing.F) {
	f.Add(`x`, `{}`, "iss")
	for _, claims := range []string{claims, `{}`, ` { } `, `{"iss":null}`, `{"iss":[{}],"iss":2}`, `{"a":1}`} {
		f.Add(`{"alg":"x"}`, claims, "iss")
	}
	f.Fuzz(func(t *testing.T, header, claims, name string) {
		s, err := (&Token{Key: key("k"), Alg: "HS256", KID: "1", ShiftTime: true, Set: map[string]any{name: "x"}}).signer()
		if err != nil {
			t.Fatal(err)
		}
		old := unsignedToken(header, claims) + "x"
		token, ok := s.token(old)
		if !ok {
			return
		}
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte("k"), nil }, jwt.WithoutClaimsValidation())
		if err != nil || parsed.Header["alg"] != "HS256" || parsed.Header["kid"] != "1" {
			t.Fatalf("%s: %+v, %v", token, parsed, err)
		}
		if got := parsed.Claims.(jwt.MapClaims)[strings.ToValidUTF8(name, "\ufffd")]; got != "x" && utf8.ValidString(name+claims) {
			t.Fatalf("%q is %v in %s", name, got, token)
		}
		if again, ok := s.token(token); !ok || len(again) < len(old)-len(header) {
			t.Fatalf("%s became %s", token, again)
		}
	})
}
