package redact

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"tandem/capture"
)

func BenchmarkRedact(b *testing.B) {
	event, err := os.ReadFile("../../fixtures/events/apigw-v2.json")
	if err != nil {
		b.Fatal(err)
	}
	credentials := bytes.Replace(event, []byte(`"accept":`), []byte(`"authorization": "Bearer abcdefghijklmnop0123", "accept":`), 1)
	for _, bm := range []struct {
		name  string
		event []byte
		rules []Rule
	}{
		{"an-event-of-1.5-KB-with-two-cookies", event, nil},
		{"and-an-authorization-header", credentials, nil},
		{"all-forms", event, []Rule{{Form: Email}, {Form: Card}, {Form: Phone}, {Form: IBAN}, {Form: IP}}},
		{"text-of-6-MB", []byte(`{"body":"` + strings.Repeat("The quick brown fox jumps. ", 6<<20/27) + `"}`), nil},
		{"base64-of-6-MB", []byte(`{"body":"` + strings.Repeat("VGhlIHF1aWNrIGJyb3du", 6<<20/20) + `"}`), nil},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r, err := New(Options{Rules: bm.rules})
			if err != nil {
				b.Fatal(err)
			}
			inv := &capture.Invocation{ID: "i", Function: "f", Event: bm.event}
			b.SetBytes(int64(len(bm.event)))
			b.ReportAllocs()
			for b.Loop() {
				r.Redact(inv)
			}
		})
	}
}
