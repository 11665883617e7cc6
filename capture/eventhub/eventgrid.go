package eventhub

import (
	"cmp"
	"encoding/json"
	"strings"

	"tandem/capture"
	"tandem/capture/translate"
)

// gridEvent is a blob event of Event Grid, in its own schema or as a CloudEvent. Source:
// https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage.
type gridEvent struct {
	ID        string `json:"id"`
	Subject   string `json:"subject"`
	EventType string `json:"eventType"`
	EventTime string `json:"eventTime"`
	Topic     string `json:"topic"`
	Type      string `json:"type"`   // of a CloudEvent
	Time      string `json:"time"`   // of a CloudEvent
	Source    string `json:"source"` // of a CloudEvent
	Data      struct {
		ContentType   string      `json:"contentType"`
		ContentLength json.Number `json:"contentLength"`
		ETag          string      `json:"eTag"`
		URL           string      `json:"url"`
		Sequencer     string      `json:"sequencer"`
	} `json:"data"`
}

const (
	blobCreated = "Microsoft.Storage.BlobCreated"
	blobDeleted = "Microsoft.Storage.BlobDeleted"
)

// eventGrid takes an event of Event Grid. It delivers some twice: its own ID tells them.
func (r *reader) eventGrid(e *event, doc []byte) finding {
	var g gridEvent
	if err := json.Unmarshal(doc, &g); err != nil {
		var kind struct{ EventType, Type string }
		if json.Unmarshal(doc, &kind) == nil && !isBlobEvent(cmp.Or(kind.EventType, kind.Type)) {
			return finding{left: leftType, err: hint(cmp.Or(kind.EventType, kind.Type))}
		}
		return finding{left: leftUnknown, err: err}
	}
	kind := cmp.Or(g.EventType, g.Type)
	if !isBlobEvent(kind) {
		return finding{left: leftType, err: hint(kind)}
	}
	container, name, ok := strings.Cut(strings.TrimPrefix(g.Subject, "/blobServices/default/containers/"), "/blobs/")
	if !ok || container == "" || name == "" || g.ID == "" {
		return finding{left: leftUnknown, err: hint("a blob event that does not say which blob")}
	}
	size, _ := g.Data.ContentLength.Int64() // there is none for blobs that are gone
	at := cmp.Or(parseTime(cmp.Or(g.EventTime, g.Time)), e.at)
	id := identity(at, "eventgrid\x00"+cmp.Or(g.Topic, g.Source)+"\x00"+g.ID)
	f := whole(KindEventGrid)(r.make.blob(id, r.opts.nameOr(container, container), translate.Blob{
		Container: container, Name: name, ETag: g.Data.ETag, Size: size, Time: at, Deleted: kind == blobDeleted,
		Sequencer: g.Data.Sequencer,
	}))
	if f.whole != nil && kind == blobCreated && r.opts.Pin != nil {
		f.pin = &pin{url: g.Data.URL, etag: g.Data.ETag, object: capture.Object{
			Bucket: r.opts.Blobs.Bucket(container), Key: name, ContentType: g.Data.ContentType,
		}}
	}
	return f
}

func isBlobEvent(kind string) bool { return kind == blobCreated || kind == blobDeleted }
