package s3tap

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/lambdaevent"
)

// A Tap is a queue that gets what S3 tells a function.
type Tap struct {
	// Drain says how the queue is drained. Sink, Known, Handle, BatchSize, BatchWindow and Logf are set by [Drain].
	Drain drain.Options
	// EventBridge says that EventBridge triggers the function, so that its events are kept as they are. Otherwise
	// S3 does, and events of EventBridge are translated to those of S3.
	EventBridge bool
	// Recording is what Sink writes to, which says what was recorded before; "" for nothing.
	Recording string
}

// Objects are read for a whole batch, which is also how far notifications of one key are put in order.
const (
	batchSize   = 64
	batchWindow = 250 * time.Millisecond
)

// Drain records the notifications that a tap gets, each once, with their objects. A message is deleted from the tap
// when both are on disk, so that a kill loses nothing; what is recorded and comes again is recognised by the
// identity that S3 gave it, or, where that is not in the recording any more because a Redactor replaced a part of it,
// by the ID of the message. A message that is no notification stays in the queue, and so does one whose object the
// store does not give at the moment.
//
// The report is there with every error but those about options. The end of ctx is no error.
func Drain(ctx context.Context, opts Options, tap Tap) (*Report, error) {
	c, err := newCapturing(opts)
	if err != nil {
		return nil, err
	}
	t := &tapper{capturing: c, tap: tap}
	defer t.recorded.Close()
	if tap.Recording != "" {
		if err := t.readRecorded(ctx); err != nil {
			return nil, err
		}
	}
	var messages drain.IDs
	defer messages.Close()
	d := tap.Drain
	d.Sink, d.Known, d.Handle, d.Logf = c.opts.Sink, &messages, t.handle, c.opts.Logf
	d.BatchSize, d.BatchWindow = batchSize, batchWindow
	counts, err := drain.Run(ctx, d)
	c.report.Queue = &counts
	return c.report, err
}

// A tapper makes invocations of messages.
type tapper struct {
	*capturing
	tap      Tap
	recorded drain.IDs // identities of events, and the IDs of their invocations
}

// readRecorded learns what the recording has already.
func (t *tapper) readRecorded(ctx context.Context) error {
	rec, err := capture.Open(t.tap.Recording, capture.OpenOptions{Identities: t.opts.Identities})
	if err != nil {
		return err
	}
	defer rec.Close()
	_, err = t.recorded.AddRecorded(ctx, rec, time.Time{}, func(inv *capture.Invocation) []string {
		if inv.Function != t.opts.Function || !strings.HasPrefix(inv.Source, sourceVerbatim) &&
			!strings.HasPrefix(inv.Source, sourceTranslated) {
			return nil
		}
		return []string{identityOf(inv.Event, parseMessage(inv.Event).records), inv.ID}
	})
	return err
}

const (
	sourceVerbatim   = "s3:queue/"
	sourceTranslated = "s3:eventbridge/"
)

// handle records a batch; see [drain.Handler].
func (t *tapper) handle(ctx context.Context, batch []types.Message) ([]drain.Refusal, error) {
	var refusals []drain.Refusal
	refuse := func(id string, err error) { refusals = append(refusals, drain.Refusal{MessageID: id, Err: err}) }
	var jobs []*job
	for _, m := range batch {
		t.report.Seen++
		j, why, err := t.newJob(aws.ToString(m.Body))
		switch {
		case err != nil:
			t.report.Refused++
			refuse(*m.MessageId, err)
		case why != "":
			t.report.LeftOut[why]++
		default:
			j.id = *m.MessageId
			j.invocation = invocationID(firstTime(j.message.records), t.opts.Function, j.id)
			jobs = append(jobs, j)
		}
	}
	sortWithinKeys(jobs)
	if err := t.fetchAll(ctx, jobs); err != nil {
		t.report.Waiting += int64(len(jobs))
		return nil, err
	}
	waits := make(map[string]bool) // keys of which an earlier event waits
	for i, j := range jobs {
		switch err := t.settle(ctx, j, waits); {
		case errors.Is(err, errWaits):
			t.report.Waiting++
			refuse(j.id, err)
		case err != nil:
			t.report.Waiting += int64(len(jobs) - i)
			return nil, err
		}
	}
	return refusals, nil
}

// newJob makes a job of the body of a message, or says why not: because it is to be left out, or cannot be used.
func (t *tapper) newJob(body string) (j *job, why LeftOut, err error) {
	m := parseMessage([]byte(body))
	source := sourceVerbatim + t.tap.Drain.Queue.Name
	switch {
	case m.kind == testEvent:
		return nil, TestEvent, nil
	case m.kind == unknown:
		return nil, "", errors.New("it is no notification of S3: is this the right queue?")
	case m.kind == notification && t.tap.EventBridge:
		return nil, "", errors.New("S3 sent it and not EventBridge, which is said to trigger the function")
	case m.kind == eventBridge && !t.tap.EventBridge:
		r := m.records[0]
		if r.Name == "" {
			return nil, OtherEvent, nil
		}
		r.Size = max(0, r.Size)
		if m.event, err = lambdaevent.S3(r); err != nil {
			return nil, "", err
		}
		source = sourceTranslated + t.tap.Drain.Queue.Name
	}
	return newJob(m, source), "", nil
}

// fetchAll fetches jobs, some at once. What is recorded already is not fetched again.
func (t *tapper) fetchAll(ctx context.Context, jobs []*job) error {
	var fetches errgroup.Group
	fetches.SetLimit(t.opts.Fetches)
	for _, j := range jobs {
		known, err := t.isRecorded(j)
		if err != nil {
			return errors.Join(err, fetches.Wait())
		}
		if known {
			close(j.done)
			continue
		}
		fetches.Go(func() error {
			t.fetch(ctx, j)
			return nil
		})
	}
	return fetches.Wait()
}

// errWaits is wrapped by the reasons why an event is not recorded now and comes again.
var errWaits = errors.New("it comes again")

// settle records a job that was fetched. An error other than errWaits is the end of the capture.
func (t *tapper) settle(ctx context.Context, j *job, waits map[string]bool) error {
	known, err := t.isRecorded(j)
	if err != nil {
		return err
	}
	if known {
		t.report.Duplicates++
		return nil
	}
	for _, r := range j.message.records {
		if j.err == nil && waits[keyOf(r)] {
			j.err = fmt.Errorf("%w: an earlier event of object %s of bucket %s waits", errUnavailable, r.Key, r.Bucket)
		}
	}
	if j.err != nil {
		if !errors.Is(j.err, errUnavailable) && ctx.Err() == nil {
			return j.err
		}
		for _, r := range j.message.records {
			waits[keyOf(r)] = true
		}
		return fmt.Errorf("%w: %w", errWaits, j.err)
	}
	if err := t.record(j); err != nil {
		return err
	}
	if strings.HasPrefix(j.source, sourceTranslated) {
		t.report.Translated++
	}
	return t.recorded.Add(j.identity())
}

// isRecorded reports whether the event was recorded, or the very message. The Redactor has replaced parts of what is
// read from a recording, also of keys, so that identities from it need not be those of the events.
func (t *tapper) isRecorded(j *job) (bool, error) {
	if known, err := t.recorded.Has(j.identity()); known || err != nil {
		return known, err
	}
	return t.recorded.Has(j.invocation)
}

// invocationID is a ULID that depends on nothing but when the event was, whose it is, and the ID of its message. SQS
// makes that up, so it tells nothing of the event.
func invocationID(at time.Time, function, message string) string {
	var id ulid.ULID
	if !at.IsZero() {
		_ = id.SetTime(ulid.Timestamp(at)) // years of events have four digits
	}
	sum := sha256.Sum256([]byte(function + "\n" + message))
	copy(id[6:], sum[:])
	return id.String()
}

func (j *job) identity() string { return identityOf(j.message.event, j.message.records) }

// keyOf names an object; no two objects have one name.
func keyOf(r lambdaevent.S3Record) string { return r.Bucket + "/" + r.Key }

// sortWithinKeys puts the events of each key in the order in which they happened, in the places that they have.
func sortWithinKeys(jobs []*job) {
	places := make(map[string][]int)
	for i, j := range jobs {
		if records := j.message.records; len(records) == 1 && records[0].Sequencer != "" {
			key := keyOf(records[0])
			places[key] = append(places[key], i)
		}
	}
	for _, at := range places {
		same := make([]*job, len(at))
		for n, i := range at {
			same[n] = jobs[i]
		}
		slices.SortStableFunc(same, func(a, b *job) int {
			return strings.Compare(paddedSequencer(a.message.records[0]), paddedSequencer(b.message.records[0]))
		})
		for n, i := range at {
			jobs[i] = same[n]
		}
	}
}
