package translate

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/capture"
)

// The kinds of triggers that [Source] names.
const (
	KindHTTP       = "http"
	KindQueue      = "queue"
	KindServiceBus = "servicebus"
	KindBlob       = "blob"
)

const translated = ":translated/"

// Source returns the source of an invocation that capturer saw on Azure and that this package made a Lambda event
// of: "eventhub:translated/queue/orders". Name is that of the queue, the container or, for HTTP, the function.
func Source(capturer, kind, name string) string { return capturer + translated + kind + "/" + name }

// IsTranslated reports whether source is one that [Source] returned.
func IsTranslated(source string) bool {
	_, rest, _ := strings.Cut(source, ":")
	return strings.HasPrefix(":"+rest, translated)
}

// NewInvocation returns the invocation of function by event at that time, with an ID of its own. Trigger and format
// are found from the event.
func NewInvocation(function, source string, at time.Time, event json.RawMessage) *capture.Invocation {
	inv := &capture.Invocation{
		ID:       ulid.MustNew(timestamp(at), ulid.DefaultEntropy()).String(),
		Function: function, Source: source, Time: at, Event: event,
	}
	inv.Trigger, inv.Format = capture.Detect(event)
	return inv
}

// timestamp is the nearest time that a ULID can have.
func timestamp(at time.Time) uint64 {
	return uint64(min(max(at.UnixMilli(), 0), int64(ulid.MaxTime())))
}
