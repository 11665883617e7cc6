package s3tap

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture/lambdaevent"
)

const testMessage = `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"bucketname",` +
	`"RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}`

// bridged is an event of EventBridge as S3's user guide has them.
func bridged(detailType, more string) string {
	return fmt.Sprintf(`{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":%q,"source":"aws.s3",`+
		`"account":"111122223333","time":"2021-11-12T00:00:00Z","region":"ca-central-1",`+
		`"resources":["arn:aws:s3:::catalog"],"detail":{"version":"0","bucket":{"name":"catalog"},`+
		`"object":{"key":"tea+cups 50%%.csv","size":5,"etag":"b1946ac92492d2347c6235b4d2611184","version-id":"v1",`+
		`"sequencer":"617f08299329d189"},"request-id":"N4N7GDK58NMKJ12R","requester":"123456789012",`+
		`"source-ip-address":"1.2.3.4",%s}}`, detailType, more)
}

// bySNS is what a topic makes of a message when delivery is not raw.
func bySNS(message string) string {
	envelope, err := json.Marshal(map[string]string{
		"Type": "Notification", "MessageId": "22b80b92", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
		"Subject": "Amazon S3 Notification",
		"Message": message, "Timestamp": "2025-05-02T00:54:06.655Z",
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(envelope)
}

func sample(t testing.TB) string {
	t.Helper()
	doc, err := os.ReadFile("../../fixtures/events/s3.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

func TestAMessageIsTakenForWhatItIs(t *testing.T) {
	real := sample(t)
	record := []lambdaevent.S3Record{{
		Region: "eu-west-1", Time: time.Date(2025, 2, 16, 10, 53, 41, 733e6, time.UTC), Name: "ObjectCreated:Put",
		Bucket: "orders-catalog", Key: "incoming/Frühjahr 2025/tea+cups.csv", Size: 1834,
		ETag: "5f4dcc3b5aa765d61d8327deb882cf99", VersionID: "3sL4kqtJlcpXroDTDmJ.rUMvExample",
		Sequencer: "0067B1C355A1B2C3D4",
	}}
	created := bridged("Object Created", `"reason":"PutObject"`)
	for _, c := range []struct {
		name, body string
		kind       kind
		event      string // "" for body
		records    []lambdaevent.S3Record
	}{
		{name: "S3", body: real, kind: notification, records: record},
		{name: "S3 by SNS", body: bySNS(real), kind: notification, event: real, records: record},
		{name: "set up", body: testMessage, kind: testEvent},
		{name: "set up by SNS", body: bySNS(testMessage), kind: testEvent, event: testMessage},
		{name: "EventBridge by SNS", body: bySNS(created), kind: eventBridge, event: created,
			records: parseMessage([]byte(created)).records},
		{name: "no JSON", body: "hello"},
		{name: "text after JSON", body: real + "x"},
		{name: "no records", body: `{"Records":[]}`},
		{name: "messages of a queue",
			body: `{"Records":[{"eventSource":"aws:sqs","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}`},
		{name: "no key", body: strings.Replace(real, `"key"`, `"kee"`, 1)},
		{name: "a key that cannot be decoded", body: strings.Replace(real, "%C3", "%ZZ", 1)},
		{name: "a bucket that no request can be made for", body: strings.Replace(real, `"orders-catalog"`, `"a/../b"`, 1)},
		{name: "a list", body: "[]"},
		{name: "an event of another service", body: strings.Replace(created, "aws.s3", "aws.ec2", 1)},
		{name: "EventBridge without key", body: strings.Replace(created, `"key"`, `"kee"`, 1)},
	} {
		m := parseMessage([]byte(c.body))
		if c.event == "" {
			c.event = c.body
		}
		if m.kind != c.kind || string(m.event) != c.event {
			t.Errorf("%s: kind %d, want %d, event %s", c.name, m.kind, c.kind, m.event)
		}
		if c.kind != unknown {
			if diff := cmp.Diff(c.records, m.records); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
	}
}

func TestAnEventOfEventBridgeIsThatOfS3(t *testing.T) {
	for _, c := range []struct{ detailType, detail, name string }{
		{"Object Created", `"reason":"PutObject"`, "ObjectCreated:Put"},
		{"Object Created", `"reason":"POST Object"`, "ObjectCreated:Post"},
		{"Object Created", `"reason":"CopyObject"`, "ObjectCreated:Copy"},
		{"Object Created", `"reason":"CompleteMultipartUpload"`, "ObjectCreated:CompleteMultipartUpload"},
		{"Object Created", `"reason":"Magic"`, ""},
		{"Object Deleted", `"reason":"DeleteObject","deletion-type":"Permanently Deleted"`, "ObjectRemoved:Delete"},
		{"Object Deleted", `"reason":"DeleteObject","deletion-type":"Delete Marker Created"`,
			"ObjectRemoved:DeleteMarkerCreated"},
		{"Object Deleted", `"reason":"Lifecycle Expiration","deletion-type":"Permanently Deleted"`,
			"LifecycleExpiration:Delete"},
		{"Object Deleted", `"reason":"Lifecycle Expiration","deletion-type":"Delete Marker Created"`,
			"LifecycleExpiration:DeleteMarkerCreated"},
		{"Object Deleted", `"reason":"DeleteObject"`, ""},
		{"Object Tags Added", `"reason":"PutObjectTagging"`, ""},
	} {
		m := parseMessage([]byte(bridged(c.detailType, c.detail)))
		want := lambdaevent.S3Record{
			Region: "ca-central-1", Time: time.Date(2021, 11, 12, 0, 0, 0, 0, time.UTC), Name: c.name, Bucket: "catalog",
			Key: "tea+cups 50%.csv", Size: 5, ETag: "b1946ac92492d2347c6235b4d2611184", VersionID: "v1",
			Sequencer: "617f08299329d189", SourceIP: "1.2.3.4", RequestID: "N4N7GDK58NMKJ12R",
		}
		if diff := cmp.Diff([]lambdaevent.S3Record{want}, m.records); diff != "" || m.kind != eventBridge {
			t.Errorf("%s, %s: %s", c.detailType, c.detail, diff)
		}
		if m.hasBytes(m.records[0]) != (c.detailType == "Object Created") {
			t.Errorf("%s, %s: has bytes: %v", c.detailType, c.detail, m.hasBytes(m.records[0]))
		}
	}
}

func TestIdentities(t *testing.T) {
	base := lambdaevent.S3Record{Name: "ObjectCreated:Put", Bucket: "b", Key: "k", VersionID: "v", Sequencer: "0A1B"}
	change := func(f func(*lambdaevent.S3Record)) lambdaevent.S3Record {
		r := base
		f(&r)
		return r
	}
	for _, c := range []struct {
		name string
		r    lambdaevent.S3Record
		same bool
	}{
		{"delivered again, with another request", change(func(r *lambdaevent.S3Record) { r.RequestID = "other" }), true},
		{"by EventBridge", change(func(r *lambdaevent.S3Record) { r.Sequencer = "0a1b" }), true},
		{"padded", change(func(r *lambdaevent.S3Record) { r.Sequencer = "0A1B00" }), true},
		{"another sequencer", change(func(r *lambdaevent.S3Record) { r.Sequencer = "0A1C" }), false},
		{"another bucket", change(func(r *lambdaevent.S3Record) { r.Bucket = "c" }), false},
		{"another key", change(func(r *lambdaevent.S3Record) { r.Key = "K" }), false},
		{"another version", change(func(r *lambdaevent.S3Record) { r.VersionID = "w" }), false},
		{"another event", change(func(r *lambdaevent.S3Record) { r.Name = "ObjectRemoved:Delete" }), false},
		{"parts that run into one another", change(func(r *lambdaevent.S3Record) { r.Bucket, r.Key = "bk", "" }), false},
		{"no sequencer", change(func(r *lambdaevent.S3Record) { r.Sequencer = "" }), false},
	} {
		one := identityOf([]byte("one"), []lambdaevent.S3Record{base})
		other := identityOf([]byte("other"), []lambdaevent.S3Record{c.r})
		if (one == other) != c.same {
			t.Errorf("%s: %q and %q", c.name, one, other)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	real := sample(f)
	for _, seed := range []string{real, bySNS(real), testMessage, bridged("Object Created", `"reason":"PutObject"`),
		bridged("Object Deleted", `"deletion-type":"Permanently Deleted"`), bySNS(bySNS(real)), `{"Records":[{}]}`,
		"{", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := parseMessage(body)
		if m.kind == unknown {
			return
		}
		if !json.Valid(m.event) {
			t.Errorf("the event is not JSON: %q", m.event)
		}
		if m.kind == testEvent {
			return
		}
		if len(m.records) == 0 {
			t.Errorf("no records: %q", m.event)
		}
		for _, r := range m.records {
			if r.Bucket == "" || r.Key == "" {
				t.Errorf("no object: %+v", r)
			}
			if r.Name == "" {
				continue
			}
			r.Size = max(0, r.Size)
			made, err := lambdaevent.S3(r)
			if err != nil {
				t.Fatal(err)
			}
			again := parseMessage(made)
			if again.kind != notification || again.records[0].Key != r.Key {
				t.Errorf("%+v is written as %s", r, made)
			}
		}
		if again := parseMessage(m.event); again.kind == m.kind {
			if identityOf(again.event, again.records) != identityOf(m.event, m.records) {
				t.Error("what is recorded has another identity than what came")
			}
		}
	})
}
