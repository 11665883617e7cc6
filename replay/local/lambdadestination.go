package local

import (
	"encoding/json"
	"time"
)

// A destinationRecord tells what became of an asynchronous invocation. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html.
type destinationRecord struct {
	Version         string          `json:"version"`
	Timestamp       string          `json:"timestamp"`
	RequestContext  requestRecord   `json:"requestContext"`
	RequestPayload  json.RawMessage `json:"requestPayload"`
	ResponseContext responseRecord  `json:"responseContext"`
	ResponsePayload json.RawMessage `json:"responsePayload"`
}

type requestRecord struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Attempts    int    `json:"approximateInvokeCount"`
}

type responseRecord struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// sendRecord sends the record of an invocation whose last attempt was answered so. What cannot be sent is lost, as on
// Lambda, which counts it; here it is logged.
func (l *Lambda) sendRecord(j *job, resp *LambdaResponse, attempts int) {
	if l.opts.Destination == nil {
		return
	}
	arn := j.function.arn
	if j.function.base == j.function.Name {
		arn += ":$LATEST"
	}
	record := destinationRecord{
		Version:   "1.0",
		Timestamp: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext: requestRecord{
			RequestID: j.request.ID, FunctionARN: arn, Condition: "Success", Attempts: attempts,
		},
		RequestPayload:  j.request.Event,
		ResponseContext: responseRecord{StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: resp.FunctionError},
		ResponsePayload: resp.Payload,
	}
	if resp.FunctionError != "" {
		record.RequestContext.Condition = "RetriesExhausted"
	}
	if len(resp.Payload) == 0 {
		record.ResponsePayload = json.RawMessage("null")
	}
	body, err := json.Marshal(record)
	if err == nil {
		err = l.opts.Destination(l.ctx, body)
	}
	if err != nil {
		l.log.write([]byte("destination of " + j.function.Name + ", request " + j.request.ID + ": " + err.Error() + "\n"))
	}
}
