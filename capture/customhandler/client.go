package customhandler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// InvocationIDHeader names an invocation to the handler.
const InvocationIDHeader = "X-Azure-Functions-InvocationId"

// HostErrorHeader is on answers that a local host makes up because no handler has answered: 404 for an unknown
// function, 502 when the handler died, 503 when there is none, 504 when the function ran out of time. Its value says
// what happened.
const HostErrorHeader = "Tandem-Host-Error"

// maxAnswer bounds an answer. It is the host's bound on HTTP requests; for answers it has none.
const maxAnswer = 100 << 20

// ErrMalformed says that a handler answered 2xx with something that is not a response. The host fails such an
// invocation just as one that was answered with another status.
var ErrMalformed = errors.New("malformed custom handler response")

// ErrTimedOut says that a local host stopped the function at its deadline.
var ErrTimedOut = errors.New("the function ran out of time")

// A Client calls a handler as the host does. It is safe for use by several goroutines at once.
type Client struct {
	URL  string       // of the handler, such as "http://127.0.0.1:7071"
	HTTP *http.Client // nil means http.DefaultClient
}

// Call invokes function with req. Header is sent along and may be nil.
//
// Status is the handler's: anything but 2xx means that the invocation failed, and is not an error; the response is
// then nil. An error that is [ErrMalformed] or [ErrTimedOut] means that it failed, too. Any other error means that the
// outcome is not known.
func (c *Client) Call(ctx context.Context, function, invocationID string, header http.Header, req *Request) (
	resp *Response, status int, err error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, 0, fmt.Errorf("custom handler request for %s: %w", function, err)
	}
	answer, err := c.Post(ctx, function, invocationID, header, payload)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	if reason := answer.Header.Get(HostErrorHeader); reason != "" && neverRan(answer.StatusCode) {
		return nil, answer.StatusCode, fmt.Errorf("call function %s: %s", function, reason)
	}
	if answer.Header.Get(HostErrorHeader) != "" && answer.StatusCode == http.StatusGatewayTimeout {
		return nil, answer.StatusCode, fmt.Errorf("call function %s: %w", function, ErrTimedOut)
	}
	resp, err = ReadResponse(answer)
	return resp, answer.StatusCode, err
}

// neverRan tells the statuses with which a local host says that it has called no handler.
func neverRan(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// Post sends the payload of an invocation and returns the answer as it is. The caller closes its body.
func (c *Client) Post(ctx context.Context, function, invocationID string, header http.Header, payload []byte) (
	*http.Response, error) {
	address := strings.TrimSuffix(c.URL, "/") + "/" + url.PathEscape(function)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set(InvocationIDHeader, invocationID)
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(r)
}

// ReadResponse reads a handler's answer to an invocation; the caller closes its body. The response is nil when the
// status is not 2xx, which means that the invocation failed. Errors are those of [Client.Call].
func ReadResponse(answer *http.Response) (*Response, error) {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read custom handler response: %w", err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, nil
	}
	return parseAnswer(answer.Header.Get("Content-Type"), body)
}

// parseAnswer reads the answer to an invocation that the handler calls a success. The host looks at the media type
// first: https://github.com/Azure/azure-functions-host/issues/6462.
func parseAnswer(contentType string, body []byte) (*Response, error) {
	switch media, _, err := mime.ParseMediaType(contentType); {
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxAnswer)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fmt.Errorf("%w: it is empty; answer {} for a function without outputs", ErrMalformed)
	case err != nil || media != "application/json" && media != "text/json":
		return nil, fmt.Errorf("%w: Content-Type is %q; set it to application/json", ErrMalformed, contentType)
	}
	resp, err := ParseResponse(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return resp, nil
}
