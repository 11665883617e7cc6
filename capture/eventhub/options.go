package eventhub

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/capture/translate"
)

// A Sink takes what is captured. A [capture.Writer] is one.
type Sink interface {
	Write(*capture.Invocation) error
	// Sync returns when a failure of the machine no longer loses what was written.
	Sync() error
	// AddLost counts invocations that were seen and could not be recorded.
	AddLost(n int64)
}

// An ObjectStore keeps content and returns its hash. A [capture.Writer] of a folder is one.
type ObjectStore interface {
	PutObject(io.Reader) (sha256hex string, size int64, err error)
}

// Options say what to capture and what to make of it. Client, Checkpoints, Hub and Sink are required.
type Options struct {
	Client      *azeventhubs.ConsumerClient
	Checkpoints azeventhubs.CheckpointStore
	Hub         string // its name, for messages

	// From is where partitions without a checkpoint are begun: at their earliest event unless something is set.
	From From
	// Until ends the capture with the events that were enqueued before. Idle ends it when no event has come for so
	// long. With neither it goes on until its context ends.
	Until time.Time
	Idle  time.Duration

	Kind Kind // KindAuto unless set
	// Pattern finds the event in a message of a function's log, in its group named event, or its first, or all of it,
	// in place of the shapes that are known.
	Pattern *regexp.Regexp

	// Function is the name of what nothing else names. Names has the recording's name for a function of Azure's, a
	// container, a queue, or an API or operation of API Management's.
	Function string
	Names    map[string]string
	// HTTP has what stood in front of the Lambda function, by its name in the recording; "" is for all others.
	HTTP map[string]translate.HTTPOptions
	// QueueARNs has the ARN of the queue for the name of a queue or a function. Others are made up.
	QueueARNs map[string]string
	Blobs     translate.BlobOptions
	// Objects keeps the bytes of blobs that payloads hold; Pin finds those of blobs that Event Grid tells of. With nil
	// they are not kept.
	Objects ObjectStore
	Pin     Pinner

	Sink Sink
	// Recorded gives the IDs of what the sink has already. Nil stands for none. Known is how many of them, the last
	// ones and those that come to them, are remembered, so that nothing is recorded twice: a million unless set.
	Recorded iter.Seq2[string, error]
	Known    int

	// Settle is how long an invocation is kept when all of it seems to be there, for records out of order: 5 s unless
	// set. Late is how long one that has ended waits for its event: 2 minutes unless set. Grace is how long one waits
	// for its end: 35 minutes unless set, as the Functions host stops functions after 30 unless told otherwise.
	Settle, Late, Grace time.Duration
	// MaxPending is how many bytes may wait so: 64 MiB unless set. When there are more, the oldest are given up.
	MaxPending int
	// Checkpoint is how often checkpoints are moved: 2 s unless set.
	Checkpoint time.Duration
	// Balance is how often partitions are shared out anew between processes: 10 s unless set. Expire is when those of a
	// process that ended without a word are free: a minute unless set.
	Balance, Expire time.Duration

	// Logf is told what a user may want to know meanwhile. Nil tells nobody.
	Logf func(format string, args ...any)
}

// From is where a partition is begun. The zero value is its earliest event.
type From struct {
	Latest bool
	Time   time.Time // the first event that was enqueued then or later
}

func (f From) position() azeventhubs.StartPosition {
	yes := true
	switch {
	case f.Latest:
		return azeventhubs.StartPosition{Latest: &yes}
	case !f.Time.IsZero():
		return azeventhubs.StartPosition{EnqueuedTime: &f.Time, Inclusive: true}
	}
	return azeventhubs.StartPosition{Earliest: &yes}
}

// Validate checks what defaults cannot mend, before anything is made.
func (o *Options) Validate() error {
	if o.Hub == "" {
		return errors.New("capture events: no hub")
	}
	if o.Kind != "" && o.Kind != KindAuto && !slices.Contains(Kinds, o.Kind) {
		return fmt.Errorf("%q is none of %s", o.Kind, kindNames())
	}
	if o.From.Latest && !o.From.Time.IsZero() {
		return errors.New("capture events: begin at the latest event or at a time, not both")
	}
	if !o.Until.IsZero() && !o.From.Time.IsZero() && !o.From.Time.Before(o.Until) {
		return fmt.Errorf("%s is not before %s", o.From.Time.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	}
	_, err := newMaker(o)
	return err
}

func kindNames() string {
	names := []string{string(KindAuto)}
	for _, k := range Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (o Options) withDefaults() Options {
	o.Kind = cmp.Or(o.Kind, KindAuto)
	set(&o.Settle, 5*time.Second)
	set(&o.Late, 2*time.Minute)
	set(&o.Grace, 35*time.Minute)
	set(&o.MaxPending, 64<<20)
	set(&o.Known, 1_000_000)
	set(&o.Checkpoint, 2*time.Second)
	set(&o.Balance, 10*time.Second)
	set(&o.Expire, time.Minute)
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	return o
}

// set gives an option its default.
func set[T int | time.Duration](option *T, value T) {
	if *option <= 0 {
		*option = value
	}
}

// name returns the recording's name for the first of keys that it has one for, or else the first that is not empty,
// or else the name for what nothing names.
func (o *Options) name(keys ...string) string {
	own := o.Function
	for _, key := range slices.Backward(keys) {
		key = strings.TrimPrefix(key, "Functions.")
		own = cmp.Or(key, own)
	}
	for _, key := range keys {
		if name := o.Names[strings.TrimPrefix(key, "Functions.")]; name != "" {
			return name
		}
	}
	return own
}

// nameOr is name for keys that are no names of functions: they are the last resort.
func (o *Options) nameOr(last string, keys ...string) string {
	for _, key := range keys {
		if name := o.Names[key]; name != "" {
			return name
		}
	}
	return cmp.Or(o.Function, last)
}
