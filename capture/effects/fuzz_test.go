package effects

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzDecodeAWSChunked(f *testing.F) {
	f.Add([]byte("5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n"), 3)
	f.Add([]byte("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"), 1)
	f.Add([]byte("ffffffffffffffff\r\n"), 0)
	f.Add([]byte("7fffffffffffffff\r\nx"), 0)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		if data, _, err := decodeAWSChunked(body); err == nil && len(data) > len(body) {
			t.Errorf("%d bytes come out of %d", len(data), len(body))
		}
		// What is put into chunks of any size comes out again.
		size = max(1, size%64)
		var chunked bytes.Buffer
		for rest := body; len(rest) > 0; {
			n := min(size, len(rest))
			fmt.Fprintf(&chunked, "%x;chunk-signature=0\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		chunked.WriteString("0\r\nx-amz-checksum-crc32: AAAA\r\n\r\n")
		data, trailer, err := decodeAWSChunked(chunked.Bytes())
		if err != nil || !bytes.Equal(data, body) || trailer["X-Amz-Checksum-Crc32"] != "AAAA" {
			t.Errorf("%q came out as %q, %v, %v", body, data, trailer, err)
		}
	})
}

func FuzzParseQueueMessage(f *testing.F) {
	f.Add("aGVsbG8=")
	f.Add("<QueueMessage><MessageText>x</MessageText></QueueMessage>")
	f.Add(`{"a":"<&>"}`)
	f.Add("\n") // base64 of nothing
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseQueueMessage([]byte(text)); err == nil && !utf8.ValidString(got) {
			t.Errorf("%q has the text %q", text, got)
		}
		var doc bytes.Buffer
		doc.WriteString("<QueueMessage><MessageText>")
		if err := xml.EscapeText(&doc, []byte(text)); err != nil {
			t.Fatal(err)
		}
		doc.WriteString("</MessageText></QueueMessage>")
		got, err := parseQueueMessage(doc.Bytes())
		if want := strings.ToValidUTF8(text, "\uFFFD"); err != nil || isSQSText(text) && got != want {
			t.Errorf("%q came out as %q, %v", text, got, err)
		}
		if e := queueEffect("q", got, 0); strings.TrimSpace(got) != "" && e.Body == nil {
			t.Errorf("%q has no body", got)
		}
	})
}

func FuzzS3Path(f *testing.F) {
	for _, key := range []string{"a b", "a+b", "ü/é", "%2F", "//", "..", "?#"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if bucket, _, err := s3Path("h", key); err == nil && strings.Contains(bucket, "/") {
			t.Errorf("%q has the bucket %q", key, bucket)
		}
		if key == "" || len(key) > 1024 || !utf8.ValidString(key) {
			return
		}
		for _, escaped := range []string{url.PathEscape(key), (&url.URL{Path: key}).EscapedPath(), percentAll(key)} {
			bucket, got, err := s3Path("127.0.0.1:1", "/b/"+escaped)
			if err != nil || bucket != "b" || got != key {
				t.Errorf("%q as %q came out as %q %q, %v", key, escaped, bucket, got, err)
			}
			bucket, got, err = s3Path("b.localhost:1", "/"+escaped)
			if err != nil || bucket != "b" || got != key {
				t.Errorf("%q as %q under a host came out as %q %q, %v", key, escaped, bucket, got, err)
			}
		}
	})
}

func percentAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func FuzzParseBlockList(f *testing.F) {
	f.Add([]byte("<BlockList><Latest>YQ==</Latest></BlockList>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		blocks, err := parseBlockList(doc)
		if err != nil && blocks != nil {
			t.Errorf("%q is %v and %v", doc, blocks, err)
		}
	})
}
