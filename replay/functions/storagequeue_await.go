package functions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"

	"tandem/capture"
	"tandem/replay"
)

const (
	firstLook   = 20 * time.Millisecond // the pause after the first look at messages that were sent
	longestLook = time.Second
	// withdrawPatience bounds how long a replay that has ended waits for the deletion of what nobody has taken.
	withdrawPatience = 10 * time.Second
)

// A queued is a message in the queue.
type queued struct {
	record string // its ID in SQS
	text   string // as the queue keeps it
	sum    [sha256.Size]byte
	id     string // in the queue; "" before it was put
	// receipt is the one that the message is released with. The release makes it stale for good, so that asking with
	// it once more changes nothing and tells whether the message is still there.
	receipt string
	latest  string // the receipt that the release gave; it is good until somebody dequeues the message

	gone      bool
	withdrawn bool         // deleted by the replay before anybody had dequeued it
	fate      capture.Fate // "" when it is not known
	// first is what the function did with it in the first attempt, as far as others have told; nil when none has.
	first *capture.Outcome
}

var errExpires = fmt.Errorf("nothing was known after %v", maxAwait)

// await releases the messages and waits until the fate of each is known. An error says what is not known.
func (q *Queue) await(ctx context.Context, messages []*queued) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxAwait, errExpires)
	defer cancel()
	var trouble error // why the last look told nothing
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		left := 0
		var lost []error
		for _, m := range messages {
			if !m.gone {
				if err := q.look(ctx, m); err != nil && ctx.Err() == nil {
					trouble = err
				}
			}
			if m.gone && m.fate == "" {
				lost = append(lost, fmt.Errorf("message %s: queue %s-poison has a copy of it or of another message "+
					"with the same text", m.record, q.opts.Name))
			} else if !m.gone {
				left++
			}
		}
		if left == 0 {
			return errors.Join(lost...)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return q.giveUp(ctx, messages, trouble)
		}
	}
}

// look releases m if it is not released yet, and else finds out whether it is gone, and where. For a receipt that is
// not the latest the service answers PopReceiptMismatch while the message exists, visible or not, and MessageNotFound
// once it was deleted: https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes.
func (q *Queue) look(ctx context.Context, m *queued) error {
	if m.latest == "" {
		// Without the answer to the release nobody could take the message back.
		var cancel context.CancelFunc
		ctx, cancel = outlasting(ctx, withdrawPatience)
		defer cancel()
	}
	visible := &azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(0)}
	got, err := q.queue.UpdateMessage(ctx, m.id, m.receipt, m.text, visible)
	switch {
	case err == nil:
		m.latest = *got.PopReceipt
		return nil
	case queueerror.HasCode(err, queueerror.PopReceiptMismatch):
		return nil
	case !queueerror.HasCode(err, queueerror.MessageNotFound):
		return err
	}
	// The host writes the copy before it deletes the message, so a copy that is not there now will not come.
	if err := q.grave.visit(ctx, q.poison); err != nil {
		return err
	}
	m.gone, m.fate = true, q.grave.judge(m)
	return nil
}

// outlasting returns a context that ends so long after ctx.
func outlasting(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(patience, cancel)
		context.AfterFunc(lasting, func() { timer.Stop() })
	})
	return lasting, func() {
		stop()
		cancel()
	}
}

// prove checks, once and with a message that nobody sees yet, that the service tells a stale receipt from a message
// that does not exist: else each message would seem to be done at once.
func (q *Queue) prove(ctx context.Context, messages []*queued) error {
	q.begin.Lock()
	defer q.begin.Unlock()
	if q.proven || len(messages) == 0 {
		return nil
	}
	m := messages[0]
	// It cannot be hidden for longer than it lives.
	hidden := &azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(hideFor - time.Minute)}
	got, err := q.queue.UpdateMessage(ctx, m.id, m.receipt, m.text, hidden)
	if err != nil {
		return fmt.Errorf("queue %s: update message %s: %s", q.opts.Name, m.record, brief(err))
	}
	stale := m.receipt
	m.receipt = *got.PopReceipt
	_, err = q.queue.UpdateMessage(ctx, m.id, stale, m.text, hidden)
	switch {
	case queueerror.HasCode(err, queueerror.PopReceiptMismatch):
		q.proven = true
		return nil
	case err == nil, queueerror.HasCode(err, queueerror.MessageNotFound):
		return &replay.SetupError{Err: fmt.Errorf("queue %s: the service does not tell a message that was taken from one "+
			"that was deleted, so no outcome can be learned from it", q.opts.Name)}
	}
	return fmt.Errorf("queue %s: update message %s: %s", q.opts.Name, m.record, brief(err))
}

// withdraw deletes those messages that nobody has dequeued since they were put. Of others the receipt is stale.
func (q *Queue) withdraw(ctx context.Context, messages []*queued) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawPatience)
	defer cancel()
	for _, m := range messages {
		receipt := m.latest
		if receipt == "" {
			receipt = m.receipt
		}
		if m.gone || m.id == "" {
			continue
		}
		if _, err := q.queue.DeleteMessage(ctx, m.id, receipt, nil); err == nil {
			m.withdrawn = true
		}
	}
}

// giveUp withdraws what nobody has taken, and says what is not known of each message that is left.
func (q *Queue) giveUp(ctx context.Context, messages []*queued, trouble error) error {
	q.withdraw(ctx, messages)
	var waiting, taken []string
	for _, m := range messages {
		switch {
		case m.withdrawn:
			waiting = append(waiting, m.record)
		case !m.gone:
			taken = append(taken, m.record)
		}
	}
	var says []string
	if len(waiting) > 0 {
		says = append(says, fmt.Sprintf("nobody took %s, now withdrawn: does the app run and poll this queue?",
			strings.Join(waiting, ", ")))
	}
	if len(taken) > 0 {
		says = append(says, fmt.Sprintf("%s was taken, and neither deleted nor moved to %s-poison",
			strings.Join(taken, ", "), q.opts.Name))
	}
	if trouble != nil {
		says = append(says, brief(trouble))
	}
	return fmt.Errorf("%w: queue %s: %s", context.Cause(ctx), q.opts.Name, strings.Join(says, "; "))
}

// A graveyard knows what came into the poison queue since the replay began. The host writes a message there as a new
// one: nothing but its text tells which it was.
type graveyard struct {
	hide  time.Duration // for which a message that was looked at is hidden
	since time.Time     // by the service's clock; what is older is none of the replay's

	mu    sync.Mutex
	plots map[[sha256.Size]byte]*plot // by the text's hash
	known map[string]bool             // IDs of the messages in the poison queue that were seen
}

// A plot is for the messages of one text.
type plot struct {
	busy   chan struct{} // closed when the invocation that has such a message ends; nil when there is none
	lost   int           // messages that were given up and may still come
	shared bool          // there are several at a time, so that a copy may be of any
	copies int
}

// await waits until no other invocation has a message of the same text in the queue, and prepares a place for each
// message. An error is the cause of ctx.
func (g *graveyard) await(ctx context.Context, messages []*queued) error {
	for {
		busy := g.take(messages)
		if busy == nil {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return fmt.Errorf("%w: another invocation has a message of the same text in the queue", context.Cause(ctx))
		}
	}
}

// take takes the places of all messages, or none and returns what to wait for.
func (g *graveyard) take(messages []*queued) (busy <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range messages {
		m.sum = sha256.Sum256([]byte(m.text))
		if p := g.plots[m.sum]; p != nil && p.busy != nil {
			return p.busy
		}
	}
	own := make(chan struct{})
	for _, m := range messages {
		p := g.plots[m.sum]
		if p == nil {
			p = new(plot)
			g.plots[m.sum] = p
		}
		p.shared = p.shared || p.busy == own || p.lost > 0
		p.busy = own
	}
	return nil
}

// leave gives the places back. A message that is still somewhere keeps its own: its copy must not be taken for that
// of a message sent later.
func (g *graveyard) leave(messages []*queued) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var own chan struct{}
	for _, m := range messages {
		p := g.plots[m.sum]
		if p.busy != nil { // not so for the second of two in one batch
			own, p.busy = p.busy, nil
		}
		if m.id != "" && !m.gone && !m.withdrawn {
			p.lost++
		}
	}
	for _, m := range messages {
		if p := g.plots[m.sum]; p != nil && p.lost == 0 {
			delete(g.plots, m.sum)
		}
	}
	if own != nil {
		close(own)
	}
}

// judge tells the fate of a message that is gone, once visit was called after that: "" when the copy in the poison
// queue may be another's.
func (g *graveyard) judge(m *queued) capture.Fate {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch p := g.plots[m.sum]; {
	case p.copies == 0:
		return capture.Acked
	case p.shared:
		return ""
	default:
		return capture.DeadLettered
	}
}

// visit counts the copies that came. It receives them, because no more than 32 messages can be peeked at, and lets
// them be: they are back after a while.
func (g *graveyard) visit(ctx context.Context, poison *azqueue.QueueClient) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		got, err := poison.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{
			NumberOfMessages: to.Ptr[int32](32), VisibilityTimeout: seconds(g.hide),
		})
		if queueerror.HasCode(err, queueerror.QueueNotFound) {
			return nil // the host makes it when it needs it
		}
		if err != nil || len(got.Messages) == 0 {
			return err
		}
		for _, m := range got.Messages {
			if g.known[*m.MessageID] {
				continue
			}
			g.known[*m.MessageID] = true
			var text string
			if m.MessageText != nil {
				text = *m.MessageText
			}
			if p := g.plots[sha256.Sum256([]byte(text))]; p != nil && !m.InsertionTime.Before(g.since) {
				p.copies++
			}
		}
	}
}
