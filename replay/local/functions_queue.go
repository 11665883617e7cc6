package local

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"

	"tandem/capture/customhandler"
	"tandem/capture/effects"
)

const (
	// queueLease is for how long a message that is worked on is hidden from others. It is taken anew when half of it
	// is over: QueueListener.cs of the host's extension, in https://github.com/Azure/azure-sdk-for-net under
	// sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues.
	queueLease = 10 * time.Minute
	// minQueuePoll is the pause after the first look at a queue that has nothing (QueuePollingIntervals.Minimum).
	minQueuePoll = 100 * time.Millisecond
	// settlePatience bounds what is told to a queue while the host closes.
	settlePatience = 10 * time.Second
)

// A queuePoller is the listener of one function's queue trigger. It does what QueueListener.cs and QueueProcessor.cs
// of the host's extension do with a message: it is deleted when the function succeeded, and else comes back after
// visibilityTimeout, until it was dequeued maxDequeueCount times; then it is written to the poison queue, first, and
// deleted, second.
type queuePoller struct {
	f             *Functions
	owner         string // the function, for the log
	settings      queueSettings
	queue, poison *azqueue.QueueClient
	name, grave   string // of the two
	lease         time.Duration
	// read makes an invocation of a message, whose text is decoded. Without one there is nothing to run, and the message
	// is done with.
	read func(m azqueue.DequeuedMessage, body []byte) (*invocation, *customhandler.Request, error)
	// graveOf returns the poison queue for a message; nil means poison for all.
	graveOf func(text string) *azqueue.QueueClient
	wake    chan struct{} // ends the pause between two looks; may be nil
	ended   chan struct{} // gets a value from each message that is settled
}

// newPollers returns one poller for each enabled queue trigger whose connection is among the app's own settings. What
// this process has in its environment does not count, so that no queue is emptied by accident.
func (f *Functions) newPollers() ([]*queuePoller, error) {
	var pollers []*queuePoller
	for _, fn := range f.app.functions {
		connection, ok := fn.connection(f.opts.Env)
		if fn.disabled || !ok {
			continue
		}
		p := &queuePoller{
			f: f, owner: fn.name, settings: f.app.queues, name: expand(fn.trigger.QueueName, f.opts.Env),
			lease: f.opts.lease, ended: make(chan struct{}),
		}
		p.grave = p.name + "-poison"
		p.read = func(m azqueue.DequeuedMessage, body []byte) (*invocation, *customhandler.Request, error) {
			inv, payload := f.queueInvocation(fn, m, body)
			return inv, payload, nil
		}
		var errs [2]error
		opts := &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: f.queueHTTP}}
		p.queue, errs[0] = azqueue.NewQueueClientFromConnectionString(connection, p.name, opts)
		p.poison, errs[1] = azqueue.NewQueueClientFromConnectionString(connection, p.grave, opts)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("function %s: the connection of queue %s is no connection string: %w", fn.name, p.name, err)
		}
		pollers = append(pollers, p)
	}
	return pollers, nil
}

// poll works on messages until ctx ends, and returns once each is settled. At most batchSize + newBatchThreshold are
// worked on at once, as by one instance of the host:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json.
func (p *queuePoller) poll(ctx context.Context) {
	p.f.log.printf("%s: polling queue %s", p.owner, p.name)
	running, pause := 0, minQueuePoll
	defer func() {
		for ; running > 0; running-- {
			<-p.ended
		}
	}()
	var trouble string
	for ctx.Err() == nil {
		for running > p.settings.newBatchThreshold {
			<-p.ended
			running--
		}
		messages, err := p.receive(ctx)
		if text := fmt.Sprint(err); err != nil && ctx.Err() == nil && text != trouble {
			p.f.log.printf("%s: queue %s: %v", p.owner, p.name, err)
			trouble = text // said once, not at each look
		} else if err == nil {
			trouble = ""
		}
		for _, m := range messages {
			running++
			go func() {
				p.work(ctx, m)
				p.ended <- struct{}{}
			}()
		}
		if len(messages) > 0 {
			pause = minQueuePoll
			continue
		}
		if running, pause = p.idle(ctx, running, pause); ctx.Err() != nil {
			return
		}
	}
}

// idle waits for the pause after a look that found nothing, and returns the next one, which is longer. The host's
// RandomizedExponentialBackoffStrategy doubles it, up to maxPollingInterval, and varies it by a fifth.
func (p *queuePoller) idle(ctx context.Context, running int, pause time.Duration) (int, time.Duration) {
	timer := time.NewTimer(min(pause*4/5+rand.N(pause*2/5), p.settings.maxPollingInterval))
	defer timer.Stop()
	for {
		select {
		case <-p.ended:
			running--
		case <-timer.C:
			return running, min(2*pause, p.settings.maxPollingInterval)
		case <-p.wake:
			return running, minQueuePoll
		case <-ctx.Done():
			return running, pause
		}
	}
}

// receive dequeues what is there. A queue that does not exist has nothing: nobody has sent to it yet.
func (p *queuePoller) receive(ctx context.Context) ([]*azqueue.DequeuedMessage, error) {
	got, err := p.queue.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{
		NumberOfMessages: to.Ptr(int32(p.settings.batchSize)), VisibilityTimeout: seconds(p.lease),
	})
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		return nil, errors.New("it does not exist")
	}
	for _, m := range got.Messages {
		if m.MessageText == nil {
			m.MessageText = new(string)
		}
	}
	return got.Messages, err
}

// work calls the function with a message and settles it. The end of ctx does not stop a function that runs.
func (p *queuePoller) work(ctx context.Context, m *azqueue.DequeuedMessage) {
	settle := context.WithoutCancel(ctx)
	if p.settings.maxDequeueCount < int(*m.DequeueCount) {
		p.log(m, p.bury(settle, m))
		return
	}
	body := []byte(*m.MessageText)
	if p.settings.base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(*m.MessageText); err != nil {
			// The extension takes what it cannot decode to the poison queue and calls nothing (QueueListener.cs,
			// MessageDecodingFailed).
			p.log(m, fmt.Errorf("it is not base64: %w", err))
			p.log(m, p.bury(settle, m))
			return
		}
	}
	failed := p.invoke(settle, m, body)
	switch {
	case failed == nil:
		p.log(m, p.delete(settle, m))
	case errors.Is(failed, errFunctionsClosed) || p.f.ctx.Err() != nil:
		p.log(m, p.release(settle, m, 0)) // the host ends; its successor takes it
	case int(*m.DequeueCount) >= p.settings.maxDequeueCount:
		p.log(m, failed)
		p.log(m, p.bury(settle, m))
	default:
		p.log(m, failed)
		p.log(m, p.release(settle, m, p.settings.visibilityTimeout))
	}
}

// invoke calls the function, and keeps the message hidden until it has ended. M gets the receipts that this brings.
func (p *queuePoller) invoke(ctx context.Context, m *azqueue.DequeuedMessage, body []byte) error {
	received := *m // its receipt is that of the delivery
	ended := make(chan error, 1)
	go func() {
		inv, payload, err := p.read(received, body)
		if err == nil && payload != nil {
			_, err = p.f.call(ctx, inv, payload)
		}
		ended <- err
	}()
	renew := time.NewTicker(p.lease / 2)
	defer renew.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-renew.C:
			p.log(m, p.release(ctx, m, p.lease))
		}
	}
}

// queueInvocation makes an invocation of a message of fn's queue.
func (f *Functions) queueInvocation(fn *azureFunction, m azqueue.DequeuedMessage, body []byte) (
	*invocation, *customhandler.Request) {
	trigger := customhandler.QueueTrigger{
		Body: body, Binary: fn.trigger.binary(), ID: *m.MessageID, DequeueCount: int(*m.DequeueCount),
		Inserted: *m.InsertionTime, Expires: *m.ExpirationTime, NextVisible: *m.TimeNextVisible, PopReceipt: *m.PopReceipt,
	}
	inv := &invocation{function: fn.name, id: customhandler.NewInvocationID()}
	inv.tag = effects.MessageTag(trigger.ID, trigger.DequeueCount)
	f.log.printf("Trigger Details: MessageId: %s, DequeueCount: %d, InsertedOn: %s (Id=%s)",
		trigger.ID, trigger.DequeueCount, trigger.Inserted.Format(time.RFC3339), inv.id)
	return inv, trigger.Request(fn.trigger.Name, customhandler.NewSys(fn.name, time.Now()))
}

// release makes a message visible after that time.
func (p *queuePoller) release(ctx context.Context, m *azqueue.DequeuedMessage, after time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	got, err := p.queue.UpdateMessage(ctx, *m.MessageID, *m.PopReceipt, *m.MessageText,
		&azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(after)})
	if err == nil {
		m.PopReceipt = got.PopReceipt
	}
	return err
}

func (p *queuePoller) delete(ctx context.Context, m *azqueue.DequeuedMessage) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	_, err := p.queue.DeleteMessage(ctx, *m.MessageID, *m.PopReceipt, nil)
	return err
}

// bury moves a message to the poison queue, which is made if need be. The copy has the same text and another ID.
func (p *queuePoller) bury(ctx context.Context, m *azqueue.DequeuedMessage) error {
	p.f.log.printf("%s: message %s was dequeued %d times and moves to queue %s",
		p.owner, *m.MessageID, *m.DequeueCount, p.grave)
	limited, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	poison := p.poison
	if p.graveOf != nil {
		poison = p.graveOf(*m.MessageText)
	}
	if err := putMessage(limited, poison, *m.MessageText); err != nil {
		return fmt.Errorf("write to the poison queue: %w", err) // it comes back when its lease is over
	}
	return p.delete(ctx, m)
}

// putMessage puts a message into a queue, which is made if need be.
func putMessage(ctx context.Context, queue *azqueue.QueueClient, text string) error {
	_, err := queue.EnqueueMessage(ctx, text, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err = queue.Create(ctx, nil); err == nil || queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			_, err = queue.EnqueueMessage(ctx, text, nil)
		}
	}
	return err
}

func (p *queuePoller) log(m *azqueue.DequeuedMessage, err error) {
	if err != nil {
		p.f.log.printf("%s: message %s: %v", p.owner, *m.MessageID, err)
	}
}

func seconds(d time.Duration) *int32 { return to.Ptr(int32(d / time.Second)) }
