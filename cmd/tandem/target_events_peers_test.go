//go:build peers

package main

import (
	"fmt"
	"strings"
	"testing"

	"tandem/fixtures/peers"
)

func TestAnEventHubThatNobodyTellsOfIsInconclusive(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 1)
	config, recording := eventsFolder(t, fmt.Sprintf("eventhub: {connection: %q, name: clicks}", connection), eventServer(t),
		`{"Records":[{"eventSource":"aws:kinesis","eventID":"shardId-0:7","kinesis":{"partitionKey":"k","sequenceNumber":"7","data":"YQ=="}}]}`)
	code, printed := replayAndCompare(t, config, recording) // which would wait for 20 minutes, if it did
	if code != exitInconclusive || !strings.Contains(printed, "1 outcome of functions not known") {
		t.Errorf("exit code %d:\n%s", code, printed)
	}
}
