package rewrite

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestWhatWasComputedFromWhatIsChangedIsRightAgainIfItWas(t *testing.T) {
	in64 := func(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }
	md5Of := func(s string) string { sum := md5.Sum([]byte(s)); return in64(sum[:]) }
	sha256Of := func(s string) string { sum := sha256.Sum256([]byte(s)); return in64(sum[:]) }
	sha512Of := func(s string) string { sum := sha512.Sum512([]byte(s)); return in64(sum[:]) }
	http := func(body string) string {
		return fmt.Sprintf(`{"headers":{"Content-Length":"%d","content-md5":"%s","Digest":"SHA-512=%s,sha-256=%s","content-digest":"sha-256=:%s:"},`+
			`"multiValueHeaders":{"Repr-Digest":["sha-256=:%s:"]},"body":"%s"}`,
			len(body), md5Of(body), sha512Of(body), sha256Of(body), sha256Of(body), sha256Of(body), body)
	}
	const wrong = `{"headers":{"content-length":"99","Content-MD5":"AAAA","digest":"sha-256=AAAA"},"body":"%s"}`
	inBase64 := func(body string) string {
		return fmt.Sprintf(`{"headers":{"content-length":"%d"},"body":"%s","isBase64Encoded":true}`, len(body), in64([]byte(body)))
	}
	message := func(body, hash string) string {
		return `{"Records":[{"body":"b","md5OfBody":"92eb5ffee6ae2fec3ad71c777531578f"},{"body":"` + body + `","md5OfBody":"` + hash + `"}]}`
	}
	hexMD5 := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	// SQS's own hashes, which its SDKs check: capture/effects has the first one from one of them.
	attributes := func(value, hash string) string {
		return `{"Records":[{"messageAttributes":{"id":{"stringValue":"` + value + `","dataType":"String","stringListValues":[]}},"md5OfMessageAttributes":"` + hash + `"}]}`
	}
	attributesMD5 := func(value string) string {
		var b strings.Builder
		for _, s := range []string{"id", "String"} {
			b.WriteString("\x00\x00\x00" + string(rune(len(s))) + s)
		}
		b.WriteString("\x01\x00\x00\x00" + string(rune(len(value))) + value)
		return hexMD5(b.String())
	}
	for _, tt := range []struct{ name, at, event, want string }{
		{"an HTTP body", "/body", http("an old one"), http("an new one")},
		{"sums that were wrong", "/body", fmt.Sprintf(wrong, "an old one"), fmt.Sprintf(wrong, "an new one")},
		{"a body in base64", "/body", inBase64("an old one\xff"), inBase64("an new one\xff")},
		{"one message of a batch", "/Records/*/body", message("old", hexMD5("old")), message("new", hexMD5("new"))},
		{"a message with another hash", "/Records/*/body", message("old", hexMD5("x")), message("new", hexMD5("x"))},
		{"an attribute", "/Records/*/messageAttributes/id/stringValue", attributes("old", attributesMD5("old")),
			attributes("new", attributesMD5("new"))},
		{"an attribute with another hash", "/Records/*/messageAttributes/id/stringValue", attributes("old", "00"), attributes("new", "00")},
		{"a rule that changes nothing", "/nothing", http("an old one"), http("an old one")},
	} {
		for _, to := range []string{"new", "a longer one"} {
			want := tt.want
			if to != "new" { // lengths change, too
				if tt.name != "an HTTP body" {
					continue
				}
				want = http("an a longer one one")
			}
			got, _, err := rewriter(t, Change{At: tt.at, From: "old", To: text(to)}).Event([]byte(tt.event))
			if err != nil || string(got) != want {
				t.Errorf("%s: %s, %v; want\n %s", tt.name, got, err, want)
			}
		}
	}
}
