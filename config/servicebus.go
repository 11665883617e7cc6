package config

import "errors"

// ServiceBus is a Service Bus trigger.
type ServiceBus struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

func (s *ServiceBus) validate() error {
	if s.Name == "" {
		return errors.New("name: it is missing")
	}
	return nil
}
