package completion

import (
	"context"
	"time"

	"tandem/capture"
)

// A Key names one thing that was handed to a platform, as both the replay and those who see it arrive can tell it.
type Key string

// Message is the key of a message in a Storage Queue or a Service Bus queue or topic, by the ID that it has there.
func Message(id string) Key { return Key("message/" + id) }

// Blob is the key of one upload of a blob. The ETag, without quotes, tells it from other uploads under that name; it is
// empty in reports of those who do not know it.
func Blob(container, name, etag string) Key {
	return Key("blob/" + container + "/" + name + "#" + etag)
}

// Event is the key of an event of Event Grid or Event Hubs, by the ID that the replay gave it.
func Event(id string) Key { return Key("event/" + id) }

// Invocation is the key of an asynchronous invocation of a Lambda function, by the request ID that Lambda answered.
func Invocation(requestID string) Key { return Key("invocation/" + requestID) }

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
	// Settled is what became of the thing in the end; "" while the platform may try again, or when the source cannot
	// tell.
	Settled capture.Fate
	Time    time.Time // when it happened, by the clock of whoever wrote it down
}

// A Source learns of completions.
type Source interface {
	// Run hands reports to b until ctx ends. It returns early only with an error that says why nothing more will be
	// heard from it.
	Run(ctx context.Context, b *Board) error
}
