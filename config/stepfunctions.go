package config

import (
	"errors"
	"strings"
)

// StepFunctions says which executions of AWS Step Functions count as outcomes. It is part of [Lambda].
type StepFunctions struct {
	// StateMachine is the ARN of one, of its version or its alias, that is started in the place of a function.
	StateMachine string `yaml:"stateMachine"`
	Express      bool   `yaml:"express"` // it is an express workflow
	Input        string `yaml:"input"`   // JSON pointer to its input in the event; default: all of it
	// Execution is a JSON pointer to the ARN of the execution that the function starts, in its answer: /body/… or
	// /result/….
	Execution         string `yaml:"execution"`
	ExecutionEndpoint string `yaml:"executionEndpoint"` // of Step Functions; default: AWS's
}

func (l *Lambda) validateStepFunctions() error {
	machine := l.StateMachine != ""
	switch {
	case machine && l.Function != "":
		return errors.New("stateMachine: there is a function, too: which of them is to be fired at?")
	case machine && l.HTTP != nil:
		return errors.New("stateMachine: there is http, too: which of them is to be fired at?")
	case machine && l.Invocation != "":
		return errors.New("invocation: it is said of a function, and this is a state machine")
	case machine && l.Destination != "":
		return errors.New("destination: it is for records of a function, and this is a state machine")
	case l.Execution != "" && l.Invocation != "":
		return errors.New("execution: it is in an answer, and an asynchronous function gives none")
	case machine && l.Qualifier != "":
		return errors.New("qualifier: that of a state machine is part of its ARN")
	case machine && l.Execution != "":
		return errors.New("execution: it is said of a function, and this is a state machine")
	case !machine && l.Express:
		return errors.New("express: it is said of a stateMachine, and there is none")
	case !machine && l.Input != "":
		return errors.New("input: it is said of a stateMachine, and there is none")
	case l.Input != "" && !strings.HasPrefix(l.Input, "/"):
		return errors.New("input: it has to be a JSON pointer, such as /body")
	case l.Execution != "" && !strings.HasPrefix(l.Execution, "/body") && !strings.HasPrefix(l.Execution, "/result"):
		return errors.New("execution: it has to be a JSON pointer that begins with /body or /result")
	case l.Execution == "" && l.ExecutionEndpoint != "":
		return errors.New("executionEndpoint: there is no execution that would be asked for there")
	case (machine || l.Execution != "") && l.Effects != "":
		return errNoMark
	}
	return nil
}
