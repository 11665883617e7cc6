package lambda

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/replay/completion"
)

// failedRecord is that of the documentation, but for its IDs.
const failedRecord = `{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"requestId":"q1",
	"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:f:$LATEST","condition":"RetriesExhausted",
	"approximateInvokeCount":3},"requestPayload":{"ORDER_IDS":["9e07af03"]},"responseContext":{"statusCode":200,
	"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"RequestId: q1 Process exited before completing request"}}`

func TestARecordIsAReport(t *testing.T) {
	at := time.Date(2019, 11, 14, 18, 16, 5, 568e6, time.UTC)
	record := func(condition, rest string) string {
		return `{"timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"requestId":"q1","condition":"` + condition +
			`","approximateInvokeCount":2},` + rest + `}`
	}
	result := func(doc string) *capture.Outcome {
		return &capture.Outcome{Status: capture.StatusOK, Result: &capture.Body{JSON: json.RawMessage(doc)}}
	}
	inv := event(`{}`)
	s3 := &capture.Invocation{Trigger: capture.TriggerS3, Format: capture.FormatS3, Event: []byte(`{"Records":[]}`)}
	tests := []struct {
		name, body string
		inv        *capture.Invocation
		settled    capture.Fate
		outcome    *capture.Outcome
	}{
		{"it returned", record("Success", `"requestPayload":{},"responseContext":{},"responsePayload":{"n":1.0}`),
			inv, capture.Acked, result(`{"n":1.0}`)},
		{"it returned nothing", record("Success", `"requestPayload":{},"responsePayload":null`), inv, capture.Acked, result(`null`)},
		{"for S3, which takes no result", record("Success", `"responsePayload":{"n":1}`),
			s3, capture.Acked, &capture.Outcome{Status: capture.StatusOK}},
		{"it threw", record("RetriesExhausted", `"requestPayload":{},"responseContext":{"functionError":"Unhandled"},
			"responsePayload":{"errorType":"E","errorMessage":"m"}`), inv, capture.DeadLettered,
			&capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E", Message: "m"}}},
		{"it ran out of time", record("RetriesExhausted", `"responseContext":{"functionError":"Unhandled"},
			"responsePayload":{"errorMessage":"x Task timed out after 3.00 seconds"}`), inv, capture.DeadLettered,
			&capture.Outcome{Status: capture.StatusTimeout, Error: &capture.Error{Message: "x Task timed out after 3.00 seconds"}}},
		{"it threw until the event was too old", record("EventAgeExceeded", `"responseContext":{"functionError":"Unhandled"},
			"responsePayload":{"errorType":"E"}`), inv, capture.DeadLettered,
			&capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E"}}},
		{"it never ran", record("EventAgeExceeded", `"requestPayload":{}`), inv, capture.DeadLettered, nil},
		{"no answer is in it", record("Success", `"requestPayload":{}`), inv, capture.Acked, nil},
		{"it contradicts itself", record("Success", `"responseContext":{"functionError":"Unhandled"},"responsePayload":{}`),
			inv, capture.Acked, nil},
		{"a failure without its error", record("RetriesExhausted", `"responsePayload":{"n":1}`), inv, capture.DeadLettered, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec, ok := parseRecord([]byte(tt.body))
			got := rec.report(tt.inv)
			want := completion.Report{
				Key: "invocation/q1", Source: "destination", Attempt: 2, Invocation: "q1", Time: at,
				Settled: tt.settled, Outcome: tt.outcome,
			}
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Errorf("%v, -want +got\n%s", ok, diff)
			}
			out, err := settled("q1", []completion.Report{got})
			if (err == nil) != (tt.outcome != nil) || out != got.Outcome {
				t.Errorf("the outcome is %+v, %v", out, err)
			}
		})
	}
}

func TestWhatIsNoRecordIsNot(t *testing.T) {
	for _, body := range []string{
		"", "hello", "[]", "null", `{"requestContext":{"requestId":"q"}}`, `{"requestContext":{"condition":"Success"}}`,
		`{"requestContext":{"requestId":"q","condition":"Success","approximateInvokeCount":"many"}}`, failedRecord[:200],
	} {
		if r, ok := parseRecord([]byte(body)); ok {
			t.Errorf("%s is taken for %+v", body, r)
		}
	}
}

func TestRecordsThatContradictEachOtherAreNoOutcome(t *testing.T) {
	failed, ok := parseRecord([]byte(failedRecord))
	returned, too := parseRecord([]byte(`{"requestContext":{"requestId":"q1","condition":"Success"},"responsePayload":1}`))
	both := []completion.Report{failed.report(event(`{}`)), returned.report(event(`{}`))}
	if out, err := settled("q1", both); err == nil || !ok || !too {
		t.Errorf("one says that it failed, and one that it did not: %+v", out)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(failedRecord))
	f.Add([]byte(`{"requestContext":{"requestId":"q","condition":"Success"},"requestPayload":{"Records":[]},"responsePayload":1e400}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rec, ok := parseRecord(body)
		if !ok {
			return
		}
		r := rec.report(event(`{}`))
		if r.Invocation == "" || r.Settled == "" ||
			r.Outcome != nil && r.Settled == capture.DeadLettered && r.Outcome.Status == capture.StatusOK {
			t.Fatalf("%+v", r)
		}
		if _, err := json.Marshal(r.Outcome); err != nil {
			t.Fatalf("the outcome has no JSON form: %v", err)
		}
	})
}
