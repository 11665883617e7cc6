package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
)

// A blobEvent is what the webhook reads of an event of Event Grid.
type blobEvent struct {
	Data struct {
		ETag           string `json:"eTag"` // without quotes
		BlobType       string `json:"blobType"`
		URL            string `json:"url"`
		ValidationCode string `json:"validationCode"`
	} `json:"data"`
}

// serveBlobEvents takes events for the function that the query names. Each becomes a message in the host's queue,
// whatever kind of event it is, and before the answer. Whether there is such a function turns out when the message is
// read (BlobsExtensionConfigProvider.cs and HttpRequestProcessor.cs).
func (f *Functions) serveBlobEvents(w http.ResponseWriter, r *http.Request) {
	if !f.keys.admit(r, authSystem) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if f.blobs == nil { // the extension is not loaded
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	kind := r.Header.Get("Aeg-Event-Type")
	switch {
	case strings.EqualFold(kind, "Unsubscribe"):
		w.WriteHeader(http.StatusAccepted)
		return
	case !strings.EqualFold(kind, "Notification") && !strings.EqualFold(kind, "SubscriptionValidation"):
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	events, err := parseBlobEvents(body)
	if err == nil && strings.EqualFold(kind, "SubscriptionValidation") {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(map[string]string{"validationResponse": events[0].Data.ValidationCode})
		return
	}
	for i := 0; err == nil && i < len(events); i++ {
		var m blobMessage
		if m, err = events[i].message(r.URL.Query().Get("functionName")); err == nil {
			err = f.blobs.enqueue(r.Context(), m)
		}
	}
	if err != nil {
		f.log.printf("blobs: an event: %v", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// parseBlobEvents reads a list of one event or more, or one event.
func parseBlobEvents(body []byte) ([]blobEvent, error) {
	var events []blobEvent
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		events = make([]blobEvent, 1)
		return events, json.Unmarshal(body, &events[0])
	}
	err := json.Unmarshal(body, &events)
	if err == nil && len(events) == 0 {
		err = errors.New("the list is empty")
	}
	return events, err
}

func (e *blobEvent) message(function string) (blobMessage, error) {
	at, err := blob.ParseURL(e.Data.URL)
	if err != nil || at.ContainerName == "" || at.BlobName == "" || e.Data.BlobType == "" {
		return blobMessage{}, fmt.Errorf("its url %q is not that of a blob, or it has no blobType", e.Data.URL)
	}
	return blobMessage{
		FunctionID: function, BlobType: e.Data.BlobType, ContainerName: at.ContainerName, BlobName: at.BlobName,
		ETag: `"` + e.Data.ETag + `"`,
	}, nil
}
