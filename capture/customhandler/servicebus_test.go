package customhandler

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestAServiceBusMessageComesBackFromItsPayload(t *testing.T) {
	enqueued := time.Date(2026, 11, 23, 10, 0, 0, 5_000_000, time.UTC)
	for name, binary := range map[string]bool{"text": false, "bytes": true} {
		sent := ServiceBusTrigger{
			Body: []byte(`{"a": "1"}`), Binary: binary, ID: "m-1", SessionID: "s", SequenceNumber: 1 << 60, DeliveryCount: 2,
			Enqueued: enqueued, LockToken: "t",
			Properties: map[string]any{"text": "x", "n": int64(1) << 60, "bytes": []byte{0, 1}, "none": nil},
		}
		payload, err := json.Marshal(sent.Request("message", NewSys("f", enqueued)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseRequest(payload)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ServiceBus("message", binary)
		if err != nil || string(got.Body) != string(sent.Body) || got.ID != "m-1" || got.SessionID != "s" ||
			got.SequenceNumber != 1<<60 || got.DeliveryCount != 2 || !got.Enqueued.Equal(enqueued) || got.LockToken != "t" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		want := map[string]any{"text": "x", "n": json.Number("1152921504606846976"), "bytes": "AAE="}
		if !reflect.DeepEqual(got.Properties, want) {
			t.Errorf("%s: properties %#v", name, got.Properties)
		}
	}
}
