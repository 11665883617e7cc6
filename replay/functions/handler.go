package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/replay"
)

// HandlerOptions say which function of which custom handler a target calls. URL and Function are needed.
type HandlerOptions struct {
	URL      string // of the handler, such as "http://127.0.0.1:7071"
	Function string
	// Binding is the trigger's name in function.json; default "message" for queues and "blob" for blobs.
	Binding string
	// Binary is what "dataType": "binary" in function.json says: the value is base64, not text.
	Binary bool
	// Container is where the function watches for blobs; default is the name of the bucket.
	Container string
	// BlobParam is the parameter of the path in function.json, "{name}" in "catalog/{name}"; default "name".
	BlobParam string
	// AccountURL begins the addresses of blobs; default that of the storage emulator.
	AccountURL string
	Objects    ObjectStore
	HTTP       *http.Client // from [replay.NewHTTPClient], which is the default too
}

// An ObjectStore has the bytes of pinned objects; a [capture.Recording] is one.
type ObjectStore interface {
	OpenObject(sha256 string) (io.ReadCloser, error)
}

func (o HandlerOptions) withDefaults() HandlerOptions {
	if o.BlobParam == "" {
		o.BlobParam = "name"
	}
	if o.AccountURL == "" {
		o.AccountURL = "http://127.0.0.1:10000/devstoreaccount1"
	}
	if o.HTTP == nil {
		o.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	return o
}

// A Handler is a function with a queue or blob trigger, called in the host's stead by the custom handler protocol. It
// is safe for concurrent use.
//
// Where the host would fire once for each message or object, so does a Handler, one after the other. There is no
// platform between it and the function, so nothing is ever throttled: a 429 is the function's failure.
type Handler struct {
	opts   HandlerOptions
	client customhandler.Client
}

// NewHandler returns the target that opts describe.
func NewHandler(opts HandlerOptions) (*Handler, error) {
	if opts.URL == "" || opts.Function == "" {
		return nil, errors.New("a custom handler needs its url and the name of the function")
	}
	opts = opts.withDefaults()
	return &Handler{opts: opts, client: customhandler.Client{URL: opts.URL, HTTP: opts.HTTP}}, nil
}

// Check refuses events of other triggers, and those of objects that the recording does not have; see
// [replay.Checker].
func (h *Handler) Check(inv *capture.Invocation) error {
	switch inv.Trigger {
	case capture.TriggerSQS:
		_, err := parseSQSEvent(inv.Event)
		return err
	case capture.TriggerS3:
		records, err := parseS3Event(inv.Event)
		for i := range records {
			if err == nil {
				_, err = pinned(inv, &records[i])
			}
		}
		return err
	case capture.TriggerHTTP:
		return errors.New("an HTTP event is not for a handler; use http: with the function's URL")
	default:
		return fmt.Errorf("no trigger of a handler is known for events of the format %s", inv.Format)
	}
}

// Fire calls the function once for each message or object of the event; see [replay.Target].
func (h *Handler) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	if err := h.Check(inv); err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	if inv.Trigger == capture.TriggerSQS {
		return h.fireMessages(ctx, inv)
	}
	return h.fireObjects(ctx, inv)
}

func (h *Handler) binding(byTrigger string) string {
	if h.opts.Binding != "" {
		return h.opts.Binding
	}
	return byTrigger
}

func (h *Handler) sys() customhandler.Sys { return customhandler.NewSys(h.opts.Function, time.Now()) }

// call invokes the function. Failed is why the invocation failed, nil when it succeeded; err means that its outcome
// is not known.
func (h *Handler) call(ctx context.Context, req *customhandler.Request) (failed *capture.Error, err error) {
	header := make(http.Header)
	if mark, ok := replay.MarkFrom(ctx); ok {
		header.Set(capture.MarkHeader, mark.String())
	}
	_, status, err := h.client.Call(ctx, h.opts.Function, customhandler.NewInvocationID(), header, req)
	return customhandler.Failure(status, err)
}
