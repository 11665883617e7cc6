package s3tap

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tandem/capture"
	"tandem/capture/lambdaevent"
	"tandem/capture/redact"
)

// A Listing says which objects of a bucket are made into events. Bucket is required.
type Listing struct {
	Bucket, Prefix string
	Suffix         string
	// Since and Until choose the objects that were written at Since or later, and before Until. Zero is no limit.
	Since, Until time.Time
	// Versions takes all versions of objects and not only the newest, those of one key from the oldest on.
	Versions bool
	// MaxObjects ends the listing after so many events; 0 is no limit.
	MaxObjects int64
	// Recording is what Sink writes to, "" for nothing that has been there before: the listing begins after the last
	// object that it has from a listing of the same bucket and prefix. That is an error when its key seems to be one in
	// which a Redactor has replaced something, because nothing tells then where the listing was.
	Recording string

	// pageSize is how many objects are asked for at once, for tests: 1,000 unless set, the most that S3 gives.
	pageSize int32
}

func (l Listing) source() string {
	kind := "listing"
	if l.Versions {
		kind = "versions"
	}
	return "s3:" + kind + "/" + l.Bucket + "/" + l.Prefix
}

// errEnough ends a listing after MaxObjects.
var errEnough = errors.New("enough objects")

// List records an ObjectCreated:Put event for each object of a listing, in the order of their keys, with the
// object. Where the store does not answer, it ends in an error, and goes on from there when it is called again with
// Recording.
//
// The report is there with every error but those about options.
func List(ctx context.Context, opts Options, l Listing) (*Report, error) {
	c, err := newCapturing(opts)
	if err != nil {
		return nil, err
	}
	if l.Bucket == "" {
		return nil, errors.New("capture s3: no bucket")
	}
	li := &lister{capturing: c, listing: l, leftOut: make(map[LeftOut]int64)}
	if l.Recording != "" {
		if li.last, err = lastListed(ctx, l.Recording, opts, l.source()); err != nil {
			return nil, err
		}
	}
	if li.last.key != "" {
		if err := li.checkLast(ctx); err != nil {
			return c.report, err
		}
		c.opts.Logf("going on after %s", li.last.key)
	}
	err = c.each(ctx, li.produce, li.take)
	if ctx.Err() != nil {
		err = ctx.Err() // whatever failed because of it
	}
	if err == nil {
		err = opts.Sink.Sync()
	}
	c.report.Seen, c.report.LeftOut = li.seen, li.leftOut
	c.report.Waiting = li.made - c.report.Recorded
	return c.report, err
}

// A lister makes jobs of a listing.
type lister struct {
	*capturing
	listing Listing
	last    place // to go on after

	// What follows belongs to the goroutine that lists.
	seen, made int64
	leftOut    map[LeftOut]int64
}

func (l *lister) produce(ctx context.Context, emit func(*job) error) error {
	list := l.objects
	if l.listing.Versions {
		list = l.versions
	}
	if err := list(ctx, emit); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// add makes a job of what was listed if it is asked for.
func (l *lister) add(emit func(*job) error, r lambdaevent.S3Record) error {
	l.seen++
	switch {
	case !strings.HasSuffix(r.Key, l.listing.Suffix):
		l.leftOut[OtherSuffix]++
		return nil
	case r.Time.Before(l.listing.Since), !l.listing.Until.IsZero() && !r.Time.Before(l.listing.Until):
		l.leftOut[OutsideTime]++
		return nil
	}
	r.Region, r.Bucket, r.Name = l.opts.Client.Options().Region, l.listing.Bucket, "ObjectCreated:Put"
	l.made++
	err := emit(newJob(message{records: []lambdaevent.S3Record{r}}, l.listing.source()))
	if err == nil && l.made == l.listing.MaxObjects {
		return errEnough
	}
	return err
}

// take records a listed object.
func (l *lister) take(j *job) error {
	if j.err != nil {
		return j.err
	}
	r := &j.message.records[0]
	if len(j.objects) == 1 && j.objects[0].VersionID != "null" {
		r.VersionID = j.objects[0].VersionID
	}
	event, err := lambdaevent.S3(*r)
	if err != nil {
		return err
	}
	j.message.event = event
	return l.record(j)
}

// objects lists what is in the bucket now.
func (l *lister) objects(ctx context.Context, emit func(*job) error) error {
	in := &s3.ListObjectsV2Input{
		Bucket: &l.listing.Bucket, Prefix: optional(l.listing.Prefix), StartAfter: optional(l.last.key),
		EncodingType: types.EncodingTypeUrl,
	}
	if l.listing.pageSize > 0 {
		in.MaxKeys = &l.listing.pageSize
	}
	for {
		page, err := l.opts.Client.ListObjectsV2(ctx, in)
		if err != nil {
			return l.failed(err)
		}
		for _, o := range page.Contents {
			key, err := decodeKey(aws.ToString(o.Key), page.EncodingType)
			if err != nil {
				return l.failed(err)
			}
			err = l.add(emit, lambdaevent.S3Record{
				Key: key, Size: aws.ToInt64(o.Size), ETag: unquote(aws.ToString(o.ETag)), Time: aws.ToTime(o.LastModified),
			})
			if err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		if next := aws.ToString(page.NextContinuationToken); next == "" || next == aws.ToString(in.ContinuationToken) {
			return l.failed(errStuck)
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

// errStuck is the error of a listing that would never end, or end too early.
var errStuck = errors.New("the store says that there is more, and not where")

// versions lists all that was in the bucket. S3 has the newest version of a key first; events come from the oldest
// on, as they happened.
func (l *lister) versions(ctx context.Context, emit func(*job) error) error {
	in := &s3.ListObjectVersionsInput{
		Bucket: &l.listing.Bucket, Prefix: optional(l.listing.Prefix), EncodingType: types.EncodingTypeUrl,
	}
	if l.listing.pageSize > 0 {
		in.MaxKeys = &l.listing.pageSize
	}
	if l.last.key != "" { // its versions may not all be there
		again := *in
		again.Prefix = &l.last.key
		if err := l.versionsFrom(ctx, &again, l.last.key, emit); err != nil {
			return err
		}
		in.KeyMarker = &l.last.key
	}
	return l.versionsFrom(ctx, in, "", emit)
}

// versionsFrom lists versions, of one key alone if it is not "".
func (l *lister) versionsFrom(ctx context.Context, in *s3.ListObjectVersionsInput, only string,
	emit func(*job) error) error {
	var same []lambdaevent.S3Record // of one key, the newest first
	flush := func() error {
		for _, r := range slices.Backward(same) {
			if r.Key == l.last.key && l.last.versions[r.VersionID] {
				continue
			}
			if err := l.add(emit, r); err != nil {
				return err
			}
		}
		same = same[:0]
		return nil
	}
	for {
		page, err := l.opts.Client.ListObjectVersions(ctx, in)
		if err != nil {
			return l.failed(err)
		}
		for _, v := range page.Versions {
			key, err := decodeKey(aws.ToString(v.Key), page.EncodingType)
			if err != nil {
				return l.failed(err)
			}
			if only != "" && key != only {
				return flush()
			}
			if len(same) > 0 && same[0].Key != key {
				if err := flush(); err != nil {
					return err
				}
			}
			same = append(same, lambdaevent.S3Record{
				Key: key, Size: aws.ToInt64(v.Size), ETag: unquote(aws.ToString(v.ETag)), Time: aws.ToTime(v.LastModified),
				VersionID: aws.ToString(v.VersionId),
			})
		}
		if only == "" {
			l.seen += int64(len(page.DeleteMarkers))
			l.leftOut[DeleteMarker] += int64(len(page.DeleteMarkers))
		}
		if !aws.ToBool(page.IsTruncated) {
			return flush()
		}
		next, err := decodeKey(aws.ToString(page.NextKeyMarker), page.EncodingType)
		if err != nil {
			return l.failed(err)
		}
		if next == aws.ToString(in.KeyMarker) &&
			aws.ToString(page.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker) {
			return l.failed(errStuck)
		}
		in.KeyMarker, in.VersionIdMarker = &next, page.NextVersionIdMarker
	}
}

func (l *lister) failed(err error) error {
	return fmt.Errorf("list s3://%s/%s: %w", l.listing.Bucket, l.listing.Prefix, err)
}

// optional returns a parameter that is not sent when it is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// decodeKey reads a key as listings write it. They were asked to encode keys, because XML cannot hold all of them.
func decodeKey(key string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return key, nil // by a store that does not encode
	}
	return url.QueryUnescape(key)
}

// A place is how far a listing came: the last key of which anything was recorded, and which of its versions were.
type place struct {
	key      string
	versions map[string]bool
}

// lastListed finds the last object that the recording at path has from source. The recording may be open for writing.
func lastListed(ctx context.Context, path string, opts Options, source string) (last place, err error) {
	rec, err := capture.Open(path, capture.OpenOptions{Identities: opts.Identities})
	if err != nil {
		return last, err
	}
	defer rec.Close()
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return last, fmt.Errorf("find out what was listed: %w", err)
		}
		if inv.Source != source || inv.Function != opts.Function {
			continue
		}
		for _, r := range parseMessage(inv.Event).records {
			if r.Key != last.key {
				last = place{key: r.Key, versions: make(map[string]bool)}
			}
			last.versions[r.VersionID] = true
		}
	}
	return last, nil
}

// checkLast makes sure that the last key is the bucket's and not one with a token in it, after which what comes in the
// bucket is not what comes after the object. A key that merely looks so may be that of an object that is there.
func (l *lister) checkLast(ctx context.Context) error {
	if !redact.MayHoldToken(l.last.key) {
		return nil
	}
	page, err := l.opts.Client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &l.listing.Bucket, Prefix: &l.last.key, MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl,
	})
	if err != nil {
		return l.failed(err)
	}
	for _, o := range page.Contents {
		if key, err := decodeKey(aws.ToString(o.Key), page.EncodingType); err == nil && key == l.last.key {
			return nil
		}
	}
	return fmt.Errorf("%s is not in bucket %s, so it was deleted or redaction replaced a part of its name, and nobody "+
		"knows where to go on: list into another recording", l.last.key, l.listing.Bucket)
}
