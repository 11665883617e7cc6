package functions

import (
	"cmp"
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

// inspect refuses a queue whose messages or dead letters are forwarded: they leave the queue as if they were worked on.
// Only who has the right Manage may ask. Whatever else the service answers says nothing, and no answer does not either.
func (b *ServiceBus) inspect(ctx context.Context) error {
	if b.access.plain {
		return nil // an emulator, which is managed by its own files
	}
	opts := &admin.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: b.opts.HTTP, Retry: policy.RetryOptions{MaxRetries: -1},
	}}
	var client *admin.Client
	var err error
	if b.opts.Connection != "" {
		client, err = admin.NewClientFromConnectionString(b.opts.Connection, opts)
	} else {
		client, err = admin.NewClient(b.access.host, b.opts.Credential, opts)
	}
	if err != nil {
		return nil
	}
	queue, err := client.GetQueue(ctx, b.opts.Name, nil)
	if err != nil || queue == nil {
		return nil
	}
	var none string
	if to := *cmp.Or(queue.ForwardTo, &none); to != "" {
		return setup("queue %s forwards its messages, so what becomes of them cannot be learned from it", b.opts.Name)
	}
	if to := *cmp.Or(queue.ForwardDeadLetteredMessagesTo, &none); to != "" {
		return setup("queue %s forwards its dead letters, so a message that was given up would look like one that was "+
			"worked on: turn that off for the replay", b.opts.Name)
	}
	return nil
}
