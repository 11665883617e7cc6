package config

import "errors"

// Orchestration says that an HTTP trigger starts an orchestration, whose outcome counts. It is part of [HTTP].
type Orchestration struct {
	// Durable says that the function starts an orchestration of Durable Functions, or other work, and answers 202
	// with where its status is. The work is followed to its end.
	Durable bool `yaml:"durable"`
	// Waits says that it first waits for the end for a while, and then answers with the output.
	Waits bool `yaml:"waits"`
}

func (o *Orchestration) validateOrchestration() error {
	if o.Waits && !o.Durable {
		return errors.New("waits: it is said of a function with durable: true, and this is none")
	}
	return nil
}

// errNoMark says why effects cannot be had of what a function has started.
var errNoMark = errors.New("effects: what goes on after the start carries no mark of the replay, so nobody can tell " +
	"whose effects it has")
