package functions

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// pins are pinned bytes by their hash.
type pins map[string][]byte

func (o pins) OpenObject(sum string) (io.ReadCloser, error) {
	content, ok := o[sum]
	if !ok {
		return nil, errors.New("no such object")
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// s3Upload is an S3 invocation with an object of each key, whose content is in o.
func s3Upload(t testing.TB, o pins, content string, keys ...string) *capture.Invocation {
	t.Helper()
	inv := &capture.Invocation{ID: "i", Trigger: capture.TriggerS3, Format: capture.FormatS3}
	var event struct{ Records []s3Record }
	sum := sha256.Sum256([]byte(content))
	for _, key := range keys {
		r := s3Record{EventName: "ObjectCreated:Put", EventTime: time.Unix(0, 0).UTC()}
		r.S3.Bucket.Name, r.S3.Object.Key = "catalog", url.QueryEscape(key)
		event.Records = append(event.Records, r)
		inv.Objects = append(inv.Objects, capture.Object{
			Bucket: "catalog", Key: key, ContentType: "text/csv", Size: int64(len(content)),
			SHA256: hex.EncodeToString(sum[:]),
		})
	}
	o[hex.EncodeToString(sum[:])] = []byte(content)
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	inv.Event = text
	return inv
}

const blobConnection = connection + "BlobEndpoint=http://127.0.0.1:1/a;"

func TestABlobChecksWhatCannotBeUploaded(t *testing.T) {
	b, err := NewBlob(BlobOptions{Account: blobConnection, Container: "catalog", Function: "f", Objects: pins{}})
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*capture.Invocation)) *capture.Invocation {
		inv := s3Upload(t, pins{}, "x", "a.csv")
		f(inv)
		return inv
	}
	event := func(text string) *capture.Invocation {
		return change(func(inv *capture.Invocation) { inv.Event = json.RawMessage(text) })
	}
	for _, tt := range []struct {
		name string
		inv  *capture.Invocation
		want string // "" when it can be sent
	}{
		{"two objects", s3Upload(t, pins{}, "x", "a.csv", "b/c d+e%.csv"), ""},
		{"a deletion fires no blob trigger",
			event(`{"Records":[{"eventName":"ObjectRemoved:Delete","s3":{"object":{"key":"a.csv"}}}]}`),
			"does not fire on ObjectRemoved:Delete"},
		{"no record", event(`{"Records":[]}`), "no object"},
		{"a test event", event(`{"Service":"Amazon S3","Event":"s3:TestEvent"}`), "no object"},
		{"an object that was not pinned", change(func(inv *capture.Invocation) { inv.Objects = nil }), "does not have the"},
		{"too many blocks", change(func(inv *capture.Invocation) { inv.Objects[0].Size = 1 << 40 }), "1099511627776 bytes"},
		{"a name twice, so that the second upload replaces the first", s3Upload(t, pins{}, "x", "a", "a"), "twice"},
		{"a name that Azure has not", s3Upload(t, pins{}, "x", "a/b."), "ends in a dot"},
		{"another trigger", sqsBatch(t, "x"), "not events of the format sqs"},
	} {
		err := b.Check(tt.inv)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestNamesThatABlobCannotHaveAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		want string // "" when it can be had
	}{
		{"a.csv", ""},
		{"år/zwölf & 100%+1.csv", ""},
		{"a//b", ""}, // an empty segment is kept
		{".hidden/..a", ""},
		{strings.Repeat("x", 1024), ""},
		{strings.Repeat("x", 1025), "1024 characters"},
		{strings.Repeat("𝄞", 513), "1024 characters"}, // of two UTF-16 units each
		{strings.Repeat("a/", 253) + "a", ""},
		{strings.Repeat("a/", 254) + "a", "254 segments"},
		{"", "needs a name"},
		{"folder/", "slash"}, // what consoles of S3 make
		{"a.", "dot"},
		{"a/../b", "dot"}, // a URL with that is another one
		{"a/./b", "dot"},
		{"a\\b", "backslash"},
		{"a\x00b", "U+0000"},
		{"a\u0081b", "U+0081"},
		{"a\ue000b", "U+E000"},
		{"a\uffffb", "U+FFFF"},
		{"a\xffb", "UTF-8"},
	} {
		err := checkBlobName(tt.name)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.20q: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestABlobSaysWhatItLacks(t *testing.T) {
	whole := BlobOptions{Account: blobConnection, Container: "catalog", Function: "f", Objects: pins{}}
	for _, tt := range []struct {
		name   string
		change func(*BlobOptions)
		want   string
	}{
		{"no container", func(o *BlobOptions) { o.Container = "" }, "its container"},
		{"no function", func(o *BlobOptions) { o.Function = "" }, "name of its function"},
		{"no recording", func(o *BlobOptions) { o.Objects = nil }, "no recording"},
		{"a name without credentials", func(o *BlobOptions) { o.Account = "ordersstg" }, "account: there are no"},
		{"half a connection string", func(o *BlobOptions) { o.Account = "AccountKey=secret;" }, "account: this is not a"},
		{"half a host's", func(o *BlobOptions) { o.Host = "AccountKey=secret;" }, "host: this is not a connection"},
		{"an app for a trigger that polls", func(o *BlobOptions) { o.App, o.Key = "http://a", "secret" }, "Event Grid"},
		{"no key", func(o *BlobOptions) { o.EventGrid, o.App = true, "http://127.0.0.1:1" }, "with its key"},
		{"no address", func(o *BlobOptions) { o.EventGrid, o.App, o.Key = true, "app?code=secret", "k" }, "url: "},
	} {
		opts := whole
		tt.change(&opts)
		_, err := NewBlob(opts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	b, err := NewBlob(whole)
	if err != nil || b.Address() != "http://127.0.0.1:1/a/catalog" {
		t.Errorf("the address is %s, %v", b.Address(), err)
	}
}

// What is heard of a name alone may be about an upload before this one.
func TestReportsWithoutAnETagCountOnlyWhenTheyCanBeAboutThisUpload(t *testing.T) {
	written := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ok := &capture.Outcome{Status: capture.StatusOK}
	for _, tt := range []struct {
		name   string
		etag   string
		at     time.Time
		before bool // an earlier upload of the name was given up
		want   capture.Fate
	}{
		{"with the ETag", "0x1", time.Time{}, true, capture.Acked},
		{"of another upload", "0x2", written, false, ""},
		{"after the upload", "", written, false, capture.Acked},
		{"before the upload", "", written.Add(-time.Millisecond), false, ""},
		{"at no time", "", time.Time{}, false, ""},
		{"while an earlier upload may be worked on", "", written.Add(time.Minute), true, ""},
	} {
		board := completion.NewBoard()
		b, err := NewBlob(BlobOptions{
			Account: blobConnection, Container: "c", Function: "f", Objects: pins{}, Board: board,
		})
		if err != nil {
			t.Fatal(err)
		}
		u := &upload{name: "a", etag: "0x1", modified: written, ambiguous: tt.before}
		wait := board.Expect(completion.Blob("c", "a", "0x1"), completion.Blob("c", "a", ""))
		board.Report(completion.Report{Key: completion.Blob("c", "a", tt.etag), Source: "logs", Outcome: ok, Time: tt.at})
		if _, err := b.judge(wait, []*upload{u}); err != nil || u.fate != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, u.fate, err, tt.want)
		}
	}
}

func FuzzBlobMessage(f *testing.F) {
	doc := `{"Type":"BlobTrigger","FunctionId":"Host.Functions.f","BlobType":"BlockBlob","ContainerName":"c",` +
		`"BlobName":"a","ETag":"\"0x1\""}`
	f.Add(doc)
	f.Add(base64.StdEncoding.EncodeToString([]byte(doc)))
	f.Add("null")
	f.Add("hello")
	f.Fuzz(func(t *testing.T, text string) {
		m := parseBlobMessage(text)
		if m.isOf("f") && m == (blobMessage{}) {
			t.Errorf("%q is of a function", text)
		}
		if encoded := base64.StdEncoding.EncodeToString([]byte(text)); text != "" && parseBlobMessage(encoded) != m {
			if _, err := base64.StdEncoding.DecodeString(text); err != nil {
				t.Errorf("%q is read in another way than its base64", text)
			}
		}
	})
	if m := parseBlobMessage(doc); !m.isOf("F") || m.isOf("g") || m.ETag != `"0x1"` {
		f.Errorf("%+v", m)
	}
}
