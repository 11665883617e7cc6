package runtimeapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
)

// contextOf reads what the headers of an event that is delivered now say beside it. The time-out is what is left
// until the deadline, so it is short of the function's by how long the event was under way.
func contextOf(header http.Header, now time.Time) capture.Context {
	c := capture.Context{
		RequestID:       header.Get(headerRequestID),
		FunctionARN:     header.Get(headerFunctionARN),
		TraceID:         header.Get(headerTraceID),
		ClientContext:   rawJSON(header.Get(headerClientContext)),
		CognitoIdentity: rawJSON(header.Get(headerCognitoIdentity)),
	}
	if deadline, err := strconv.ParseInt(header.Get(headerDeadline), 10, 64); err == nil {
		c.TimeoutMS = max(deadline-now.UnixMilli(), 0)
	}
	return c
}

// rawJSON returns text if it is JSON; what is not could not be written to a recording.
func rawJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}

// functionName returns the name in a function's ARN, arn:aws:lambda:region:account:function:name[:qualifier].
func functionName(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 7 {
		return arn
	}
	return parts[6]
}
