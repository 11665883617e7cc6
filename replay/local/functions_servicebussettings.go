package local

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// busFile is extensions.serviceBus of host.json, with the fields that this host looks at:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings.
type busFile struct {
	MaxConcurrentCalls    *int   `json:"maxConcurrentCalls"`
	MaxConcurrentSessions *int   `json:"maxConcurrentSessions"`
	MaxAutoLockRenewal    string `json:"maxAutoLockRenewalDuration"`
	SessionIdleTimeout    string `json:"sessionIdleTimeout"`
	AutoCompleteMessages  *bool  `json:"autoCompleteMessages"`
}

// busSettings say how queues of Service Bus are received from.
type busSettings struct {
	maxConcurrentCalls    int
	maxConcurrentSessions int
	maxAutoLockRenewal    time.Duration
	sessionIdleTimeout    time.Duration
}

// settings fills in the host's defaults. Errors name the field.
func (f *busFile) settings() (busSettings, error) {
	s := busSettings{
		maxConcurrentCalls: 16, maxConcurrentSessions: 8, maxAutoLockRenewal: 5 * time.Minute,
		sessionIdleTimeout: time.Minute, // ServiceBusRetryOptions.TryTimeout
	}
	if f.AutoCompleteMessages != nil && !*f.AutoCompleteMessages {
		return s, errors.New("autoCompleteMessages: custom handlers cannot settle messages, so it has to be true")
	}
	for _, field := range []struct {
		name  string
		value *int
		to    *int
	}{
		{"maxConcurrentCalls", f.MaxConcurrentCalls, &s.maxConcurrentCalls},
		{"maxConcurrentSessions", f.MaxConcurrentSessions, &s.maxConcurrentSessions},
	} {
		if field.value == nil {
			continue
		}
		if *field.value < 1 {
			return s, fmt.Errorf("%s: %d is less than 1", field.name, *field.value)
		}
		*field.to = *field.value
	}
	for _, field := range []struct {
		name, text string
		to         *time.Duration
	}{
		{"maxAutoLockRenewalDuration", f.MaxAutoLockRenewal, &s.maxAutoLockRenewal},
		{"sessionIdleTimeout", f.SessionIdleTimeout, &s.sessionIdleTimeout},
	} {
		if field.text == "" {
			continue
		}
		d, err := parseInterval(field.text)
		if err == nil && d == 0 {
			err = fmt.Errorf("%q is no time", field.text)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.to = d
	}
	return s, nil
}

// busConnection is connection for a Service Bus trigger.
func (fn *azureFunction) busConnection(settings []string) (value string, ok bool) {
	if !strings.EqualFold(fn.trigger.Type, "serviceBusTrigger") {
		return "", false
	}
	value = setting(settings, cmp.Or(fn.trigger.Connection, "ServiceBus"))
	return value, value != ""
}

// checkBusTrigger checks what a Service Bus trigger needs.
func (b *binding) checkBusTrigger() error {
	switch {
	case b.TopicName != "":
		return errors.New("the serviceBusTrigger has a topicName; this host receives from queues only")
	case b.QueueName == "":
		return errors.New(`the serviceBusTrigger has no "queueName"`)
	case strings.EqualFold(b.Cardinality, "many"):
		return errors.New(`the serviceBusTrigger's cardinality is "many"; this host gives a function one message at a time`)
	}
	return nil
}
