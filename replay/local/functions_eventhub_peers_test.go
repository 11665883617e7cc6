//go:build peers

package local

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/fixtures/peers"
)

func hubFunction(extra string) string {
	return `{"bindings":[{"type":"eventHubTrigger","direction":"in","name":"event","eventHubName":"%HUB%",` +
		`"connection":"Clicks"` + extra + `}]}`
}

// sendEvents puts events of one partition key into a hub, as one batch.
func sendEvents(t *testing.T, connection, hub, key string, bodies ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	producer, err := azeventhubs.NewProducerClientFromConnectionString(connection, hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was sent is seen when it arrives
	batch, err := producer.NewEventDataBatch(ctx, &azeventhubs.EventDataBatchOptions{PartitionKey: to.Ptr(key)})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		event := &azeventhubs.EventData{Body: []byte(body), Properties: map[string]any{
			capture.EventIDProperty: "id-" + body, capture.MarkHeader: "mark",
		}}
		if err := batch.AddEventData(event, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.SendEventDataBatch(ctx, batch, nil); err != nil {
		t.Fatal(err)
	}
}

func TestEventHubsAreReadInOrderAndNothingComesAgain(t *testing.T) {
	for _, tt := range []struct {
		name, host, binding string
		want                []string // what the function got in each call
	}{
		{"one", payloads, "", []string{`"\"a\""`, `"\"fail\""`, `"\"b\""`, `"\"c\""`}},
		{"many", payloads, `,"cardinality":"many"`, []string{`"[\"a\",\"fail\",\"b\",\"c\"]"`}},
		{"as many as host.json says", `},"extensions":{"eventHubs":{"maxEventBatchSize":1}}`, `,"cardinality":"many"`,
			[]string{`"[\"a\"]"`, `"[\"fail\"]"`, `"[\"b\"]"`, `"[\"c\"]"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			connection := peers.EventHubs(t, "clicks", 1)
			sendEvents(t, connection, "clicks", "k", "a", "fail", "b", "c")
			dir := writeApp(t, tt.host, map[string]string{"events": hubFunction(tt.binding)})
			f, _ := startApp(t, FunctionsOptions{App: dir, Env: []string{"HUB=clicks", "Clicks=" + connection}})
			ended := func() int { return strings.Count(fmt.Sprint(f.opts.Log), "Executed 'Functions.events'") }
			until(t, "the events are worked on", func() bool {
				return strings.Contains(fmt.Sprint(f.opts.Log), `\"c\"`) && ended() >= len(tt.want)
			})
			sendEvents(t, connection, "clicks", "k", "last")
			until(t, "the last event is worked on", func() bool { return ended() > len(tt.want) })
			var got []string
			value := regexp.MustCompile(`events got \{"Data":\{"event":(".*?")\},"Metadata":`)
			for _, m := range value.FindAllStringSubmatch(fmt.Sprint(f.opts.Log), -1) {
				got = append(got, m[1])
			}
			if len(got) == 0 || !slices.Equal(got[:len(got)-1], tt.want) || !strings.Contains(got[len(got)-1], "last") {
				t.Errorf("the function got %s, want %s and the last one", got, tt.want)
			}
		})
	}
}

func TestAnEventHasItsMetadata(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 2)
	dir := writeApp(t, `},"extensions":{"eventHubs":{"initialOffsetOptions":{"type":"fromStart"}}}`,
		map[string]string{"events": hubFunction(`,"consumerGroup":"port"`)})
	f, _ := startApp(t, FunctionsOptions{App: dir, Env: []string{"HUB=clicks", "Clicks=" + connection}})
	sendEvents(t, connection, "clicks", "k", "a")
	until(t, "the event is worked on", func() bool { return strings.Contains(fmt.Sprint(f.opts.Log), "events got") })
	log := fmt.Sprint(f.opts.Log)
	for _, want := range []string{
		`"EventHubName":"clicks","ConsumerGroup":"port","PartitionId":"`, `"PartitionKey":"\"k\""`,
		`"Properties":{"tandem-id":"id-a","tandem-trial":"mark"}`, `"SequenceNumber":"0"`, `"Offset":"\"0\""`,
		"Trigger Details: PartitionId: ",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in what the function got", want)
		}
	}
}

func TestAConnectionOfAHubThatIsNoneIsToldWithoutItsKey(t *testing.T) {
	dir := writeApp(t, payloads, map[string]string{"events": hubFunction("")})
	_, err := NewFunctions(t.Context(), FunctionsOptions{
		App: dir, Env: []string{"HUB=clicks", "Clicks=Endpoint=sb://x;SharedAccessKey=hush"},
	})
	if err == nil || !strings.Contains(err.Error(), "event hub clicks") || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}

func TestEffectsOfAnEventBelongToItsMark(t *testing.T) {
	connection, server := peers.EventHubs(t, "clicks", 1), newEffects(t)
	dir := writeApp(t, payloads, map[string]string{
		"queue": strings.Replace(hubFunction(""), `"name":"event"`, `"name":"message"`, 1),
	})
	f, _ := startApp(t, FunctionsOptions{
		App: dir, Effects: server, Env: []string{"HUB=clicks", "Clicks=" + connection},
	})
	sendEvents(t, connection, "clicks", "k", "a", "b")
	until(t, "both events are worked on", func() bool {
		return strings.Count(fmt.Sprint(f.opts.Log), "Executed 'Functions.queue' (Succeeded") == 2
	})
	work, ok := server.Take("mark")
	if !ok || len(work.Effects) != 2 {
		t.Fatalf("%v, %+v", ok, work)
	}
	for i, want := range []string{`"a"`, `"b"`} {
		if got := string(work.Effects[i].Body.Bytes()); got != want {
			t.Errorf("effect %d has %s, want %s", i, got, want)
		}
	}
}
