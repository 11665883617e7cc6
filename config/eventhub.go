package config

import "errors"

// EventHub is an Event Hubs trigger.
type EventHub struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

func (h *EventHub) validate() error {
	if h.Name == "" {
		return errors.New("name: it is missing")
	}
	return nil
}
