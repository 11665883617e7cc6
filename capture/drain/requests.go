package drain

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

// lastPoll is how long a request may still wait for messages when no more are to be received.
const lastPoll = time.Second

// receive hands on what it receives until ctx ends; its requests end with polling. An empty delivery says that
// nothing was there.
func (d *drainer) receive(ctx, polling context.Context, out chan<- delivery) {
	delay := d.RetryDelay
	for ctx.Err() == nil {
		messages, err := d.receiveOnce(polling)
		if err == nil {
			delay = d.RetryDelay
			got, err := d.held.admit(messages, time.Now().Add(d.Visibility), d.Known)
			out <- got // also with an error: it is counted
			if err != nil {
				d.stop(err)
			}
			continue
		}
		switch {
		case ctx.Err() != nil: // it is over anyway
		case isRefused(err):
			d.stop(err)
		default:
			d.trouble.tell(d.Logf, fmt.Errorf("%w; trying again", err))
			sleep(ctx, delay)
			delay = min(2*delay, 30*time.Second)
		}
	}
}

func (d *drainer) receiveOnce(ctx context.Context) ([]types.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Wait+requestTimeout)
	defer cancel()
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &d.Queue.URL, MaxNumberOfMessages: perRequest,
		WaitTimeSeconds: seconds(d.Wait), VisibilityTimeout: seconds(d.Visibility),
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	}
	if d.Queue.FIFO { // the client's retry of a request then gets what an answer that was lost had
		in.ReceiveRequestAttemptId = aws.String(ulid.Make().String())
	}
	out, err := d.Client.ReceiveMessage(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("receive from %s: %w", d.Queue.Name, err)
	}
	for _, m := range out.Messages {
		if m.MessageId == nil || m.ReceiptHandle == nil {
			return nil, fmt.Errorf("receive from %s: a message without ID or receipt handle", d.Queue.Name)
		}
	}
	return out.Messages, nil
}

// maxDeletes is how often a deletion is tried, each time with the client's retries.
const maxDeletes = 5

// delete deletes up to ten messages that are recorded.
func (d *drainer) delete(ctx context.Context, group []*hold) {
	for attempt := range maxDeletes {
		if attempt > 0 {
			sleep(ctx, d.RetryDelay<<(attempt-1))
		}
		if group = d.deleteOnce(ctx, group); len(group) == 0 {
			return
		}
		if ctx.Err() != nil {
			break
		}
	}
	d.giveUp(group...)
}

// deleteOnce returns what is to be tried again.
func (d *drainer) deleteOnce(ctx context.Context, group []*hold) (again []*hold) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	handles := d.held.handles(group)
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &d.Queue.URL}
	for i := range group {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &handles[i],
		})
	}
	out, err := d.Client.DeleteMessageBatch(ctx, in)
	if err != nil {
		err = fmt.Errorf("delete what is recorded from %s: %w", d.Queue.Name, err)
		if isRefused(err) {
			d.stop(err)
			d.giveUp(group...)
			return nil
		}
		d.trouble.tell(d.Logf, err)
		return group
	}
	deleted, failed := make(map[string]bool), make(map[string]types.BatchResultErrorEntry)
	for _, e := range out.Successful {
		deleted[aws.ToString(e.Id)] = true
	}
	for _, e := range out.Failed {
		failed[aws.ToString(e.Id)] = e
	}
	for i, one := range group {
		id := strconv.Itoa(i)
		switch e, isFailed := failed[id]; {
		case deleted[id] && d.held.drop(one, handles[i]):
			d.deleted.Add(1)
		case isFailed && e.SenderFault: // such as a handle that is too old: a new one will come
			d.giveUp(one)
		default:
			again = append(again, one)
		}
	}
	return again
}

func (d *drainer) giveUp(group ...*hold) {
	for _, one := range group {
		d.held.drop(one, "")
		d.failedDeletes.Add(1)
	}
}

// keep keeps what is held from others until ctx ends.
func (d *drainer) keep(ctx context.Context) {
	tick := time.NewTicker(d.Visibility / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.setVisibility(ctx, d.held.dueBefore(time.Now().Add(d.Visibility/2)), d.Visibility)
		case <-ctx.Done():
			return
		}
	}
}

// setVisibility has messages come again after so long, as far as that can be done: a message whose time is over has
// been seen by others anyway.
func (d *drainer) setVisibility(ctx context.Context, holds []*hold, visibility time.Duration) {
	var requests errgroup.Group
	requests.SetLimit(4)
	for len(holds) > 0 {
		n := min(perRequest, len(holds))
		group := holds[:n]
		holds = holds[n:]
		requests.Go(func() error { return d.setGroupVisibility(ctx, group, visibility) })
	}
	if err := requests.Wait(); err != nil && ctx.Err() == nil {
		d.trouble.tell(d.Logf, fmt.Errorf("change visibility in %s: %w", d.Queue.Name, err))
	}
}

func (d *drainer) setGroupVisibility(ctx context.Context, group []*hold, visibility time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &d.Queue.URL}
	for i, handle := range d.held.handles(group) {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &handle, VisibilityTimeout: seconds(visibility),
		})
	}
	due := time.Now().Add(visibility)
	out, err := d.Client.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return err
	}
	for _, e := range out.Successful {
		if i, err := strconv.Atoi(aws.ToString(e.Id)); err == nil && i >= 0 && i < len(group) {
			d.held.extend(group[i], due)
		}
	}
	return nil
}

const giveBackTimeout = 5 * time.Second

// giveBack lets others have what was received and is not recorded.
func (d *drainer) giveBack(ctx context.Context) {
	left := d.held.unrecorded()
	d.counts.Left = int64(len(left))
	ctx, cancel := context.WithTimeout(ctx, giveBackTimeout)
	defer cancel()
	d.setVisibility(ctx, left, 0)
}

// isRefused reports whether a request failed in a way that it will not get over: with a status of 400 to 499 that
// asks for no other try.
func isRefused(err error) bool {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode()/100 != 4 ||
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err).Bool() {
		return false
	}
	var (
		tooMany *types.OverLimit // messages in flight
		slower  *types.KmsThrottled
	)
	return !errors.As(err, &tooMany) && !errors.As(err, &slower)
}

// trouble tells what goes wrong, but not again and again.
type trouble struct {
	mu   sync.Mutex
	last string
	told time.Time
}

func (t *trouble) tell(logf func(string, ...any), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := err.Error(); text != t.last || time.Since(t.told) > time.Minute {
		t.last, t.told = text, time.Now()
		logf("%s", text)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
