package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
	"tandem/replay"
)

// maxBlob is the largest object that is handed to a handler, which gets it whole and in JSON.
const maxBlob = 100 << 20

// An s3Record is one record of an S3 event.
type s3Record struct {
	EventName string    `json:"eventName"`
	EventTime time.Time `json:"eventTime"`
	S3        struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"` // form-encoded
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
		} `json:"object"`
	} `json:"s3"`
}

// parseS3Event reads the records of an S3 event for which a blob trigger would fire. Keys come back decoded.
func parseS3Event(event []byte) ([]s3Record, error) {
	var doc struct{ Records []s3Record }
	if err := json.Unmarshal(event, &doc); err != nil {
		return nil, fmt.Errorf("the event is not an S3 event: %w", err)
	}
	for i := range doc.Records {
		r := &doc.Records[i]
		if !strings.HasPrefix(r.EventName, "ObjectCreated:") {
			return nil, fmt.Errorf("a blob trigger does not fire on %s", r.EventName)
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil || key == "" {
			return nil, fmt.Errorf("record %d has no object key that can be decoded: %q", i, r.S3.Object.Key)
		}
		r.S3.Object.Key = key
	}
	return doc.Records, nil
}

// fireObjects calls the function for one object after the other, with the bytes that the recording has.
func (h *Handler) fireObjects(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	records, err := parseS3Event(inv.Event)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	triggers := make([]customhandler.BlobTrigger, len(records))
	for i, r := range records { // before the first is sent, so that an event is sent whole or not at all
		if triggers[i], err = h.blobTrigger(inv, &r); err != nil {
			return replay.Unreplayable("%v", err), nil
		}
	}
	out := &capture.Outcome{Status: capture.StatusOK}
	for _, t := range triggers {
		failed, err := h.call(ctx, t.Request(h.binding("blob"), h.sys()))
		switch {
		case err != nil:
			return replay.TransportFailure(ctx, fmt.Errorf("blob %s: %w", t.Name, err))
		case failed != nil:
			out.Status = translate.Failed(failed).Status
			if out.Error == nil {
				out.Error = failed
			}
		}
	}
	return out, nil
}

// blobTrigger returns the object that r names as the blob that would fire the function.
func (h *Handler) blobTrigger(inv *capture.Invocation, r *s3Record) (customhandler.BlobTrigger, error) {
	bucket, key := r.S3.Bucket.Name, r.S3.Object.Key
	object, err := pinned(inv, r)
	if err != nil {
		return customhandler.BlobTrigger{}, err
	}
	body, err := h.readObject(object)
	if err != nil {
		return customhandler.BlobTrigger{}, fmt.Errorf("object %s of bucket %s: %w", key, bucket, err)
	}
	container := h.opts.Container
	if container == "" {
		container = bucket
	}
	return customhandler.BlobTrigger{
		AccountURL: h.opts.AccountURL, Container: container, Name: key, Body: body, Binary: h.opts.Binary,
		ContentType: object.ContentType, ETag: `"` + r.S3.Object.ETag + `"`, Modified: r.EventTime,
		Params: map[string]string{h.opts.BlobParam: key},
	}, nil
}

// pinned finds the object that r names among those of inv.
func pinned(inv *capture.Invocation, r *s3Record) (*capture.Object, error) {
	for i := range inv.Objects {
		o := &inv.Objects[i]
		if o.Bucket == r.S3.Bucket.Name && o.Key == r.S3.Object.Key &&
			(o.VersionID == "" || r.S3.Object.VersionID == "" || o.VersionID == r.S3.Object.VersionID) {
			return o, nil
		}
	}
	return nil, fmt.Errorf("the recording does not have the object %s of bucket %s",
		r.S3.Object.Key, r.S3.Bucket.Name)
}

func (h *Handler) readObject(o *capture.Object) ([]byte, error) {
	switch {
	case h.opts.Objects == nil:
		return nil, errors.New("there is no recording to read it from")
	case o.Size > maxBlob:
		return nil, fmt.Errorf("its %d bytes are more than the %d that a handler is given", o.Size, maxBlob)
	}
	content, err := h.opts.Objects.OpenObject(o.SHA256)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
