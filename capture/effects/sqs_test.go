package effects

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
)

func TestSQSMessagesAreEffectsInOrder(t *testing.T) {
	s, p := newWorkingPort(t)
	c := sqsClient(t, p)
	url := must(c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("mail")}))(t).QueueUrl
	if want := "http://" + p.Addr() + "/000000000000/mail"; *url != want {
		t.Errorf("URL is %s, want %s", *url, want)
	}
	sent := must(c.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String(`{"to": "ü"}`), DelaySeconds: 5,
		MessageAttributes: map[string]types.MessageAttributeValue{
			"kind":  {DataType: aws.String("String"), StringValue: aws.String("mail")},
			"count": {DataType: aws.String("Number"), StringValue: aws.String("1.50")},
			"raw":   {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
		},
	}))(t)
	// hashlib.md5 over the serialization that the developer guide gives
	if *sent.MD5OfMessageAttributes != "1b533297f2a156860571058447280a9d" {
		t.Errorf("MD5OfMessageAttributes is %s", *sent.MD5OfMessageAttributes)
	}
	batch := must(c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: aws.String("https://sqs.eu-west-1.amazonaws.com/123456789012/stock.fifo"), // as in a real config
		Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("2"), MessageBody: aws.String("second"), MessageGroupId: aws.String("g")},
			{Id: aws.String("0"), MessageBody: aws.String("no group")},
			{Id: aws.String("1"), MessageBody: aws.String("first"), MessageGroupId: aws.String("g")},
		},
	}))(t)
	if len(batch.Successful) != 2 || *batch.Successful[0].Id != "2" || batch.Successful[0].SequenceNumber == nil {
		t.Errorf("successful: %+v", batch.Successful)
	}
	if len(batch.Failed) != 1 || *batch.Failed[0].Id != "0" || *batch.Failed[0].Code != "MissingParameter" {
		t.Errorf("failed: %+v", batch.Failed)
	}
	must(c.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String("http://h/1/unnamed"), MessageBody: aws.String("12"),
	}))(t)
	wantEffects(t, s,
		capture.Effect{
			Kind: capture.MessageSend, Resource: "mail-queue", Body: jsonBody(`{"to":"ü"}`),
			Attributes: map[string]string{"kind": "mail", "count": "1.50", "raw": "AP8=", "delay-seconds": "5"},
		},
		capture.Effect{Kind: capture.MessageSend, Resource: "stock-queue", Key: "g", Body: text("second")},
		capture.Effect{Kind: capture.MessageSend, Resource: "stock-queue", Key: "g", Body: text("first")},
		capture.Effect{Kind: capture.MessageSend, Resource: "sqs://unnamed", Body: text("12")})
}

func TestSQSRefusesWhatTheServiceRefuses(t *testing.T) {
	s, p := newWorkingPort(t)
	c := sqsClient(t, p)
	url := aws.String("http://h/1/mail")
	entry := func(id string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: aws.String("x")}
	}
	tests := []struct {
		name string
		in   sqs.SendMessageInput
		code string
	}{
		{"an empty body", sqs.SendMessageInput{MessageBody: aws.String("")}, "MissingParameter"},
		{"too large", sqs.SendMessageInput{
			MessageBody: aws.String(strings.Repeat("x", maxSQSMessage+1)),
		}, "InvalidParameterValue"},
		{"a control character", sqs.SendMessageInput{MessageBody: aws.String("\x01")}, "InvalidMessageContents"},
		{"too late", sqs.SendMessageInput{MessageBody: aws.String("x"), DelaySeconds: 901}, "InvalidParameterValue"},
		{"an attribute without a value", sqs.SendMessageInput{
			MessageBody:       aws.String("x"),
			MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String")}},
		}, "InvalidParameterValue"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.in.QueueUrl = url
			_, err := c.SendMessage(t.Context(), &test.in)
			wantCode(t, err, test.code)
		})
	}
	_, err := c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{entry("a"), entry("a")},
	})
	var repeated *types.BatchEntryIdsNotDistinct
	if !errors.As(err, &repeated) {
		t.Errorf("a repeated ID: %v", err)
	}
	wantCode(t, err, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
	_, err = c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{},
	})
	var empty *types.EmptyBatchRequest
	if !errors.As(err, &empty) {
		t.Errorf("an empty batch: %v", err)
	}
	_, err = c.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: url})
	wantCode(t, err, "NotImplemented")
	wantEffects(t, s)
}

func TestSQSHasNothingToReceive(t *testing.T) {
	s, p := newWorkingPort(t)
	c := sqsClient(t, p)
	url := must(c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("new")}))(t).QueueUrl
	must(c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x")}))(t)
	got := must(c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url}))(t)
	if len(got.Messages) != 0 {
		t.Errorf("received %v", got.Messages)
	}
	handle := aws.String("h")
	must(c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: handle}))(t)
	must(c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: url, ReceiptHandle: handle, VisibilityTimeout: 1,
	}))(t)
	deleted := must(c.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{
		QueueUrl: url, Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("1"), ReceiptHandle: handle}},
	}))(t)
	if len(deleted.Successful) != 1 || *deleted.Successful[0].Id != "1" {
		t.Errorf("deleted %v", deleted.Successful)
	}
	attributes := must(c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	}))(t).Attributes
	if len(attributes) != 1 || attributes["QueueArn"] != "arn:aws:sqs:us-east-1:000000000000:new" {
		t.Errorf("attributes: %v", attributes)
	}
	urls := must(c.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("n")}))(t).QueueUrls
	if len(urls) != 1 || urls[0] != *url {
		t.Errorf("queues: %v", urls)
	}
	wantEffects(t, s, capture.Effect{Kind: capture.MessageSend, Resource: "sqs://new", Body: text("x")})
}
