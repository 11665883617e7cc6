package redact

import (
	"strings"
	"testing"
)

func TestATokenStandsForWhatItIsMadeOf(t *testing.T) {
	tokens := newTokenizer([]byte("a key of sixteen bytes"))
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	for _, secret := range []string{
		"hunter2", "s%3Aabc.def", "two words", jwt, "AKIAIOSFODNN7EXAMPLE", "ada@example.org", "5a0f6c1e-8f1c-4a44-9c5e-9d2a3b4c5d6e",
		"0123456789abcdef0123456789ABCDEF", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w", strings.Repeat("x y", 2000),
	} {
		token := string(tokens.token([]byte(secret)))
		if !Stands(token) || !StandsFor(token, secret) {
			t.Errorf("%s does not stand for %.50s", token, secret)
		}
		if Stands(secret) {
			t.Errorf("%.50s is taken for a token", secret)
		}
		for _, wrong := range []string{"", " ", "\n"} {
			if StandsFor(token, wrong) {
				t.Errorf("%s stands for %q", token, wrong)
			}
		}
	}
}

func TestWhatLooksOtherwiseIsNoToken(t *testing.T) {
	for _, text := range []string{
		"", "redacted", "redacted-", "redacted-0123", "redacted-0123456789abcdeg", "redactedCustomerFields", "redacted by the clerk",
		"9999999999", "+99912345678", "192.0.2.1", "facade", "facade00", "xredacted-0123456789abcdef0", "5a0f6c1e-8f1c-4a44-9c5e-9d2a3b4c5d6e",
	} {
		if Stands(text) {
			t.Errorf("%q is taken for a token", text)
		}
		if StandsFor(text, "anything") || StandsFor(text, text+"x") {
			t.Errorf("%q, which is no token, stands for something", text)
		}
	}
}

func TestASecretHasTheFormOfItsToken(t *testing.T) {
	const token = "redacted-0123456789abcdef"
	tokens := newTokenizer([]byte("a key of sixteen bytes"))
	long := string(tokens.token([]byte("0123456789abcdef0123456789abcdef")))
	id := string(tokens.token([]byte("5a0f6c1e-8f1c-4a44-9c5e-9d2a3b4c5d6e")))
	jwt := string(tokens.token([]byte("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl")))
	for _, tt := range []struct {
		text, value string
		want        bool
	}{
		{"Bearer " + token, "Bearer abc.def~g/h+=", true},
		{"Bearer " + token, "bearer abc", false},
		{"Bearer " + token, "Bearer ", false},
		{"Bearer " + token, "Bearer a b", false},
		{"/cb?code=" + token + "&state=7", "/cb?code=abc&state=7", true},
		{"/cb?code=" + token + "&state=7", "/cb?code=abc&state=8", false},
		{"/cb?code=" + token + "&state=7", "/cb?code=abc&x=1&state=7", false},
		{"/cb?code=" + token + "&state=7", "/cb?code=&state=7", false},
		{"/cb?code=" + token + "&state=7", "/cb?code=abc&state=7\n", false},
		{"a=" + token + "; b=" + token, "a=1; b=2", true},
		{"a=" + token + "; b=" + token, "a=1", false},
		{token, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", false},
		{"Bearer " + token, "Bearer undefined", false},
		{token, "null", false},
		{token, "[object Object]", false},
		{token, "nullable", true},
		{long, "undefined", false},
		{long, "0123456789abcdef", true},
		{id, "0123456789abcdef0123456789abcdef0123", false},
		{jwt, "a.b.c", false},
		{jwt, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyIn0.eHl6", true},
	} {
		if got := StandsFor(tt.text, tt.value); got != tt.want {
			t.Errorf("%q for %q: %v, want %v", tt.text, tt.value, got, tt.want)
		}
	}
}

func FuzzStandsFor(f *testing.F) {
	f.Add("Bearer redacted-0123456789abcdef", "Bearer x")
	f.Add("redacted-0123456789abcdef", "x")
	tokens := newTokenizer([]byte("a key of sixteen bytes"))
	f.Fuzz(func(t *testing.T, text, value string) {
		if StandsFor(text, value) && !Stands(text) {
			t.Errorf("%q has no token and stands for %q", text, value)
		}
		token := string(tokens.token([]byte(value)))
		if !isNothing(value) && !strings.HasPrefix(value, pemBegin) && Stands(token) && !Stands(value) && !StandsFor(token, value) {
			t.Errorf("%q does not stand for %q, which it was made of", token, value)
		}
	})
}
