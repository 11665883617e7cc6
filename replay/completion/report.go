package completion

import (
	"context"
	"strings"
	"time"

	"tandem/capture"
)

// A Key names one thing that was handed to a platform, as both the replay and those who see it arrive can tell it.
type Key string

// Message is the key of a message in a Storage Queue or a Service Bus queue or topic, by the ID that it has there.
func Message(id string) Key { return Key("message/" + id) }

// Blob is the key of one upload of a blob. The ETag tells it from other uploads under that name; it is empty in reports
// of those who do not know it. Quotes around it are left out.
func Blob(container, name, etag string) Key {
	return Key("blob/" + container + "/" + name + "#" + strings.Trim(etag, `"`))
}

// Event is the key of an event of Event Grid or Event Hubs, by the ID that the replay gave it.
func Event(id string) Key { return Key("event/" + id) }

// Invocation is the key of an asynchronous invocation of a Lambda function, by the request ID that Lambda answered.
func Invocation(requestID string) Key { return Key("invocation/" + requestID) }

// shared tells whether several things can have the key, one after the other: uploads of one blob.
func (k Key) shared() bool {
	return strings.HasPrefix(string(k), "blob/") && strings.HasSuffix(string(k), "#")
}

// A Report is what a source has learned of one attempt of the platform to have a thing worked on.
type Report struct {
	Key    Key
	Source string // who learned it, such as "recorder" or "logs"
	// Attempt is the delivery that the report is about, from 1; 0 when the source does not know.
	Attempt int
	// Invocation is the platform's ID of the attempt, "" when the source does not know it. Reports with one ID are
	// about one attempt.
	Invocation string
	// Outcome is what the attempt did, as far as the source knows; nil when it saw only where the thing went.
	Outcome *capture.Outcome
	// Open says of an attempt that succeeded that its platform may still fail it, as when a handler has answered and
	// the host has output bindings to write.
	Open bool
	// Settled is what became of the thing in the end; "" while the platform may try again, or when the source cannot
	// tell.
	Settled capture.Fate
	Time    time.Time // when it happened, by the clock of whoever wrote it down
}

// again tells whether r says what a source has said already.
func (r *Report) again(known *Report) bool {
	return known.Source == r.Source && known.Invocation == r.Invocation && known.Attempt == r.Attempt &&
		known.Settled == r.Settled && known.Open == r.Open && r.status() == known.status()
}

func (r *Report) status() capture.Status {
	if r.Outcome == nil {
		return ""
	}
	return r.Outcome.Status
}

// A Source learns of completions.
type Source interface {
	// Name is what its reports call it, with where it hears them.
	Name() string
	// Open takes what the source needs. What happens once it has returned is not missed by Run.
	Open(ctx context.Context) error
	// Run hands reports to b until ctx ends, and lets go of what Open took. It returns early only with an error that
	// says why nothing more will be heard from it.
	Run(ctx context.Context, b *Board) error
}
