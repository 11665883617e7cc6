package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"tandem/replay"
	"tandem/replay/rewrite"
)

// Lambda is a Lambda function, or a state machine in its place. It is called through the Invoke API, unless HTTP says
// how else.
type Lambda struct {
	Function  string `yaml:"function"`  // name or ARN
	Qualifier string `yaml:"qualifier"` // version or alias; none is $LATEST
	// Invocation is "event" for one that is invoked asynchronously, and whose answer nobody waits for.
	Invocation string `yaml:"invocation"`
	// Destination is the URL of the SQS queue that records of asynchronous invocations go to, those of success and
	// those of failure. Without one their outcomes are unknown.
	Destination string      `yaml:"destination"`
	HTTP        *LambdaHTTP `yaml:"http"`
	Region      string      `yaml:"region"`   // default: as the AWS SDK finds it
	Endpoint    string      `yaml:"endpoint"` // default: AWS's
	Effects     string      `yaml:"effects"`  // address that tells effects; none if nobody watches
	InFlight    int         `yaml:"inFlight"` // invocations at once; default: as many as the replay fires
	// Environment says what depends on it. It may be left out for an endpoint on this machine.
	Environment replay.Environment `yaml:"environment"`
	Rewrite     []rewrite.Change   `yaml:"rewrite"` // of events, before they are sent to it

	StepFunctions `yaml:",inline"`
	Limits        `yaml:",inline"`
}

// LambdaHTTP is a Function URL, an API Gateway or a load balancer in front of a Lambda function.
type LambdaHTTP struct {
	URL     string            `yaml:"url"` // {name} is a path parameter of the event, {path} its whole path
	Sign    *LambdaSign       `yaml:"sign"`
	Key     string            `yaml:"key"`     // API key; none where no usage plan asks for one
	Headers map[string]string `yaml:"headers"` // sent with each request, in the place of the client's own
}

// LambdaSign has requests signed with the credentials that the AWS SDK finds, for functions that IAM guards.
type LambdaSign struct {
	Service string `yaml:"service"` // "lambda" for a Function URL, "execute-api" for an API Gateway
	Region  string `yaml:"region"`  // default: that of the function, or as the AWS SDK finds it
}

// Addresses are where the function is called, and where the execution that it starts is asked for; "" is AWS.
func (l *Lambda) Addresses() []string {
	all := []string{cmp.Or(l.httpURL(), l.Endpoint)}
	if l.Execution != "" {
		all = append(all, l.ExecutionEndpoint)
	}
	return all
}

// httpURL is where the function is called over HTTP, "" where it is not.
func (l *Lambda) httpURL() string {
	if l.HTTP == nil {
		return ""
	}
	return l.HTTP.URL
}

// validate returns what is wrong with it. The message begins with the key and a colon; that of a key within http with
// "http.".
func (l *Lambda) validate() error {
	if err := l.validateStepFunctions(); err != nil {
		return err
	}
	if l.HTTP != nil {
		if l.Function+l.Qualifier+l.Invocation+l.Destination+l.Endpoint != "" {
			return errors.New("http: it takes the place of function, qualifier, invocation, destination and endpoint, " +
				"which are for the Invoke API")
		}
		return l.HTTP.validate()
	}
	switch {
	case l.StateMachine != "":
		return nil
	case l.Function == "":
		return errors.New("function: the Lambda function's name is missing")
	case l.Invocation != "" && l.Invocation != "event":
		return fmt.Errorf("invocation: %q is not event, which is asynchronous; leave it out for an answer", l.Invocation)
	case l.Destination != "" && l.Invocation == "":
		return errors.New("destination: it is for asynchronous functions, with invocation: event")
	case l.Destination != "" && !isHTTP(l.Destination):
		return fmt.Errorf("destination: %q is not the URL of an SQS queue", l.Destination)
	}
	return nil
}

// connectionHeaders say how requests are sent and where to, which a second one would make ambiguous.
var connectionHeaders = []string{
	"host", "connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

func (h *LambdaHTTP) validate() error {
	switch {
	case h.URL == "":
		return errors.New("http.url: it is missing")
	case h.Sign != nil && !slices.Contains([]string{"lambda", "execute-api"}, h.Sign.Service):
		return fmt.Errorf("http.sign.service: %q is neither lambda (a Function URL) nor execute-api (an API Gateway)",
			h.Sign.Service)
	}
	for name, value := range h.Headers {
		switch {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			return fmt.Errorf("http.headers: %q has a name or a value that cannot be sent", name)
		case slices.Contains(connectionHeaders, strings.ToLower(name)):
			return fmt.Errorf("http.headers: %s is the connection's to set", name)
		case h.Sign != nil && (strings.EqualFold(name, "Authorization") || strings.HasPrefix(strings.ToLower(name), "x-amz-")):
			return fmt.Errorf("http.headers: %s is the signature's to set", name)
		}
	}
	return nil
}

func isHTTP(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
}
