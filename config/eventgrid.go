package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// EventGrid is an Event Grid trigger. Either URL or Topic is set.
type EventGrid struct {
	URL      string `yaml:"url"`      // of the app, whose webhook events are delivered to
	Function string `yaml:"function"` // its name in the app; default: the config's
	Key      string `yaml:"key"`      // the app's system key eventgrid_extension, or its master key
	// Answer is "none" where the app answers before the function has ended; default "outcome".
	Answer string          `yaml:"answer"`
	Topic  *EventGridTopic `yaml:"topic"` // to publish to, in the place of the app

	Schema  string `yaml:"schema"`  // of events: "cloudevents", or "eventgrid" by default
	Data    string `yaml:"data"`    // what is data: message, detail, text, record or event; default message or detail
	Type    string `yaml:"type"`    // of events; {name} is a message attribute
	Subject string `yaml:"subject"` // of events; {name} is a message attribute
	Source  string `yaml:"source"`  // of CloudEvents, and the topic of others
}

// EventGridTopic is a custom topic of Event Grid, or a domain or partner topic that is published to alike.
type EventGridTopic struct {
	Endpoint string `yaml:"endpoint"` // https://NAME.REGION-1.eventgrid.azure.net/api/events
	Key      string `yaml:"key"`
}

func (g *EventGrid) validate() error {
	oneOf := func(key, value string, names ...string) error {
		if value == "" || slices.Contains(names, value) {
			return nil
		}
		return fmt.Errorf("%s: %q is none of %v", key, value, names)
	}
	switch {
	case g.URL == "" && g.Topic == nil:
		return errors.New("url: it is missing, and so is topic")
	case g.URL != "" && g.Topic != nil:
		return errors.New("topic: an event is either published to a topic or delivered to the app at url")
	case g.Topic != nil && g.Topic.Endpoint == "":
		return errors.New("topic: its endpoint is missing")
	case g.Topic != nil && g.Topic.Key == "":
		return errors.New("topic: its key is missing")
	case g.Topic != nil && g.Function+g.Key+g.Answer != "":
		return errors.New("topic: function, key and answer are for the app at url; who publishes does not deliver")
	case g.URL != "" && !isHTTP(g.URL):
		return errors.New("url: it has to begin with http:// or https://")
	case g.Topic != nil && !isHTTP(g.Topic.Endpoint):
		return errors.New("topic: its endpoint has to begin with http:// or https://")
	}
	return cmp.Or(
		oneOf("answer", g.Answer, "outcome", "none"),
		oneOf("schema", g.Schema, "eventgrid", "cloudevents"),
		oneOf("data", g.Data, "message", "detail", "text", "record", "event"),
	)
}
