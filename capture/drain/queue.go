package drain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A Client is what is needed of SQS. An [sqs.Client] is one; its retryer sees to throttling.
type Client interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (
		*sqs.GetQueueAttributesOutput, error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (
		*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (
		*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// A Queue is what SQS says of a queue.
type Queue struct {
	URL, ARN, Name string
	FIFO           bool
	Retention      time.Duration
	// DeadLetters is the ARN of the queue that messages go to after MaxReceives deliveries, "" for none.
	DeadLetters string
	MaxReceives int
	// Messages can be received now, and InFlight somebody has received; both are approximate.
	Messages, InFlight int64
}

// RegionOf returns the region that a queue's ARN names, "" for what is no such ARN.
func RegionOf(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[5] == "" {
		return ""
	}
	return parts[3]
}

// Find looks a queue up by its URL, its ARN or its name.
func Find(ctx context.Context, client Client, ref string) (Queue, error) {
	q := Queue{URL: ref}
	if !strings.Contains(ref, "://") {
		url, err := urlOf(ctx, client, ref)
		if err != nil {
			return q, err
		}
		q.URL = url
	}
	out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.URL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return q, fmt.Errorf("ask for the attributes of queue %s: %w", ref, err)
	}
	if err := q.read(out.Attributes); err != nil {
		return q, fmt.Errorf("attributes of queue %s: %w", ref, err)
	}
	return q, nil
}

func urlOf(ctx context.Context, client Client, ref string) (string, error) {
	in := &sqs.GetQueueUrlInput{QueueName: &ref}
	if strings.HasPrefix(ref, "arn:") {
		parts := strings.Split(ref, ":")
		if RegionOf(ref) == "" {
			return "", fmt.Errorf("%s is not the ARN of a queue, as arn:aws:sqs:REGION:ACCOUNT:NAME is", ref)
		}
		in.QueueOwnerAWSAccountId, in.QueueName = &parts[4], &parts[5]
	}
	out, err := client.GetQueueUrl(ctx, in)
	if err != nil {
		return "", fmt.Errorf("look queue %s up: %w", ref, err)
	}
	if out.QueueUrl == nil {
		return "", fmt.Errorf("look queue %s up: no URL came back", ref)
	}
	return *out.QueueUrl, nil
}

func (q *Queue) read(attributes map[string]string) error {
	at := func(name types.QueueAttributeName) string { return attributes[string(name)] }
	number := func(name types.QueueAttributeName) int64 {
		n, _ := strconv.ParseInt(at(name), 10, 64) // 0 for what a server does not have
		return n
	}
	q.ARN = at(types.QueueAttributeNameQueueArn)
	if q.ARN == "" {
		return errors.New("no QueueArn")
	}
	q.Name = q.ARN[strings.LastIndexByte(q.ARN, ':')+1:]
	q.FIFO = at(types.QueueAttributeNameFifoQueue) == "true"
	q.Retention = time.Duration(number(types.QueueAttributeNameMessageRetentionPeriod)) * time.Second
	q.Messages = number(types.QueueAttributeNameApproximateNumberOfMessages)
	q.InFlight = number(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)
	if policy := at(types.QueueAttributeNameRedrivePolicy); policy != "" {
		var redrive struct {
			DeadLetterTargetARN string      `json:"deadLetterTargetArn"`
			MaxReceiveCount     json.Number `json:"maxReceiveCount"` // a number, or one as text
		}
		if err := json.Unmarshal([]byte(policy), &redrive); err != nil {
			return fmt.Errorf("RedrivePolicy: %w", err)
		}
		n, _ := redrive.MaxReceiveCount.Int64()
		q.DeadLetters, q.MaxReceives = redrive.DeadLetterTargetARN, int(n)
	}
	return nil
}
