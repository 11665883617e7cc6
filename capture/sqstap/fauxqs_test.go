//go:build peers

package sqstap_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/sqstap"
	"tandem/fixtures/peers"
)

const production = "arn:aws:sqs:eu-west-1:111122223333:orders"

func newClient(t *testing.T, url string) *sqs.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return sqs.New(sqs.Options{
		BaseEndpoint: &url, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{Transport: transport},
	})
}

// record sends messages to a new queue, captures them, and returns the invocations.
func record(t *testing.T, client *sqs.Client, name string, size int, window time.Duration,
	messages []*sqs.SendMessageInput) []*capture.Invocation {
	t.Helper()
	in := &sqs.CreateQueueInput{QueueName: &name}
	if strings.HasSuffix(name, ".fifo") {
		in.Attributes = map[string]string{"FifoQueue": "true"}
	}
	queue, err := client.CreateQueue(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		m.QueueUrl = queue.QueueUrl
		if _, err := client.SendMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	q, err := drain.Find(t.Context(), client, name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tap.rec")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var known drain.IDs
	defer known.Close()
	counts, err := sqstap.Capture(t.Context(), sqstap.Options{
		Function: "process-order", Sink: w, AsQueue: production,
		Drain: drain.Options{
			Client: client, Queue: q, Known: &known, BatchSize: size, BatchWindow: window,
			MaxMessages: int64(len(messages)),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	var invs []*capture.Invocation
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		invs = append(invs, inv)
	}
	if counts.Recorded != int64(len(messages)) || counts.Invocations != int64(len(invs)) {
		t.Errorf("%+v for %d messages in %d invocations", counts, len(messages), len(invs))
	}
	return invs
}

// read reads an event as a function does.
func read(t *testing.T, inv *capture.Invocation) events.SQSEvent {
	t.Helper()
	var event events.SQSEvent
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		t.Fatal(err)
	}
	return event
}

func TestCapture(t *testing.T) {
	client := newClient(t, peers.Fauxqs(t))
	t.Run("an event has all that the message has", func(t *testing.T) { testContents(t, client) })
	t.Run("large messages make events below the limit", func(t *testing.T) { testLarge(t, client) })
	t.Run("what a recording has is known", func(t *testing.T) { testKnown(t, client) })
}

func testContents(t *testing.T, client *sqs.Client) {
	const body = "<a> & \"b\" \u2028 ünï\n\t {\"x\":1.0}"
	binary := []byte{0, 0xff, '\n'}
	before := time.Now().Truncate(time.Millisecond)
	invs := record(t, client, "contents.fifo", 0, 0, []*sqs.SendMessageInput{{
		MessageBody: aws.String(body), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   {DataType: aws.String("String.kind"), StringValue: aws.String("<v>")},
			"number": {DataType: aws.String("Number"), StringValue: aws.String("1.0")},
			"binary": {DataType: aws.String("Binary"), BinaryValue: binary},
		},
	}})
	inv := invs[0]
	if inv.Function != "process-order" || inv.Trigger != capture.TriggerSQS || inv.Format != capture.FormatSQS ||
		inv.Source != "sqs:contents.fifo" || inv.Time.Before(before) || inv.Time.After(time.Now()) || inv.Outcome != nil {
		t.Errorf("%+v", inv)
	}
	if trigger, format := capture.Detect(inv.Event); trigger != capture.TriggerSQS || format != capture.FormatSQS {
		t.Errorf("it is taken for %s, %s", trigger, format)
	}
	if !strings.Contains(string(inv.Event), "<a> & ") {
		t.Errorf("characters are escaped that AWS does not escape: %s", inv.Event)
	}
	m := read(t, inv).Records[0]
	if m.Body != body || m.EventSourceARN != production || m.AWSRegion != "eu-west-1" || m.EventSource != "aws:sqs" ||
		m.MessageId == "" || m.ReceiptHandle == "" || m.Md5OfBody == "" || m.Md5OfMessageAttributes == "" {
		t.Errorf("%+v", m)
	}
	for _, name := range []string{
		"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp", "SequenceNumber",
	} {
		if m.Attributes[name] == "" {
			t.Errorf("no %s in %v", name, m.Attributes)
		}
	}
	a := m.Attributes
	if a["ApproximateReceiveCount"] != "1" || a["MessageGroupId"] != "g" || a["MessageDeduplicationId"] != "d" {
		t.Errorf("%v", a)
	}
	text, number := m.MessageAttributes["text"], m.MessageAttributes["number"]
	if len(m.MessageAttributes) != 3 || text.DataType != "String.kind" || *text.StringValue != "<v>" ||
		*number.StringValue != "1.0" || !bytes.Equal(m.MessageAttributes["binary"].BinaryValue, binary) {
		t.Errorf("%+v", m.MessageAttributes)
	}
}

func testLarge(t *testing.T, client *sqs.Client) {
	sizes := []int{256 << 10, 1 << 20}
	var messages []*sqs.SendMessageInput
	for i := range 12 {
		text := strings.Repeat(string(rune('a'+i))+`"`, sizes[i%2]/2) // a quote takes two bytes in an event
		messages = append(messages, &sqs.SendMessageInput{MessageBody: &text})
	}
	invs := record(t, client, "large", 100, 5*time.Minute, messages)
	bodies := make(map[string]int)
	for _, inv := range invs {
		if n := len(inv.Event); n > 6<<20 {
			t.Errorf("an event of %d bytes", n)
		}
		for _, m := range read(t, inv).Records {
			bodies[m.Body]++
		}
	}
	for i, m := range messages {
		if bodies[*m.MessageBody] != 1 {
			t.Errorf("message %d is recorded %d times", i, bodies[*m.MessageBody])
		}
	}
	if len(invs) < 2 || len(invs) > 4 {
		t.Errorf("%d events of 12 MB in all", len(invs))
	}
}

func testKnown(t *testing.T, client *sqs.Client) {
	var messages []*sqs.SendMessageInput
	for i := range 23 {
		messages = append(messages, &sqs.SendMessageInput{MessageBody: aws.String(strconv.Itoa(i))})
	}
	invs := record(t, client, "known", 5, 0, messages)
	path := filepath.Join(t.TempDir(), "copy.jsonl")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, inv := range invs {
		if i == 0 {
			inv.Time = inv.Time.Add(-time.Hour)
		}
		if err := w.Write(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	var known drain.IDs
	defer known.Close()
	old := len(sqstap.MessageIDs(invs[0]))
	n, err := known.AddRecorded(context.Background(), rec, time.Now().Add(-time.Minute), sqstap.MessageIDs)
	if err != nil || n != int64(23-old) {
		t.Errorf("%d messages, %v", n, err)
	}
	for i, inv := range invs {
		for _, id := range sqstap.MessageIDs(inv) {
			if found, err := known.Has(id); err != nil || found != (i > 0) {
				t.Errorf("message of invocation %d: %v, %v", i, found, err)
			}
		}
	}
}
