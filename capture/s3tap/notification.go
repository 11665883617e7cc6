package s3tap

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
	"tandem/capture/lambdaevent"
)

// A kind is what the body of a message is.
type kind int

const (
	unknown      kind = iota
	notification      // S3's own: what Lambda gets from S3, byte for byte
	eventBridge       // an event of S3 by way of EventBridge
	testEvent         // s3:TestEvent, which S3 sends when a notification is set up; Lambda never gets it
)

// A message is what the body of a message holds, without the envelope of a topic.
type message struct {
	kind  kind
	event json.RawMessage
	// records say what happened to which object. A record that has no name is of an event from EventBridge that S3 has
	// no notification for. Keys are as stored; a Size of -1 is not known.
	records []lambdaevent.S3Record
	// created is set when an event of EventBridge is about an object that was created.
	created bool
}

// parseMessage reads the body of a message. Where a topic of SNS is between S3 and the queue, what it delivered is in
// its envelope. Sources:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html,
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html.
func parseMessage(body []byte) message {
	doc, ok := parseEvent(body)
	if inner := doc.At("Message"); ok && doc.At("Type").Text == "Notification" && inner.Kind == jsonval.String {
		body = []byte(inner.Text)
		doc, ok = parseEvent(body)
	}
	m := message{event: body}
	switch {
	case !ok:
	case doc.At("Event").Text == "s3:TestEvent":
		m.kind = testEvent
	case doc.At("source").Text == "aws.s3" && doc.At("detail-type").Text != "":
		if r := bridgeRecord(doc); bucketName.MatchString(r.Bucket) && r.Key != "" {
			m.kind, m.records = eventBridge, []lambdaevent.S3Record{r}
			m.created = doc.At("detail-type").Text == objectCreated
		}
	default:
		if m.records, ok = notificationRecords(doc); ok {
			m.kind = notification
		}
	}
	return m
}

// parseEvent reads what can be an event: an object, which a recording can hold as it is.
func parseEvent(body []byte) (doc jsonval.Value, ok bool) {
	doc, err := jsonval.Parse(body)
	return doc, err == nil && doc.Kind == jsonval.Object && json.Valid(body)
}

// bucketName is what a bucket can be called, by the rules of when the first were made.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9._-]{3,255}$`)

// notificationRecords reads an S3 event. It is false unless all of its records are S3's.
func notificationRecords(doc jsonval.Value) ([]lambdaevent.S3Record, bool) {
	var records []lambdaevent.S3Record
	for _, r := range doc.At("Records").Elems {
		object := r.At("s3", "object")
		encoded := object.At("key").Text
		key, err := url.QueryUnescape(encoded)
		bucket := r.At("s3", "bucket", "name").Text
		if r.At("eventSource").Text != "aws:s3" || err != nil || key == "" || !bucketName.MatchString(bucket) {
			return nil, false
		}
		records = append(records, lambdaevent.S3Record{
			Region: r.At("awsRegion").Text, Time: timeOf(r.At("eventTime")), Name: r.At("eventName").Text,
			Bucket: bucket, Key: key, Size: sizeOf(object.At("size")), ETag: object.At("eTag").Text,
			VersionID: object.At("versionId").Text, Sequencer: object.At("sequencer").Text,
		})
	}
	return records, len(records) > 0
}

// bridgeRecord reads an event of EventBridge. There, keys are not encoded.
func bridgeRecord(doc jsonval.Value) lambdaevent.S3Record {
	detail := doc.At("detail")
	object := detail.At("object")
	return lambdaevent.S3Record{
		Region: doc.At("region").Text, Time: timeOf(doc.At("time")), Name: bridgeName(doc.At("detail-type").Text, detail),
		Bucket: detail.At("bucket", "name").Text, Key: object.At("key").Text, Size: sizeOf(object.At("size")),
		ETag: object.At("etag").Text, VersionID: object.At("version-id").Text,
		Sequencer: object.At("sequencer").Text, SourceIP: detail.At("source-ip-address").Text,
		RequestID: detail.At("request-id").Text,
	}
}

const objectCreated = "Object Created"

// bridgeName returns the name of the notification that S3 would send in place of an event of EventBridge, "" for
// none.
func bridgeName(detailType string, detail jsonval.Value) string {
	reason := detail.At("reason").Text
	switch detailType {
	case objectCreated:
		switch reason {
		case "PutObject":
			return "ObjectCreated:Put"
		case "POST Object":
			return "ObjectCreated:Post"
		case "CopyObject":
			return "ObjectCreated:Copy"
		case "CompleteMultipartUpload":
			return "ObjectCreated:CompleteMultipartUpload"
		}
	case "Object Deleted":
		class := "ObjectRemoved:"
		if reason == "Lifecycle Expiration" {
			class = "LifecycleExpiration:"
		}
		switch detail.At("deletion-type").Text {
		case "Permanently Deleted":
			return class + "Delete"
		case "Delete Marker Created":
			return class + "DeleteMarkerCreated"
		}
	}
	return ""
}

func timeOf(v jsonval.Value) time.Time {
	t, err := time.Parse(time.RFC3339, v.Text)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

func sizeOf(v jsonval.Value) int64 {
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if v.Kind != jsonval.Number || err != nil || n < 0 {
		return -1
	}
	return n
}

// identityOf returns what tells an event from all others, whichever way it came: S3 delivers at least once, and so
// does everything behind it. Each record is known by bucket, key, version, sequencer and what happened; where S3
// gave no sequencer, the event is known by its text.
func identityOf(event []byte, records []lambdaevent.S3Record) string {
	var id []byte
	for _, r := range records {
		if r.Sequencer == "" || r.Name == "" {
			return string(event)
		}
		for _, part := range []string{r.Bucket, r.Key, r.VersionID, paddedSequencer(r), r.Name} {
			id = strconv.AppendQuote(id, part)
		}
	}
	return string(id)
}

// paddedSequencer returns the sequencer of r so that those of one key compare as text: hexadecimal digits that are
// padded on the right, which EventBridge writes in lower case.
func paddedSequencer(r lambdaevent.S3Record) string {
	const digits = 32
	s := strings.ToUpper(r.Sequencer)
	return s + strings.Repeat("0", max(0, digits-len(s)))
}

// hasBytes reports whether there was an object to pin after what a record of m tells.
func (m message) hasBytes(r lambdaevent.S3Record) bool {
	return m.created || strings.HasPrefix(r.Name, "ObjectCreated:")
}

// unquote returns an ETag without the quotes that HTTP has around it.
func unquote(etag string) string {
	return strings.Trim(etag, `"`)
}
