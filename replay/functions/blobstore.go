package functions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/replay"
	"tandem/replay/completion"
)

// BlobOptions say which container a target uploads to, and for which function. Account, Container, Function and
// Objects are needed.
type BlobOptions struct {
	// Account is the container's storage account: a connection string, the URL of its Blob service or its name.
	Account    string
	Credential azcore.TokenCredential // for accounts that are not given by a connection string
	Container  string
	Function   string
	// EventGrid says that the trigger's source is Event Grid, so that nobody looks through the container.
	EventGrid bool
	// App is the address of the app, which is sent the events that Event Grid would send. "" when it does send them:
	// then the container has a subscription for the function.
	App string
	Key string // the app's system key blobs_extension, for App
	// Host is the account that the app's AzureWebJobsStorage is, where the host keeps its receipts and its queue;
	// default Account. What Account may be, it may be too.
	Host string
	// Attempts is how often the host calls the function for a blob: poisonBlobThreshold in host.json, 5 by default.
	Attempts int
	Objects  ObjectStore
	// Board has what others learn of the function. Without it, what storage tells is all there is.
	Board *completion.Board
	// Effects returns, and forgets, what the function did in the first delivery of an upload; see BlobTag in
	// capture/effects. Nil when nobody watches.
	Effects func(ctx context.Context, container, name, etag string) ([]capture.Effect, error)
	HTTP    *http.Client // from [replay.NewHTTPClient], which is the default too
}

func (o BlobOptions) withDefaults() BlobOptions {
	o.Host = cmp.Or(o.Host, o.Account)
	o.Attempts = cmp.Or(o.Attempts, 5)
	if o.Board == nil {
		o.Board = completion.NewBoard()
	}
	if o.HTTP == nil {
		o.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return o
}

// A Blob is a function with a blob trigger, fired by uploading to its container. It is safe for concurrent use. Of
// one name only one upload is under way at a time.
//
// Each object of an S3 event becomes a block blob with the recorded bytes. A blob that is there already is replaced:
// its new ETag fires the function again. Fire returns when what became of each is known, or with an error when ctx
// ends before; package replay/functions says how it is known. Blobs stay.
type Blob struct {
	opts    BlobOptions
	looks   *container.Client // retries as the SDK does
	sends   *container.Client // sends once: each upload fires the function
	host    hostStorage
	webhook string // "" where Event Grid sends the events
	names   nameTurns

	begin sync.Mutex // held while the container is looked at for the first time
	ready bool
}

// NewBlob returns the target that opts describe. It sends nothing.
func NewBlob(opts BlobOptions) (*Blob, error) {
	switch {
	case opts.Account == "" || opts.Container == "" || opts.Function == "":
		return nil, errors.New("a blob trigger needs its account, its container and the name of its function")
	case opts.Objects == nil:
		return nil, errors.New("there is no recording to read objects from")
	case opts.App != "" && (!opts.EventGrid || opts.Key == ""):
		return nil, errors.New("an app is sent events for a trigger whose source is Event Grid, and with its key")
	}
	opts = opts.withDefaults()
	b := &Blob{opts: opts, names: nameTurns{busy: make(map[string]chan struct{}), lost: make(map[string]bool)}}
	account := storageAccount{opts.Account, opts.Credential, opts.HTTP}
	blobs, err := account.blobs(0)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	once, err := account.blobs(sendOnce)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	b.looks, b.sends = blobs.NewContainerClient(opts.Container), once.NewContainerClient(opts.Container)
	if b.host, err = newHostStorage(account, storageAccount{opts.Host, opts.Credential, opts.HTTP}); err != nil {
		return nil, err
	}
	if opts.App != "" {
		b.webhook, err = webhookURL(opts.App, opts.Function, opts.Key)
	}
	return b, err
}

// Address is the container's URL, without secrets.
func (b *Blob) Address() string {
	address, _, _ := strings.Cut(b.looks.URL(), "?")
	return address
}

// Check refuses events that cannot become blobs; see [replay.Checker].
func (b *Blob) Check(inv *capture.Invocation) error {
	_, err := b.uploads(inv)
	return err
}

// uploads are the blobs that an S3 event becomes.
func (b *Blob) uploads(inv *capture.Invocation) ([]*upload, error) {
	if inv.Trigger != capture.TriggerS3 {
		return nil, fmt.Errorf("a container is sent the objects of S3 events, not events of the format %s", inv.Format)
	}
	records, err := parseS3Event(inv.Event)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errors.New("the event names no object")
	}
	uploads, names := make([]*upload, len(records)), make(map[string]bool)
	for i := range records {
		name := records[i].S3.Object.Key
		if err := checkBlobName(name); err != nil {
			return nil, fmt.Errorf("key %q: %w", name, err)
		}
		if names[name] {
			return nil, fmt.Errorf("key %q is in the event twice, and the second upload would replace the first", name)
		}
		object, err := pinned(inv, &records[i])
		if err != nil {
			return nil, err
		}
		if object.Size > largestUpload {
			return nil, fmt.Errorf("key %q: its %d bytes are more than the %d that are sent", name, object.Size, largestUpload)
		}
		names[name] = true
		uploads[i] = &upload{name: name, object: object}
	}
	return uploads, nil
}

// Fire uploads the objects of an S3 event and waits for what becomes of them; see [replay.Target].
func (b *Blob) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	uploads, err := b.uploads(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	if err := b.names.await(ctx, uploads); err != nil {
		return nil, err
	}
	defer b.names.leave(uploads)
	if out, err := b.send(ctx, uploads); out != nil || err != nil {
		return out, err
	}
	if err := b.await(ctx, uploads); err != nil {
		return nil, err
	}
	return b.outcome(ctx, uploads)
}

// prepare finds out once whether the container is there and may be used.
func (b *Blob) prepare(ctx context.Context) error {
	b.begin.Lock()
	defer b.begin.Unlock()
	if b.ready {
		return nil
	}
	if _, err := b.looks.GetProperties(ctx, nil); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &replay.SetupError{Err: fmt.Errorf("container %s: %s", b.opts.Container, brief(err))}
	}
	b.ready = true
	return nil
}

// outcome puts together what became of the uploads. A function that failed at first and succeeded later has
// succeeded, and the first failure is told.
func (b *Blob) outcome(ctx context.Context, uploads []*upload) (*capture.Outcome, error) {
	out := &capture.Outcome{Status: capture.StatusOK}
	for _, u := range uploads {
		failed := u.failure()
		if u.fate == capture.DeadLettered {
			out.Status = translate.Failed(failed).Status
		}
		if out.Error == nil {
			out.Error = failed
		}
		if b.opts.Effects == nil {
			continue
		}
		did, err := b.opts.Effects(ctx, b.opts.Container, u.name, u.etag)
		if err != nil {
			return nil, fmt.Errorf("effects of blob %s: %w", u.name, err)
		}
		if out.Effects == nil {
			out.Effects = []capture.Effect{}
		}
		out.Effects = append(out.Effects, did...)
	}
	return out, nil
}

// nameTurns let one upload of a name be under way at a time. The host takes the blob that is there when it looks, so
// of two at a time the first might never run, or run with the content of the second.
type nameTurns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the invocation that has the name ends
	lost map[string]bool          // names with an upload whose end is not known
}

// await takes the names of all uploads. An error is the cause of ctx's end.
func (t *nameTurns) await(ctx context.Context, uploads []*upload) error {
	for {
		busy := t.take(uploads)
		if busy == nil {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return fmt.Errorf("%w: another invocation has an upload of the same name under way", context.Cause(ctx))
		}
	}
}

// take takes all names, or none and returns what to wait for.
func (t *nameTurns) take(uploads []*upload) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range uploads {
		if busy := t.busy[u.name]; busy != nil {
			return busy
		}
	}
	own := make(chan struct{})
	for _, u := range uploads {
		t.busy[u.name] = own
		u.ambiguous = t.lost[u.name]
	}
	return nil
}

func (t *nameTurns) leave(uploads []*upload) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.busy[uploads[0].name]
	for _, u := range uploads {
		delete(t.busy, u.name)
		if u.sent && u.fate == "" {
			t.lost[u.name] = true
		}
	}
	close(own)
}
