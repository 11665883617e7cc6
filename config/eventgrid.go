package config

import "errors"

// EventGrid is an Event Grid trigger.
type EventGrid struct {
	URL string `yaml:"url"` // of the app
}

func (g *EventGrid) validate() error {
	if g.URL == "" {
		return errors.New("url: it is missing")
	}
	return nil
}
