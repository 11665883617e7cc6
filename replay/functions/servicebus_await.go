package functions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/go-amqp"

	"tandem/capture"
)

// scheduled is the state of a message that is in the queue and that nobody gets yet.
const scheduled = 2

// A sighting is a message as peeking shows it.
type sighting struct {
	state    int64
	delivers uint32        // that failed
	life     time.Duration // from when it was taken in; 0 when it has no end
}

// A glance is what one look at the queue and its dead-letter queue has found.
type glance struct {
	number int64
	there  map[string]sighting      // by message ID
	dead   map[string]capture.Error // why
}

// A census is the looks of all who wait. One that has begun after somebody asked is good for all who asked before.
type census struct {
	turn chan struct{} // holds a token while nobody looks
	last *glance       // guarded by turn

	mu     sync.Mutex
	begun  int64
	wanted map[string]bool
	life   time.Duration // the shortest that a message was seen with
}

func (c *census) init() {
	c.turn = make(chan struct{}, 1)
	c.turn <- struct{}{}
	c.wanted, c.life = make(map[string]bool), liveFor
}

func (c *census) expect(messages []*bused) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		c.wanted[m.id] = true
	}
}

func (c *census) forget(messages []*bused) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		delete(c.wanted, m.id)
	}
}

// look returns a glance that has begun after the call.
func (b *ServiceBus) look(ctx context.Context) (*glance, error) {
	c := &b.looks
	c.mu.Lock()
	after := c.begun
	c.mu.Unlock()
	select {
	case <-c.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	if c.last != nil && c.last.number > after {
		return c.last, nil
	}
	l, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.begun++
	g := &glance{number: c.begun, there: make(map[string]sighting), dead: make(map[string]capture.Error)}
	c.mu.Unlock()
	if err := c.fill(ctx, l, g); err != nil {
		b.drop(ctx, l)
		return nil, err
	}
	c.last = g
	return g, nil
}

// fill looks at the queue first and at the dead-letter queue second. A message goes from the former to the latter and
// never back. So one that the first look does not find had been completed or moved before, and if it had been moved, the
// second look, which comes later, finds it. The other way round, a message that moves between the looks is in neither.
//
// The second look begins with the first message each time: a message that is moved keeps its number, and may come
// behind one that was seen.
func (c *census) fill(ctx context.Context, l *busLink, g *glance) error {
	life := liveFor
	err := l.queue.peek(ctx, func(m *amqp.Message) bool {
		if id, ok := messageID(m); ok {
			s := sight(m)
			if g.there[id] = s; s.life > 0 {
				life = min(life, s.life)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.life = min(c.life, life)
	missing := 0
	for id := range c.wanted {
		if _, there := g.there[id]; !there {
			missing++
		}
	}
	c.mu.Unlock()
	if missing == 0 {
		return nil
	}
	return l.dead.peek(ctx, func(m *amqp.Message) bool {
		if id, ok := messageID(m); ok {
			reason, _ := m.ApplicationProperties["DeadLetterReason"].(string)
			description, _ := m.ApplicationProperties["DeadLetterErrorDescription"].(string)
			g.dead[id] = capture.Error{Type: reason, Message: description}
		}
		return true
	})
}

func messageID(m *amqp.Message) (string, bool) {
	if m.Properties == nil {
		return "", false
	}
	id, ok := m.Properties.MessageID.(string)
	return id, ok
}

func sight(m *amqp.Message) sighting {
	var s sighting
	switch state := m.Annotations["x-opt-message-state"].(type) {
	case int32:
		s.state = int64(state)
	case int64:
		s.state = state
	}
	if m.Header != nil {
		s.delivers, s.life = m.Header.DeliveryCount, m.Header.TTL
	}
	return s
}

// prove sends the first message of a replay so that the queue has it for a while before anybody gets it, and looks at
// it there: if peeking did not show what is in the queue, each message would seem to be done at once. It returns when
// the message is due, so that the next ones come after it.
func (b *ServiceBus) prove(ctx context.Context, m *bused) (*capture.Outcome, error) {
	due := time.Now().Add(b.delay)
	m.amqp.Annotations = amqp.Annotations{"x-opt-scheduled-enqueue-time": due}
	if out, err := b.send(ctx, []*bused{m}); out != nil || err != nil {
		return out, err
	}
	for {
		late := time.Now().After(due)
		g, err := b.look(ctx)
		if err != nil {
			return nil, b.onItsWay(ctx, m, err)
		}
		s, there := g.there[m.id]
		b.proven = b.proven || there
		switch {
		case late && !b.proven:
			return nil, setup("queue %s does not show its messages when it is peeked at, so no outcome can be learned from it "+
				"(or this machine's clock is behind that of Azure)", b.opts.Name)
		case b.proven && (!there || s.state != scheduled):
			return nil, nil
		}
		if err := pauseFor(ctx, firstLook); err != nil {
			return nil, b.onItsWay(ctx, m, err)
		}
	}
}

func (b *ServiceBus) onItsWay(ctx context.Context, m *bused, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("message %s was sent: %w", m.record, err)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until the fate of each message is known. An error says what is not known.
func (b *ServiceBus) await(ctx context.Context, messages []*bused) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxAwait, errExpires)
	defer cancel()
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		g, err := b.look(ctx)
		left, fresh := 0, 0
		var lost []error
		for _, m := range messages {
			if err == nil && m.fate == "" && m.unknown == nil {
				b.looks.judge(m, g)
			}
			switch {
			case m.unknown != nil:
				lost = append(lost, fmt.Errorf("message %s: %w", m.record, m.unknown))
			case m.fate == "" && m.gone > 0:
				fresh++
				left++
			case m.fate == "":
				left++
			}
		}
		if left == 0 {
			return errors.Join(lost...)
		}
		if fresh > 0 && err == nil {
			continue // what was not found is looked for once more, at once
		}
		if pauseFor(ctx, pause) != nil {
			return b.giveUp(ctx, messages, err)
		}
	}
}

// sureAfter is in how many looks in a row a message has to be in neither queue.
const sureAfter = 2

// judge tells what a glance says of a message.
func (c *census) judge(m *bused, g *glance) {
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	if s, there := g.there[m.id]; there {
		m.gone, m.delivers = 0, s.delivers
		return
	}
	if reason, dead := g.dead[m.id]; dead {
		if reason.Type == "TTLExpiredException" || reason.Type == "HeaderSizeExceeded" {
			m.unknown = fmt.Errorf("the queue gave it up by itself: %s", reason.Type)
			return
		}
		m.fate, m.reason = capture.DeadLettered, reason
		return
	}
	if m.gone++; m.gone < sureAfter {
		return
	}
	if time.Since(m.sent) >= life {
		m.unknown = fmt.Errorf("it is gone, and may have expired: messages of this queue live for %v", life)
		return
	}
	m.fate = capture.Acked
}

// giveUp says what is not known of each message that is left. They stay in the queue: nobody can take one out without
// receiving others.
func (b *ServiceBus) giveUp(ctx context.Context, messages []*bused, trouble error) error {
	var left []string
	for _, m := range messages {
		if m.fate == "" && m.unknown == nil {
			left = append(left, fmt.Sprintf("%s after %d deliveries that failed", m.record, m.delivers))
		}
	}
	says := strings.Join(left, ", ") + ": does the app run and receive from this queue?"
	if r, ok := rejected(trouble); ok {
		says += " " + r.Error()
	} else if trouble != nil && ctx.Err() == nil {
		says += " " + trouble.Error()
	}
	return fmt.Errorf("%w: queue %s still has %s", context.Cause(ctx), b.opts.Name, says)
}
