package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOrchestrationsAndExecutions(t *testing.T) {
	const arn = "stateMachine: arn:aws:states:eu-west-1:1:stateMachine:m"
	const app = `http: {url: "http://h/a", durable: true}`
	for _, tt := range []struct {
		name, lambda, functions string
		line                    int // of the error; 0 for none
		want                    string
	}{
		{"a state machine", arn + ", input: /body", app, 0, ""},
		{"an express one", arn + ", express: true", app, 0, ""},
		{"a function that starts executions", "function: f, execution: /body/arn, executionEndpoint: \"http://h:1\"", app, 0, ""},
		{"an app that waits", arn, `http: {url: "http://h/a", durable: true, waits: true}`, 0, ""},
		{"neither function nor state machine", "region: eu-west-1", app, 4, "function"},
		{"both", "function: f, " + arn, app, 4, "stateMachine: there is a function, too"},
		{"a qualifier beside an ARN", "qualifier: live, " + arn, app, 4, "qualifier: "},
		{"an execution of a state machine", arn + ", execution: /body", app, 4, "execution: it is said of a function"},
		{"an execution that is no pointer", "function: f, execution: arn", app, 4, "execution: it has to be"},
		{"an execution beside the answer", "function: f, execution: /arn", app, 4, "execution: it has to be"},
		{"an endpoint for nothing", "function: f, executionEndpoint: \"http://h:1\"", app, 4, "executionEndpoint: "},
		{"an input that is no pointer", arn + ", input: body", app, 4, "input: it has to be"},
		{"the input of a function", "function: f, input: /body", app, 4, "input: it is said of a stateMachine"},
		{"an express function", "function: f, express: true", app, 4, "express: it is said of a stateMachine"},
		{"effects of a state machine", arn + ", effects: \"http://h:9\"", app, 4, "effects: "},
		{"effects of executions", "function: f, execution: /body, effects: \"http://h:9\"", app, 4, "effects: "},
		{"effects of an orchestration", arn, app + `, effects: "http://h:9"`, 5, "effects: "},
		{"who waits for nothing", arn, `http: {url: "http://h/a", waits: true}`, 5, "waits: "},
	} {
		text := fmt.Sprintf("version: 1\nfunctions:\n  f:\n    lambda: {%s}\n    functions: {%s}\n", tt.lambda, tt.functions)
		_, err := Parse("tandem.yaml", []byte(text), secrets)
		var at *Error
		switch {
		case tt.line == 0 && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.line > 0 && (!errors.As(err, &at) || at.Line != tt.line || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want line %d and %q", tt.name, err, tt.line, tt.want)
		}
	}
}
