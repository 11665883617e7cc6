package s3tap

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tandem/capture"
	"tandem/capture/lambdaevent"
)

// A Reason says why an invocation has an object's name and not its bytes. It is part of what [Report] promises.
type Reason string

const (
	TooLarge  Reason = "too-large" // larger than Options.MaxObjectSize
	Gone      Reason = "gone"      // deleted since, the object or its version
	Changed   Reason = "changed"   // overwritten since, in a bucket without versions
	Denied    Reason = "denied"    // the caller may not read it
	Archived  Reason = "archived"  // in a storage class that has to be restored first
	Encrypted Reason = "encrypted" // with a key that the customer gives, or that KMS does not let be used
	Damaged   Reason = "damaged"   // what came is not what was stored, time and again
	Rejected  Reason = "rejected"  // the store says that there can be no such object
)

// errUnavailable is wrapped by errors that may be over when the same is tried later.
var errUnavailable = errors.New("the object store is not available")

// attempts is how often an object is asked for before its bytes are given up. The SDK asks again when a request
// failed, and not when a body did.
const attempts = 3

// pin keeps the bytes of the object that r is about: of exactly that version, checked against all that is known of
// them. A reason means that there is nothing to keep. An error wraps errUnavailable if the store may be asked again
// later, and is one of the disk or of the set-up if not.
func (c *capturing) pin(ctx context.Context, r lambdaevent.S3Record) (*capture.Object, Reason, error) {
	if r.Size > c.opts.MaxObjectSize {
		return nil, TooLarge, nil
	}
	backoff := retry.NewExponentialJitterBackoff(c.opts.MaxRetryDelay)
	for attempt := 1; ; attempt++ {
		o, reason, err := c.download(ctx, r)
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		var broken *bodyError
		if err != nil && !errors.As(err, &broken) || err == nil {
			return o, reason, err
		}
		if attempt == attempts {
			if broken.damaged {
				c.opts.Logf("object %s of bucket %s: %v", r.Key, r.Bucket, broken.err)
				return nil, Damaged, nil
			}
			return nil, "", fmt.Errorf("%w: object %s of bucket %s: %w", errUnavailable, r.Key, r.Bucket, broken.err)
		}
		delay, err := backoff.BackoffDelay(attempt-1, broken.err)
		if err != nil {
			return nil, "", err
		}
		select {
		case <-ctx.Done():
			return nil, "", ctx.Err()
		case <-time.After(delay):
		}
	}
}

// download asks for the object once. An error about what came is a [*bodyError].
func (c *capturing) download(ctx context.Context, r lambdaevent.S3Record) (*capture.Object, Reason, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalled := time.AfterFunc(c.opts.Stall, cancel)
	defer stalled.Stop()
	in := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key, ChecksumMode: types.ChecksumModeEnabled}
	if r.VersionID != "" {
		in.VersionId = &r.VersionID
	}
	if r.ETag != "" {
		in.IfMatch = aws.String(`"` + r.ETag + `"`)
	}
	out, err := c.opts.Client.GetObject(ctx, in, inRegion(r.Region))
	if err != nil {
		reason, err := explain(err)
		if err != nil {
			err = fmt.Errorf("read object %s of bucket %s: %w", r.Key, r.Bucket, err)
		}
		return nil, reason, err
	}
	defer out.Body.Close()
	if got := unquote(aws.ToString(out.ETag)); got != "" && r.ETag != "" && got != r.ETag {
		return nil, Changed, nil // by a store that does not know If-Match
	}
	if aws.ToInt64(out.ContentLength) > c.opts.MaxObjectSize {
		return nil, TooLarge, nil
	}
	body := &checkedBody{body: out.Body, size: r.Size, alive: func() { stalled.Reset(c.opts.Stall) }}
	if body.size < 0 && out.ContentLength != nil {
		body.size = *out.ContentLength
	}
	if etag := unquote(aws.ToString(out.ETag)); isMD5(out, etag) {
		body.md5, body.md5hex = md5.New(), etag
	}
	sha256, size, err := c.opts.Sink.PutObject(body)
	switch {
	case body.err != nil:
		return nil, "", body.err
	case err != nil:
		return nil, "", err
	}
	o := &capture.Object{
		Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID, ContentType: aws.ToString(out.ContentType),
		Size: size, SHA256: sha256,
	}
	if o.VersionID == "" {
		o.VersionID = aws.ToString(out.VersionId)
	}
	return o, "", nil
}

// inRegion sends a request to the region where the notification says that the bucket is.
func inRegion(region string) func(*s3.Options) {
	return func(o *s3.Options) {
		if o.BaseEndpoint == nil && region != "" {
			o.Region = region
		}
	}
}

// explain tells what an error of the store means for the object that was asked for. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
func explain(err error) (Reason, error) {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) {
		if isOutage(err) {
			err = fmt.Errorf("%w: %w", errUnavailable, err)
		}
		return "", err
	}
	code := ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	switch status := response.HTTPStatusCode(); {
	case code == "NoSuchBucket": // then all objects are, which is hardly what is wanted
		return "", fmt.Errorf("is it another store? Without objects it is recorded by --no-objects: %w", err)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed: // the latter for a delete marker
		return Gone, nil
	case status == http.StatusPreconditionFailed:
		return Changed, nil
	case code == "AccessDenied":
		return Denied, nil
	case code == "InvalidObjectState":
		return Archived, nil
	case code == "InvalidRequest", strings.HasPrefix(code, "KMS."):
		return Encrypted, nil
	case code == "InvalidArgument", code == "KeyTooLongError", code == "InvalidBucketName", code == "InvalidURI":
		return Rejected, nil
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		status < 300: // an answer that broke off
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return "", err
}

// isOutage reports whether a request that nothing answered was sent, or was not because too many had failed before. A
// request that cannot be made, because credentials or the region are missing, is another matter.
func isOutage(err error) bool {
	var send *smithyhttp.RequestSendError
	var canceled *aws.RequestCanceledError
	var quota ratelimit.QuotaExceededError
	return errors.As(err, &send) || errors.As(err, &canceled) || errors.As(err, &quota)
}

var md5Hex = regexp.MustCompile(`^[0-9a-f]{32}$`)

// isMD5 reports whether the ETag of what out has is the MD5 of the bytes: not for uploads in parts, and not with
// keys of KMS or of the customer. Where the SDK checks a checksum of S3's, nothing rests on it. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
func isMD5(out *s3.GetObjectOutput, etag string) bool {
	checked, ok := s3.GetChecksumValidationMetadata(out.ResultMetadata)
	return (!ok || len(checked.AlgorithmsUsed) == 0) && md5Hex.MatchString(etag) && out.SSECustomerAlgorithm == nil &&
		(out.ServerSideEncryption == "" || out.ServerSideEncryption == types.ServerSideEncryptionAes256)
}

// A bodyError says that what came of an object cannot be kept. Damaged means that all of it came, and is wrong.
type bodyError struct {
	damaged bool
	err     error
}

func (e *bodyError) Error() string { return e.err.Error() }

// A checkedBody is read to its end only if it is what it has to be; otherwise it ends in err.
type checkedBody struct {
	body   io.Reader
	size   int64 // -1 for not known
	md5    hash.Hash
	md5hex string // "" for not known; else md5 is set
	alive  func() // called when something came

	n   int64
	err *bodyError
}

func (b *checkedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	b.n += int64(n)
	if n > 0 {
		b.alive()
		if b.md5 != nil {
			b.md5.Write(p[:n])
		}
	}
	switch {
	case b.size >= 0 && b.n > b.size:
		b.err = &bodyError{true, fmt.Errorf("it has more than the %d bytes that it was to have", b.size)}
	case err == io.EOF:
		b.err = b.check()
	case err != nil:
		// What the SDK checks against S3's checksum ends in an error that has no type of its own.
		b.err = &bodyError{strings.Contains(err.Error(), "checksum did not match"), err}
	}
	if b.err != nil {
		return n, b.err
	}
	return n, err
}

// check looks at what was read when it has ended. Fewer bytes are an end that came too early.
func (b *checkedBody) check() *bodyError {
	if b.size >= 0 && b.n < b.size {
		return &bodyError{true, fmt.Errorf("it has %d bytes and was to have %d", b.n, b.size)}
	}
	if b.md5 != nil {
		if got := hex.EncodeToString(b.md5.Sum(nil)); got != b.md5hex {
			return &bodyError{true, fmt.Errorf("its MD5 is %s and was to be %s", got, b.md5hex)}
		}
	}
	return nil
}
