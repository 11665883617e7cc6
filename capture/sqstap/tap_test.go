package sqstap_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/sqstap"
)

func TestOnlyWhatAMappingCanBeSetToIsTaken(t *testing.T) {
	fifo := drain.Queue{FIFO: true}
	for _, tc := range []struct {
		name string
		o    sqstap.Options
		want string // in the error; "" for none
	}{
		{"the defaults", sqstap.Options{Function: "f"}, ""},
		{"no function", sqstap.Options{}, "no function"},
		{"ten at once", sqstap.Options{Function: "f", Drain: drain.Options{BatchSize: 10}}, ""},
		{"more need a window", sqstap.Options{Function: "f", Drain: drain.Options{BatchSize: 11}}, "window"},
		{"the most", sqstap.Options{Function: "f",
			Drain: drain.Options{BatchSize: 10_000, BatchWindow: 300 * time.Second}}, ""},
		{"too many", sqstap.Options{Function: "f",
			Drain: drain.Options{BatchSize: 10_001, BatchWindow: time.Second}}, "10000"},
		{"too long", sqstap.Options{Function: "f", Drain: drain.Options{BatchWindow: 301 * time.Second}}, "5m0s"},
		{"negative", sqstap.Options{Function: "f", Drain: drain.Options{BatchSize: -1}}, "-1"},
		{"FIFO", sqstap.Options{Function: "f", Drain: drain.Options{Queue: fifo, BatchSize: 10}}, ""},
		{"FIFO has no window", sqstap.Options{Function: "f",
			Drain: drain.Options{Queue: fifo, BatchWindow: time.Second}}, "no batching window"},
		{"FIFO has ten at most", sqstap.Options{Function: "f", Drain: drain.Options{Queue: fifo, BatchSize: 11}}, "10"},
		{"a queue's ARN", sqstap.Options{Function: "f", AsQueue: "arn:aws:sqs:eu-west-1:1:q"}, ""},
		{"a topic's ARN", sqstap.Options{Function: "f", AsQueue: "arn:aws:sns:eu-west-1:1:q"}, "not the ARN of a queue"},
	} {
		err := tc.o.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func FuzzMessageIDsAreThoseOfTheEvent(f *testing.F) {
	f.Add(`{"Records":[{"messageId":"a"},{"messageId":"b","body":"{\"messageId\":\"c\"}"},{}]}`)
	f.Add(`{"Records":[{"messageId":1}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, event string) {
		ids := sqstap.MessageIDs(&capture.Invocation{Format: capture.FormatSQS, Event: json.RawMessage(event)})
		if slices.Contains(ids, "") {
			t.Errorf("%q has %q", event, ids)
		}
		other := sqstap.MessageIDs(&capture.Invocation{Format: capture.FormatS3, Event: json.RawMessage(event)})
		if other != nil {
			t.Errorf("an event of S3 has %q", other)
		}
	})
}
