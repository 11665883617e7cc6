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
	// Redact says what recordings must not have, beside credentials. The rules were all validated.
	Redact []redact.Rule `yaml:"redact"`
	// Hash is the SHA-256 of the file in lower-case hex, before variables were filled in.
	Hash string `yaml:"-"`

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

// Lambda is a function that is called through the Invoke API.
type Lambda struct {
	Function  string `yaml:"function"`  // name or ARN
	Qualifier string `yaml:"qualifier"` // version or alias; none is $LATEST
	Region    string `yaml:"region"`    // default: as the AWS SDK finds it
	Endpoint  string `yaml:"endpoint"`  // default: AWS's
	Effects   string `yaml:"effects"`   // address that tells effects; none if nobody watches
	InFlight  int    `yaml:"inFlight"`  // invocations at once; default: as many as the replay fires
	// Environment says what depends on it. It may be left out for an endpoint on this machine.
	Environment replay.Environment `yaml:"environment"`
	Rewrite     []rewrite.Change   `yaml:"rewrite"` // of events, before they are sent to it
}

// Functions is a function of an Azure Functions app. Exactly one of the ways to fire it is set.
type Functions struct {
	HTTP       *HTTP       `yaml:"http"`
	Handler    *Handler    `yaml:"handler"`
	Queue      *Queue      `yaml:"queue"`
	ServiceBus *ServiceBus `yaml:"servicebus"`
	Blob       *Blob       `yaml:"blob"`
	Effects    string      `yaml:"effects"`  // address that tells effects; none if nobody watches
	InFlight   int         `yaml:"inFlight"` // invocations at once; default: as many as the replay fires
	// Environment says what depends on it. It may be left out for an address on this machine.
	Environment replay.Environment `yaml:"environment"`
	Rewrite     []rewrite.Change   `yaml:"rewrite"` // of events, before they are sent to it
}

// HTTP is an HTTP trigger.
type HTTP struct {
	URL string `yaml:"url"` // {name} is a path parameter of the event, {path} its whole path
	Key string `yaml:"key"` // function key; none for anonymous functions
}

// Handler is a custom handler that is spoken to in the host's place.
type Handler struct {
	URL       string `yaml:"url"`
	Function  string `yaml:"function"`  // its name in the app; default: the config's
	Binding   string `yaml:"binding"`   // the trigger's name in function.json
	DataType  string `yaml:"dataType"`  // the trigger's in function.json: "binary", or none for text
	Container string `yaml:"container"` // of blobs; default: the bucket's name
}

// Queue is a Storage Queue trigger.
type Queue struct {
	Account  string `yaml:"account"` // a connection string, or a name or URL with the credentials of the Azure SDK
	Name     string `yaml:"name"`
	Encoding string `yaml:"encoding"` // messageEncoding in host.json: "none", or base64 by default
}

// ServiceBus is a Service Bus trigger.
type ServiceBus struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

// Blob is a Blob trigger.
type Blob struct {
	Account   string `yaml:"account"`
	Container string `yaml:"container"`
}

// A Gate says what to fire, what to compare with, and how much evidence parity takes.
type Gate struct {
	Fire    []string `yaml:"fire"`
	Against string   `yaml:"against"`
	Require Require  `yaml:"require"`
}

// Require is what a gate demands beyond the verdict. Zero demands nothing.
type Require struct {
	MismatchUpperBound string `yaml:"mismatch-upper-bound"` // a share, like 0.1%
	PerShape           int    `yaml:"per-shape"`            // trials of each shape
	Mismatches         *int   `yaml:"mismatches"`
}

// ruleEntry is one entry of rules: a rule, or the use of a preset.
type ruleEntry struct {
	Use          string `yaml:"use"`
	compare.Rule `yaml:",inline"`
}
