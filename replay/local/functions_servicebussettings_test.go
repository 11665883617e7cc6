package local

import (
	"strings"
	"testing"
	"time"
)

func TestServiceBusSettingsAreTheHosts(t *testing.T) {
	const trigger = `{"type":"serviceBusTrigger","direction":"in","name":"message"`
	for _, tt := range []struct {
		name, settings, binding string
		want                    busSettings
		err                     string
	}{
		{"none", `{}`, trigger + `,"queueName":"q"}`, busSettings{16, 8, 5 * time.Minute, time.Minute}, ""},
		{"all", `{"maxConcurrentCalls":1,"maxConcurrentSessions":2,"maxAutoLockRenewalDuration":"00:10:00",
			"sessionIdleTimeout":"00:00:05","autoCompleteMessages":true,"prefetchCount":5}`,
			trigger + `,"queueName":"q","isSessionsEnabled":true}`, busSettings{1, 2, 10 * time.Minute, 5 * time.Second}, ""},
		{"none at once", `{"maxConcurrentCalls":0}`, trigger + `}`, busSettings{}, "extensions.serviceBus.maxConcurrentCalls: 0"},
		{"no time", `{"sessionIdleTimeout":"soon"}`, trigger + `}`, busSettings{}, "extensions.serviceBus.sessionIdleTimeout"},
		{"messages that nobody settles", `{"autoCompleteMessages":false}`, trigger + `}`, busSettings{}, "has to be true"},
		{"no queue", `{}`, trigger + `}`, busSettings{}, `no "queueName"`},
		{"a topic", `{}`, trigger + `,"topicName":"t","subscriptionName":"s"}`, busSettings{}, "queues only"},
		{"batches", `{}`, trigger + `,"queueName":"q","cardinality":"many"}`, busSettings{}, "one message at a time"},
	} {
		app, err := readApp(writeApp(t, `},"extensions":{"serviceBus":`+tt.settings+`}`, map[string]string{
			"bus": `{"bindings":[` + tt.binding + `]}`,
		}), nil)
		switch {
		case (err == nil) != (tt.err == ""):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		case err != nil && !strings.Contains(err.Error(), tt.err):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		case err == nil && app.bus != tt.want:
			t.Errorf("%s: %+v, want %+v", tt.name, app.bus, tt.want)
		}
	}
}

func TestOnlyTheAppsOwnSettingsLeadToAServiceBus(t *testing.T) {
	fn := &azureFunction{trigger: binding{Type: "serviceBusTrigger"}}
	for _, tt := range []struct {
		connection, setting, want string
	}{
		{"", "AzureWebJobsServiceBus=a", "a"}, {"Bus", "AzureWebJobsBus=b", "b"}, {"Bus", "Bus=c", "c"}, {"Bus", "Other=d", ""},
	} {
		fn.trigger.Connection = tt.connection
		if got, ok := fn.busConnection([]string{tt.setting}); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
