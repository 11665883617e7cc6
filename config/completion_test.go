package config

import (
	"strings"
	"testing"
	"time"
)

// listening has a function behind a queue, whose completion begins in line 6.
const listening = `version: 1
functions:
  f:
    functions:
      queue: {account: a, name: orders}
      completion:
        COMPLETION
`

func TestCompletionIsReadWhole(t *testing.T) {
	text := strings.Replace(listening, "COMPLETION", `recorder: {listen: "0.0.0.0:7443", token: "${T}", tlsCert: c.pem, tlsKey: k.pem}
        logs: {namespace: ns.servicebus.windows.net, hub: logs, consumerGroup: tandem}
        deadline: 2m`, 1)
	c, err := Parse("tandem.yaml", []byte(text), env(map[string]string{"T": "s3cret"}))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Functions["f"].Functions.Completion
	if got.Recorder.Token != "s3cret" || got.Logs.ConsumerGroup != "tandem" {
		t.Errorf("%+v", got)
	}
	if d, err := got.After(); err != nil || d != 2*time.Minute {
		t.Errorf("%v, %v", d, err)
	}
}

func TestCompletionThatCannotWorkIsAnErrorWithALine(t *testing.T) {
	for _, tt := range []struct{ name, completion, want string }{
		{"the network without a token", `recorder: {listen: ":7443"}`, ":7: recorder.token: it is missing"},
		{"no address", `recorder: {listen: here, token: t}`, `:7: recorder.listen: "here" is not host:port`},
		{"half a certificate", `recorder: {listen: "127.0.0.1:0", tlsCert: c.pem}`, ":7: recorder.tlsKey: tlsCert and tlsKey"},
		{"no hub", `logs: {namespace: n}`, ":7: logs.hub: it is missing"},
		{"two ways to a hub", `logs: {namespace: n, connection: c, hub: h}`, ":7: logs.namespace: give either"},
		{"no way to a hub", `logs: {hub: h}`, ":7: logs.namespace: give either"},
		{"no time", `deadline: 0s`, `:7: deadline: "0s" is not`},
		{"a number", `deadline: 2`, `:7: deadline: "2" is not`},
		{"before time", `deadline: -2m`, `:7: deadline: "-2m" is not`},
		{"attempts, which are the trigger's", `attempts: 5`, `:7: there is no key "attempts" here`},
		{"what cannot be trusted", `quiet: {for: 10s}`, ":7: quiet: effects show that a function began"},
		{"what there is not", `loud: {}`, `:7: there is no key "loud" here`},
	} {
		_, err := Parse("tandem.yaml", []byte(strings.Replace(listening, "COMPLETION", tt.completion, 1)), secrets)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestWhoAnswersIsNotHeardOfElsewhere(t *testing.T) {
	for _, way := range []string{`http: {url: "http://h/"}`, `handler: {url: "http://h/"}`} {
		text := strings.Replace(listening, "queue: {account: a, name: orders}", way, 1)
		_, err := Parse("tandem.yaml", []byte(strings.Replace(text, "COMPLETION", "deadline: 5m", 1)), secrets)
		if err == nil || !strings.Contains(err.Error(), ":6: completion: who calls this function is answered") &&
			!strings.Contains(err.Error(), ":7: completion: who calls") {
			t.Errorf("%v", err)
		}
	}
}

func TestAWebhookThatAnswersIsNotHeardOfElsewhere(t *testing.T) {
	for way, fine := range map[string]bool{
		`eventgrid: {url: "http://h/"}`:                                           false,
		`eventgrid: {url: "http://h/", answer: outcome}`:                          false,
		`eventgrid: {url: "http://h/", answer: none}`:                             true,
		`eventgrid: {topic: {endpoint: "https://t.eventgrid.azure.net", key: k}}`: true,
	} {
		text := strings.Replace(listening, "queue: {account: a, name: orders}", way, 1)
		_, err := Parse("tandem.yaml", []byte(strings.Replace(text, "COMPLETION", "deadline: 5m", 1)), secrets)
		if fine != (err == nil) || err != nil && !strings.Contains(err.Error(), "completion: the webhook of the app") {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func TestOneAddressIsListenedAtInOneWay(t *testing.T) {
	const two = `version: 1
functions:
  f: {functions: {queue: {account: a, name: f}, completion: {recorder: {listen: "127.0.0.1:1", token: a}}}}
  g: {functions: {queue: {account: a, name: g}, completion: {recorder: {listen: "127.0.0.1:1", token: TOKEN}}}}
`
	for token, fine := range map[string]bool{"a": true, "b": false} {
		_, err := Parse("tandem.yaml", []byte(strings.Replace(two, "TOKEN", token, 1)), secrets)
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), ":4: recorder: 127.0.0.1:1 is listened at") {
			t.Errorf("%s: %v", token, err)
		}
	}
}
