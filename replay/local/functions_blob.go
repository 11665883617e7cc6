package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture/customhandler"
	"tandem/capture/effects"
)

const (
	blobQueue   = "azure-webjobs-blobtrigger-" // and the host's ID
	poisonBlobs = "webjobs-blobtrigger-poison"
)

// blobTriggers are the blob triggers whose connections are among the app's settings. They do what the host's
// extension does: each new ETag in a container becomes a message in a queue of the host's own, once (see [receipt]),
// and so does each event that comes to the webhook. The queue is polled as queues are, and after the last attempt the
// message goes to webjobs-blobtrigger-poison of the container's account.
//
// Not done is what the host does beside: looking at the account's logs, and remembering between two starts up to when
// it has looked through a container. That one looks at more receipts, and fires nothing else.
type blobTriggers struct {
	f          *Functions
	hostID     string
	receipts   *container.Client
	queue      *queuePoller
	functions  map[string]*blobFunction // by ID
	containers []*watchedContainer
}

// A blobFunction is a function with a blob trigger.
type blobFunction struct {
	*azureFunction
	path      *blobPath
	eventGrid bool // nobody looks through the container
	blobs     *service.Client
	poison    *azqueue.QueueClient
}

// id is what the host calls a function in receipts and messages.
func (fn *blobFunction) id() string { return "Host.Functions." + fn.name }

// A watchedContainer is a container that is looked through for one function.
type watchedContainer struct {
	fn *blobFunction
	// since is the newest change that was seen. Times of blobs are whole seconds, so what changed then is looked at
	// again.
	since   time.Time
	trouble string // the last that was told
}

// A blobMessage is what the host writes into its queue about a blob (BlobTriggerMessage.cs).
type blobMessage struct {
	Type          string
	FunctionID    string `json:"FunctionId"`
	BlobType      string
	ContainerName string
	BlobName      string
	ETag          string // with quotes
}

// newBlobTriggers returns nil when there is nothing to watch.
func (f *Functions) newBlobTriggers() (*blobTriggers, error) {
	b := &blobTriggers{f: f, hostID: f.hostID(), functions: make(map[string]*blobFunction)}
	host := lookup(f.opts.Env, "AzureWebJobsStorage")
	for _, fn := range f.app.functions {
		connection, ok := fn.storage(f.opts.Env)
		if fn.disabled || !ok || !strings.EqualFold(fn.trigger.Type, "blobTrigger") {
			continue
		}
		if host == "" {
			host = connection
		}
		watched, err := f.newBlobFunction(fn, connection)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", fn.name, err)
		}
		b.functions[watched.id()] = watched
		if !watched.eventGrid {
			b.containers = append(b.containers, &watchedContainer{fn: watched})
		}
	}
	if len(b.functions) == 0 {
		return nil, nil
	}
	return b, b.connect(host)
}

func (f *Functions) newBlobFunction(fn *azureFunction, connection string) (*blobFunction, error) {
	path, err := parseBlobPath(expand(fn.trigger.Path, f.opts.Env))
	if err != nil {
		return nil, err
	}
	watched := &blobFunction{azureFunction: fn, path: path, eventGrid: strings.EqualFold(fn.trigger.Source, "EventGrid")}
	client := azcore.ClientOptions{Transport: f.queueHTTP}
	blobs, queues := &service.ClientOptions{ClientOptions: client}, &azqueue.ClientOptions{ClientOptions: client}
	var errs [2]error
	watched.blobs, errs[0] = service.NewClientFromConnectionString(connection, blobs)
	watched.poison, errs[1] = azqueue.NewQueueClientFromConnectionString(connection, poisonBlobs, queues)
	if errors.Join(errs[:]...) != nil { // which may quote the key
		return nil, fmt.Errorf("the connection of container %s is no connection string", path.container)
	}
	return watched, nil
}

// connect makes what the host keeps in its own account.
func (b *blobTriggers) connect(host string) error {
	client := azcore.ClientOptions{Transport: b.f.queueHTTP}
	p := &queuePoller{
		f: b.f, owner: "blobs", settings: b.f.app.blobs, name: blobQueue + b.hostID, grave: poisonBlobs,
		lease: b.f.opts.lease, read: b.read, graveOf: b.graveOf,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	blobs, queues := &service.ClientOptions{ClientOptions: client}, &azqueue.ClientOptions{ClientOptions: client}
	var errs [3]error
	var account *service.Client
	account, errs[0] = service.NewClientFromConnectionString(host, blobs)
	p.queue, errs[1] = azqueue.NewQueueClientFromConnectionString(host, p.name, queues)
	p.poison, errs[2] = azqueue.NewQueueClientFromConnectionString(host, p.grave, queues)
	if errors.Join(errs[:]...) != nil { // which may quote the key
		return errors.New("AzureWebJobsStorage is no connection string")
	}
	b.receipts, b.queue = account.NewContainerClient(hostContainer), p
	return nil
}

// scan looks through the containers until ctx ends.
func (b *blobTriggers) scan(ctx context.Context) {
	for _, w := range b.containers {
		b.f.log.printf("%s: looking through container %s", w.fn.name, w.fn.path.container)
	}
	for len(b.containers) > 0 {
		for _, w := range b.containers {
			err := b.sweep(ctx, w)
			if text := fmt.Sprint(err); ctx.Err() == nil && text != w.trouble { // said once, not at each look
				if w.trouble = text; err != nil {
					b.f.log.printf("%s: container %s: %v", w.fn.name, w.fn.path.container, err)
				}
			}
		}
		if !wait(ctx, b.f.opts.BlobScan) {
			return
		}
	}
}

// sweep looks through a container once. What could not be queued is found again.
func (b *blobTriggers) sweep(ctx context.Context, w *watchedContainer) error {
	newest, left := w.since, false
	pages := w.fn.blobs.NewContainerClient(w.fn.path.container).NewListBlobsFlatPager(nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if bloberror.HasCode(err, bloberror.ContainerNotFound) {
			return errors.New("it does not exist")
		}
		if err != nil {
			return err
		}
		for _, item := range page.Segment.BlobItems {
			modified := *item.Properties.LastModified
			if modified.Before(w.since) {
				continue
			}
			if modified.After(newest) {
				newest = modified
			}
			taken, err := b.found(ctx, w.fn, *item.Name)
			if err != nil {
				return fmt.Errorf("blob %s: %w", *item.Name, err)
			}
			left = left || taken
		}
	}
	if !left {
		w.since = newest
	}
	return nil
}

// found queues what is there under a name now, unless a host did that before. Taken says that one may be about to.
func (b *blobTriggers) found(ctx context.Context, fn *blobFunction, name string) (taken bool, err error) {
	if _, ok := fn.path.match(name); !ok {
		return false, nil
	}
	props, err := fn.blobs.NewContainerClient(fn.path.container).NewBlobClient(name).GetProperties(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m := blobMessage{
		FunctionID: fn.id(), BlobType: string(*props.BlobType), ContainerName: fn.path.container, BlobName: name,
		ETag: string(*props.ETag),
	}
	return newReceipt(b.receipts, b.hostID, m.FunctionID, m.ETag, m.ContainerName, name).once(ctx, func() error {
		return b.enqueue(ctx, m)
	})
}

// enqueue puts a message into the host's queue, which is made if need be.
func (b *blobTriggers) enqueue(ctx context.Context, m blobMessage) error {
	m.Type = "BlobTrigger"
	doc, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := putMessage(ctx, b.queue.queue, base64.StdEncoding.EncodeToString(doc)); err != nil {
		return fmt.Errorf("write to queue %s: %w", b.queue.name, err)
	}
	select {
	case b.queue.wake <- struct{}{}:
	default:
	}
	return nil
}

// read makes an invocation of a message of the host's queue. Messages about blobs that are gone or, where containers
// are looked through, were written again, are done with (BlobQueueTriggerExecutor.cs).
func (b *blobTriggers) read(m azqueue.DequeuedMessage, body []byte) (*invocation, *customhandler.Request, error) {
	var about blobMessage
	if err := json.Unmarshal(body, &about); err != nil {
		return nil, nil, fmt.Errorf("it is not about a blob: %w", err)
	}
	fn := b.functions[about.FunctionID]
	if fn == nil {
		b.f.log.printf("blobs: message %s is for %q, which has no blob trigger here", *m.MessageID, about.FunctionID)
		return nil, nil, nil
	}
	client := fn.blobs.NewContainerClient(about.ContainerName).NewBlobClient(about.BlobName)
	got, err := client.DownloadStream(b.f.ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		b.f.log.printf("%s: blob %s is gone", fn.name, about.BlobName)
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer got.Body.Close()
	if !fn.eventGrid && string(*got.ETag) != about.ETag {
		b.f.log.printf("%s: blob %s was written again", fn.name, about.BlobName)
		return nil, nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(got.Body, maxRequest+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > maxRequest {
		return nil, nil, fmt.Errorf("blob %s has more than %d bytes", about.BlobName, maxRequest)
	}
	inv, payload := b.invocation(fn, m, about, got, content)
	return inv, payload, nil
}

func (b *blobTriggers) invocation(fn *blobFunction, m azqueue.DequeuedMessage, about blobMessage,
	got blob.DownloadStreamResponse, content []byte) (*invocation, *customhandler.Request) {
	account, _, _ := strings.Cut(fn.blobs.URL(), "?")
	params, _ := fn.path.match(about.BlobName)
	trigger := customhandler.BlobTrigger{
		AccountURL: strings.TrimSuffix(account, "/"), Container: about.ContainerName, Name: about.BlobName,
		Body: content, Binary: fn.trigger.binary(), ETag: string(*got.ETag), Modified: *got.LastModified,
		Metadata: make(map[string]string), Params: params,
	}
	if got.ContentType != nil {
		trigger.ContentType = *got.ContentType
	}
	for name, value := range got.Metadata { // net/http has capitalised the names
		trigger.Metadata[strings.ToLower(name)] = *value
	}
	inv := &invocation{function: fn.name, id: customhandler.NewInvocationID()}
	inv.tag = effects.BlobTag(about.ContainerName, about.BlobName, trigger.ETag, int(*m.DequeueCount))
	b.f.log.printf("Trigger Details: MessageId: %s, DequeueCount: %d, InsertedOn: %s, BlobLastModified: %s (Id=%s)",
		*m.MessageID, *m.DequeueCount, m.InsertionTime.Format(time.RFC3339), trigger.Modified.Format(time.RFC3339), inv.id)
	return inv, trigger.Request(fn.trigger.Name, customhandler.NewSys(fn.name, time.Now()))
}

// graveOf returns the poison queue of the account that has the container, or the host's own.
func (b *blobTriggers) graveOf(text string) *azqueue.QueueClient {
	var about blobMessage
	if doc, err := base64.StdEncoding.DecodeString(text); err == nil && json.Unmarshal(doc, &about) == nil {
		if fn := b.functions[about.FunctionID]; fn != nil {
			return fn.poison
		}
	}
	return b.queue.poison
}
