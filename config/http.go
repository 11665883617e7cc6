package config

import "errors"

// HTTP is an HTTP trigger.
type HTTP struct {
	URL string `yaml:"url"` // {name} is a path parameter of the event, {path} its whole path
	Key string `yaml:"key"` // function key; none for anonymous functions

	Orchestration `yaml:",inline"`
}

func (h *HTTP) validate() error {
	if h.URL == "" {
		return errors.New("url: it is missing")
	}
	return h.validateOrchestration()
}
