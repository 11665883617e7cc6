package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
)

// ownHandler serves what does not come from the app.
func (f *Functions) ownHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/host/status", f.serveStatus)
	mux.HandleFunc("POST /admin/functions/{function}", f.serveAdminInvoke)
	mux.HandleFunc("/runtime/webhooks/{extension}", f.serveEventGrid)
	mux.HandleFunc("POST /runtime/webhooks/blobs", f.serveBlobEvents)
	mux.HandleFunc("POST /tandem/handler/{function}", f.serveSeam)
	if f.opts.Effects != nil {
		mux.Handle("/tandem/", f.opts.Effects.Handler())
	}
	return mux
}

func (f *Functions) serveStatus(w http.ResponseWriter, r *http.Request) {
	if !f.keys.admit(r, authAdmin) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, `{"state":"Running","version":%q}`+"\n", hostVersion)
}

// serveAdminInvoke fires a function by hand. It answers before the function runs and nobody learns what came of it:
// https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http.
func (f *Functions) serveAdminInvoke(w http.ResponseWriter, r *http.Request) {
	if !f.keys.admit(r, authAdmin) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fn := f.function(r.PathValue("function"))
	if fn == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var doc *struct {
		Input string `json:"input"`
	}
	if err != nil || json.Unmarshal(body, &doc) != nil || doc == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	inv := newInvocation(fn, r, "")
	payload, err := payloadByHand(fn, inv.id, doc.Input)
	if err != nil {
		f.log.printf("%s: %v", fn.name, err)
	} else if !f.invokeInBackground(inv, payload) {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// payloadByHand makes the payload of a function that is fired with a text.
func payloadByHand(fn *azureFunction, id, input string) (*customhandler.Request, error) {
	now := time.Now()
	sys := customhandler.NewSys(fn.name, now)
	switch strings.ToLower(fn.trigger.Type) {
	case "httptrigger":
		return nil, errors.New("an HTTP function is not fired through the admin API here; send it a request")
	case "blobtrigger":
		return nil, errors.New("a blob function is not fired through the admin API here: this host reads no blobs")
	case "queuetrigger":
		return customhandler.QueueTrigger{
			Body: []byte(input), Binary: fn.trigger.binary(), ID: id, DequeueCount: 1,
			Inserted: now, Expires: now.AddDate(0, 0, 7), NextVisible: now.Add(10 * time.Minute),
		}.Request(fn.trigger.Name, sys), nil
	case "eventgridtrigger":
		if !json.Valid([]byte(input)) {
			return nil, errors.New("an event of Event Grid is JSON")
		}
		return customhandler.EventGridTrigger{
			Events: []json.RawMessage{json.RawMessage(input)}, Many: fn.trigger.many(),
		}.Request(fn.trigger.Name, sys), nil
	default:
		return customhandler.TextRequest(fn.trigger.Name, input, sys), nil
	}
}

// invokeInBackground has a function run; false means that too many are waiting already, or the host is closed.
func (f *Functions) invokeInBackground(inv *invocation, payload *customhandler.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	select {
	case f.background <- struct{}{}:
	default:
		return false
	}
	inv.accepted = true
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		defer func() { <-f.background }()
		if _, err := f.call(f.ctx, inv, payload); err != nil {
			f.log.printf("%s: %v", inv.function, err)
		}
	}()
	return true
}

// serveSeam hands a payload, as it is, to a free handler and gives back what that answers. It is how a replay fires
// what queues and containers fire on Azure. Answers of its own have [customhandler.HostErrorHeader].
func (f *Functions) serveSeam(w http.ResponseWriter, r *http.Request) {
	fn := f.function(r.PathValue("function"))
	if fn == nil {
		err := fmt.Errorf("the app has no function %q that is enabled", r.PathValue("function"))
		refuseSeam(w, http.StatusNotFound, err)
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refuseSeam(w, http.StatusRequestEntityTooLarge, err)
		return
	}
	inv := newInvocation(fn, r, r.Header.Get(customhandler.InvocationIDHeader))
	header := make(http.Header) // a recorder beside the handler passes over what has a mark
	if mark := r.Header.Get(capture.MarkHeader); mark != "" {
		header.Set(capture.MarkHeader, mark)
	}
	inv.send = func(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
		c := customhandler.Client{URL: url, HTTP: client}
		return c.Post(ctx, fn.name, inv.id, header, payload)
	}
	resp, err := f.invoke(r.Context(), inv)
	switch {
	case errors.Is(err, errFunctionsClosed), errors.Is(err, errNoHandler):
		refuseSeam(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, errOutOfTime):
		refuseSeam(w, http.StatusGatewayTimeout, err)
	case err != nil:
		refuseSeam(w, http.StatusBadGateway, err)
	default:
		defer resp.Body.Close()
		f.passOn(w, resp)
	}
}

func refuseSeam(w http.ResponseWriter, status int, err error) {
	w.Header().Set(customhandler.HostErrorHeader, strings.Join(strings.Fields(err.Error()), " "))
	http.Error(w, err.Error(), status)
}

// function returns an enabled function by name, without case, or nil.
func (f *Functions) function(name string) *azureFunction {
	for _, fn := range f.app.functions {
		if strings.EqualFold(fn.name, name) && !fn.disabled {
			return fn
		}
	}
	return nil
}
