package main

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// httpTrigger returns the deployment of a function with an HTTP trigger.
func (b *targetBuilder) httpTrigger(f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{
		Name: functionsTarget, Kind: "http", Address: withoutSecrets(f.HTTP.URL), Effects: b.effects(f.Effects),
	}
	opts := functions.HTTPOptions{URL: f.HTTP.URL, Key: f.HTTP.Key, HTTP: b.http}
	if f.HTTP.Entra != nil {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return d, fmt.Errorf("credentials for %s: %w", f.HTTP.Entra.Scope, err)
		}
		opts.Credential, opts.Scope = credential, f.HTTP.Entra.Scope
	}
	target, err := functions.NewHTTP(opts)
	if err != nil {
		return d, err
	}
	d.Target = target
	if f.HTTP.Durable {
		return b.durable(f.HTTP, target, d)
	}
	return d, nil
}
