package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// blob returns the deployment of a function with a blob trigger. It learns effects by itself: the host knows an
// upload, and not its mark.
func (b *targetBuilder) blob(name string, f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "blob"}
	opts := functions.BlobOptions{
		Account: f.Blob.Account, Container: f.Blob.Container, Function: cmp.Or(f.Blob.Function, name), Host: f.Blob.Host,
		EventGrid: f.Blob.Source == "eventgrid", App: f.Blob.URL, Key: f.Blob.Key, Attempts: f.Blob.Attempts,
		Objects: b.objects, Board: b.board, HTTP: b.http,
	}
	if !functions.IsConnectionString(opts.Account) || opts.Host != "" && !functions.IsConnectionString(opts.Host) {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return d, fmt.Errorf("credentials for the storage account: %w", err)
		}
		opts.Credential = credential
	}
	if f.Effects != "" {
		client := effects.Client{URL: f.Effects, HTTP: b.http}
		opts.Effects = func(ctx context.Context, container, blob, etag string) ([]capture.Effect, error) {
			work, err := client.Take(ctx, effects.BlobTag(container, blob, etag, 1))
			return work.Effects, err
		}
	}
	target, err := functions.NewBlob(opts)
	if err != nil {
		return d, err
	}
	d.Address, d.Target = target.Address(), target
	return d, nil
}
