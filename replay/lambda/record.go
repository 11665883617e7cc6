package lambda

import (
	"encoding/json"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// parseRecord reads what Lambda sends to a destination of asynchronous invocations; ok is false for anything else.
//
// A record of success has what the function returned, one of failure what the last attempt did. A record without it,
// such as that of an event that became too old before the function ran, is a report without an outcome.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html.
func parseRecord(body []byte) (r completion.Report, requestID string, ok bool) {
	var doc struct {
		Timestamp      time.Time `json:"timestamp"`
		RequestContext struct {
			RequestID string `json:"requestId"`
			Condition string `json:"condition"`
			Attempts  int    `json:"approximateInvokeCount"`
		} `json:"requestContext"`
		RequestPayload  json.RawMessage `json:"requestPayload"`
		ResponseContext struct {
			FunctionError string `json:"functionError"`
		} `json:"responseContext"`
		ResponsePayload json.RawMessage `json:"responsePayload"`
	}
	if json.Unmarshal(body, &doc) != nil || doc.RequestContext.RequestID == "" || doc.RequestContext.Condition == "" {
		return r, "", false
	}
	id, failed := doc.RequestContext.RequestID, doc.ResponseContext.FunctionError
	r = completion.Report{
		Key: completion.Invocation(id), Source: "destination", Attempt: doc.RequestContext.Attempts, Invocation: id,
		Settled: capture.DeadLettered, Time: doc.Timestamp,
	}
	if doc.RequestContext.Condition == "Success" {
		r.Settled = capture.Acked
	}
	if (failed == "") == (r.Settled == capture.Acked) && doc.ResponsePayload != nil {
		_, format := capture.Detect(doc.RequestPayload)
		r.Outcome = capture.LambdaOutcome(format, doc.RequestPayload, doc.ResponsePayload, failed)
	}
	return r, id, true
}
