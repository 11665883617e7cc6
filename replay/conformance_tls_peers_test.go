//go:build peers

package replay_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/functions"
)

// What speaks AMQP has the system's certificates, and no others.
func TestNoKeyIsSentToANamespaceThatCannotShowWhoItIs(t *testing.T) {
	certificate, _ := issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l := newAMQPLine(t, silent.Addr().String(), &certificate)
	connection := "Endpoint=sb://" + l.listener.Addr().String() + ";SharedAccessKeyName=test;SharedAccessKey=hush"
	bus, err := functions.NewServiceBus(functions.ServiceBusOptions{Connection: connection, Name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	hub, err := functions.NewEventHub(functions.EventHubOptions{
		Connection: connection, Name: "q", Board: completion.NewBoard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	for name, tt := range map[string]struct {
		target replay.Target
		inv    *capture.Invocation
	}{
		"servicebus": {bus, sqsMessage("x")},
		"eventhub": {hub, &capture.Invocation{
			ID: "i", Trigger: capture.TriggerOther, Format: capture.FormatKinesis,
			Event: []byte(`{"Records":[{"kinesis":{"partitionKey":"k","sequenceNumber":"1","data":""}}]}`),
		}},
	} {
		out, err := tt.target.Fire(t.Context(), tt.inv)
		if err != nil || out.Status != capture.StatusTransport || !strings.Contains(out.Error.Message, "unknown authority") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if n := l.frames.Load(); n != 0 {
		t.Errorf("%d frames were sent", n)
	}
}
