package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

const (
	// uploadBlock is how much of an object is held in memory. One that is smaller is sent by Put Blob, others in blocks.
	uploadBlock = 4 << 20
	// A blob has at most 50,000 blocks: https://learn.microsoft.com/rest/api/storageservices/put-block-list.
	largestUpload int64 = 50_000 * uploadBlock
)

// An upload is an object that becomes a blob.
type upload struct {
	name    string
	object  *capture.Object
	content *objectReader
	// ambiguous says that an earlier upload of that name may still be worked on, so that reports of those who do not
	// tell uploads apart say nothing.
	ambiguous bool

	sent     bool      // the blob may have been written
	etag     string    // without quotes
	modified time.Time // by the service's clock, in whole seconds

	receipt  string              // ID of the host that has queued it; "" when none is known to
	evidence []completion.Report // what storage tells
	fate     capture.Fate        // "" while it is not known
	first    *capture.Outcome    // of the first delivery that somebody saw; may be nil
}

// failure is why the function failed, at first or for good; nil when nobody saw it fail.
func (u *upload) failure() *capture.Error {
	switch {
	case u.first != nil && u.first.Status != capture.StatusOK && u.first.Error != nil:
		return u.first.Error
	case u.first != nil && u.first.Status != capture.StatusOK:
		return &capture.Error{Message: fmt.Sprintf("blob %s: the first attempt failed", u.name)}
	case u.fate == capture.DeadLettered:
		return &capture.Error{Message: fmt.Sprintf("blob %s was moved to queue %s", u.name, poisonBlobs)}
	}
	return nil
}

// An objectReader keeps why an object could not be read.
type objectReader struct {
	io.ReadCloser
	err error
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// send uploads all objects. An outcome or an error says that one was not, or may not have been.
func (b *Blob) send(ctx context.Context, uploads []*upload) (*capture.Outcome, error) {
	for _, u := range uploads { // before the first is sent
		content, err := b.opts.Objects.OpenObject(u.object.SHA256)
		if err != nil {
			return replay.Unreplayable("key %q: %v", u.name, err), nil
		}
		defer content.Close()
		u.content = &objectReader{ReadCloser: content}
	}
	for i, u := range uploads {
		out, err := b.upload(ctx, u)
		if out == nil && err == nil && b.webhook != "" {
			out, err = b.notify(ctx, u)
			var throttled *replay.ThrottledError
			u.sent = !errors.As(err, &throttled) // who was not told of a blob does nothing with it
		}
		if out == nil && err == nil {
			continue
		}
		if i > 0 {
			return nil, afterOthers(uploads[:i], out, err)
		}
		return out, err
	}
	return nil, nil
}

// afterOthers is what it means that an upload failed after those were sent, which must not be sent again.
func afterOthers(sent []*upload, out *capture.Outcome, err error) error {
	var setup *replay.SetupError
	var throttled *replay.ThrottledError
	switch {
	case errors.As(err, &setup):
		return err
	case errors.As(err, &throttled):
		err = errors.New(throttled.Outcome.Error.Message)
	case out != nil:
		err = errors.New(out.Error.Message)
	}
	return fmt.Errorf("blob %s was sent, and not all that come after it: %w", sent[0].name, err)
}

// upload writes a blob. Nothing is there to be seen before all of it was sent.
func (b *Blob) upload(ctx context.Context, u *upload) (*capture.Outcome, error) {
	opts := &blockblob.UploadStreamOptions{BlockSize: uploadBlock, Concurrency: 1}
	if u.object.ContentType != "" {
		opts.HTTPHeaders = &blob.HTTPHeaders{BlobContentType: &u.object.ContentType}
	}
	mark, marked := replay.MarkFrom(ctx)
	if marked {
		opts.Metadata = map[string]*string{capture.MarkMetadata: to.Ptr(mark.String())}
	}
	got, err := b.sends.NewBlockBlobClient(u.name).UploadStream(ctx, u.content, opts)
	switch {
	case err == nil:
		u.written(got.ETag, got.LastModified)
		return nil, nil
	case u.content.err != nil:
		return replay.Unreplayable("key %q: %v", u.name, u.content.err), nil
	}
	var response *azcore.ResponseError
	if errors.As(err, &response) && response.StatusCode < 500 || isBusy(err) {
		return refused(err, fmt.Errorf("upload blob %s to container %s: %s", u.name, b.opts.Container, brief(err)))
	}
	u.sent = true
	if marked && b.find(ctx, u, mark) {
		return nil, nil
	}
	failure := fmt.Errorf("upload blob %s: %w", u.name, err)
	if response != nil {
		failure = fmt.Errorf("upload blob %s: %s", u.name, brief(err))
	}
	return replay.TransportFailure(ctx, failure)
}

func (u *upload) written(etag *azcore.ETag, modified *time.Time) {
	u.sent = true
	if etag != nil {
		u.etag = strings.Trim(string(*etag), `"`)
	}
	if modified != nil {
		u.modified = *modified
	}
}

// find tells whether an upload whose answer was lost was written, and takes its ETag.
func (b *Blob) find(ctx context.Context, u *upload, mark capture.Mark) bool {
	got, err := b.looks.NewBlobClient(u.name).GetProperties(ctx, nil)
	if err != nil || got.ContentLength == nil || *got.ContentLength != u.object.Size {
		return false
	}
	for name, value := range got.Metadata { // as the header's name was written
		if strings.EqualFold(name, capture.MarkMetadata) && value != nil && *value == mark.String() {
			u.written(got.ETag, got.LastModified)
			return true
		}
	}
	return false
}

func isBusy(err error) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == http.StatusServiceUnavailable
}

// refused is what the answer to a request that changed nothing means.
func refused(err, failure error) (*capture.Outcome, error) {
	var response *azcore.ResponseError
	errors.As(err, &response)
	return refusedWith(response.StatusCode, failure)
}

func refusedWith(status int, failure error) (*capture.Outcome, error) {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, &replay.ThrottledError{Outcome: &capture.Outcome{
			Status: capture.StatusThrottled, Error: &capture.Error{Message: failure.Error()},
		}}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil, &replay.SetupError{Err: failure}
	}
	return &capture.Outcome{Status: capture.StatusTransport, Error: &capture.Error{Message: failure.Error()}}, nil
}
