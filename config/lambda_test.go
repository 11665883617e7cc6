package config

import (
	"errors"
	"strings"
	"testing"
)

func TestALambdaIsCalledInOneWay(t *testing.T) {
	for _, tt := range []struct{ name, lambda, want string }{
		{"Invoke", `{function: f, qualifier: live}`, ""},
		{"asynchronously, unheard", `{function: f, invocation: event}`, ""},
		{"asynchronously", `{function: f, invocation: event, destination: "https://sqs.eu-west-1.amazonaws.com/1/q"}`, ""},
		{"over HTTP", `{http: {url: "https://h/{path}", key: k, headers: {X-Tenant: t}}}`, ""},
		{"over HTTP, signed", `{http: {url: "https://h/{path}", sign: {service: lambda}}, region: eu-west-1}`, ""},
		{"in no way", `{qualifier: live}`, "function: the Lambda function's name is missing"},
		{"in two", `{function: f, http: {url: "https://h"}}`, "http: it takes the place of function"},
		{"over HTTP at a qualifier", `{qualifier: live, http: {url: "https://h"}}`, "http: it takes the place of"},
		{"nowhere", `{http: {key: k}}`, "http.url: it is missing"},
		{"signed for no such service", `{http: {url: "https://h", sign: {service: s3}}}`, `http.sign.service: "s3" is neither`},
		{"signed for none", `{http: {url: "https://h", sign: {}}}`, `http.sign.service: "" is neither`},
		{"with a header that is none", `{http: {url: "https://h", headers: {"a b": x}}}`, `http.headers: "a b"`},
		{"with another host's name", `{http: {url: "https://h", headers: {Host: x}}}`, "http.headers: Host is the connection's"},
		{"with a length of its own", `{http: {url: "https://h", headers: {content-length: "1"}}}`, "http.headers: content-length"},
		{"of a state machine, with a destination", `{stateMachine: arn, destination: "https://q"}`, "destination: it is for records"},
		{"signed twice", `{http: {url: "https://h", sign: {service: lambda}, headers: {authorization: x}}}`,
			"http.headers: authorization is the signature's"},
		{"in a way that is none", `{function: f, invocation: Event}`, `invocation: "Event" is not event`},
		{"with a destination, and an answer", `{function: f, destination: "https://q"}`, "destination: it is for asynchronous"},
		{"with a destination by name", `{function: f, invocation: event, destination: records}`, "destination: "},
	} {
		c, err := Parse("tandem.yaml", []byte("version: 1\nfunctions:\n  f:\n    lambda: "+tt.lambda), secrets)
		var at *Error
		switch {
		case tt.want == "":
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			} else if l := c.Functions["f"].Lambda; l.HTTP != nil && l.Addresses()[0] != l.HTTP.URL {
				t.Errorf("%s: it is called at %q", tt.name, l.Addresses())
			}
		case !errors.As(err, &at) || at.Line != 4 || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: error %v, want line 4 and %q", tt.name, err, tt.want)
		}
	}
}

func TestEntraNeedsAScope(t *testing.T) {
	for scope, ok := range map[string]bool{"api://app/.default": true, `""`: false, `"a b"`: false} {
		_, err := Parse("tandem.yaml", []byte("version: 1\nfunctions:\n  f:\n    functions:\n"+
			"      http: {url: \"https://h\", entra: {scope: "+scope+"}}\n"), secrets)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "tandem.yaml:5: entra: one scope") {
			t.Errorf("%s: %v", scope, err)
		}
	}
}
