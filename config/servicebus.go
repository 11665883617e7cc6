package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// ServiceBus is a Service Bus trigger of a queue.
type ServiceBus struct {
	Connection string `yaml:"connection"` // a connection string of the namespace
	Namespace  string `yaml:"namespace"`  // in its place: the host, with the credentials of the Azure SDK
	Name       string `yaml:"name"`
	Sessions   bool   `yaml:"sessions"`   // the queue requires sessions; for messages of FIFO queues
	MaxMessage int    `yaml:"maxMessage"` // bytes, with what is around the body; default: 262144, as in the tier Standard
}

// largestMessage is the largest that any tier takes:
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#large-messages-support.
const largestMessage = 100 << 20

func (s *ServiceBus) validate() error {
	switch {
	case s.Name == "":
		return errors.New("name: it is missing")
	case s.Connection == "" && s.Namespace == "":
		return errors.New("connection: it is missing; give it, or namespace for the credentials of the Azure SDK")
	case s.Connection != "" && s.Namespace != "":
		return errors.New("namespace: either this or connection")
	case s.Connection != "" && !strings.Contains(s.Connection, ";"):
		return errors.New("connection: it is not a connection string; a namespace's name goes under namespace")
	case s.MaxMessage < 0 || s.MaxMessage > largestMessage:
		return fmt.Errorf("maxMessage: %d is not from 1 to %d", s.MaxMessage, largestMessage)
	}
	return nil
}

// place tells a queue from others: two ways to be let into one namespace lead to one queue.
func (s *ServiceBus) place() string {
	host := cmp.Or(connectionParts(s.Connection)["endpoint"], s.Namespace)
	return namespaceOf(host) + "/" + strings.ToLower(s.Name)
}
