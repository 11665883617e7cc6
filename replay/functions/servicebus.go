package functions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/go-amqp"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/replay"
	"tandem/replay/completion"
)

// ServiceBusOptions say which Service Bus queue a target sends to. Connection or Namespace, and Name, are needed.
type ServiceBusOptions struct {
	Connection string // a connection string with a key or a signature that may send and listen
	// Namespace is the namespace's host, or its name alone, for which Credential is used.
	Namespace  string
	Credential azcore.TokenCredential
	Name       string
	// Sessions says that the queue requires sessions. Then it takes the messages of FIFO queues, and no others.
	Sessions bool
	// MaxMessage is the largest message that the queue takes, in bytes; by default 256 KB, as in the tiers Basic and
	// Standard. It is checked against what the service says before anything is sent.
	MaxMessage int
	// Board has what is heard of messages elsewhere, under the ID that they have in the queue. Nil when nothing is.
	Board *completion.Board
	// Effects returns, and forgets, what the function did in one delivery of a message; see MessageTag in
	// capture/effects. Nil when nobody watches.
	Effects func(ctx context.Context, messageID string, delivery int) ([]capture.Effect, error)
	// HTTP asks for the queue's settings; by default, from [replay.NewHTTPClient].
	HTTP *http.Client
}

const (
	standardMessage = 256 << 10
	// proofDelay is for how long the first message of a replay waits in the queue before the function gets it.
	proofDelay = 2 * time.Second
)

// A ServiceBus is a function with a Service Bus trigger, fired through its queue. It is safe for concurrent use, and
// wants the queue for itself: it refuses to begin while the queue has messages. What became of each message is learned
// by peeking alone; package replay/functions says how. Fire returns when the fate of each message is known, or with an
// error when ctx ends before. Close ends its connection.
type ServiceBus struct {
	opts   ServiceBusOptions
	access busAccess
	delay  time.Duration // [proofDelay], but for tests

	begin  sync.Mutex // held while the queue is looked at for the first time
	ready  bool
	proven bool

	linking chan struct{} // holds a token while nobody uses link
	link    *busLink      // nil when there is none

	looks census
}

// NewServiceBus returns the target that opts describe. It sends nothing.
func NewServiceBus(opts ServiceBusOptions) (*ServiceBus, error) {
	opts.MaxMessage = cmp.Or(opts.MaxMessage, standardMessage)
	if opts.HTTP == nil {
		opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	b := &ServiceBus{opts: opts, delay: proofDelay, linking: make(chan struct{}, 1)}
	b.linking <- struct{}{}
	b.looks.init()
	var err error
	switch {
	case opts.Name == "":
		return nil, errors.New("a Service Bus queue needs its name")
	case (opts.Connection == "") == (opts.Namespace == ""):
		return nil, errors.New("a Service Bus queue needs either a connection string or its namespace")
	case opts.Connection != "":
		b.access, err = parseBusConnection(opts.Connection)
	case opts.Credential == nil:
		err = errors.New("namespace: there are no credentials for it; give a connection string")
	default:
		host := strings.TrimSuffix(strings.TrimPrefix(opts.Namespace, "sb://"), "/")
		if !strings.Contains(host, ".") {
			host += ".servicebus.windows.net"
		}
		b.access = busAccess{host: host, credential: opts.Credential}
	}
	return b, err
}

// Address is the queue's, without secrets.
func (b *ServiceBus) Address() string { return "sb://" + b.access.host + "/" + b.opts.Name }

// Close ends the connection. No Fire may be going on, and none may come after.
func (b *ServiceBus) Close() error {
	<-b.linking
	b.unlink()
	b.linking <- struct{}{}
	return nil
}

// Check refuses events that the queue cannot carry as they are; see [replay.Checker].
func (b *ServiceBus) Check(inv *capture.Invocation) error {
	_, err := b.messages(inv, capture.Mark{})
	return err
}

// Fire sends the messages of an SQS event and waits for what becomes of them; see [replay.Target].
func (b *ServiceBus) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	mark, marked := replay.MarkFrom(ctx)
	if !marked {
		mark = capture.Mark{Run: customhandler.NewInvocationID(), Invocation: inv.ID}
	}
	messages, err := b.messages(inv, mark)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	keys := make([]completion.Key, len(messages))
	for i, m := range messages {
		keys[i] = completion.Message(m.id)
		if marked {
			m.amqp.ApplicationProperties[capture.MarkHeader] = mark.String()
		}
	}
	if err := b.prepare(ctx); err != nil {
		return b.failed(ctx, err)
	}
	b.looks.expect(messages)
	defer b.looks.forget(messages)
	var heard *completion.Wait
	if b.opts.Board != nil {
		heard = b.opts.Board.Expect(keys...)
		defer heard.Close()
	}
	if out, err := b.sendAll(ctx, messages); out != nil || err != nil {
		return out, err
	}
	if err := b.await(ctx, messages); err != nil {
		return nil, err
	}
	return b.outcome(ctx, messages, heard)
}

// sendAll sends the messages in their order. The first of a replay goes ahead, to prove that peeking shows it.
func (b *ServiceBus) sendAll(ctx context.Context, messages []*bused) (*capture.Outcome, error) {
	rest := messages
	b.begin.Lock()
	if !b.proven && len(messages) > 0 {
		out, err := b.prove(ctx, messages[0])
		b.begin.Unlock()
		if out != nil || err != nil {
			return out, err
		}
		rest = messages[1:]
	} else {
		b.begin.Unlock()
	}
	for _, part := range pack(rest, b.opts.MaxMessage) {
		out, err := b.send(ctx, part)
		if err == nil && out == nil {
			continue
		}
		if part[0] != messages[0] { // what was sent before is on its way
			if err == nil {
				err = errors.New(out.Error.Message)
			}
			return nil, fmt.Errorf("only some messages of the event were sent: %v", err)
		}
		return out, err
	}
	return nil, nil
}

// send sends one transfer, once. A nil outcome without an error says that it was accepted.
func (b *ServiceBus) send(ctx context.Context, messages []*bused) (*capture.Outcome, error) {
	m, err := transfer(messages)
	if err != nil {
		return nil, err
	}
	l, err := b.connect(ctx)
	if err == nil && (l.idle() || l.broken()) {
		b.replace(l)
		l, err = b.connect(ctx)
	}
	if err != nil {
		return b.failed(ctx, err)
	}
	now := time.Now()
	for _, m := range messages {
		m.sent = now
	}
	err = l.send(ctx, m)
	if err == nil {
		return nil, nil
	}
	if _, ok := rejected(err); !ok {
		b.drop(ctx, l)
	}
	return b.failed(ctx, err)
}

// failed returns what follows from a request that failed while nothing of the event had been accepted.
func (b *ServiceBus) failed(ctx context.Context, err error) (*capture.Outcome, error) {
	var configured *replay.SetupError
	if errors.As(err, &configured) {
		return nil, err
	}
	r, ok := rejected(err)
	if !ok {
		return replay.TransportFailure(ctx, fmt.Errorf("queue %s: %w", b.opts.Name, err))
	}
	failure := &capture.Outcome{
		Status: capture.StatusTransport, Error: &capture.Error{Message: fmt.Sprintf("queue %s: %v", b.opts.Name, r)},
	}
	switch r.condition {
	case "com.microsoft:server-busy", "503", string(amqp.ErrCondResourceLimitExceeded):
		failure.Status = capture.StatusThrottled
		return nil, &replay.ThrottledError{Outcome: failure}
	case string(amqp.ErrCondUnauthorizedAccess), string(amqp.ErrCondNotFound), string(amqp.ErrCondNotAllowed),
		"401", "403", "404", "com.microsoft:entity-disabled":
		return nil, setup("%s", failure.Error.Message)
	}
	return failure, nil
}

// connect returns the connection, which it makes if there is none.
func (b *ServiceBus) connect(ctx context.Context) (*busLink, error) {
	select {
	case <-b.linking:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { b.linking <- struct{}{} }()
	if b.link != nil && !b.link.renewAt.IsZero() && time.Now().After(b.link.renewAt) {
		if err := b.link.claim(ctx, &b.access, b.opts.Name); err != nil {
			b.unlink()
			return nil, err
		}
	}
	if b.link == nil {
		l, err := dialBus(ctx, &b.access, b.opts.Name)
		if err != nil {
			return nil, err
		}
		b.link = l
	}
	return b.link, nil
}

// drop ends a connection on which a request has failed, unless that was because ctx has ended: others may use it.
func (b *ServiceBus) drop(ctx context.Context, l *busLink) {
	if ctx.Err() != nil {
		return
	}
	b.replace(l)
}

// replace ends a connection, so that the next to need one makes another.
func (b *ServiceBus) replace(l *busLink) {
	<-b.linking
	if b.link == l {
		b.unlink()
	}
	b.linking <- struct{}{}
}

func (b *ServiceBus) unlink() {
	if b.link != nil {
		b.link.close()
		b.link = nil
	}
}

// prepare looks at the queue before the first message: whether it is such a queue, and has nothing.
func (b *ServiceBus) prepare(ctx context.Context) error {
	b.begin.Lock()
	defer b.begin.Unlock()
	if b.ready {
		return nil
	}
	l, err := b.connect(ctx)
	if err != nil {
		return err
	}
	if limit := l.sender.MaxMessageSize(); limit != 0 && limit < uint64(b.opts.MaxMessage) {
		return setup("queue %s takes messages of %d bytes at most, and the config says %d (maxMessage)",
			b.opts.Name, limit, b.opts.MaxMessage)
	}
	if err := b.probe(ctx, l); err != nil {
		return err
	}
	if err := b.inspect(ctx); err != nil {
		return err
	}
	count := 0
	if err := l.queue.peek(ctx, func(*amqp.Message) bool { count++; return count < pageSize }); err != nil {
		b.drop(ctx, l)
		return err
	}
	if count > 0 {
		return setup("queue %s has %d messages or more, and a replay needs it for itself: receive them, or wait an hour "+
			"if they are of a replay that was interrupted", b.opts.Name, count)
	}
	b.ready = true
	return nil
}

// probe finds out whether the queue is what the config says. A queue that requires sessions gives no receiver that has
// none, and one that forwards its messages gives nobody a receiver; then messages leave it that nobody has worked on.
func (b *ServiceBus) probe(ctx context.Context, l *busLink) error {
	err := l.probe(ctx, b.opts.Name)
	r, refused := rejected(err)
	switch {
	case err == nil && b.opts.Sessions:
		return setup("queue %s requires no sessions, so it keeps no order: leave sessions: true out, or make it with "+
			"--enable-session true", b.opts.Name)
	case err == nil:
	case !refused:
		b.drop(ctx, l)
		return err
	case r.condition == string(amqp.ErrCondNotAllowed) && strings.Contains(r.description, "session"):
		if !b.opts.Sessions {
			return setup("queue %s requires sessions: say sessions: true", b.opts.Name)
		}
	default:
		return setup("queue %s gives no receiver, so what becomes of its messages cannot be learned: %v", b.opts.Name, r)
	}
	err = l.probe(ctx, b.opts.Name+deadLetters)
	if r, refused := rejected(err); refused {
		return setup("the dead-letter queue of %s gives no receiver, so what comes there cannot be learned: %v",
			b.opts.Name, r)
	}
	return err
}

// outcome tells the fates, and what the function did in the first delivery of each message: Lambda, too, is fired
// once.
func (b *ServiceBus) outcome(ctx context.Context, messages []*bused, heard *completion.Wait) (*capture.Outcome, error) {
	out := &capture.Outcome{Status: capture.StatusOK, Records: make(map[string]capture.Fate, len(messages))}
	acked := 0
	for _, m := range messages {
		failure, effects := m.reason, []capture.Effect(nil)
		if heard != nil {
			key := completion.Message(m.id)
			reports := append(heard.Reports(key), completion.Report{Key: key, Source: "queue " + b.opts.Name, Settled: m.fate})
			found, _, err := completion.Judge(reports, 0)
			if err != nil {
				return nil, fmt.Errorf("message %s: %w", m.record, err)
			}
			if found.First != nil {
				effects = found.First.Effects
			}
			if found.First != nil && found.First.Error != nil {
				failure = *found.First.Error
			}
		}
		out.Records[m.record] = m.fate
		if m.fate == capture.Acked {
			acked++
		} else if out.Error == nil {
			failure.Message = fmt.Sprintf("message %s was dead-lettered: %s", m.record, failure.Message)
			out.Error = &failure
		}
		if b.opts.Effects != nil {
			var err error
			if effects, err = b.opts.Effects(ctx, m.id, 1); err != nil {
				return nil, fmt.Errorf("effects of message %s: %w", m.record, err)
			}
			effects = append([]capture.Effect{}, effects...)
		}
		if effects != nil {
			out.Effects = append(append([]capture.Effect{}, out.Effects...), effects...)
		}
	}
	if acked == 0 && len(messages) > 0 {
		out.Status = capture.StatusFunctionError
	}
	return out, nil
}
