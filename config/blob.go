package config

import (
	"errors"
	"fmt"
	"slices"
)

// Blob is a blob trigger.
type Blob struct {
	// Account is the container's storage account: a connection string, or a name or URL with the credentials of the
	// Azure SDK.
	Account   string `yaml:"account"`
	Container string `yaml:"container"`
	Function  string `yaml:"function"` // its name in the app; default: as it is called here
	Source    string `yaml:"source"`   // eventgrid, or polling by default
	// Host is the account that the app has as AzureWebJobsStorage; default: Account.
	Host string `yaml:"host"`
	// URL is that of the app, to send it the events that Event Grid would send. Leave it out where that does.
	URL      string `yaml:"url"`
	Key      string `yaml:"key"`      // the app's system key blobs_extension, for URL
	Attempts int    `yaml:"attempts"` // poisonBlobThreshold in host.json; default: 5
}

func (b *Blob) validate() error {
	switch {
	case b.Account == "":
		return errors.New("account: it is missing")
	case b.Container == "":
		return errors.New("container: it is missing")
	case !slices.Contains([]string{"", "polling", "eventgrid"}, b.Source):
		return fmt.Errorf("source: %q is neither polling nor eventgrid", b.Source)
	case b.URL != "" && b.Source != "eventgrid":
		return errors.New("url: the app is sent events only for source: eventgrid")
	case b.URL != "" && b.Key == "":
		return errors.New("key: it is missing, and the app takes no event without its system key blobs_extension")
	case b.Key != "" && b.URL == "":
		return errors.New("key: it is for an app whose url is given")
	case b.Attempts < 0:
		return errors.New("attempts: it is below 0")
	}
	return nil
}

// watched tells whether whatever comes into the container fires the function, whoever uploads it.
func (b *Blob) watched() bool { return b.URL == "" }
