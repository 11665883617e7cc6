package config

import (
	"tandem/capture/effects"
	"tandem/capture/redact"
	"tandem/compare"
	"tandem/replay"
	"tandem/replay/rewrite"
)

// DefaultName is the file that commands read when they are given no other.
const DefaultName = "tandem.yaml"

// Version is the version of the format.
const Version = 1

// A Config is what tandem.yaml says. The zero value is a config without anything.
type Config struct {
	Version   int                 `yaml:"version"`
	Functions map[string]Function `yaml:"functions"`
	Resources effects.Resources   `yaml:"resources"`
	// Rules has the presets' rules in the place where they are used. They were all validated. Rules is nil when the file
	// says nothing of rules, and empty when it says that there are none.
	Rules []compare.Rule  `yaml:"-"`
	Gates map[string]Gate `yaml:"gates"`
	// Prices are by the name of the outcome: lambda, functions or recording.
	Prices map[string]*compare.Price `yaml:"prices"`
	// Redact says what recordings must not have, beside credentials. The rules were all validated.
	Redact []redact.Rule `yaml:"redact"`
	// Hash is the SHA-256 of the file in lower-case hex, before variables were filled in.
	Hash string `yaml:"-"`
	// FireHash is the SHA-256 of what decides what is fired, in lower-case hex: functions and resources, however they are
	// written and before variables were filled in, without [Limits]. Rules, gates, prices and redact have no part in it.
	FireHash string `yaml:"-"`

	RuleEntries []ruleEntry `yaml:"rules"`
}

// A Function says where one function's deployments are.
type Function struct {
	Lambda    *Lambda    `yaml:"lambda"`
	Functions *Functions `yaml:"functions"`
	Retry     Retry      `yaml:"retry"`
}

// Retry says what is fired again at a function's deployments besides what their platforms refused to run.
type Retry struct {
	// Safe says that the function may run twice for one invocation. Then an invocation whose connection broke, or that
	// the platform failed at, is fired again, though it may have run.
	Safe bool `yaml:"safe"`
}

// Functions is a function of an Azure Functions app. Exactly one of the ways to fire it is set.
type Functions struct {
	HTTP       *HTTP       `yaml:"http"`
	Handler    *Handler    `yaml:"handler"`
	Queue      *Queue      `yaml:"queue"`
	ServiceBus *ServiceBus `yaml:"servicebus"`
	Blob       *Blob       `yaml:"blob"`
	EventGrid  *EventGrid  `yaml:"eventgrid"`
	EventHub   *EventHub   `yaml:"eventhub"`
	Completion *Completion `yaml:"completion"` // how to learn what became of what a trigger does not answer
	Effects    string      `yaml:"effects"`    // address that tells effects; none if nobody watches
	InFlight   int         `yaml:"inFlight"`   // invocations at once; default: as many as the replay fires
	// Environment says what depends on it. It may be left out for an address on this machine.
	Environment replay.Environment `yaml:"environment"`
	Rewrite     []rewrite.Change   `yaml:"rewrite"` // of events, before they are sent to it

	Limits `yaml:",inline"`
}

// A way is one way to fire a function.
type way interface {
	// validate returns what is wrong with it. The message begins with the key: "name: it is missing".
	validate() error
}

// ways are the ways that are set, by their keys.
func (f *Functions) ways() map[string]way {
	set := make(map[string]way)
	if f.HTTP != nil {
		set["http"] = f.HTTP
	}
	if f.Handler != nil {
		set["handler"] = f.Handler
	}
	if f.Queue != nil {
		set["queue"] = f.Queue
	}
	if f.ServiceBus != nil {
		set["servicebus"] = f.ServiceBus
	}
	if f.Blob != nil {
		set["blob"] = f.Blob
	}
	if f.EventGrid != nil {
		set["eventgrid"] = f.EventGrid
	}
	if f.EventHub != nil {
		set["eventhub"] = f.EventHub
	}
	return set
}
