package main

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// eventHub returns the deployment of a function with an Event Hubs trigger.
func (b *targetBuilder) eventHub(f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "eventhub", Effects: b.effects(f.Effects)}
	h := f.EventHub
	opts := functions.EventHubOptions{
		Connection: h.Connection, Namespace: h.Namespace, Name: h.Name, Attempts: h.Attempts,
	}
	if f.Completion.TellsOfEvents() {
		opts.Board = b.board
	} else {
		d.Kind += withoutRecorder
	}
	if h.Connection == "" {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return d, fmt.Errorf("credentials for event hub %s: %w", h.Name, err)
		}
		opts.Credential = credential
	}
	target, err := functions.NewEventHub(opts)
	if err != nil {
		return d, err
	}
	d.Address, d.Target = target.Address(), target
	return d, nil
}
