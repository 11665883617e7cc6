package config

import "errors"

// EventHub is an Event Hubs trigger. Either Connection or Namespace is set.
type EventHub struct {
	Connection string `yaml:"connection"` // a connection string that may send
	Namespace  string `yaml:"namespace"`  // NAME.servicebus.windows.net, with the credentials of the Azure SDK
	Name       string `yaml:"name"`       // of the hub; it may be left out where the connection string has it
	// Attempts is how often the function is called with an event that it fails on; default 1. More are from a retry
	// policy in its function.json.
	Attempts int `yaml:"attempts"`
}

func (h *EventHub) validate() error {
	switch {
	case h.Connection == "" && h.Namespace == "":
		return errors.New("connection: it is missing, and so is namespace")
	case h.Connection != "" && h.Namespace != "":
		return errors.New("namespace: the connection string says it already")
	case h.Namespace != "" && h.Name == "":
		return errors.New("name: it is missing")
	case h.Attempts < 0:
		return errors.New("attempts: it is below 0")
	}
	return nil
}
