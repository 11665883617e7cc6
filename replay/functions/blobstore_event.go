package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/replay"
)

// A blobEvent is what Event Grid tells of a blob that was written:
// https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage.
type blobEvent struct {
	Topic           string      `json:"topic"`
	Subject         string      `json:"subject"`
	EventType       string      `json:"eventType"`
	ID              string      `json:"id"`
	EventTime       string      `json:"eventTime"`
	DataVersion     string      `json:"dataVersion"`
	MetadataVersion string      `json:"metadataVersion"`
	Data            blobCreated `json:"data"`
}

type blobCreated struct {
	API             string `json:"api"`
	ClientRequestID string `json:"clientRequestId"`
	RequestID       string `json:"requestId"`
	ETag            string `json:"eTag"` // without quotes
	ContentType     string `json:"contentType"`
	ContentLength   int64  `json:"contentLength"`
	BlobType        string `json:"blobType"`
	URL             string `json:"url"`
	Sequencer       string `json:"sequencer"`
}

// webhookURL is where the host takes events for a blob trigger:
// https://learn.microsoft.com/azure/azure-functions/functions-event-grid-blob-trigger#build-the-endpoint-url.
func webhookURL(app, function, key string) (string, error) {
	u, err := url.Parse(app)
	if err != nil || u.Host == "" || u.RawQuery != "" {
		return "", errors.New("url: this is not the address of an app, such as https://NAME.azurewebsites.net")
	}
	return u.JoinPath("runtime/webhooks/blobs").String() +
		"?functionName=" + url.QueryEscape(functionID(function)) + "&code=" + url.QueryEscape(key), nil
}

// functionID is what the host calls a function in receipts, messages and the webhook's address.
func functionID(function string) string { return "Host.Functions." + function }

// notify sends the event of an upload. The host answers when it has put a message of its own into its queue.
func (b *Blob) notify(ctx context.Context, u *upload) (*capture.Outcome, error) {
	body, err := json.Marshal([]blobEvent{b.event(u)})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.webhook, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the webhook's address is not one") // without the key
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Aeg-Event-Type", "Notification")
	if mark, ok := replay.MarkFrom(ctx); ok {
		req.Header[capture.MarkHeader] = []string{mark.String()}
	}
	resp, err := b.opts.HTTP.Do(req)
	if err != nil {
		return replay.TransportFailure(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		return nil, nil
	}
	return refusedWith(resp.StatusCode, fmt.Errorf("the app answered %d to the event of blob %s at "+
		"/runtime/webhooks/blobs; its key is the system key blobs_extension", resp.StatusCode, u.name))
}

func (b *Blob) event(u *upload) blobEvent {
	now := time.Now().UTC()
	address, _, _ := strings.Cut(b.looks.URL(), "?")
	api := "PutBlob"
	if u.object.Size >= uploadBlock {
		api = "PutBlockList"
	}
	contentType := u.object.ContentType
	if contentType == "" {
		contentType = "application/octet-stream" // what a blob has that was given none
	}
	return blobEvent{
		Topic: "/subscriptions/tandem/resourceGroups/tandem/providers/Microsoft.Storage/storageAccounts/" +
			path.Base(strings.TrimSuffix(address, "/"+b.opts.Container)),
		Subject:   "/blobServices/default/containers/" + b.opts.Container + "/blobs/" + u.name,
		EventType: "Microsoft.Storage.BlobCreated", ID: customhandler.NewInvocationID(),
		EventTime: now.Format(time.RFC3339Nano), MetadataVersion: "1",
		Data: blobCreated{
			API: api, ClientRequestID: customhandler.NewInvocationID(), RequestID: customhandler.NewInvocationID(),
			ETag: u.etag, ContentType: contentType, ContentLength: u.object.Size, BlobType: "BlockBlob",
			URL: address + "/" + escapeBlobName(u.name), Sequencer: fmt.Sprintf("%032X", now.UnixNano()),
		},
	}
}

// escapeBlobName writes a name as the path of a URL. Slashes stay.
func escapeBlobName(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
	}
	return strings.Join(segments, "/")
}
