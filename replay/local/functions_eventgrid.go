package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/capture/customhandler"
)

// eventGridOrigins are the clouds' Event Grids that the handshake of CloudEvents may name. The first is the default.
var eventGridOrigins = []string{
	"eventgrid.azure.net", "eventgrid.azure.us", "eventgrid.azure.eaglex.ic.gov", "eventgrid.azure.microsoft.scloud",
	"eventgrid.azure.cn",
}

// serveEventGrid is where Event Grid delivers events for functions with an Event Grid trigger. It answers when the
// functions have ended: 202 when all succeeded, and else 500 with why one did not. The master key and the system key
// open it.
//
// Source: EventGridExtensionConfigProvider.cs and HttpRequestProcessor.cs in
// https://github.com/Azure/azure-sdk-for-net, under sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid.
func (f *Functions) serveEventGrid(w http.ResponseWriter, r *http.Request) {
	if !f.keys.admit(r, authSystem) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if !strings.EqualFold(r.PathValue("extension"), "eventgrid") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fn := f.eventGridFunction(r.URL.Query().Get("functionName"))
	if fn == nil {
		http.Error(w, fmt.Sprintf("cannot find function: '%s'", r.URL.Query().Get("functionName")), http.StatusNotFound)
		return
	}
	if r.Method == http.MethodOptions {
		origin := r.Header.Get("WebHook-Request-Origin")
		if !slices.Contains(eventGridOrigins, origin) {
			origin = eventGridOrigins[0]
		}
		w.Header().Set("Webhook-Allowed-Origin", origin)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	switch kind := r.Header.Get("Aeg-Event-Type"); {
	case strings.EqualFold(kind, "SubscriptionValidation"):
		f.validateSubscription(w, body)
	case strings.EqualFold(kind, "Notification"):
		f.deliverEvents(w, r, fn, body)
	case strings.EqualFold(kind, "Unsubscribe"):
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// eventGridFunction returns the function of that very name if it has an Event Grid trigger and is enabled.
func (f *Functions) eventGridFunction(name string) *azureFunction {
	fn := f.function(name)
	if fn == nil || fn.name != name || !strings.EqualFold(fn.trigger.Type, "eventGridTrigger") {
		return nil
	}
	return fn
}

// validateSubscription tells Event Grid that its events are wanted.
func (f *Functions) validateSubscription(w http.ResponseWriter, body []byte) {
	events, err := eventList(body)
	var event struct {
		Data struct {
			ValidationCode string `json:"validationCode"`
		} `json:"data"`
	}
	if err != nil || len(events) == 0 || json.Unmarshal(events[0], &event) != nil || event.Data.ValidationCode == "" {
		w.WriteHeader(http.StatusInternalServerError) // the extension throws
		return
	}
	doc, err := json.Marshal(map[string]string{"validationResponse": event.Data.ValidationCode})
	if err != nil {
		panic(err) // a string in a map always marshals
	}
	_, _ = w.Write(doc)
}

// eventList reads one event, or a list of them.
func eventList(body []byte) ([]json.RawMessage, error) {
	var events []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err := json.Unmarshal(body, &events)
		return events, err
	}
	var event map[string]json.RawMessage
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, err
	}
	return []json.RawMessage{body}, nil
}

// deliverEvents calls the function, once for all events or once for each, all at the same time.
func (f *Functions) deliverEvents(w http.ResponseWriter, r *http.Request, fn *azureFunction, body []byte) {
	events, err := eventList(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	deliveries := [][]json.RawMessage{events}
	if !fn.trigger.many() {
		deliveries = nil
		for _, event := range events {
			deliveries = append(deliveries, []json.RawMessage{event})
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.opts.HTTPTimeout)
	defer cancel()
	failures := make([]error, len(deliveries))
	var calls sync.WaitGroup
	for i, delivery := range deliveries {
		calls.Go(func() {
			inv := newInvocation(fn, r, "")
			trigger := customhandler.EventGridTrigger{Events: delivery, Many: fn.trigger.many()}
			req := trigger.Request(fn.trigger.Name, customhandler.NewSys(fn.name, time.Now()))
			_, failures[i] = f.call(ctx, inv, req)
		})
	}
	calls.Wait()
	failed := errors.Join(failures...)
	switch {
	case failed == nil:
		w.WriteHeader(http.StatusAccepted)
	case ctx.Err() != nil, errors.Is(failed, errFunctionsClosed), errors.Is(failed, errNoHandler):
		f.fail(w, failed)
	case errors.Is(failed, errOutOfTime):
		http.Error(w, fmt.Sprintf("Timeout value of %v was exceeded by function: Functions.%s", f.app.timeout, fn.name),
			http.StatusInternalServerError)
	default:
		f.log.printf("%s: %v", fn.name, failed)
		http.Error(w, failed.Error(), http.StatusInternalServerError)
	}
}
