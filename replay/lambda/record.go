package lambda

import (
	"encoding/json"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// A record is what Lambda sends to a destination of asynchronous invocations. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html.
type record struct {
	Timestamp      time.Time `json:"timestamp"`
	RequestContext struct {
		RequestID string `json:"requestId"`
		Condition string `json:"condition"`
		Attempts  int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	ResponseContext struct {
		FunctionError string `json:"functionError"`
	} `json:"responseContext"`
	ResponsePayload json.RawMessage `json:"responsePayload"` // nil for none
}

// parseRecord reads a record; ok is false for anything else.
func parseRecord(body []byte) (r record, ok bool) {
	if json.Unmarshal(body, &r) != nil || r.RequestContext.RequestID == "" || r.RequestContext.Condition == "" {
		return record{}, false
	}
	return r, true
}

// report says what a record means for the invocation that it is of: what the function returned, or what its last
// attempt did. Of a record without that, such as that of an event that became too old before the function ran, it is
// a report without an outcome.
func (r *record) report(inv *capture.Invocation) completion.Report {
	id, failed := r.RequestContext.RequestID, r.ResponseContext.FunctionError
	report := completion.Report{
		Key: completion.Invocation(id), Source: "destination", Attempt: r.RequestContext.Attempts, Invocation: id,
		Settled: capture.DeadLettered, Time: r.Timestamp,
	}
	if r.RequestContext.Condition == "Success" {
		report.Settled = capture.Acked
	}
	if (failed == "") == (report.Settled == capture.Acked) && r.ResponsePayload != nil {
		report.Outcome = capture.LambdaOutcome(inv.Format, inv.Event, r.ResponsePayload, failed)
	}
	return report
}
