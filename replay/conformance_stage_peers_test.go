//go:build peers

package replay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/functions"
	"tandem/replay/lambda"
)

// A platform is what all stages of a test share.
type platform struct {
	storage peers.Storage
	sqs     string
	hubs    string
	bus     string
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	return &platform{
		storage: peers.Azurite(t), sqs: peers.Fauxqs(t), hubs: peers.EventHubs(t, "clicks", 2),
		bus: peers.ServiceBus(t, map[string]peers.BusQueue{
			"faults": {}, "anew": {}, "gone": {}, "vanish": {}, "sweep": {}, "slow": {}, "lanes": {Sessions: true},
		}),
	}
}

// A stage is a target, its peer behind a line, and the app there, which works at once on what it gets.
type stage struct {
	target replay.Target
	line   line
	app    *tally
	inv    func(text string) *capture.Invocation
}

// A tally counts what an app has worked on.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	order  []string
}

func (w *tally) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts == nil {
		w.counts = make(map[string]int)
	}
	w.counts[text]++
	w.order = append(w.order, text)
}

func (w *tally) of(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[text]
}

// A venue is a kind of target that is fired at through a peer.
type venue struct {
	name  string
	start func(t *testing.T, p *platform, name string) *stage
	// want has the faults that come to something else than at most targets, and why.
	want map[string]outcomeAt
	amqp bool
	lane string // the begin of the lanes that it has
	// exchanges is how many a firing takes at least, with connecting.
	exchanges int
	looks     bool // a replay does not begin before storage has been looked at
}

type outcomeAt struct{ what, why string }

var venues = []venue{
	{name: "queue", start: queueStage, looks: true, exchanges: 4, want: map[string]outcomeAt{
		"redirect": {"transport_error", "nothing but 201 says that a message was put"},
	}},
	{name: "blob", start: blobStage, looks: true, exchanges: 1, lane: "s3:b/lane", want: map[string]outcomeAt{
		"closed before an answer": {"ok", "the blob has the mark, so it was written, and the app told the rest"},
		"reset before an answer":  {"ok", "likewise"},
		"reset half way":          {"ok", "likewise"},
		"truncated answer":        {"ok", "likewise"},
		"no HTTP":                 {"ok", "likewise"},
		"oversized answer":        {"ok", "likewise"},
		"redirect":                {"transport_error", "nothing but 201 says that a blob was written, and it is not there"},
	}},
	{name: "servicebus", start: busStage, amqp: true, exchanges: 15, lane: "sqs:arn:aws:sqs:eu-west-1:1:q.fifo/g", want: map[string]outcomeAt{
		"redirect": {"transport_error", "the link is detached, and whether the message was kept is not said"},
	}},
	{name: "eventhub", start: hubStage, amqp: true, exchanges: 8, lane: "kinesis:", want: map[string]outcomeAt{
		"redirect": {"transport_error", "the link is detached, and whether the event was kept is not said"},
	}},
	{name: "asynchronous lambda", start: eventStage, exchanges: 1, want: map[string]outcomeAt{
		"redirect": {"unreplayable", "the Invoke API does not redirect, so it is a refusal"},
	}},
}

func (v *venue) at(f *fault) string {
	if other, ok := v.want[f.name]; ok {
		return other.what
	}
	return f.want
}

// client returns a client that reads answers of that length, and is closed with the test.
func client(t *testing.T, longest int64) *http.Client {
	c := replay.NewHTTPClient(replay.HTTPOptions{MaxAnswer: longest})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// polled calls look until the test ends.
func polled(t *testing.T, look func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			look(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

var queueText = regexp.MustCompile(`<MessageText>(.*)</MessageText>`)

func queueStage(t *testing.T, p *platform, name string) *stage {
	s := &stage{app: new(tally), inv: sqsMessage}
	l := newHTTPLine(t, p.storage.Queues, func(r *http.Request, body []byte) (string, bool) {
		m := queueText.FindSubmatch(body)
		if r.Method != http.MethodPost || m == nil {
			return "", false
		}
		text, _ := base64.StdEncoding.DecodeString(string(m[1]))
		return string(text), true
	})
	s.line = l
	queue, err := azqueue.NewQueueClientFromConnectionString(p.storage.ConnectionString(), name,
		&azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client(t, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	polled(t, func(ctx context.Context) {
		got, err := queue.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{VisibilityTimeout: to.Ptr[int32](600)})
		if err != nil {
			return
		}
		for _, m := range got.Messages {
			text, _ := base64.StdEncoding.DecodeString(*m.MessageText)
			s.app.add(string(text))
			_, _ = queue.DeleteMessage(ctx, *m.MessageID, *m.PopReceipt, nil)
		}
	})
	through := p.storage
	through.Queues = l.server.URL + "/" + p.storage.Account
	s.target, err = functions.NewQueue(functions.QueueOptions{
		Account: through.ConnectionString(), Name: name, HTTP: client(t, 4000),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sqsMessage(text string) *capture.Invocation {
	return sqsEvent(text, `{"SentTimestamp":"1"}`)
}

func sqsEvent(text, attributes string) *capture.Invocation {
	var more string
	switch {
	case strings.HasPrefix(text, "busy!"):
		more = `"fault":{"stringValue":"busy","dataType":"String"}`
	case strings.HasPrefix(text, "detach!"):
		more = `"fault":{"stringValue":"lost","dataType":"String"}`
	}
	return &capture.Invocation{
		ID: text, Function: "f", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Event: fmt.Appendf(nil, `{"Records":[{"messageId":%q,"body":%[1]q,"attributes":%s,"messageAttributes":{%s},`+
			`"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:1:q.fifo"}]}`, text, attributes, more),
	}
}

// contents are the objects of S3 events: each is its own name.
type contents struct{ names sync.Map }

func (c *contents) OpenObject(sum string) (io.ReadCloser, error) {
	text, ok := c.names.Load(sum)
	if !ok {
		return nil, errors.New("no such object")
	}
	return io.NopCloser(strings.NewReader(text.(string))), nil
}

// upload is an S3 event of one object with that content.
func (c *contents) upload(key, text string) *capture.Invocation {
	hash := sha256.Sum256([]byte(text))
	sum := hex.EncodeToString(hash[:])
	c.names.Store(sum, text)
	return &capture.Invocation{
		ID: text, Function: "f", Trigger: capture.TriggerS3, Format: capture.FormatS3,
		Event: fmt.Appendf(nil, `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put",`+
			`"s3":{"bucket":{"name":"b"},"object":{"key":%q}}}]}`, key),
		Objects: []capture.Object{{Bucket: "b", Key: key, Size: int64(len(text)), SHA256: sum}},
	}
}

func blobStage(t *testing.T, p *platform, name string) *stage {
	objects := new(contents)
	s := &stage{app: new(tally), inv: func(text string) *capture.Invocation {
		if key, _, ok := strings.Cut(text, "@"); ok {
			return objects.upload(key, text)
		}
		return objects.upload(text, text)
	}}
	l := newHTTPLine(t, p.storage.Blobs, func(r *http.Request, body []byte) (string, bool) {
		return string(body), r.Method == http.MethodPut && r.URL.RawQuery == "" && path.Base(path.Dir(r.URL.Path)) == name
	})
	s.line = l
	board := completion.NewBoard()
	account, err := service.NewClientFromConnectionString(p.storage.ConnectionString(),
		&service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client(t, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	blobs := account.NewContainerClient(name)
	if _, err := blobs.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	polled(t, func(ctx context.Context) { // as an app does whose recorder tells of it
		for pages := blobs.NewListBlobsFlatPager(nil); pages.More(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return
			}
			for _, b := range page.Segment.BlobItems {
				etag := strings.Trim(string(*b.Properties.ETag), `"`)
				if seen[etag] {
					continue
				}
				got, err := blobs.NewBlobClient(*b.Name).DownloadStream(ctx, nil)
				if err != nil {
					return
				}
				body, err := io.ReadAll(got.Body)
				got.Body.Close()
				if err != nil || got.ETag == nil || strings.Trim(string(*got.ETag), `"`) != etag {
					return
				}
				seen[etag] = true
				s.app.add(string(body))
				board.Report(completion.Report{
					Key: completion.Blob(name, *b.Name, etag), Source: "recorder", Attempt: 1, Invocation: etag,
					Outcome: &capture.Outcome{Status: capture.StatusOK},
				})
			}
		}
	})
	through := p.storage
	through.Blobs = l.server.URL + "/" + p.storage.Account
	s.target, err = functions.NewBlob(functions.BlobOptions{
		Account: through.ConnectionString(), Container: name, Function: "f", EventGrid: true, Objects: objects, Board: board,
		HTTP: client(t, 4000),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// through returns a connection string for the namespace behind l.
func through(connection string, l *amqpLine) string {
	return strings.Replace(connection, l.peer, l.listener.Addr().String(), 1)
}

// namespaceOf returns the address in a connection string.
func namespaceOf(connection string) string {
	address, _, _ := strings.Cut(strings.TrimPrefix(connection, "Endpoint=sb://"), ";")
	return address
}

func busStage(t *testing.T, p *platform, name string) *stage {
	l := newAMQPLine(t, namespaceOf(p.bus), nil)
	sessions := name == "lanes"
	s := &stage{app: new(tally), line: l, inv: func(text string) *capture.Invocation {
		l.expect(text)
		if sessions {
			return sqsEvent(text, `{"MessageGroupId":"g","SentTimestamp":"1"}`)
		}
		return sqsMessage(text)
	}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	bus, err := azservicebus.NewClientFromConnectionString(p.bus, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		defer bus.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is received
		if err := complete(ctx, bus, name, sessions, s.app); err != nil && ctx.Err() == nil {
			t.Errorf("receive from %s: %v", name, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	target, err := functions.NewServiceBus(functions.ServiceBusOptions{
		Connection: through(p.bus, l), Name: name, Sessions: sessions,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	s.target = target
	return s
}

// complete completes what is in a queue, or in its session g, until ctx ends.
func complete(ctx context.Context, bus *azservicebus.Client, queue string, sessions bool, app *tally) error {
	var r interface {
		ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
		CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	}
	var err error
	if sessions {
		r, err = bus.AcceptSessionForQueue(ctx, queue, "g", nil)
	} else {
		r, err = bus.NewReceiverForQueue(queue, nil)
	}
	if err != nil {
		return err
	}
	for {
		got, err := r.ReceiveMessages(ctx, 10, nil)
		if err != nil {
			return err
		}
		for _, m := range got {
			app.add(string(m.Body))
			if err := r.CompleteMessage(ctx, m, nil); err != nil {
				return err
			}
		}
	}
}

func hubStage(t *testing.T, p *platform, name string) *stage {
	l := newAMQPLine(t, namespaceOf(p.hubs), nil)
	board := completion.NewBoard()
	var n atomic.Int32
	s := &stage{app: new(tally), line: l, inv: func(text string) *capture.Invocation {
		l.expect(text)
		return &capture.Invocation{
			ID: text, Function: "f", Trigger: capture.TriggerOther, Format: capture.FormatKinesis,
			Event: fmt.Appendf(nil, `{"Records":[{"eventSource":"aws:kinesis","eventID":"shardId-0:%d","kinesis":`+
				`{"partitionKey":"k","sequenceNumber":"%[1]d","data":%q}}]}`, n.Add(1),
				base64.StdEncoding.EncodeToString([]byte(text))),
		}
	}}
	consumer, err := azeventhubs.NewConsumerClientFromConnectionString(p.hubs, "clicks", "$Default", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	for _, partition := range []string{"0", "1"} {
		reader, err := consumer.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{Earliest: to.Ptr(true)},
		})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer reader.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is read
			for ctx.Err() == nil {
				events, _ := reader.ReceiveEvents(ctx, 1, nil)
				for _, e := range events {
					id, _ := e.Properties[capture.EventIDProperty].(string)
					s.app.add(string(e.Body))
					board.Report(completion.Report{
						Key: completion.Event(id), Source: "recorder", Attempt: 1, Invocation: id,
						Outcome: &capture.Outcome{Status: capture.StatusOK},
					})
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
		consumer.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is read
	})
	target, err := functions.NewEventHub(functions.EventHubOptions{
		Connection: through(p.hubs, l), Name: "clicks", Board: board,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	s.target = target
	return s
}

// eventStage has Lambda answer 202 and put the record of a success into the destination, which SQS is.
func eventStage(t *testing.T, p *platform, name string) *stage {
	s := &stage{app: new(tally), inv: func(text string) *capture.Invocation {
		return &capture.Invocation{
			ID: text, Function: "f", Trigger: capture.TriggerOther, Format: capture.FormatOther,
			Event: fmt.Appendf(nil, `{"text":%q}`, text),
		}
	}}
	text := func(body []byte) string {
		var event struct{ Text string }
		_ = json.Unmarshal(body, &event)
		return event.Text
	}
	keys := credentials.NewStaticCredentialsProvider("A", "B", "")
	cfg := aws.Config{Region: "eu-west-1", Credentials: keys, HTTPClient: client(t, 0)}
	sqsClient := sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = &p.sqs })
	made, err := sqsClient.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := fmt.Sprintf("request-%s-%d", name, n.Add(1))
		s.app.add(text(body))
		_, err := sqsClient.SendMessage(context.WithoutCancel(r.Context()), &sqs.SendMessageInput{
			QueueUrl: made.QueueUrl, MessageBody: aws.String(`{"timestamp":"2026-01-01T00:00:00Z","requestContext":{"requestId":"` +
				id + `","condition":"Success","approximateInvokeCount":1},"responseContext":{"statusCode":200},"responsePayload":1}`),
		})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Amzn-Requestid", id)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	l := newHTTPLine(t, server.URL, func(r *http.Request, body []byte) (string, bool) {
		return text(body), bytes.Contains([]byte(r.URL.Path), []byte("/invocations"))
	})
	s.line = l
	board := completion.NewBoard()
	destination := lambda.NewDestination(lambda.DestinationOptions{Client: sqsClient, Queue: *made.QueueUrl, Board: board})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	if err := destination.Open(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- destination.Run(ctx, board) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	invoke := aws.Config{Region: "eu-west-1", Credentials: keys, HTTPClient: client(t, 4000)}
	s.target = lambda.NewEvent(lambda.EventOptions{
		Client: lambda.NewClient(invoke, l.server.URL), Function: "f", Destination: destination,
	})
	return s
}
