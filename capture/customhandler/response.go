package customhandler

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Return is the name of the output binding that takes [Response.ReturnValue].
const Return = "$return"

// A Response is what a handler answers to a [Request].
type Response struct {
	Outputs     map[string]json.RawMessage `json:"Outputs,omitempty"`
	Logs        []string                   `json:"Logs,omitempty"`
	ReturnValue json.RawMessage            `json:"ReturnValue,omitempty"`
}

// ParseResponse reads a handler's answer. Member names are matched without case, as the host does.
func ParseResponse(body []byte) (*Response, error) {
	var r *struct {
		Outputs     map[string]json.RawMessage
		Logs        []json.RawMessage
		ReturnValue json.RawMessage
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("custom handler response: %w", err)
	}
	if r == nil {
		return nil, errors.New("custom handler response: null where an object is needed")
	}
	out := &Response{Outputs: r.Outputs, ReturnValue: r.ReturnValue}
	for i, line := range r.Logs {
		text, ok := scalar(line)
		if !ok {
			return nil, fmt.Errorf("custom handler response: Logs[%d] is not text but %s", i, kindOf(line))
		}
		out.Logs = append(out.Logs, text)
	}
	return out, nil
}

// Output returns the content that the host gives to the output binding of that name, which is not an HTTP one; ok is
// false when there is none. Binary says that the binding's dataType is "binary": without it, a string that is valid
// base64, such as "test", is decoded. What is not a string is given as JSON.
func (r *Response) Output(binding string, binary bool) (body []byte, ok bool) {
	value := r.value(binding)
	if isNull(value) {
		return nil, false
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return compact(value), true
	}
	if !binary {
		if decoded, ok := fromBase64(text); ok {
			return decoded, true
		}
	}
	return []byte(text), true
}

func (r *Response) value(binding string) json.RawMessage {
	if binding == Return {
		return r.ReturnValue
	}
	return r.Outputs[binding]
}

// fromBase64 decodes what .NET's Convert.FromBase64String decodes: padded base64 with white space anywhere.
func fromBase64(text string) ([]byte, bool) {
	text = strings.Map(func(c rune) rune {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return -1
		}
		return c
	}, text)
	decoded, err := base64.StdEncoding.DecodeString(text)
	return decoded, err == nil
}

// An HTTPAnswer is the HTTP response that the host makes of a handler's outputs.
type HTTPAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// HTTP returns the answer that the output binding of that name stands for. A named output holds {statusCode or
// status, headers, body}; the ReturnValue may hold the same, or the body alone. It fails where the host does: on an
// output that is no object, or on values that HTTP cannot carry. What the host does about an output that is missing
// is not documented; here it is an empty 200.
func (r *Response) HTTP(binding string) (*HTTPAnswer, error) {
	value := r.value(binding)
	if len(value) == 0 || binding == Return && isNull(value) {
		return &HTTPAnswer{Status: http.StatusOK, Header: http.Header{}}, nil
	}
	fields, isObject := foldedObject(value)
	if _, hasBody := fields["body"]; binding == Return && !hasBody {
		return r.returned(), nil
	}
	if !isObject {
		return nil, fmt.Errorf("output %s: it is %s and no object with statusCode, headers and body", binding,
			kindOf(value))
	}
	a := &HTTPAnswer{Header: http.Header{}}
	var err error
	if a.Status, err = statusCode(fields); err != nil {
		return nil, fmt.Errorf("output %s: %w", binding, err)
	}
	if err := a.setHeaders(fields["headers"]); err != nil {
		return nil, fmt.Errorf("output %s: %w", binding, err)
	}
	a.setBody(fields["body"])
	return a, nil
}

// returned is the answer for a ReturnValue that is the body itself. Base64 is decoded even when it was meant as text:
// https://github.com/Azure/azure-functions-host/issues/8352.
func (r *Response) returned() *HTTPAnswer {
	a := &HTTPAnswer{Status: http.StatusOK, Header: http.Header{}}
	var text string
	if json.Unmarshal(r.ReturnValue, &text) == nil {
		if decoded, ok := fromBase64(text); ok {
			a.Body = decoded
			a.Header.Set("Content-Type", "application/octet-stream")
			return a
		}
	}
	a.setBody(r.ReturnValue)
	return a
}

// foldedObject reads an object whose member names are matched without case; the names come back in lower case.
func foldedObject(value json.RawMessage) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	folded := make(map[string]json.RawMessage, len(members))
	for name, v := range members {
		folded[strings.ToLower(name)] = v
	}
	return folded, true
}

// statusCode finds the status: a whole number, or one as text, under "statusCode" or else "status". As in the host,
// anything else stands for 200.
func statusCode(fields map[string]json.RawMessage) (int, error) {
	value := fields["statuscode"]
	if isNull(value) {
		value = fields["status"]
	}
	text, _ := scalar(value)
	status, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return http.StatusOK, nil
	}
	if status < 200 || status > 999 {
		return 0, fmt.Errorf("%d cannot be the status of an answer", status)
	}
	return status, nil
}

func (a *HTTPAnswer) setHeaders(value json.RawMessage) error {
	if isNull(value) {
		return nil
	}
	var headers map[string]json.RawMessage
	if err := json.Unmarshal(value, &headers); err != nil {
		return fmt.Errorf("headers are %s and not an object", kindOf(value))
	}
	for name, value := range headers {
		text, ok := scalar(value)
		if !ok {
			return fmt.Errorf("header %s is %s and not text, and lists cannot be sent", name, kindOf(value))
		}
		a.Header.Set(name, text)
	}
	return nil
}

// setBody writes the body: text as it is, anything else as JSON. The media type is set unless the handler has set
// one.
func (a *HTTPAnswer) setBody(value json.RawMessage) {
	if isNull(value) {
		return
	}
	media := "application/json; charset=utf-8"
	var text string
	if json.Unmarshal(value, &text) == nil {
		media = "text/plain; charset=utf-8"
		a.Body = []byte(text)
	} else {
		a.Body = compact(value)
	}
	if a.Header.Get("Content-Type") == "" {
		a.Header.Set("Content-Type", media)
	}
}

// scalar returns the text of a string, a number or a boolean, and "" for null.
func scalar(value json.RawMessage) (text string, ok bool) {
	if isNull(value) {
		return "", true
	}
	if json.Unmarshal(value, &text) == nil {
		return text, true
	}
	value = bytes.TrimSpace(value)
	return string(value), value[0] != '{' && value[0] != '['
}

func isNull(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	return len(value) == 0 || string(value) == "null"
}

func compact(value json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return value // not from ParseResponse
	}
	return b.Bytes()
}

// kindOf says what JSON is, for errors: they get into recordings and logs, where what a handler answered, which may
// be secret, does not belong as it is.
func kindOf(value json.RawMessage) string {
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0:
		return "nothing"
	case value[0] == '{':
		return "an object"
	case value[0] == '[':
		return "a list"
	case value[0] == '"':
		return "a text"
	default:
		return "null, a number or a truth value"
	}
}
