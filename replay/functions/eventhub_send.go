package functions

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/replay"
)

const (
	// senderIdle is how long a connection may have been idle that is used again. Event Hubs ends the link of who sends
	// nothing for ten minutes or more, which only the next send would find out.
	senderIdle = time.Minute
	// closePatience bounds how long it takes to let go of a connection.
	closePatience = 5 * time.Second
)

// senders are connections to a hub, each for one firing at a time.
type senders struct {
	opts *EventHubOptions

	mu   sync.Mutex
	idle []*sender // the last used at the end
}

// A sender is a connection that sends each batch once.
type sender struct {
	*azeventhubs.ProducerClient
	gate *sendGate
	used time.Time
}

// send sends the groups one after the other. When that fails, the outcome or the error says so.
func (s *senders) send(ctx context.Context, groups [][]*kinesisRecord) (*capture.Outcome, error) {
	c, err := s.take(ctx)
	if err != nil {
		return nil, &replay.SetupError{Err: s.told("connect", err)}
	}
	// All is put together before anything is sent, so that nothing is sent of what cannot be sent whole.
	var batches []*azeventhubs.EventDataBatch
	for _, group := range groups {
		more, err := s.batches(ctx, c, group)
		if errors.Is(err, azeventhubs.ErrEventDataTooLarge) {
			s.keep(c)
			return replay.Unreplayable("event hub %s: an event is over what its tier takes", s.opts.Name), nil
		}
		if err != nil {
			c.discard(ctx)
			return s.notSent(ctx, err)
		}
		batches = append(batches, more...)
	}
	for i, batch := range batches {
		c.gate.sending.Store(true)
		err := c.SendEventDataBatch(ctx, batch, nil)
		c.gate.sending.Store(false)
		switch {
		case err == nil:
		case i == 0 && hubIsBusy(err):
			c.discard(ctx)
			return s.notSent(ctx, err)
		default:
			c.discard(ctx)
			return replay.TransportFailure(ctx, fmt.Errorf("%w; %d of %d batches had been sent before, and whether this "+
				"one arrived is not known", s.told("send", err), i, len(batches)))
		}
	}
	s.keep(c)
	return nil, nil
}

// batches puts the records of one partition key into as many batches as they need.
func (s *senders) batches(ctx context.Context, c *sender, group []*kinesisRecord) (
	[]*azeventhubs.EventDataBatch, error) {
	opts := &azeventhubs.EventDataBatchOptions{PartitionKey: &group[0].Kinesis.PartitionKey}
	var all []*azeventhubs.EventDataBatch
	var batch *azeventhubs.EventDataBatch
	for i := 0; i < len(group); {
		if batch == nil {
			var err error
			if batch, err = c.NewEventDataBatch(ctx, opts); err != nil {
				return nil, err
			}
			all = append(all, batch)
		}
		r := group[i]
		event := &azeventhubs.EventData{Body: r.data, Properties: r.properties(ctx), MessageID: &r.id}
		err := batch.AddEventData(event, nil)
		switch {
		case err == nil:
			i++
		case errors.Is(err, azeventhubs.ErrEventDataTooLarge) && batch.NumEvents() > 0:
			batch = nil
		default:
			return nil, err
		}
	}
	return all, nil
}

// notSent says what an error means before anything was sent.
func (s *senders) notSent(ctx context.Context, err error) (*capture.Outcome, error) {
	var known *azeventhubs.Error
	told := s.told("send", err)
	switch text := err.Error(); {
	case hubIsBusy(err):
		return nil, &replay.ThrottledError{Outcome: &capture.Outcome{
			Status: capture.StatusThrottled, Error: &capture.Error{Message: told.Error()},
		}}
	case errors.As(err, &known) && known.Code == azeventhubs.ErrorCodeUnauthorizedAccess,
		strings.Contains(text, "status code 401"):
		return nil, &replay.SetupError{Err: fmt.Errorf("%w; it takes the role Azure Event Hubs Data Sender or a key with "+
			"Send", told)}
	case strings.Contains(text, "amqp:not-found"), strings.Contains(text, "status code 404"):
		return nil, &replay.SetupError{Err: told}
	}
	return replay.TransportFailure(ctx, told)
}

func hubIsBusy(err error) bool { return strings.Contains(err.Error(), "com.microsoft:server-busy") }

// told says what was attempted; the SDK's errors are of several lines.
func (s *senders) told(what string, err error) error {
	return fmt.Errorf("%s to event hub %s: %w", what, s.opts.Name, oneLine{err})
}

// oneLine is an error whose text has no line ends.
type oneLine struct{ error }

func (e oneLine) Error() string { return inOneLine(e.error) }
func (e oneLine) Unwrap() error { return e.error }

// take returns a connection for one firing, which keep or discard ends. It connects when it is first used.
func (s *senders) take(ctx context.Context) (*sender, error) {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return s.connect()
		}
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if time.Since(c.used) < senderIdle && !c.gate.broken.Load() {
			return c, nil
		}
		c.discard(ctx)
	}
}

func (s *senders) keep(c *sender) {
	c.used = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

func (s *senders) close() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, c := range idle {
		c.discard(context.Background())
	}
}

// discard ends a connection. When ctx has ended, nobody waits for the peer to agree, which it may never do.
func (c *sender) discard(ctx context.Context) {
	if ctx.Err() != nil {
		c.gate.cut()
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	_ = c.Close(closing) // nothing more is sent through it
}

func (s *senders) connect() (*sender, error) {
	c := &sender{gate: &sendGate{address: s.opts.Namespace}}
	opts := &azeventhubs.ProducerClientOptions{
		ApplicationID:    "tandem",
		RetryOptions:     azeventhubs.RetryOptions{MaxRetries: -1}, // none
		NewWebSocketConn: c.gate.dial,
	}
	var err error
	if s.opts.Connection == "" {
		c.ProducerClient, err = azeventhubs.NewProducerClient(s.opts.Namespace, s.opts.Name, s.opts.Credential, opts)
		return c, err
	}
	props, err := azeventhubs.ParseConnectionString(s.opts.Connection)
	if err != nil {
		return nil, errors.New("this is not a connection string")
	}
	c.gate.address, c.gate.plain = props.FullyQualifiedNamespace, props.Emulator
	c.ProducerClient, err = azeventhubs.NewProducerClientFromConnectionString(s.opts.Connection, s.opts.Name, opts)
	return c, err
}

// A sendGate keeps the SDK from sending a batch again. When the link is lost before the service has told that it has
// a batch, the SDK attaches another and sends it once more, whatever the retry options say (LinkRetrier.Retry in its
// links_recover.go). So a gate makes its connections, and while a batch is being sent lets neither another connection
// nor another link be opened.
type sendGate struct {
	address string // host, with or without a port
	plain   bool   // without TLS, as emulators speak
	sending atomic.Bool
	broken  atomic.Bool // a connection has ended since it was last used

	mu   sync.Mutex
	conn net.Conn // the latest; nil before the first
}

// cut ends the connection at once.
func (g *sendGate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		g.conn.Close()
	}
}

var errSentOnce = errors.New("the link was lost while a batch was being sent, and it is not sent again")

// dial connects as the SDK itself would.
func (g *sendGate) dial(ctx context.Context, _ azeventhubs.WebSocketConnParams) (net.Conn, error) {
	if g.sending.Load() {
		return nil, errSentOnce
	}
	host, port, err := net.SplitHostPort(g.address)
	if err != nil {
		host, port = g.address, "5671"
		if g.plain {
			port = "5672"
		}
	}
	var conn net.Conn
	if g.plain {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	} else {
		conn, err = new(tls.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	}
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
	g.broken.Store(false)
	return &gatedConn{conn, g}, nil
}

// A gatedConn is written one AMQP frame a call.
type gatedConn struct {
	net.Conn
	gate *sendGate
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.gate.broken.Store(true)
	}
	return n, err
}

// Write refuses the frame that attaches a link while a batch is being sent. The link that renews the claim of a
// connection, which is to $cbs, is another matter.
func (c *gatedConn) Write(frame []byte) (int, error) {
	if c.gate.sending.Load() && isAttach(frame) && !bytes.Contains(frame, []byte("$cbs")) {
		return 0, errors.Join(errSentOnce, c.Close())
	}
	return c.Conn.Write(frame)
}

// isAttach tells whether an AMQP frame is one, whose body begins with the descriptor of attach:
// http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#type-attach.
func isAttach(frame []byte) bool {
	if len(frame) < 8 || binary.BigEndian.Uint32(frame) != uint32(len(frame)) {
		return false
	}
	offset := 4 * int(frame[4]) // of the body, in words
	return offset <= len(frame) && bytes.HasPrefix(frame[offset:], []byte{0x00, 0x53, 0x12})
}
