package local

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	bloblease "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
)

const (
	hostContainer     = "azure-webjobs-hosts"
	incompleteReceipt = "Incomplete" // metadata of a receipt whose message may not be in the queue yet
	receiptLease      = 30           // seconds
)

// A receipt says that a function was, or is about to be, told about one ETag of a blob. It is an empty blob. What
// this file does with it is what BlobReceiptManager.cs and BlobTriggerExecutor.cs do.
type receipt struct {
	blob   *blockblob.Client
	folder *container.Client
}

func newReceipt(folder *container.Client, host, function, etag, container, name string) receipt {
	path := strings.Join([]string{"blobreceipts", host, function, etag, container, name}, "/")
	return receipt{folder.NewBlockBlobClient(path), folder}
}

// once calls enqueue unless a host did so before. Taken says that another host does so now, or may have.
func (r receipt) once(ctx context.Context, enqueue func() error) (taken bool, err error) {
	there, complete, err := r.read(ctx)
	if err != nil || complete {
		return false, err
	}
	if !there {
		if taken, err := r.create(ctx); taken || err != nil {
			return taken, err
		}
	}
	own, err := bloblease.NewBlobClient(r.blob, nil)
	if err != nil {
		return false, err
	}
	if _, err := own.AcquireLease(ctx, receiptLease, nil); err != nil {
		if bloberror.HasCode(err, bloberror.LeaseAlreadyPresent, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
			return true, nil
		}
		return false, fmt.Errorf("lease the receipt: %w", err)
	}
	defer func() { _, _ = own.ReleaseLease(context.WithoutCancel(ctx), nil) }() // it ends by itself
	if _, complete, err := r.read(ctx); err != nil || complete {
		return false, err
	}
	if err := enqueue(); err != nil {
		return false, err
	}
	ours := &blob.AccessConditions{LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: own.LeaseID()}}
	_, err = r.blob.SetMetadata(ctx, nil, &blob.SetMetadataOptions{AccessConditions: ours})
	if err != nil {
		return false, fmt.Errorf("complete the receipt: %w", err)
	}
	return false, nil
}

func (r receipt) read(ctx context.Context) (there, complete bool, err error) {
	got, err := r.blob.GetProperties(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("read the receipt: %w", err)
	}
	for name := range got.Metadata {
		if strings.EqualFold(name, incompleteReceipt) {
			return true, false, nil
		}
	}
	return true, true, nil
}

// create makes an incomplete receipt. Taken says that another host was faster.
func (r receipt) create(ctx context.Context) (taken bool, err error) {
	none := &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{
		IfNoneMatch: to.Ptr(azcore.ETagAny),
	}}
	opts := &blockblob.UploadBufferOptions{
		Metadata: map[string]*string{incompleteReceipt: to.Ptr(incompleteReceipt)}, AccessConditions: none,
	}
	_, err = r.blob.UploadBuffer(ctx, nil, opts)
	if bloberror.HasCode(err, bloberror.ContainerNotFound) {
		_, err = r.folder.Create(ctx, nil)
		if err == nil || bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			_, err = r.blob.UploadBuffer(ctx, nil, opts)
		}
	}
	if bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.LeaseIDMissing) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("make a receipt: %w", err)
	}
	return false, nil
}
