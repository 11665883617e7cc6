package runtimeapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
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

// tee keeps a copy of a body that is read through it. Read is called by the transport and all by the proxy.
type tee struct {
	io.ReadCloser
	max    int
	length int64 // how long the body says it is; -1 if it does not

	mu     sync.Mutex
	copied []byte
	n      int64
	eof    bool
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += int64(n)
	if t.n <= int64(t.max) {
		t.copied = append(t.copied, p[:n]...)
	} else {
		t.copied = nil
	}
	t.eof = t.eof || err == io.EOF
	return n, err
}

// all returns the body, and whether it has been read to its end and is not larger than max.
func (t *tee) all() (body []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copied, (t.eof || t.n == t.length) && t.n <= int64(t.max)
}
