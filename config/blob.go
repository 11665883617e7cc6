package config

import "errors"

// Blob is a Blob trigger.
type Blob struct {
	Account   string `yaml:"account"`
	Container string `yaml:"container"`
}

func (b *Blob) validate() error {
	if b.Container == "" {
		return errors.New("container: it is missing")
	}
	return nil
}
