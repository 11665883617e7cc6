package config

import (
	"errors"
	"fmt"
	"slices"
)

// Queue is a Storage Queue trigger.
type Queue struct {
	Account  string `yaml:"account"` // a connection string, or a name or URL with the credentials of the Azure SDK
	Name     string `yaml:"name"`
	Encoding string `yaml:"encoding"` // messageEncoding in host.json: "none", or base64 by default
}

func (q *Queue) validate() error {
	switch {
	case q.Account == "":
		return errors.New("account: it is missing")
	case q.Name == "":
		return errors.New("name: it is missing")
	case !slices.Contains([]string{"", "base64", "none"}, q.Encoding):
		return fmt.Errorf("encoding: %q is neither base64 nor none", q.Encoding)
	}
	return nil
}
