package customhandler

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventsHaveTheFormThatTheHostGivesThem(t *testing.T) {
	const gridEvent = `{"id":"7","subject":"s","data":{"n":1.0}}`
	hub := PartitionContext{"ns", "hub", "$Default", "1"}
	at := time.Date(2026, 5, 4, 12, 0, 0, 250e6, time.UTC)
	first := HubEvent{
		Body: []byte(`{"page":"/tea"}`), PartitionKey: "k", Offset: "64", SequenceNumber: 1, Enqueued: at,
		Properties: map[string]any{"tandem-id": "a<b", "odd": math.NaN()}, SystemProperties: map[string]any{"x": int64(3)},
	}
	second := HubEvent{Body: []byte("\x01"), Offset: "128", SequenceNumber: 9007199254740993, Enqueued: at}
	for _, tt := range []struct {
		name           string
		req            *Request
		data, metadata string
	}{
		{
			"an event of Event Grid is an object",
			EventGridTrigger{Events: []json.RawMessage{[]byte(gridEvent)}}.Request("e", sys),
			gridEvent, `{"data":{"n":1.0}}`,
		},
		{
			"text in an event of Event Grid is encoded twice",
			EventGridTrigger{Events: []json.RawMessage{[]byte(`{"data":"paid"}`)}}.Request("e", sys),
			`{"data":"paid"}`, `{"data":"\"paid\""}`,
		},
		{
			"an event of Event Grid without data",
			EventGridTrigger{Events: []json.RawMessage{[]byte(`{"id":"7"}`)}}.Request("e", sys), `{"id":"7"}`, `{}`,
		},
		{
			"a list of them is JSON in a text",
			EventGridTrigger{Events: []json.RawMessage{[]byte(`{"data":[1]}`), []byte(`{}`)}, Many: true}.Request("e", sys),
			`"[{\"data\":[1]},{}]"`, `{"data":"[[1],null]"}`,
		},
		{
			"an event of Event Hubs is a text, with its metadata",
			EventHubTrigger{Events: []HubEvent{first}, Context: hub}.Request("e", sys),
			`"\"{\\\"page\\\":\\\"/tea\\\"}\""`,
			`{"PartitionContext":{"FullyQualifiedNamespace":"ns","EventHubName":"hub","ConsumerGroup":"$Default",
				"PartitionId":"1"},"PartitionKey":"\"k\"","Offset":"\"64\"","SequenceNumber":"1",
				"EnqueuedTimeUtc":"2026-05-04T12:00:00.25","Properties":{"tandem-id":"a<b","odd":"NaN"},
				"SystemProperties":{"x":3,"SequenceNumber":1,"Offset":"64","PartitionKey":"k",
				"EnqueuedTimeUtc":"2026-05-04T12:00:00.25"}}`,
		},
		{
			"bytes of Event Hubs are base64",
			EventHubTrigger{Events: []HubEvent{second}, Binary: true, Context: hub}.Request("e", sys), `"AQ=="`, ``,
		},
		{
			"a list of events of Event Hubs is JSON in a text, and so are their metadata",
			EventHubTrigger{Events: []HubEvent{first, second}, Many: true, Context: hub}.Request("e", sys),
			`"[\"{\\\"page\\\":\\\"/tea\\\"}\",\"\\u0001\"]"`,
			`{"PartitionContext":{"FullyQualifiedNamespace":"ns","EventHubName":"hub","ConsumerGroup":"$Default",
				"PartitionId":"1"},"PartitionKeyArray":"[\"k\",null]","OffsetArray":"[\"64\",\"128\"]",
				"SequenceNumberArray":"[1,9007199254740993]",
				"EnqueuedTimeUtcArray":"[\"2026-05-04T12:00:00.25\",\"2026-05-04T12:00:00.25\"]",
				"PropertiesArray":"[{\"odd\":\"NaN\",\"tandem-id\":\"a<b\"},{}]",
				"SystemPropertiesArray":"[{\"EnqueuedTimeUtc\":\"2026-05-04T12:00:00.25\",\"Offset\":\"64\",\"PartitionKey\":\"k\",\"SequenceNumber\":1,\"x\":3},{\"EnqueuedTimeUtc\":\"2026-05-04T12:00:00.25\",\"Offset\":\"128\",\"PartitionKey\":null,\"SequenceNumber\":9007199254740993}]"}`,
		},
	} {
		if got := string(tt.req.Data["e"]); got != tt.data {
			t.Errorf("%s: the value is %s, want %s", tt.name, got, tt.data)
		}
		if tt.metadata == "" {
			continue
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(tt.metadata), &want); err != nil {
			t.Fatal(err)
		}
		delete(tt.req.Metadata, "sys")
		if diff := cmp.Diff(plain(t, want), plain(t, tt.req.Metadata)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

// plain is metadata without regard to the order of members.
func plain(t *testing.T, metadata map[string]json.RawMessage) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for name, doc := range metadata {
		var v any
		if err := json.Unmarshal(doc, &v); err != nil {
			t.Fatal(err)
		}
		all[name] = v
	}
	return all
}
