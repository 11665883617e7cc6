package translate

import (
	"encoding/json"
	"net/http"

	"tandem/capture"
)

// TimedOut is the type of the error of a function that the host stopped at its deadline.
const TimedOut = "Timeout"

// Failed is the outcome of an invocation that ended in err, which is not nil.
func Failed(err *capture.Error) *capture.Outcome {
	out := &capture.Outcome{Status: capture.StatusFunctionError, Error: err}
	if err.Type == TimedOut {
		out.Status = capture.StatusTimeout
	}
	return out
}

// HTTPOutcome is the outcome of a request that was answered so. A 500 with an empty body is what the host answers
// for a function that threw.
func HTTPOutcome(status int, header http.Header, body []byte) *capture.Outcome {
	if status == http.StatusInternalServerError && len(body) == 0 {
		return Failed(&capture.Error{Message: "the host answered 500 with an empty body"})
	}
	return &capture.Outcome{Status: capture.StatusOK, HTTP: capture.NewHTTPAnswer(status, header, body)}
}

// MessageOutcome is the outcome of an SQS event whose messages Azure worked on one way or the other: they are
// deleted when failed is nil, and come again when it is not.
func MessageOutcome(event json.RawMessage, failed *capture.Error) *capture.Outcome {
	out, fate := &capture.Outcome{Status: capture.StatusOK}, capture.Acked
	if failed != nil {
		out, fate = Failed(failed), capture.Retried
	}
	var batch struct {
		Records []struct {
			MessageID string `json:"messageId"`
		}
	}
	if json.Unmarshal(event, &batch) != nil {
		return out // not from this package
	}
	out.Records = make(map[string]capture.Fate, len(batch.Records))
	for _, r := range batch.Records {
		out.Records[r.MessageID] = fate
	}
	return out
}

// Outcome is that of any other event: nobody takes an answer to it.
func Outcome(failed *capture.Error) *capture.Outcome {
	if failed != nil {
		return Failed(failed)
	}
	return &capture.Outcome{Status: capture.StatusOK}
}
