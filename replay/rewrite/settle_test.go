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
	hexMD5 := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	attributesMD5 := func(value string) string { // as SQS says that it makes it
		return hexMD5("\x00\x00\x00\x02id\x00\x00\x00\x06String\x01\x00\x00\x00" + string(rune(len(value))) + value)
	}
	message := func(body, hash string) string {
		return `{"Records":[{"body":"b","md5OfBody":"92eb5ffee6ae2fec3ad71c777531578f"},{"body":"` + body + `","md5OfBody":"` + hash + `"}]}`
	}
	attribute := func(value, hash string) string {
		return `{"Records":[{"messageAttributes":{"id":{"stringValue":"` + value + `","dataType":"String"}},"md5OfMessageAttributes":"` + hash + `"}]}`
	}
	for _, tt := range []struct {
		name, at string
		event    func(content string) string
	}{
		{"an HTTP body", "/body", func(body string) string {
			return fmt.Sprintf(`{"headers":{"Content-Length":"%d","content-md5":"%s","Digest":"SHA-512=%s,sha-256=%s","content-digest":"sha-256=:%s:"},`+
				`"multiValueHeaders":{"Repr-Digest":["sha-256=:%s:"]},"body":"%s"}`,
				len(body), md5Of(body), sha512Of(body), sha256Of(body), sha256Of(body), sha256Of(body), body)
		}},
		{"sums that were wrong", "/body", func(body string) string {
			return fmt.Sprintf(`{"headers":{"content-length":"1010","Content-MD5":"AAAA","digest":"sha-256=AAAA"},"body":"%s"}`, body)
		}},
		{"a body in base64", "/body", func(body string) string {
			return fmt.Sprintf(`{"headers":{"content-length":"%d"},"body":"%s","isBase64Encoded":true}`, len(body)+1, in64([]byte(body+"\xff")))
		}},
		{"one message of a batch", "/Records/*/body", func(body string) string { return message(body, hexMD5(body)) }},
		{"a message with another hash", "/Records/*/body", func(body string) string { return message(body, hexMD5("x")) }},
		{"an attribute", "/Records/*/messageAttributes/id/stringValue", func(s string) string { return attribute(s, attributesMD5(s)) }},
		{"an attribute with another hash", "/Records/*/messageAttributes/id/stringValue", func(s string) string { return attribute(s, "00") }},
	} {
		const recorded = "an old one" // of ten bytes
		for _, to := range []string{"new", "a longer", "old"} {
			want := tt.event(strings.Replace(recorded, "old", to, 1))
			got, _, err := rewriter(t, Change{At: tt.at, From: "old", To: text(to)}).Event([]byte(tt.event(recorded)))
			if err != nil || string(got) != want {
				t.Errorf("%s: %s, %v; want\n %s", tt.name, got, err, want)
			}
		}
	}
}
