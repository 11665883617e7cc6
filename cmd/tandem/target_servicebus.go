package main

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// serviceBus returns the deployment of a function with a Service Bus trigger. It learns effects by itself, because the
// host does not hand the mark of a message on.
func (b *targetBuilder) serviceBus(f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "servicebus"}
	opts := functions.ServiceBusOptions{
		Connection: f.ServiceBus.Connection, Namespace: f.ServiceBus.Namespace, Name: f.ServiceBus.Name,
		Sessions: f.ServiceBus.Sessions, MaxMessage: f.ServiceBus.MaxMessage, HTTP: b.http,
	}
	if opts.Connection == "" {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return d, fmt.Errorf("credentials for Service Bus namespace %s: %w", opts.Namespace, err)
		}
		opts.Credential = credential
	}
	if f.Completion != nil {
		opts.Board = b.board
	}
	opts.Effects = b.messageEffects(f.Effects)
	target, err := functions.NewServiceBus(opts)
	if err != nil {
		return d, err
	}
	d.Address, d.Target = target.Address(), target
	return d, nil
}
