package lambdaevent

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// An S3Record is what a notification says about one object. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html.
type S3Record struct {
	Region string
	Time   time.Time
	Name   string // "ObjectCreated:Put", without "s3:"
	Bucket string
	Key    string // as stored, not as the event encodes it
	Size   int64  // bytes; not written for removals
	// ETag has no quotes. It is not written where it is empty, as for delete markers.
	ETag      string
	VersionID string // of buckets with versions
	// Sequencer orders the events of one key. Compare sequencers after padding the shorter with zeros on the right.
	Sequencer string

	ConfigurationID string
	PrincipalID     string
	SourceIP        string
	RequestID       string
	RequestID2      string // x-amz-id-2
}

type s3Record struct {
	EventVersion      string            `json:"eventVersion"`
	EventSource       string            `json:"eventSource"`
	AWSRegion         string            `json:"awsRegion"`
	EventTime         string            `json:"eventTime"`
	EventName         string            `json:"eventName"`
	UserIdentity      principal         `json:"userIdentity"`
	RequestParameters map[string]string `json:"requestParameters"`
	ResponseElements  map[string]string `json:"responseElements"`
	S3                s3Entity          `json:"s3"`
}

type principal struct {
	PrincipalID string `json:"principalId"`
}

type s3Entity struct {
	SchemaVersion   string   `json:"s3SchemaVersion"`
	ConfigurationID string   `json:"configurationId"`
	Bucket          s3Bucket `json:"bucket"`
	Object          s3Object `json:"object"`
}

type s3Bucket struct {
	Name          string    `json:"name"`
	OwnerIdentity principal `json:"ownerIdentity"`
	ARN           string    `json:"arn"`
}

type s3Object struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	VersionID string `json:"versionId,omitempty"`
	Sequencer string `json:"sequencer"`
}

// S3 makes the event for notifications. S3 itself sends one record an event.
func S3(notifications ...S3Record) (json.RawMessage, error) {
	rs := make([]s3Record, len(notifications))
	for i, n := range notifications {
		rs[i] = n.record()
	}
	return records(rs)
}

func (n S3Record) record() s3Record {
	key := strings.ReplaceAll(url.QueryEscape(n.Key), "%2F", "/") // as S3 has it
	object := s3Object{
		Key: key, ETag: n.ETag, VersionID: n.VersionID, Sequencer: n.Sequencer,
	}
	if !isRemoval(n.Name) {
		object.Size = &n.Size
	}
	return s3Record{
		EventVersion:      "2.1",
		EventSource:       "aws:s3",
		AWSRegion:         n.Region,
		EventTime:         n.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
		EventName:         n.Name,
		UserIdentity:      principal{n.PrincipalID},
		RequestParameters: map[string]string{"sourceIPAddress": n.SourceIP},
		ResponseElements:  map[string]string{"x-amz-request-id": n.RequestID, "x-amz-id-2": n.RequestID2},
		S3: s3Entity{
			SchemaVersion: "1.0", ConfigurationID: n.ConfigurationID,
			Bucket: s3Bucket{Name: n.Bucket, ARN: "arn:aws:s3:::" + n.Bucket},
			Object: object,
		},
	}
}

// isRemoval tells whether there is no object of a size any more after an event of that name.
func isRemoval(name string) bool {
	return strings.HasPrefix(name, "ObjectRemoved:") || strings.HasPrefix(name, "LifecycleExpiration:")
}
