package eventhub

import (
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"tandem/capture"
)

// A Pinner finds the bytes of blobs.
type Pinner interface {
	// Open returns the content of the blob at url while it has that ETag. The error is [ErrBlobGone] when it is not
	// there any more, or another one.
	Open(ctx context.Context, url, etag string) (io.ReadCloser, error)
}

// ErrBlobGone says that a blob is not there as it was.
var ErrBlobGone = fmt.Errorf("the blob is gone, or was written again")

// Blobs is a [Pinner] for blobs that a credential may read; with nil, for those that everybody may.
type Blobs struct{ Credential azcore.TokenCredential }

// Open implements [Pinner].
func (b Blobs) Open(ctx context.Context, url, etag string) (io.ReadCloser, error) {
	client, err := blob.NewClientWithNoCredential(url, nil)
	if b.Credential != nil {
		client, err = blob.NewClient(url, b.Credential, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	return openBlob(ctx, client, etag)
}

func openBlob(ctx context.Context, client *blob.Client, etag string) (io.ReadCloser, error) {
	opts := &blob.DownloadStreamOptions{}
	if etag != "" {
		tag := azcore.ETag(quoted(etag))
		opts.AccessConditions = &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &tag},
		}
	}
	resp, err := client.DownloadStream(ctx, opts)
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound, bloberror.ConditionNotMet):
		return nil, ErrBlobGone
	case err != nil:
		return nil, fmt.Errorf("read blob: %w", err)
	}
	return resp.NewRetryReader(ctx, nil), nil
}

// quoted puts an ETag in quotes, which Event Grid leaves out.
func quoted(etag string) string {
	if len(etag) > 0 && etag[0] == '"' {
		return etag
	}
	return `"` + etag + `"`
}

// A pin is a blob whose bytes the recording is to have.
type pin struct {
	url, etag string
	object    capture.Object
}

// fetch adds the bytes of a blob to its invocation. It is false when they cannot be had any more.
func (p *pin) fetch(ctx context.Context, opts *Options, inv *capture.Invocation) (bool, error) {
	content, err := opts.Pin.Open(ctx, p.url, p.etag)
	if err == ErrBlobGone {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s of %s: %w", p.object.Key, p.object.Bucket, err)
	}
	defer content.Close()
	o := p.object
	if o.SHA256, o.Size, err = opts.Objects.PutObject(content); err != nil {
		return false, &objectError{err}
	}
	inv.Objects = append(inv.Objects, o)
	return true, nil
}
