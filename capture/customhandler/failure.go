package customhandler

import (
	"errors"
	"fmt"

	"tandem/capture"
	"tandem/capture/translate"
)

// malformed is the type of the error of a function whose answer the host cannot use.
const malformed = "MalformedResponse"

// Failure tells what [Client.Call] or [ReadResponse] returned. Failed is why the invocation failed, nil when it
// succeeded; unknown means that its outcome is not known.
func Failure(status int, err error) (failed *capture.Error, unknown error) {
	switch {
	case errors.Is(err, ErrTimedOut):
		return &capture.Error{Type: translate.TimedOut, Message: err.Error()}, nil
	case errors.Is(err, ErrMalformed):
		return &capture.Error{Type: malformed, Message: err.Error()}, nil
	case err != nil:
		return nil, err
	case status < 200 || status > 299:
		return &capture.Error{Message: fmt.Sprintf("the handler answered %d", status)}, nil
	}
	return nil, nil
}
