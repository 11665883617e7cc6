package eventhub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var hostTime = time.Date(2026, 3, 1, 10, 0, 0, 500_000_000, time.UTC)

// The messages are those that hosts have written, but for names and IDs.
func TestWhatAHostSaysOfAnInvocationIsReadInEveryEncoding(t *testing.T) {
	const invocation = "Id=" + orderID + ")"
	for _, tt := range []struct {
		name, message string
		want          HostLine
	}{
		{"a queue", begins, HostLine{Function: "process-order"}},
		{"its message", details1, HostLine{Message: "m-1", Delivery: 2}},
		{"before version 5 of the extension",
			"Trigger Details: MessageId: m-1, DequeueCount: 1, InsertionTime: 1/18/2019 3:28:51 AM +00:00",
			HostLine{Message: "m-1", Delivery: 1}},
		{"Service Bus", "Executing 'Functions.f' (Reason='(null)', " + invocation, HostLine{Function: "f"}},
		{"its message", "Trigger Details: MessageId: 796ff79c, SequenceNumber: 6, DeliveryCount: 3, " +
			"EnqueuedTimeUtc: 2025-11-16T18:03:56.6630000+00:00, LockedUntilUtc: 2025-11-16T18:04:56.6780000+00:00, " +
			"SessionId: (null)", HostLine{Message: "796ff79c", Delivery: 3}},
		{"a message whose sender chose its ID", "Trigger Details: MessageId: a, DequeueCounts: b, SequenceNumber: 6, " +
			"DeliveryCount: 1, EnqueuedTimeUtc: 2025-11-16T18:03:56.6630000+00:00",
			HostLine{Message: "a, DequeueCounts: b", Delivery: 1}},
		{"a blob", "Executing 'Functions.f' (Reason='New blob detected(LogsAndContainerScan): up-loads/a (1), b.png', " +
			invocation, HostLine{Function: "f", Blob: "up-loads/a (1), b.png"}},
		{"a blob that Event Grid told of", "Executing 'Functions.f' (Reason='New blob detected(EventGrid): c/a/b', " +
			invocation, HostLine{Function: "f", Blob: "c/a/b"}},
		{"the host's own message about a blob", "Trigger Details: MessageId: 9e22a625, DequeueCount: 2, " +
			"InsertedOn: 2025-12-16T09:18:29.000+00:00, BlobCreated: 2025-12-16T09:18:24.000+00:00, " +
			"BlobLastModified: 2025-12-16T09:18:24.000+00:00", HostLine{Delivery: 2}},
		{"Event Grid, whose event it does not name", "Executing 'Functions.f' (Reason='EventGrid trigger fired at " +
			"2023-07-06T14:40:22.5587945+00:00', " + invocation, HostLine{Function: "f"}},
		{"Event Hubs, whose events it does not name", "Trigger Details: PartitionId: 0, Offset: 1011240-1011632, " +
			"EnqueueTimeUtc: 2021-05-04T19:04:04.2030000Z-2021-05-04T19:04:04.3900000Z, SequenceNumber: 2546-2547, Count: 2",
			HostLine{}},
		{"it succeeded", succeeds, HostLine{Function: "process-order", Ended: true, DurationMS: 1012}},
		{"it failed", fails, HostLine{Function: "process-order", Ended: true, Failed: true, DurationMS: 5}},
	} {
		for _, encoding := range []string{"object", "text", "pseudo"} {
			got, err := HostLines([]byte(records(encoding, tt.message)))
			want := tt.want
			want.Invocation, want.Time = orderID, hostTime
			if diff := cmp.Diff([]HostLine{want}, got); diff != "" || err != nil {
				t.Errorf("%s, %s: %v %s", tt.name, encoding, err, diff)
			}
		}
	}
}

func TestWhatAFunctionWritesIsNotTheHosts(t *testing.T) {
	line := func(properties map[string]string) string {
		doc, _ := json.Marshal(map[string]any{"category": "FunctionAppLogs", "properties": properties})
		return string(doc)
	}
	for name, body := range map[string]string{
		"a line of the function's own": line(map[string]string{
			"message": succeeds, "functionInvocationId": orderID, "category": "Function.process-order.User",
		}),
		"a line about another invocation": line(map[string]string{
			"message": succeeds, "functionInvocationId": strings.Repeat("0", 8) + orderID[8:], "category": "Host.Results",
		}),
		"a line about none":       line(map[string]string{"message": "Host lock lease acquired"}),
		"another category of log": `{"category":"GatewayLogs","properties":{}}`,
	} {
		if got, err := HostLines([]byte(body)); len(got) != 0 || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	failure := line(map[string]string{
		"message": fails, "functionInvocationId": orderID, "category": "Function.process-order",
		"exceptionType": "System.Exception", "exceptionMessage": "no stock",
	})
	got, err := HostLines([]byte(failure))
	if err != nil || len(got) != 1 || got[0].Error == nil || got[0].Error.Message != "no stock" || !got[0].Failed {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatCannotBeReadOfALogIsToldBesideTheRest(t *testing.T) {
	for _, body := range []string{records("text", succeeds) + "{", `[7,` + records("text", succeeds) + `]`,
		`{"records":[{"category":"FunctionAppLogs","properties":"{'a"},` +
			strings.TrimPrefix(records("text", succeeds), `{"records":[`)} {
		got, err := HostLines([]byte(body))
		if err == nil || len(got) != 1 || !got[0].Ended {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func FuzzHostLines(f *testing.F) {
	for _, encoding := range []string{"object", "text", "pseudo"} {
		f.Add([]byte(records(encoding, begins, details1, fails)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, _ := HostLines(body)
		for _, l := range lines {
			if l.Invocation == "" || l.Failed && !l.Ended || l.DurationMS < 0 {
				t.Errorf("%+v", l)
			}
		}
	})
}
