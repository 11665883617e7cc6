package main

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// queue returns the deployment of a function with a queue trigger. It learns effects by itself, because a message
// carries no mark.
func (b *targetBuilder) queue(f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "queue"}
	opts := functions.QueueOptions{
		Account: f.Queue.Account, Name: f.Queue.Name, PlainText: f.Queue.Encoding == "none", HTTP: b.http,
	}
	if f.Completion != nil {
		var err error
		if opts.Grace, err = f.Completion.After(); err != nil {
			return d, fmt.Errorf("completion: deadline: %w", err)
		}
		opts.Board = b.board
	}
	if !functions.IsConnectionString(opts.Account) {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return d, fmt.Errorf("credentials for storage account %s: %w", opts.Account, err)
		}
		opts.Credential = credential
	}
	opts.Effects = b.messageEffects(f.Effects)
	target, err := functions.NewQueue(opts)
	if err != nil {
		return d, err
	}
	d.Address, d.Target = target.Address(), target
	return d, nil
}
