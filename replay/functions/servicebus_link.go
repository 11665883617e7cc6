package functions

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"

	"tandem/capture/customhandler"
)

// The SDK for Service Bus would not do here: it sends a message again when its link broke off before the answer had
// come, however few retries it is told to make, and it cannot peek at a queue with sessions without taking one.

const deadLetters = "/$DeadLetterQueue"

// batchFormat is the format of a message whose data sections are messages.
const batchFormat = 0x80013700

// pageSize is how many messages are peeked at in one request.
const pageSize = 100

// A busLink is a connection with what a target uses of a queue. The management nodes are used by one goroutine at a
// time.
type busLink struct {
	conn        *amqp.Conn
	session     *amqp.Session
	sender      *amqp.Sender
	queue, dead *busNode
	renewAt     time.Time    // when its tokens are renewed; zero for never
	used        atomic.Int64 // when something was sent last, in nanoseconds since 1970
}

// idleLimit is less than the ten minutes after which the service closes a link that nothing is sent on:
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot.
const idleLimit = 5 * time.Minute

// idle tells whether the service may have closed what is sent on.
func (l *busLink) idle() bool { return time.Since(time.Unix(0, l.used.Load())) > idleLimit }

// broken tells whether the connection is known to have ended since it was used.
func (l *busLink) broken() bool {
	select {
	case <-l.conn.Done():
		return true
	default:
		return false
	}
}

// A rejection is an answer of the service to a request: that it did not do it.
type rejection struct {
	condition   string // an AMQP condition, or a status code
	description string
}

func (r *rejection) Error() string { return r.condition + ": " + r.description }

// rejected returns what err says if it is an answer of the service.
func rejected(err error) (*rejection, bool) {
	var link *amqp.LinkError
	var answer *amqp.Error
	var own *rejection
	switch {
	case errors.As(err, &own):
		return own, true
	case errors.As(err, &link) && link.RemoteErr != nil:
		return &rejection{string(link.RemoteErr.Condition), link.RemoteErr.Description}, true
	case errors.As(err, &answer):
		return &rejection{string(answer.Condition), answer.Description}, true
	}
	return nil, false
}

// dialBus connects to a queue and its dead-letter queue.
func dialBus(ctx context.Context, access *busAccess, queue string) (*busLink, error) {
	conn, err := amqp.Dial(ctx, access.address(), &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		return nil, err
	}
	l := &busLink{conn: conn}
	l.used.Store(time.Now().UnixNano())
	if err := l.open(ctx, access, queue); err != nil {
		conn.Close() //nolint:errcheck // it is given up
		return nil, err
	}
	return l, nil
}

func (l *busLink) open(ctx context.Context, access *busAccess, queue string) error {
	if err := l.claim(ctx, access, queue); err != nil {
		return err
	}
	var err error
	if l.session, err = l.conn.NewSession(ctx, nil); err != nil {
		return err
	}
	l.sender, err = l.session.NewSender(ctx, queue, &amqp.SenderOptions{
		SettlementMode:              amqp.SenderSettleModeUnsettled.Ptr(),
		RequestedReceiverSettleMode: amqp.ReceiverSettleModeFirst.Ptr(),
	})
	if err != nil {
		return err
	}
	if l.queue, err = l.node(ctx, queue+"/$management"); err != nil {
		return err
	}
	l.dead, err = l.node(ctx, queue+deadLetters+"/$management")
	return err
}

func (l *busLink) close() { l.conn.Close() } //nolint:errcheck // what it was used for has been answered, or never will

// claim puts tokens for what is used of a queue:
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization.
func (l *busLink) claim(ctx context.Context, access *busAccess, queue string) error {
	session, err := l.conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	defer session.Close(ctx) //nolint:errcheck // its requests are answered
	whole := busLink{session: session}
	cbs, err := whole.node(ctx, "$cbs")
	if err != nil {
		return err
	}
	l.renewAt = time.Time{}
	for _, path := range []string{
		queue, queue + "/$management", queue + deadLetters, queue + deadLetters + "/$management",
	} {
		token, err := access.token(ctx, access.audience(path))
		if err != nil {
			return err
		}
		if !token.expires.IsZero() {
			l.renewAt = time.Now().Add(time.Until(token.expires) / 2)
		}
		_, err = cbs.ask(ctx, &amqp.Message{
			Value: token.text,
			ApplicationProperties: map[string]any{
				"operation": "put-token", "type": token.kind, "name": access.audience(path),
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// send sends one message, once. Without an error it was accepted. A [rejection] says that it was not; after another
// error nobody knows.
func (l *busLink) send(ctx context.Context, m *amqp.Message) error {
	l.used.Store(time.Now().UnixNano())
	receipt, err := l.sender.SendWithReceipt(ctx, m, nil)
	if err != nil {
		return unsure(err)
	}
	state, err := receipt.Wait(ctx)
	if err != nil {
		return unsure(err)
	}
	switch s := state.(type) {
	case *amqp.StateAccepted:
		return nil
	case *amqp.StateRejected:
		if s.Error == nil {
			return &rejection{"rejected", "the service does not say why"}
		}
		return &rejection{string(s.Error.Condition), s.Error.Description}
	}
	return fmt.Errorf("the service answered %T, which is neither accepted nor rejected", state)
}

// unsure hides that an error came from the service: a link that was closed may have passed the message on before. That
// a context has ended is not hidden.
func unsure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.New(err.Error())
}

// probe opens a receiver and closes it again. It gives no credit, so it is given nothing. An error is why the service
// would not let anybody receive without a session.
func (l *busLink) probe(ctx context.Context, path string) error {
	r, err := l.session.NewReceiver(ctx, path, &amqp.ReceiverOptions{
		Credit: -1, SettlementMode: amqp.ReceiverSettleModeSecond.Ptr(),
	})
	if err != nil {
		return err
	}
	return r.Close(ctx)
}

// A busNode answers requests.
type busNode struct {
	reply    string
	sender   *amqp.Sender
	receiver *amqp.Receiver
}

func (l *busLink) node(ctx context.Context, address string) (*busNode, error) {
	n := &busNode{reply: "tandem-" + customhandler.NewInvocationID()}
	var err error
	if n.sender, err = l.session.NewSender(ctx, address, nil); err != nil {
		return nil, err
	}
	n.receiver, err = l.session.NewReceiver(ctx, address, &amqp.ReceiverOptions{
		TargetAddress: n.reply, Credit: 10, SettlementMode: amqp.ReceiverSettleModeFirst.Ptr(),
		RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
	})
	return n, err
}

// ask sends a request and returns its answer, which is nil when there is no content. A refusal is a [rejection].
func (n *busNode) ask(ctx context.Context, request *amqp.Message) (*amqp.Message, error) {
	id := customhandler.NewInvocationID()
	request.Properties = &amqp.MessageProperties{MessageID: id, ReplyTo: &n.reply}
	if err := n.sender.Send(ctx, request, nil); err != nil {
		return nil, err
	}
	for {
		answer, err := n.receiver.Receive(ctx, nil)
		if err != nil {
			return nil, err
		}
		if answer.Properties == nil || answer.Properties.CorrelationID != id {
			continue // to a request that was given up
		}
		code, _ := firstOf(answer.ApplicationProperties, "status-code", "statusCode").(int32)
		text, _ := firstOf(answer.ApplicationProperties, "status-description", "statusDescription").(string)
		switch {
		case code == http.StatusNoContent:
			return nil, nil
		case code < 200 || code > 299:
			return nil, &rejection{fmt.Sprint(code), text}
		}
		return answer, nil
	}
}

func firstOf(properties map[string]any, names ...string) any {
	for _, name := range names {
		if v, ok := properties[name]; ok {
			return v
		}
	}
	return nil
}

// peek calls see with each message that is there, until that returns false. A page may be short while more are there,
// so only one without messages is the end:
// https://learn.microsoft.com/azure/service-bus-messaging/message-browsing#maximum-number-of-messages.
func (n *busNode) peek(ctx context.Context, see func(*amqp.Message) bool) error {
	for from := int64(0); ; {
		answer, err := n.ask(ctx, &amqp.Message{
			ApplicationProperties: map[string]any{"operation": "com.microsoft:peek-message"},
			Value:                 map[string]any{"from-sequence-number": from, "message-count": int32(pageSize)},
		})
		if answer == nil || err != nil {
			return err
		}
		page, err := readPage(answer)
		if err != nil || len(page) == 0 {
			return err
		}
		next := from
		for _, m := range page {
			number, ok := m.Annotations["x-opt-sequence-number"].(int64)
			switch {
			case !ok:
				return errors.New("the service peeked at a message without a sequence number")
			case number < from:
				return errors.New("the service peeked at messages that were not asked for")
			case !see(m) || number == math.MaxInt64:
				return nil
			}
			next = max(next, number+1)
		}
		from = next
	}
}

var errPage = errors.New("the service answered what is not a page of messages")

// readPage reads the messages of an answer to a peek: a map with a list of maps with a message each, encoded.
func readPage(answer *amqp.Message) ([]*amqp.Message, error) {
	value, _ := answer.Value.(map[string]any)
	list, ok := value["messages"].([]any)
	if !ok {
		return nil, errPage
	}
	page := make([]*amqp.Message, len(list))
	for i, entry := range list {
		fields, _ := entry.(map[string]any)
		encoded, ok := fields["message"].([]byte)
		if !ok {
			return nil, errPage
		}
		page[i] = new(amqp.Message)
		if err := page[i].UnmarshalBinary(encoded); err != nil {
			return nil, fmt.Errorf("%w: %v", errPage, err)
		}
	}
	return page, nil
}
