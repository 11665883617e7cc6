package translate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/capture/lambdaevent"
)

// A Blob is what became of a blob: it was written or deleted.
type Blob struct {
	Account   string // not in the event
	Container string
	Name      string // as stored
	ETag      string // with or without quotes
	Size      int64
	Time      time.Time
	Deleted   bool
	// Sequencer is Event Grid's, "" where there is none. Those of one blob are ordered as text.
	Sequencer string
}

// BlobOptions say which bucket a blob would be in. The zero value is usable.
type BlobOptions struct {
	// Buckets has the bucket of each container. A container that is not there is its own bucket's name.
	Buckets map[string]string
	Region  string // default us-east-1
}

// BlobEvent returns the S3 event for a blob. It fails on one without a container or a name.
//
// Its sequencer is Event Grid's. Without one it is the time in hexadecimal nanoseconds and, since times of blobs
// are often whole seconds, the ETag's digits behind it: two writes within a second differ, and are in order as long
// as Azure counts ETags up. Those of the one kind and the other cannot be compared.
func BlobEvent(b Blob, opts BlobOptions) (json.RawMessage, error) {
	if b.Container == "" || b.Name == "" {
		return nil, errors.New("the blob has no container or no name")
	}
	name := "ObjectCreated:Put"
	if b.Deleted {
		name = "ObjectRemoved:Delete"
	}
	return lambdaevent.S3(lambdaevent.S3Record{
		Region: cmp.Or(opts.Region, "us-east-1"), Time: b.Time, Name: name,
		Bucket: opts.Bucket(b.Container), Key: b.Name, Size: b.Size, ETag: strings.Trim(b.ETag, `"`),
		Sequencer: b.sequencer(), ConfigurationID: "translated",
	})
}

// Bucket returns the bucket that stands for a container.
func (o BlobOptions) Bucket(container string) string { return cmp.Or(o.Buckets[container], container) }

func (b Blob) sequencer() string {
	if b.Sequencer != "" {
		return strings.ToUpper(b.Sequencer)
	}
	nanoseconds := int64(0)
	if !b.Time.IsZero() {
		nanoseconds = max(b.Time.UnixNano(), 0)
	}
	tag, isHex := strings.CutPrefix(strings.ToUpper(strings.Trim(b.ETag, `"`)), "0X")
	if !isHex || strings.Trim(tag, "0123456789ABCDEF") != "" {
		tag = ""
	}
	return fmt.Sprintf("%016X%s", nanoseconds, tag)
}
