package functions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

// QueueOptions say which Storage Queue a target sends to. Account and Name are needed.
type QueueOptions struct {
	// Account is the storage account: a connection string, the URL of its Queue service or the account's name.
	Account    string
	Credential azcore.TokenCredential // for an account that is not given by a connection string
	Name       string
	// PlainText says that messages are not in base64: extensions.queues.messageEncoding in host.json is "none".
	PlainText bool
	// Effects returns, and forgets, what the function did in one delivery of a message; see MessageTag in
	// capture/effects. Nil when nobody watches.
	Effects func(ctx context.Context, messageID string, delivery int) ([]capture.Effect, error)
	// Board has what other sources hear of the messages: what the function did in the first attempt, and whether they
	// contradict the queue. Nil when there are none. Once the queue has told what became of the messages, a report on
	// the first attempt at each is waited for, for Grace, which is at most five seconds, and that by default.
	Board *completion.Board
	Grace time.Duration
	HTTP  *http.Client // from [replay.NewHTTPClient], which is the default too
}

const (
	// hideFor is how long a message is hidden that was put and is not released. What was put without anybody having
	// learned so then has the one second that is left of its life in which the function could take it.
	hideFor  = time.Hour
	liveFor  = hideFor + time.Second
	maxAwait = hideFor * 5 / 6 // because a message that expires looks like one that was deleted
	// buryFor is how long a message of the poison queue is hidden after it was looked at.
	buryFor = 10 * time.Minute
	// maxGrace is for recorders, which report at once. A log comes minutes later, and each message would cost these.
	maxGrace = 5 * time.Second
)

// A Queue is a function with a queue trigger, fired through its Storage Queue. It is safe for concurrent use, and
// wants the queue and its poison queue for itself: it refuses to begin while the queue has messages.
//
// Messages are put hidden and released when all of an invocation are there, so it is sent whole or not at all. What
// became of each is learned from the queues alone; package replay/functions says how. Fire returns when the fate of
// each message is known, or with an error when ctx ends before. Then messages that nobody had taken are deleted.
type Queue struct {
	opts          QueueOptions
	queue, poison *azqueue.QueueClient
	// sends is queue, but sends once: a put that is repeated after its answer was lost is a second message.
	sends *azqueue.QueueClient

	begin  sync.Mutex // held while the queue is looked at for the first time
	ready  bool
	proven bool
	grave  graveyard
}

// NewQueue returns the target that opts describe. It sends nothing.
func NewQueue(opts QueueOptions) (*Queue, error) {
	if opts.Account == "" || opts.Name == "" {
		return nil, errors.New("a queue needs its account and its name")
	}
	if opts.HTTP == nil {
		opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	}
	opts.Grace = min(cmp.Or(opts.Grace, maxGrace), maxGrace)
	q := &Queue{opts: opts, grave: graveyard{
		hide: buryFor, plots: make(map[[sha256.Size]byte]*plot), known: make(map[string]bool),
	}}
	var errs [3]error
	q.queue, errs[0] = opts.client(opts.Name, 0)
	q.poison, errs[1] = opts.client(opts.Name+"-poison", 0)
	q.sends, errs[2] = opts.client(opts.Name, -1)
	return q, cmp.Or(errs[0], errs[1], errs[2])
}

// client connects to a queue. Retries are those of the SDK: 0 is its default, -1 none.
func (o *QueueOptions) client(name string, retries int32) (*azqueue.QueueClient, error) {
	opts := &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: o.HTTP, Retry: policy.RetryOptions{MaxRetries: retries},
	}}
	if IsConnectionString(o.Account) {
		c, err := azqueue.NewQueueClientFromConnectionString(o.Account, name, opts)
		if err != nil {
			// The SDK's error may quote the key.
			return nil, errors.New("account: this is not a connection string of a storage account")
		}
		return c, nil
	}
	if o.Credential == nil {
		return nil, errors.New("account: there are no credentials for it; give a connection string")
	}
	service := o.Account
	if !strings.Contains(service, "://") {
		service = "https://" + service + ".queue.core.windows.net"
	}
	return azqueue.NewQueueClient(strings.TrimSuffix(service, "/")+"/"+name, o.Credential, opts)
}

// IsConnectionString tells a connection string from a storage account's name or URL, which need credentials.
func IsConnectionString(account string) bool { return strings.Contains(account, ";") }

// Address is the queue's URL, without secrets.
func (q *Queue) Address() string {
	address, _, _ := strings.Cut(q.queue.URL(), "?")
	return address
}

// Check refuses events that the queue cannot carry as they are; see [replay.Checker].
func (q *Queue) Check(inv *capture.Invocation) error {
	_, err := q.messages(inv)
	return err
}

// messages takes an SQS event apart.
func (q *Queue) messages(inv *capture.Invocation) ([]*queued, error) {
	if inv.Trigger != capture.TriggerSQS {
		return nil, fmt.Errorf("a Storage Queue carries SQS messages, not events of the format %s", inv.Format)
	}
	records, err := parseSQSMessages(inv.Event)
	if err != nil {
		return nil, err
	}
	messages, ids := make([]*queued, len(records)), make(map[string]bool, len(records))
	for i, r := range records {
		text := r.Body
		if !q.opts.PlainText {
			text = base64.StdEncoding.EncodeToString([]byte(r.Body))
		}
		switch {
		case ids[r.MessageID]:
			return nil, fmt.Errorf("message %s is in the event twice", r.MessageID)
		case len(text) > maxMessage:
			return nil, fmt.Errorf("message %s has %d bytes as a Storage Queue keeps it, over its limit of %d",
				r.MessageID, len(text), maxMessage)
		case q.opts.PlainText && !inXML(text):
			return nil, fmt.Errorf("message %s has characters that a Storage Queue takes in base64 only", r.MessageID)
		case r.Attributes.MessageGroupID != "":
			return nil, fmt.Errorf("message %s is of a FIFO queue, whose order a Storage Queue does not keep", r.MessageID)
		}
		ids[r.MessageID] = true
		messages[i] = &queued{record: r.MessageID, text: text}
	}
	return messages, nil
}

// inXML tells whether text comes through an XML document, which is how messages are sent, unchanged.
func inXML(text string) bool {
	for _, r := range text {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff {
			return false // \r is read as \n
		}
	}
	return utf8.ValidString(text)
}

// Fire puts the messages of an SQS event and waits for what becomes of them; see [replay.Target].
func (q *Queue) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	messages, err := q.messages(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	if err := q.grave.await(ctx, messages); err != nil {
		return nil, err
	}
	defer q.grave.leave(messages)
	if out, err := q.put(ctx, messages); out != nil || err != nil {
		return out, err
	}
	heard := q.expect(messages)
	defer heard.close()
	if err := q.await(ctx, messages); err != nil {
		return nil, err
	}
	if err := heard.judge(ctx, messages); err != nil {
		return nil, err
	}
	return q.outcome(ctx, messages)
}

// put puts all messages, hidden. When that fails none is left to be seen, and the outcome or the error says so.
func (q *Queue) put(ctx context.Context, messages []*queued) (*capture.Outcome, error) {
	for i, m := range messages {
		got, err := q.sends.EnqueueMessage(ctx, m.text, &azqueue.EnqueueMessageOptions{
			VisibilityTimeout: seconds(hideFor), TimeToLive: seconds(liveFor),
		})
		if err != nil {
			q.withdraw(ctx, messages[:i])
			return q.putFailed(ctx, fmt.Errorf("put message %s: %w", m.record, err))
		}
		m.id, m.receipt = *got.Messages[0].MessageID, *got.Messages[0].PopReceipt
	}
	if err := q.prove(ctx, messages); err != nil {
		q.withdraw(ctx, messages)
		return nil, err
	}
	return nil, nil
}

func (q *Queue) putFailed(ctx context.Context, err error) (*capture.Outcome, error) {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		return replay.TransportFailure(ctx, err)
	}
	failure := fmt.Errorf("queue %s: %s", q.opts.Name, brief(err))
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, &replay.ThrottledError{Outcome: &capture.Outcome{
			Status: capture.StatusThrottled, Error: &capture.Error{Message: failure.Error()},
		}}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil, &replay.SetupError{Err: failure}
	}
	return &capture.Outcome{Status: capture.StatusTransport, Error: &capture.Error{Message: failure.Error()}}, nil
}

// prepare looks at the queues before the first message. What is there already could be taken for what is sent.
func (q *Queue) prepare(ctx context.Context) error {
	q.begin.Lock()
	defer q.begin.Unlock()
	if q.ready {
		return nil
	}
	props, err := q.queue.GetProperties(ctx, nil)
	if err != nil {
		return q.setup(ctx, fmt.Errorf("queue %s: %s", q.opts.Name, brief(err)))
	}
	if n := props.ApproximateMessagesCount; n != nil && *n > 0 {
		return &replay.SetupError{Err: fmt.Errorf("queue %s has about %d messages, and a replay needs it for itself: "+
			"clear it (az storage message clear --queue-name %[1]s), or wait an hour if they are of a replay that was "+
			"interrupted", q.opts.Name, *n)}
	}
	if props.Date != nil {
		q.grave.since = *props.Date
	}
	if err := q.grave.visit(ctx, q.poison); err != nil {
		return q.setup(ctx, fmt.Errorf("queue %s-poison: %s", q.opts.Name, brief(err)))
	}
	q.ready = true
	return nil
}

func (q *Queue) setup(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &replay.SetupError{Err: err}
}

// brief is err in one line, without what the SDK adds: headers and XML of refusals, and URLs, which may hold keys.
func brief(err error) string {
	var response *azcore.ResponseError
	var withURL *url.Error
	switch {
	case errors.As(err, &response):
		return fmt.Sprintf("%d %s", response.StatusCode, response.ErrorCode)
	case errors.As(err, &withURL):
		return withURL.Err.Error()
	}
	return inOneLine(err)
}

// outcome tells the fates, and what the function did in the first delivery of each message: Lambda, too, is fired
// once. That it was delivered more often is what dead-lettered says.
func (q *Queue) outcome(ctx context.Context, messages []*queued) (*capture.Outcome, error) {
	out := &capture.Outcome{Status: capture.StatusOK, Records: make(map[string]capture.Fate, len(messages))}
	acked, timeouts := 0, 0
	for _, m := range messages {
		out.Records[m.record] = m.fate
		out.PlatformMS = max(out.PlatformMS, m.firstMS())
		if m.fate == capture.Acked {
			acked++
		} else if out.Error == nil {
			out.Error = m.failure(q.opts.Name)
		}
		if m.fate != capture.Acked && m.first != nil && m.first.Status == capture.StatusTimeout {
			timeouts++
		}
		if q.opts.Effects == nil {
			continue
		}
		did, err := q.opts.Effects(ctx, m.id, 1)
		if err != nil {
			return nil, fmt.Errorf("effects of message %s: %w", m.record, err)
		}
		if out.Effects == nil {
			out.Effects = []capture.Effect{}
		}
		out.Effects = append(out.Effects, did...)
	}
	if acked == 0 && len(messages) > 0 {
		out.Status = capture.StatusFunctionError
		if timeouts == len(messages) {
			out.Status = capture.StatusTimeout
		}
	}
	return out, nil
}

func seconds(d time.Duration) *int32 { return to.Ptr(int32(d / time.Second)) }
