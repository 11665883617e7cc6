package rewrite

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// slackBody, its secret and its signature are Slack's own example:
// https://api.slack.com/authentication/verifying-requests-from-slack
const slackBody = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V" +
	"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
	"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
	"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

const svixKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func key(s string) Key { return Key{Key: s} }

// mac is the signature that receivers expect, as they compute it.
func mac(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func TestWebhooksAreSignedAsTheirSendersDo(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for _, tt := range []struct {
		name    string
		rules   []Change
		headers string // of the event
		body    string
		want    string // headers
		values  int64  // of the last rule
	}{
		{"GitHub's own example", []Change{{Signing: Signing{Sign: "github", Key: key("It's a Secret to Everybody")}}},
			`"X-Hub-Signature-256":"sha256=00"`, `"Hello, World!"`,
			`"X-Hub-Signature-256":"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"`, 1},
		{"GitHub's older header beside it", []Change{{Signing: Signing{Sign: "github", Key: key("k")}}},
			`"X-Hub-Signature":"sha1=00","X-Hub-Signature-256":"x"`, `"b"`,
			fmt.Sprintf(`"X-Hub-Signature":"sha1=%x","X-Hub-Signature-256":"sha256=%x"`, mac(sha1.New, "k", "b"), mac(sha256.New, "k", "b")), 2},
		{"Slack's own example", []Change{{Signing: Signing{Sign: "slack", Key: key("8f742231b10e8888abcd99yyyzzz85a5")}}},
			`"x-slack-signature":"v0=0","X-Slack-Request-Timestamp":"1531420618"`, `"` + slackBody + `"`,
			`"x-slack-signature":"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503","X-Slack-Request-Timestamp":"1531420618"`, 1},
		{"the example of Standard Webhooks' libraries", []Change{{Signing: Signing{Sign: "standard-webhooks", Key: key(svixKey)}}},
			`"webhook-id":"msg_p5jXN8AQM9LWM0D4loKWxJek","webhook-timestamp":"1614265330","webhook-signature":"v1,x v1,y"`,
			`"{\"test\": 2432232314}"`,
			`"webhook-id":"msg_p5jXN8AQM9LWM0D4loKWxJek","webhook-timestamp":"1614265330","webhook-signature":"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="`, 1},
		{"Shopify, a body in base64", []Change{{Signing: Signing{Sign: "shopify", Key: key("k")}}},
			`"x-shopify-hmac-sha256":"x"`, `"/wA=","isBase64Encoded":true`,
			`"x-shopify-hmac-sha256":"` + base64.StdEncoding.EncodeToString(mac(sha256.New, "k", "\xff\x00")) + `"`, 1},
		{"Stripe, with its recorded time and one signature",
			[]Change{{Signing: Signing{Sign: "stripe", Key: key("whsec_a")}}},
			`"Stripe-Signature":"t=1769803200,v1=aa,v1=bb,v0=cc"`, `"{\"id\":\"evt_1\"}"`,
			fmt.Sprintf(`"Stripe-Signature":"t=1769803200,v1=%x"`, mac(sha256.New, "whsec_a", `1769803200.{"id":"evt_1"}`)), 1},
		{"Stripe, of now", []Change{{Signing: Signing{Sign: "stripe", Key: key("a"), Fresh: true}}},
			`"Stripe-Signature":"t=1769803200,v1=aa"`, `"b"`,
			fmt.Sprintf(`"Stripe-Signature":"t=1800000000,v1=%x"`, mac(sha256.New, "a", `1800000000.b`)), 1},
		{"Stripe, shifted", []Change{{ShiftTime: true, Signing: Signing{Sign: "stripe", Key: key("a")}}},
			`"Stripe-Signature":"t=1769803200,v1=aa"`, `"b"`,
			fmt.Sprintf(`"Stripe-Signature":"t=1769932800,v1=%x"`, mac(sha256.New, "a", `1769932800.b`)), 1},
		{"Slack, of now", []Change{{Signing: Signing{Sign: "slack", Key: key("a"), Fresh: true}}},
			`"X-Slack-Request-Timestamp":"1531420618","x-slack-signature":"v0=0"`, `"b"`,
			fmt.Sprintf(`"X-Slack-Request-Timestamp":"1800000000","x-slack-signature":"v0=%x"`, mac(sha256.New, "a", `v0:1800000000:b`)), 1},
		{"Slack, shifted by a rule of its own", []Change{
			{Header: "x-slack-request-timestamp", ShiftTime: true}, {Signing: Signing{Sign: "slack", Key: key("a")}}},
			`"X-Slack-Request-Timestamp":"1769803200","x-slack-signature":"v0=0"`, `"b"`,
			fmt.Sprintf(`"X-Slack-Request-Timestamp":"1769932800","x-slack-signature":"v0=%x"`, mac(sha256.New, "a", `v0:1769932800:b`)), 1},
		{"over what other rules made of the body, whichever comes first", []Change{
			{Signing: Signing{Sign: "github", Key: key("k")}}, {At: "/body/id", Set: text("é")}},
			`"x-hub-signature-256":"x"`, `"{\"id\":\"a\"}"`,
			fmt.Sprintf(`"x-hub-signature-256":"sha256=%x"`, mac(sha256.New, "k", `{"id":"é"}`)), 1},
		{"one's own form", []Change{{Header: "X-Sig", Signing: Signing{Sign: "hmac", Hash: "sha512", Encoding: "base64",
			Over: "{header:X-Time}:{field:n}:{body}", Value: "n={field:n};s={signature}",
			Time: "{header:x-time}", Fresh: true, Key: Key{Key: "6b", KeyEncoding: "hex"}}}},
			`"x-time":"2026-01-30T20:00:00Z","x-sig":"a=1; n=7"`, `"b"`,
			`"x-time":"2027-01-15T08:00:00Z","x-sig":"n=7;s=` +
				base64.StdEncoding.EncodeToString(mac(sha512.New, "k", "2027-01-15T08:00:00Z:7:b")) + `"`, 1},
		{"no body", []Change{{Header: "x-sig", Signing: Signing{Sign: "hmac", Key: key("k")}}}, `"x-sig":"x"`, `null`,
			fmt.Sprintf(`"x-sig":"%x"`, mac(sha256.New, "k", "")), 1},
		{"no header", []Change{{Signing: Signing{Sign: "github", Key: key("k")}}}, `"a":"b"`, `"b"`, `"a":"b"`, 0},
	} {
		r, err := New(tt.rules, Options{Run: run, Shift: 36 * time.Hour, Now: func() time.Time { return now }})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, counts, err := r.Event([]byte(`{"headers":{` + tt.headers + `},"body":` + tt.body + `}`))
		if err != nil || !strings.HasPrefix(string(got), `{"headers":{`+tt.want+`},"body":`) {
			t.Errorf("%s: %s, %v; want the headers\n %s", tt.name, got, err, tt.want)
		}
		if n := counts[len(counts)-1]; len(tt.rules) == 1 && (n.Values != tt.values || n.Unsigned != 0) {
			t.Errorf("%s: counts %+v, want %d values", tt.name, counts, tt.values)
		}
	}
}

func TestAHeaderInListsIsSignedOverTheValueInLists(t *testing.T) {
	r := rewriter(t, Change{Signing: Signing{Sign: "slack", Key: key("a")}})
	const event = `{"headers":{"X-Slack-Signature":"x","X-Slack-Request-Timestamp":"4"},"multiValueHeaders":{"X-Slack-Signature":["x"],"x-slack-request-timestamp":["5"]},"body":"b"}`
	got, counts, err := r.Event([]byte(event))
	want := strings.ReplaceAll(event, `"x"`, `"v0=`+hex.EncodeToString(mac(sha256.New, "a", "v0:5:b"))+`"`)
	if err != nil || string(got) != want || counts[0].Values != 2 {
		t.Errorf("%s, %+v, %v; want\n %s", got, counts, err, want)
	}
}

func TestWhatASignatureWouldBeOverAndIsNotThereIsToldAndNothingChanges(t *testing.T) {
	for name, event := range map[string]string{
		"no timestamp":       `{"headers":{"x-slack-signature":"x"},"body":"b"}`,
		"two of them":        `{"multiValueHeaders":{"x-slack-signature":["x"],"x-slack-request-timestamp":["1","2"]},"body":"b"}`,
		"a body in no way":   `{"headers":{"x-slack-signature":"x","x-slack-request-timestamp":"1769803200"},"body":"!","isBase64Encoded":true}`,
		"a body that is one": `{"headers":{"x-slack-signature":"x","x-slack-request-timestamp":"1769803200"},"body":{"a":1}}`,
	} {
		got, counts, err := rewriter(t, Change{Signing: Signing{Sign: "slack", Key: key("a"), Fresh: true}}).Event([]byte(event))
		if err != nil || string(got) != event || counts[0] != (Count{Unsigned: 1}) {
			t.Errorf("%s: %s, %+v, %v", name, got, counts, err)
		}
	}
	got, counts, _ := rewriter(t, Change{Signing: Signing{Sign: "stripe", Key: key("a"), Fresh: true}}).Event(
		[]byte(`{"headers":{"stripe-signature":"t=soon,v1=0"},"body":"b"}`))
	if counts[0].Unsigned != 1 || !strings.Contains(string(got), "t=soon,v1=0") {
		t.Errorf("a time of no form became %s, %+v", got, counts)
	}
}

func TestOfTwoRulesTheFirstSigns(t *testing.T) {
	r := rewriter(t, Change{Signing: Signing{Sign: "github", Key: key("one")}}, Change{Signing: Signing{Sign: "github", Key: key("two")}})
	got, counts, _ := r.Event([]byte(`{"headers":{"x-hub-signature-256":"x"},"body":"b"}`))
	if counts[0].Values != 1 || counts[1].Values != 0 || !strings.Contains(string(got), hex.EncodeToString(mac(sha256.New, "one", "b"))) {
		t.Errorf("%s, %+v", got, counts)
	}
}

// Receivers must accept what a second rewriting makes of the first.
func TestSigningAgainChangesNothing(t *testing.T) {
	r := rewriter(t, Change{At: "/body/a", Set: text("x")}, Change{Signing: Signing{Sign: "stripe", Key: key("k")}},
		Change{Header: "authorization", JWT: &Token{Key: key("k"), Alg: "HS256", Set: map[string]any{"iss": "x"}}},
		Change{Hosts: &Rename{"a.example", "b.example"}})
	event := []byte(`{"headers":{"host":"a.example","stripe-signature":"t=1,v1=a","authorization":"Bearer ` + hs256 + `"},"body":"{\"a\":1}"}`)
	once, _, err := r.Event(event)
	twice, _, err2 := r.Event(once)
	if err != nil || err2 != nil || string(once) != string(twice) || string(once) == string(event) || !json.Valid(once) {
		t.Errorf("%s became\n %s and\n %s", event, once, twice)
	}
}

// A template whose parts are put in for themselves is the text that it was read from.
func FuzzTemplates(f *testing.F) {
	for _, s := range []string{"{body}", "v0:{header:x-t}:{body}", "t={field:t},{body}", "{{body}}", "{}", "{header:}", "a{b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := parseTemplate(s, "{body}", "body")
		if err != nil || utf8.RuneCountInString(s) < len(s) { // names lose their case
			return
		}
		got, ok := parts.expand(func(p part) (string, bool) {
			if p.name == "" {
				return "{" + p.kind + "}", true
			}
			return "{" + p.kind + ":" + p.name + "}", true
		})
		if !ok || s != "" && !strings.EqualFold(got, s) {
			t.Fatalf("%q is %q", s, got)
		}
	})
}
