package redact

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func everyForm() (rules []Rule) {
	for _, f := range Forms {
		rules = append(rules, Rule{Form: f})
	}
	return rules
}

func TestForms(t *testing.T) {
	const mail = "«" + tokenForm + `@example\.com»`
	for _, tt := range []struct{ name, in, want string }{
		{"an e-mail address", `{"a":"Bob Smith <bob.smith+x@mail.example.org>, ok?"}`, `{"a":"Bob Smith <` + mail + `>, ok?"}`},
		{"an address in a URL", `{"rawQueryString":"a=1&to=bob%40mail.org"}`, `{"rawQueryString":"a=1&to=«` + tokenForm + `%40example\.com»"}`},
		{"an address as a name", `{"bob@mail.org":1}`, `{"` + mail + `":1}`},
		{"an S3 key", `{"s3":{"object":{"key":"in/bob%40mail.org.csv"}}}`, `{"s3":{"object":{"key":"in/«` + tokenForm + `%40example\.com»"}}}`},
		{"no address", `{"a":"a@b, @home, 3@5"}`, `{"a":"a@b, @home, 3@5"}`},
		{"a card", `{"a":"card 4111 1111 1111 1111, thanks"}`, `{"a":"card «4000 00\d\d \d{4} \d{4}», thanks"}`},
		{"a card with hyphens", `{"a":"5500-0000-0000-0004"}`, `{"a":"«5000-00\d\d-\d{4}-\d{4}»"}`},
		{"a card as a number", `{"a":4111111111111111}`, `{"a":«400000\d{10}»}`},
		{"a card with a wrong check digit", `{"a":"4111 1111 1111 1112"}`, `{"a":"4111 1111 1111 1112"}`},
		{"a card after a date", `{"a":"2024-01-01 4111111111111111"}`, `{"a":"2024-01-01 «400000\d{10}»"}`},
		{"a card that begins with 2", `{"a":"2221 0000 0000 0009"}`, `{"a":"«2000 00\d\d \d{4} \d{4}»"}`},
		{"a time", `{"a":"20050204080544"}`, `{"a":"20050204080544"}`},
		{"a longer number", `{"a":"94111111111111111"}`, `{"a":"94111111111111111"}`},
		{"a telephone number", `{"a":"call +49 (171) 123-4567."}`, `{"a":"call «\+99 \(9\d\d\) \d{3}-\d{4}»."}`},
		{"a national one", `{"a":"0171/1234567"}`, `{"a":"«0000/\d{7}»"}`},
		{"a date", `{"a":"01-02-2024, 2024-01-01"}`, `{"a":"01-02-2024, 2024-01-01"}`},
		{"an account", `{"a":"IBAN DE89 3704 0044 0532 0130 00 at"}`, `{"a":"IBAN «DE\d\d 9999 9\d{3} \d{4} \d{4} \d\d» at"}`},
		{"an account with letters", `{"a":"NL91ABNA0417164300"}`, `{"a":"«NL\d\dXXXX\d{10}»"}`},
		{"an account with wrong check digits", `{"a":"DE88 3704 0044 0532 0130 00"}`, `{"a":"DE88 3704 0044 0532 0130 00"}`},
		{"an IP address", `{"a":"from 10.1.2.3:8080."}`, `{"a":"from «(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+»:8080."}`},
		{"one of version 6", `{"a":"fe80::1ff:fe23:4567:890a"}`, `{"a":"«2001:db8:[0-9a-f:]+»"}`},
		{"a time and a version", `{"a":"10:51:47 1.2.3 ::"}`, `{"a":"10:51:47 1.2.3 ::"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRedactor(t, everyForm()...)
			got := event(t, r, tt.in)
			if !like(tt.want).MatchString(got) {
				t.Errorf("%s became\n%s, want\n%s", tt.in, got, tt.want)
			}
			if again := event(t, r, got); again != got || !json.Valid([]byte(got)) {
				t.Errorf("redacted once more, it is\n%s, not\n%s", again, got)
			}
			if none := event(t, newRedactor(t), tt.in); none != tt.in {
				t.Errorf("without a rule, it became\n%s", none)
			}
		})
	}
}

func TestTokensAreValid(t *testing.T) {
	tokens := newTokenizer(testKey)
	seen := make(map[string]bool)
	for i := range 500 {
		card := []byte("4111111111110000")
		card[15] = luhnDigit(append(card[:13:13], byte('0'+i/100%10), byte('0'+i/10%10)))
		card[13], card[14] = byte('0'+i/100%10), byte('0'+i/10%10)
		got := tokens.token(card)
		if len(got) != 16 || !luhn(got) || bytes.Equal(got, card) {
			t.Errorf("%s became %s", card, got)
		}
		iban := []byte("GB00WEST12345698765432")
		iban[len(iban)-1] = byte('0' + i%10)
		iban[len(iban)-2] = byte('0' + i/10%10)
		check := 98 - ibanRemainder(iban)
		iban[2], iban[3] = byte('0'+check/10), byte('0'+check%10)
		if got := tokens.token(iban); !isIBAN(got) || string(got[:2]) != "GB" || len(got) != len(iban) {
			t.Errorf("%s became %s", iban, got)
		}
		secret := append([]byte("secret with a number "), byte('a'+i%26), byte('a'+i/26))
		seen[string(tokens.token(secret))] = true
	}
	if len(seen) != 500 {
		t.Errorf("500 values have %d tokens", len(seen))
	}
	for _, addr := range []string{"10.0.0.1", "::ffff:10.0.0.1", "fe80::1"} {
		if got, err := netip.ParseAddr(string(tokens.token([]byte(addr)))); err != nil || got.Is4() == (addr == "fe80::1") {
			t.Errorf("%s became %s, %v", addr, got, err)
		}
	}
	grouped, plain := tokens.token([]byte("4111 1111 1111 1111")), tokens.token([]byte("4111111111111111"))
	if string(keep(grouped, isDigit)) != string(plain) {
		t.Errorf("one card became %s and %s", grouped, plain)
	}
}

func TestRulesOfPlacesAndNames(t *testing.T) {
	in := `{"body":"{\"customer\":{\"name\":\"Bob\",\"age\":41,\"ids\":[1,\"x\"]},\"token\":\"page-2\"}","headers":{"x-tenant":"acme"},` +
		`"cookies":["theme=dark"]}`
	for _, tt := range []struct {
		name, want string
		rules      []Rule
	}{
		{"a place in JSON in a string", `\"name\":\"«` + tokenForm + `»\",\"age\":41`, []Rule{{At: "/event/body/customer/name"}}},
		{"any number of segments", `\"name\":\"«` + tokenForm + `»\",\"age\":41`, []Rule{{At: "/**/name"}}},
		{"all below a place", `{\"name\":\"«` + tokenForm + `»\",\"age\":«9\d»,\"ids\":[9,\"«` + tokenForm + `»\"]}`,
			[]Rule{{At: "/event/*/customer"}}},
		{"a name", `"x-tenant":"«` + tokenForm + `»"`, []Rule{{Name: "X_Tenant"}}},
		{"a name that is kept", `\"token\":\"page-2\"`, []Rule{{Name: "token", Keep: true}}},
		{"a place that is kept", `\"token\":\"page-2\"`, []Rule{{At: "/event/body/token", Keep: true}}},
		{"a cookie that is kept", `["theme=dark"]`, []Rule{{Name: "theme", Keep: true}}},
	} {
		got := event(t, newRedactor(t, tt.rules...), in)
		pattern := strings.TrimSuffix(strings.TrimPrefix(like(tt.want).String(), "^"), "$")
		if !like("«.*" + pattern + ".*»").MatchString(got) {
			t.Errorf("%s: it became\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	for _, tt := range []struct {
		rule Rule
		want string
	}{
		{Rule{}, "exactly one of"},
		{Rule{Name: "a", Form: Email}, "exactly one of"},
		{Rule{At: "event/a"}, "at: "},
		{Rule{At: "/event/a~2"}, "at: "},
		{Rule{At: "/body/a"}, "begins with none of /event"},
		{Rule{Name: "--"}, "name: "},
		{Rule{Form: "fax"}, "form: "},
		{Rule{Form: IP, Keep: true}, "keep: "},
	} {
		if _, err := New(Options{Rules: []Rule{tt.rule}}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error is %v, want %q", tt.rule, err, tt.want)
		}
	}
	if _, err := New(Options{Key: []byte("short")}); err == nil || strings.Contains(err.Error(), "short\"") {
		t.Errorf("a short key: %v", err)
	}
}

func TestPointersMatch(t *testing.T) {
	for _, tt := range []struct {
		at, path string
		want     bool
	}{
		{"/event/a", "/event/a", true},
		{"/event/a", "/event/a/b", false},
		{"/event/a/b", "/event/a", false},
		{"/event/*/b", "/event/a/b", true},
		{"/**", "/event", true},
		{"/**/a", "/a", true},
		{"/**/a", "/event/a/b/a", true},
		{"/**/a", "/event/a/b", false},
		{"/event/**/b", "/event/b", true},
		{"/event/**/b", "/outcome/a/b", false},
		{"/event/**/a/**/b", "/event/x/a/a/b", true},
		{"/event/**/a/c/**/b", "/event/x/a/a/c/b", true},
		{"/event/**/a/c/**/b", "/event/x/a/c/a", false},
		{"/event/**/b/**/b", "/event/b", false},
		{"/event/**/**/b", "/event/b", true},
	} {
		var path []segment
		for name := range strings.SplitSeq(tt.path[1:], "/") {
			path = append(path, segment{name: []byte(name), index: -1})
		}
		if got := matches(newPointer(Rule{At: tt.at}).segments, path); got != tt.want {
			t.Errorf("%s leads to %s: %v", tt.at, tt.path, got)
		}
	}
}

func TestRulesCanBeReadOnTheirOwn(t *testing.T) {
	want := []Rule{{Form: Email}, {Name: "code", Keep: true}, {At: "/event/**/id"}}
	for _, text := range []string{
		"- form: email\n- {name: code, keep: true}\n- at: /event/**/id\n",
		`[{"form":"email"},{"name":"code","keep":true},{"at":"/event/**/id"}]`,
	} {
		if got, err := ParseRules([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		`[{"from":"email"}]`: "unknown field", `[{"form":"mail"}]`: `rule 1: form: "mail"`, `{"form":`: "redaction rules: ",
		`"email"`: "redaction rules: ", "- name: a\n- {}": "rule 2: an entry",
	} {
		if _, err := ParseRules([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if got, err := ParseRules(nil); err != nil || got != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
}
