package lambda

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

const (
	// hidden is for how many seconds a record that was received is not given to others: longer than it takes until
	// the answer of the request that it is of was read, and not too long for those whose record it is.
	hidden   = 30
	longPoll = 20 // seconds that SQS waits for records
	// maxHeld bounds the records of requests that nobody waits for that are remembered. Others come again.
	maxHeld = 10_000
)

// DestinationOptions say where Lambda sends the records of asynchronous invocations. All are needed.
type DestinationOptions struct {
	Client *sqs.Client
	Queue  string            // its URL
	Board  *completion.Board // where records are reported and waited for
}

// A Destination is the queue that Lambda sends the records of asynchronous invocations to, for any number of
// functions. It is a [completion.Source] and safe for concurrent use.
//
// It deletes the records of those requests that an [Event] waited for, once their outcomes are known. Others, and
// those that come too late, stay in the queue; they are hidden for half a minute each time that they are received. A
// queue of the replay's own is best.
//
// It receives while anybody waits or it is run. A receive that is broken off may take a record with it, which then
// comes half a minute later: running it all the time spares that.
type Destination struct {
	opts   DestinationOptions
	opened *hearing // of Run

	mu       sync.Mutex
	expected map[string]*capture.Invocation // that somebody waits for, by request
	held     map[string]held                // records, by request
	session  *session                       // nil while nobody listens
	listens  int
}

// held is a record that is in the queue.
type held struct {
	record  record
	receipt string
}

// A session receives while somebody listens.
type session struct {
	ctx   context.Context // ends when it does; its cause says why
	stop  context.CancelCauseFunc
	ready chan struct{} // closed when the queue was found to be there
	done  chan struct{} // closed when it has ended
}

// NewDestination returns the destination that opts describe. It sends nothing.
func NewDestination(opts DestinationOptions) *Destination {
	return &Destination{opts: opts, expected: make(map[string]*capture.Invocation), held: make(map[string]held)}
}

// Name is what the destination is called; see [completion.Source].
func (d *Destination) Name() string { return "destination " + d.opts.Queue }

// Open begins to receive, and returns once the queue has answered; see [completion.Source].
func (d *Destination) Open(ctx context.Context) (err error) {
	d.opened, err = d.listen(ctx)
	return err
}

// Run has the queue received from all the time, and not only while an [Event] waits; see [completion.Source].
// Reports go to the board of the options, which b has to be.
func (d *Destination) Run(ctx context.Context, b *completion.Board) error {
	heard := d.opened
	if heard == nil {
		return errors.New("a destination is opened before it is run")
	}
	defer heard.close()
	if b != d.opts.Board {
		return errors.New("a destination reports to the board that its targets wait at")
	}
	select {
	case <-heard.session.ctx.Done():
		return context.Cause(heard.session.ctx)
	case <-ctx.Done():
		return nil
	}
}

// receive receives records and reports those that are waited for, until ctx ends. It calls ready each time that the
// queue has answered.
func (d *Destination) receive(ctx context.Context, ready func()) error {
	for wait := int32(0); ; wait = longPoll {
		got, err := d.opts.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &d.opts.Queue, MaxNumberOfMessages: 10, VisibilityTimeout: hidden, WaitTimeSeconds: wait,
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return d.failure("receive records from", err)
		}
		ready()
		for _, m := range got.Messages {
			d.take(m)
		}
	}
}

// failure tells what is wrong with the queue, so that it cannot be read at all, from what may pass.
func (d *Destination) failure(what string, err error) error {
	err = fmt.Errorf("%s destination %s: %w", what, d.opts.Queue, err)
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient {
		return &replay.SetupError{Err: err}
	}
	return err
}

// take reports the record in m if somebody waits for it, and remembers it for who may.
func (d *Destination) take(m types.Message) {
	rec, ok := parseRecord([]byte(aws.ToString(m.Body)))
	if !ok {
		return // something else's
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id := rec.RequestContext.RequestID
	inv := d.expected[id]
	if inv != nil || len(d.held) < maxHeld {
		d.held[id] = held{rec, aws.ToString(m.ReceiptHandle)}
	}
	if inv != nil {
		d.opts.Board.Report(rec.report(inv))
	}
}

// A hearing is one invocation's share in a destination. It is used by one goroutine.
type hearing struct {
	of      *Destination
	session *session
}

// listen has the queue received from until the hearing is closed, and returns once it is known to be there.
func (d *Destination) listen(ctx context.Context) (*hearing, error) {
	d.mu.Lock()
	if d.session == nil || d.session.ctx.Err() != nil {
		d.session = d.begin()
	}
	d.listens++
	h := &hearing{d, d.session}
	d.mu.Unlock()
	select {
	case <-h.session.ready:
		return h, nil
	case <-h.session.ctx.Done():
		h.close()
		return nil, context.Cause(h.session.ctx)
	case <-ctx.Done():
		h.close()
		return nil, context.Cause(ctx)
	}
}

// begin starts to receive.
func (d *Destination) begin() *session {
	s := &session{ready: make(chan struct{}), done: make(chan struct{})}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	go func() {
		defer close(s.done)
		s.stop(d.receive(s.ctx, sync.OnceFunc(func() { close(s.ready) })))
	}()
	return s
}

// close ends the hearing. The last one ends the receiving, too.
func (h *hearing) close() {
	d := h.of
	d.mu.Lock()
	d.listens--
	over := d.session
	if d.listens > 0 {
		over = nil
	} else {
		d.session = nil
		clear(d.held) // who listens next receives them again
	}
	d.mu.Unlock()
	if over != nil {
		over.stop(nil)
		<-over.done
	}
	if h.session.ctx.Err() != nil {
		<-h.session.done
	}
}

// outcome waits for the record of the request that inv was sent with at that time. An error says that none came
// before ctx ended, or that it does not tell.
func (h *hearing) outcome(ctx context.Context, id string, inv *capture.Invocation, sent time.Time) (
	*capture.Outcome, error) {
	d, key := h.of, completion.Invocation(id)
	wait := d.opts.Board.Expect(key)
	defer wait.Close()
	d.expect(id, inv)
	defer d.forget(id)
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.session.ctx, func() { cancel(context.Cause(h.session.ctx)) })()
	err := wait.Await(waiting, func(w *completion.Wait) bool { return len(w.Reports(key)) > 0 })
	if err != nil {
		return nil, fmt.Errorf("request %s was taken, and no record of it came: %w", id, err)
	}
	out, err := settled(id, wait.Reports(key))
	if out != nil {
		out.DurationMS = replay.Milliseconds(time.Since(sent))
	}
	d.remove(ctx, id)
	return out, err
}

// expect has the record of a request reported, at once if it was received already.
func (d *Destination) expect(id string, inv *capture.Invocation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected[id] = inv
	if h, ok := d.held[id]; ok {
		d.opts.Board.Report(h.record.report(inv))
	}
}

func (d *Destination) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.expected, id)
	delete(d.held, id)
}

// remove deletes a record whose outcome is known. One that stays is as good as another's.
func (d *Destination) remove(ctx context.Context, id string) {
	d.mu.Lock()
	receipt := d.held[id].receipt
	d.mu.Unlock()
	_, _ = d.opts.Client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &d.opts.Queue, ReceiptHandle: &receipt})
}
