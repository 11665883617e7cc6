package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"tandem/capture/customhandler"
	"tandem/capture/effects"
)

// busPause is the pause after a request to Service Bus that failed.
const busPause = time.Second

// A busListener is the listener of one function's Service Bus trigger. It does what the host's extension does with a
// message: it completes it when the function succeeded, and else abandons it, so that it comes again at once, until the
// queue's maximum delivery count is reached and Service Bus itself moves it to the dead-letter queue. Source:
// ServiceBusListener.cs in https://github.com/Azure/azure-sdk-for-net, under
// sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus.
type busListener struct {
	f        *Functions
	fn       *azureFunction
	settings busSettings
	queue    string
	client   *azservicebus.Client
}

// newBusListeners returns one listener for each enabled Service Bus trigger whose connection is among the app's own
// settings; see newPollers.
func (f *Functions) newBusListeners() ([]*busListener, error) {
	var listeners []*busListener
	for _, fn := range f.app.functions {
		connection, ok := fn.busConnection(f.opts.Env)
		if fn.disabled || !ok {
			continue
		}
		l := &busListener{f: f, fn: fn, settings: f.app.bus, queue: expand(fn.trigger.QueueName, f.opts.Env)}
		var err error
		if l.client, err = azservicebus.NewClientFromConnectionString(connection, nil); err != nil {
			// The SDK's error may quote the key.
			return nil, fmt.Errorf("function %s: the connection of queue %s is no connection string of a Service Bus "+
				"namespace", fn.name, l.queue)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// listen works on messages until ctx ends, and returns once each is settled.
func (l *busListener) listen(ctx context.Context) {
	l.f.log.printf("%s: receiving from queue %s", l.fn.name, l.queue)
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
		defer cancel()
		l.client.Close(closing) //nolint:errcheck // what it was used for is done
	}()
	var workers sync.WaitGroup
	defer workers.Wait()
	if l.fn.trigger.Sessions {
		for range l.settings.maxConcurrentSessions {
			workers.Go(func() { l.retry(ctx, l.session) })
		}
		return
	}
	receiver, err := l.client.NewReceiverForQueue(l.queue, nil)
	if err != nil {
		l.f.log.printf("%s: queue %s: %v", l.fn.name, l.queue, err)
		return
	}
	slots := make(chan struct{}, l.settings.maxConcurrentCalls)
	l.retry(ctx, func(ctx context.Context) error {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		messages, err := receiver.ReceiveMessages(ctx, 1, nil)
		if len(messages) == 0 {
			<-slots
			return err
		}
		workers.Go(func() {
			m := messages[0]
			l.work(ctx, receiver, m, *m.LockedUntil, func(ctx context.Context) (time.Time, error) { // peek-lock has it
				err := receiver.RenewMessageLock(ctx, m, nil)
				return *m.LockedUntil, err
			})
			<-slots
		})
		return nil
	})
}

// retry calls do until ctx ends. What fails again and again is said once.
func (l *busListener) retry(ctx context.Context, do func(context.Context) error) {
	trouble := ""
	for ctx.Err() == nil {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			trouble = ""
			continue
		}
		if text := err.Error(); text != trouble {
			l.f.log.printf("%s: queue %s: %v", l.fn.name, l.queue, err)
			trouble = text
		}
		wait(ctx, busPause)
	}
}

// session takes a session that has messages, works on one after the other, and gives it back when no more come.
func (l *busListener) session(ctx context.Context) error {
	s, err := l.client.AcceptNextSessionForQueue(ctx, l.queue, nil)
	var known *azservicebus.Error
	if errors.As(err, &known) && known.Code == azservicebus.CodeTimeout {
		return nil // there is none
	}
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
		defer cancel()
		s.Close(closing) //nolint:errcheck // its lock runs out
	}()
	for ctx.Err() == nil {
		idle, cancel := context.WithTimeout(ctx, l.settings.sessionIdleTimeout)
		messages, err := s.ReceiveMessages(idle, 1, nil)
		over := idle.Err() != nil
		cancel()
		if len(messages) == 0 {
			if over {
				return nil
			}
			return err
		}
		l.work(ctx, s, messages[0], s.LockedUntil(), func(ctx context.Context) (time.Time, error) {
			err := s.RenewSessionLock(ctx, nil)
			return s.LockedUntil(), err
		})
	}
	return nil
}

// A busSettler settles messages.
type busSettler interface {
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	AbandonMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.AbandonMessageOptions) error
}

// work calls the function with a message and settles it. The end of ctx does not stop a function that runs. Renew makes
// the lock, which is good until then, last longer.
func (l *busListener) work(ctx context.Context, settler busSettler, m *azservicebus.ReceivedMessage, until time.Time,
	renew func(context.Context) (time.Time, error)) {
	ctx = context.WithoutCancel(ctx)
	failed := l.invoke(ctx, m, until, renew)
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	var err error
	if failed == nil {
		err = settler.CompleteMessage(ctx, m, nil)
	} else {
		l.log(m, failed)
		err = settler.AbandonMessage(ctx, m, nil)
	}
	l.log(m, err) // then it comes again when its lock is over
}

// invoke calls the function, and keeps the lock until it has ended.
func (l *busListener) invoke(ctx context.Context, m *azservicebus.ReceivedMessage, until time.Time,
	renew func(context.Context) (time.Time, error)) error {
	trigger := l.trigger(m)
	inv := &invocation{function: l.fn.name, id: customhandler.NewInvocationID()}
	inv.tag = effects.MessageTag(trigger.ID, trigger.DeliveryCount)
	l.f.log.printf("Trigger Details: MessageId: %s, SequenceNumber: %d, DeliveryCount: %d, EnqueuedTimeUtc: %s, "+
		"SessionId: %s (Id=%s)", trigger.ID, trigger.SequenceNumber, trigger.DeliveryCount,
		trigger.Enqueued.Format(time.RFC3339), trigger.SessionID, inv.id)
	ended := make(chan error, 1)
	go func() {
		_, err := l.f.call(ctx, inv, trigger.Request(l.fn.trigger.Name, customhandler.NewSys(l.fn.name, time.Now())))
		ended <- err
	}()
	last := time.Now().Add(l.settings.maxAutoLockRenewal)
	timer := time.NewTimer(halfway(until))
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-timer.C:
			if time.Now().After(last) {
				continue // the lock runs out
			}
			limited, cancel := context.WithTimeout(ctx, settlePatience)
			until, err := renew(limited)
			cancel()
			l.log(m, err)
			timer.Reset(halfway(until))
		}
	}
}

// halfway is when a lock is renewed: not at once, even where this machine's clock is ahead.
func halfway(until time.Time) time.Duration { return max(time.Until(until)/2, 100*time.Millisecond) }

func (l *busListener) trigger(m *azservicebus.ReceivedMessage) customhandler.ServiceBusTrigger {
	t := customhandler.ServiceBusTrigger{
		Body: m.Body, Binary: l.fn.trigger.binary(), ID: m.MessageID, DeliveryCount: int(m.DeliveryCount),
		LockToken: fmt.Sprintf("%x", m.LockToken), Properties: m.ApplicationProperties,
	}
	if m.SessionID != nil {
		t.SessionID = *m.SessionID
	}
	if m.ContentType != nil {
		t.ContentType = *m.ContentType
	}
	if m.SequenceNumber != nil {
		t.SequenceNumber = *m.SequenceNumber
	}
	if m.EnqueuedTime != nil {
		t.Enqueued = *m.EnqueuedTime
	}
	if m.ExpiresAt != nil {
		t.Expires = *m.ExpiresAt
	}
	return t
}

func (l *busListener) log(m *azservicebus.ReceivedMessage, err error) {
	if err != nil {
		l.f.log.printf("%s: message %s: %v", l.fn.name, m.MessageID, err)
	}
}
