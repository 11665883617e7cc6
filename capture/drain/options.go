package drain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A Handler writes what a batch of messages means to the recording. The messages are in the order in which they were
// received, which for a FIFO queue is the order of each group. None of them was recorded before; each has a
// MessageId, and its Body, Attributes and MessageAttributes as SQS gave them. Calls are made one after the other.
//
// When it returns no error, all messages of the batch that it does not refuse are taken as written: they are deleted
// from the queue after the next Sync. With an error the run ends, nothing of the batch is deleted, and what was
// written of it must be recognised by [Options.Known] when it comes again.
type Handler func(ctx context.Context, batch []types.Message) ([]Refusal, error)

// A Refusal says that nothing can be recorded of a message now. The message stays in the queue: it comes again when
// its visibility ends, and in the end goes where the queue's redrive policy sends it, or is dropped after the
// retention period.
type Refusal struct {
	MessageID string
	Err       error
}

// A Syncer is the recording. A [capture.Writer] is one.
type Syncer interface {
	// Sync returns when a failure of the machine can no longer lose what was written.
	Sync() error
}

// Options say how a queue is drained. Client, Queue, Sink, Known and Handle are required.
type Options struct {
	Client Client
	Queue  Queue
	Sink   Syncer
	// Known has the messages that were recorded before, and gets those that are recorded now.
	Known  *IDs
	Handle Handler

	// BatchSize is how many messages a batch has at most: 10 unless set. BatchWindow is how long the first of them
	// waits for more. Without a window a batch has what one receive gave, and with one it never waits longer for
	// messages of a FIFO group that SQS holds back until the earlier ones are deleted.
	BatchSize   int
	BatchWindow time.Duration
	// BatchBytes bounds the sum of Size over a batch, but for one that is larger alone. Size is the length of the
	// body unless set. No bound unless set.
	BatchBytes int
	Size       func(types.Message) int

	// MaxMessages ends the run when so many are recorded; Idle ends it when for so long nothing came but what was
	// refused. Without them, it ends with its context.
	MaxMessages int64
	Idle        time.Duration

	// Receivers is how many requests wait for messages at once: 3 unless set. Wait is how long a request does: 20 s
	// unless set, which SQS recommends and is its limit; never longer than Idle. Both in whole seconds.
	Receivers int
	Wait      time.Duration
	// Visibility is for how long a message that was received is kept from others: a minute unless set. What is held
	// longer is kept from them longer; what a kill leaves comes again after that time. In whole seconds.
	Visibility time.Duration
	// Grace is how long requests and handlers may go on after the end was asked for: 20 s unless set.
	Grace time.Duration
	// RetryDelay is the first wait after a request failed for good, which is to say after the Client's own retries.
	// It doubles from there, up to 30 s. 1 s unless set.
	RetryDelay time.Duration
	// Logf is told what a user may want to know meanwhile. Nil tells nobody.
	Logf func(format string, args ...any)
}

const (
	// Limits of SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference.
	perRequest    = 10 // messages in a request
	maxVisibility = 12 * time.Hour
	maxWait       = 20 * time.Second

	requestTimeout = 30 * time.Second // beyond the time that a request waits for messages
)

func (o Options) withDefaults() (Options, error) {
	if o.Client == nil || o.Queue.URL == "" || o.Sink == nil || o.Known == nil || o.Handle == nil {
		return o, errors.New("drain a queue: Client, Queue, Sink, Known and Handle are required")
	}
	set(&o.BatchSize, perRequest)
	set(&o.Receivers, 3)
	set(&o.Wait, maxWait)
	set(&o.Visibility, time.Minute)
	set(&o.Grace, 20*time.Second)
	set(&o.RetryDelay, time.Second)
	if o.Idle > 0 {
		o.Wait = max(time.Second, min(o.Wait, o.Idle))
	}
	if o.Wait > maxWait {
		return o, fmt.Errorf("drain %s: a request waits for %s at most, not %s", o.Queue.Name, maxWait, o.Wait)
	}
	if o.Visibility < time.Second || o.Visibility > maxVisibility {
		return o, fmt.Errorf("drain %s: a visibility of %s is not within 1s and %s",
			o.Queue.Name, o.Visibility, maxVisibility)
	}
	if o.Size == nil {
		o.Size = func(m types.Message) int { return len(aws.ToString(m.Body)) }
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	return o, nil
}

// set gives an option its default.
func set[T int | time.Duration](option *T, value T) {
	if *option <= 0 {
		*option = value
	}
}

// seconds is d as SQS takes it.
func seconds(d time.Duration) int32 { return int32(d / time.Second) }
