package functions

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"
)

// Where the host keeps what it does about blobs: BlobReceiptManager.cs, HostQueueNames.cs in
// https://github.com/Azure/azure-sdk-for-net, under sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.*.
const (
	hostContainer = "azure-webjobs-hosts"
	receiptFolder = "blobreceipts/"
	triggerQueue  = "azure-webjobs-blobtrigger-" // and the host's ID
	poisonBlobs   = "webjobs-blobtrigger-poison"
	maxPeek       = 32
)

// A hostStorage is what the Functions host keeps in storage about the blobs that it has seen.
type hostStorage struct {
	receipts *container.Client
	queues   *azqueue.ServiceClient
	poison   *azqueue.QueueClient // of the container's account

	mu     sync.Mutex
	proven bool
	proof  error // what the proof showed
}

func newHostStorage(data, host storageAccount) (hostStorage, error) {
	blobs, err := host.blobs(0)
	if err != nil {
		return hostStorage{}, fmt.Errorf("host: %w", err)
	}
	queues, err := host.queues()
	if err != nil {
		return hostStorage{}, fmt.Errorf("host: %w", err)
	}
	poison, err := data.queues()
	if err != nil {
		return hostStorage{}, fmt.Errorf("account: %w", err)
	}
	return hostStorage{
		receipts: blobs.NewContainerClient(hostContainer), queues: queues, poison: poison.NewQueueClient(poisonBlobs),
	}, nil
}

// receipt returns the ID of the host that has put a message about the upload into its queue, "" when none has yet. It
// fails when several have: nothing tells which of them is the one that is compared.
func (h *hostStorage) receipt(ctx context.Context, opts BlobOptions, u *upload) (owner string, err error) {
	hosts, err := h.hosts(ctx)
	if err != nil {
		return "", err
	}
	for _, host := range hosts {
		has, err := h.hasReceipt(ctx, host, opts, u)
		switch {
		case err != nil:
			return "", fmt.Errorf("receipts of host %s: %s", host, brief(err))
		case has && owner != "":
			return "", fmt.Errorf("the hosts %s and %s both watch container %s: let one app do that", owner, host,
				opts.Container)
		case has:
			owner = host
		}
	}
	return owner, nil
}

func (h *hostStorage) hasReceipt(ctx context.Context, host string, opts BlobOptions, u *upload) (bool, error) {
	for _, etag := range []string{`"` + u.etag + `"`, u.etag} { // not all versions write it alike
		name := receiptFolder + strings.Join([]string{host, functionID(opts.Function), etag, opts.Container, u.name}, "/")
		got, err := h.receipts.NewBlobClient(name).GetProperties(ctx, nil)
		if err == nil {
			return !isIncomplete(got.Metadata), nil
		}
		if !isMissing(err) {
			return false, err
		}
	}
	return false, nil
}

// isIncomplete tells the receipts of what is not in the queue yet (BlobReceipt.cs).
func isIncomplete(metadata map[string]*string) bool {
	for name := range metadata {
		if strings.EqualFold(name, "Incomplete") {
			return true
		}
	}
	return false
}

func isMissing(err error) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

// hosts returns the IDs of the hosts that have receipts in the account.
func (h *hostStorage) hosts(ctx context.Context) ([]string, error) {
	var ids []string
	pages := h.receipts.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{
		Prefix: to.Ptr(receiptFolder),
	})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if isMissing(err) {
			return nil, nil // no host has seen a blob
		}
		if err != nil {
			return nil, fmt.Errorf("container %s: %s", hostContainer, brief(err))
		}
		for _, p := range page.Segment.BlobPrefixes {
			ids = append(ids, strings.TrimSuffix(strings.TrimPrefix(*p.Name, receiptFolder), "/"))
		}
	}
	return ids, nil
}

// empty tells whether the queue of a host has no messages, hidden ones either. The count that the service gives is
// never lower than the number of messages: https://learn.microsoft.com/rest/api/storageservices/get-queue-metadata.
func (h *hostStorage) empty(ctx context.Context, host string) (bool, error) {
	if err := h.prove(ctx); err != nil {
		return false, err
	}
	n, err := countMessages(ctx, h.queues.NewQueueClient(triggerQueue+host))
	return n == 0 && err == nil, err
}

func countMessages(ctx context.Context, queue *azqueue.QueueClient) (int64, error) {
	got, err := queue.GetProperties(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("queue %s: %s", queueName(queue), brief(err))
	}
	if got.ApproximateMessagesCount == nil {
		return 0, fmt.Errorf("queue %s: the service does not count its messages", queueName(queue))
	}
	return *got.ApproximateMessagesCount, nil
}

// queueName is the end of the queue's address.
func queueName(queue *azqueue.QueueClient) string {
	address, _, _ := strings.Cut(queue.URL(), "?")
	return address[strings.LastIndexByte(address, '/')+1:]
}

// prove checks once, in a queue of its own, that messages which nobody can see are counted: else a function that runs
// would look as if it had ended.
func (h *hostStorage) prove(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proven {
		return h.proof
	}
	queue := h.queues.NewQueueClient("tandem-" + strings.ToLower(rand.Text()))
	if _, err := queue.Create(ctx, nil); err != nil {
		return fmt.Errorf("create a queue to see how messages are counted: %s", brief(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawPatience)
		defer cancel()
		_, _ = queue.Delete(ctx, nil) // what is left is an empty queue
	}()
	_, err := queue.EnqueueMessage(ctx, "tandem", &azqueue.EnqueueMessageOptions{
		VisibilityTimeout: seconds(time.Minute), TimeToLive: seconds(2 * time.Minute),
	})
	if err != nil {
		return fmt.Errorf("see how messages are counted: %s", brief(err))
	}
	n, err := countMessages(ctx, queue)
	if err != nil {
		return err
	}
	if h.proven = true; n == 0 {
		h.proof = errors.New("the service does not count hidden messages, so its queues do not tell when a function ends")
	}
	return h.proof
}

// peek returns what is in the poison queue, and leaves it there; whole says that this is all.
func (h *hostStorage) peek(ctx context.Context) (messages []blobMessage, whole bool, err error) {
	got, err := h.poison.PeekMessages(ctx, &azqueue.PeekMessagesOptions{NumberOfMessages: to.Ptr[int32](maxPeek)})
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		return nil, true, nil // the host makes it when it needs it
	}
	if err != nil {
		return nil, false, fmt.Errorf("queue %s: %s", poisonBlobs, brief(err))
	}
	for _, m := range got.Messages {
		if m.MessageText != nil {
			messages = append(messages, parseBlobMessage(*m.MessageText))
		}
	}
	// One that somebody has taken is hidden from here, and is counted.
	n, err := countMessages(ctx, h.poison)
	return messages, err == nil && int(n) <= len(messages), err
}

// A blobMessage is what the host writes about a blob into its own queue, and from there into the poison queue
// (BlobTriggerMessage.cs).
type blobMessage struct {
	FunctionID    string `json:"FunctionId"`
	ContainerName string
	BlobName      string
	ETag          string
}

// isOf tells whether the message is for a function. Its ID is "Host.Functions.NAME".
func (m blobMessage) isOf(function string) bool {
	return strings.EqualFold(m.FunctionID[strings.LastIndexByte(m.FunctionID, '.')+1:], function)
}

// parseBlobMessage reads a message, in base64 or not. One that is none gives the zero value.
func parseBlobMessage(text string) blobMessage {
	doc, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		doc = []byte(text)
	}
	var m blobMessage
	if json.Unmarshal(doc, &m) != nil {
		return blobMessage{}
	}
	return m
}
