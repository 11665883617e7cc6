package local

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// The region and account that the embedded platform says it is in.
const (
	lambdaRegion  = "us-east-1"
	lambdaAccount = "000000000000"
)

func lambdaARN(name string) string {
	return "arn:aws:lambda:" + lambdaRegion + ":" + lambdaAccount + ":function:" + name
}

// functionRef is what a caller calls a function.
type functionRef struct {
	name      string
	qualifier string // "" for none
}

func (r functionRef) arn() string {
	if r.qualifier == "" {
		return lambdaARN(r.name)
	}
	return lambdaARN(r.name + ":" + r.qualifier)
}

// functionNamePattern is the one that the Invoke API documents for FunctionName, with groups, and with the lengths
// left to the table of functions. Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
var functionNamePattern = regexp.MustCompile(
	`^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-\d:)?(?:\d{12}:)?(?:function:)?` +
		`([a-zA-Z0-9_.-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?$`)

// parseFunctionRef reads a function's name, "name:qualifier", partial ARN or ARN. Region and account are not looked
// at. The error is a [*LambdaError].
func parseFunctionRef(name, qualifier string) (functionRef, error) {
	m := functionNamePattern.FindStringSubmatch(name)
	if m == nil {
		return functionRef{}, &LambdaError{
			Status: 400, Type: "ValidationException",
			Message: fmt.Sprintf("1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "+
				"Member must satisfy regular expression pattern: %s", name, functionNamePattern),
		}
	}
	if m[2] != "" && qualifier != "" && m[2] != qualifier {
		return functionRef{}, &LambdaError{
			Status: 400, Type: "InvalidParameterValueException",
			Message: "The derived qualifier from the function name does not match the specified qualifier.",
		}
	}
	if m[2] != "" {
		qualifier = m[2]
	}
	return functionRef{name: m[1], qualifier: qualifier}, nil
}

func checkJSON(payload []byte) error {
	var doc json.RawMessage
	if err := json.Unmarshal(payload, &doc); err != nil {
		return &LambdaError{
			Status: 400, Type: "InvalidRequestContentException",
			Message: "Could not parse request body into json: " + err.Error(),
		}
	}
	return nil
}

func payloadTooLarge(size int64, invocationType string, limit int) error {
	return &LambdaError{
		Status: 413, Type: "RequestTooLargeException",
		Message: fmt.Sprintf("%d byte payload is too large for the %s invocation type (limit %d bytes)",
			size, invocationType, limit),
	}
}

// newRequestID returns a random UUID, as Lambda's request IDs are.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTraceID returns an X-Ray trace header that is not sampled. Source:
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
func newTraceID() string {
	var b [20]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", time.Now().Unix(), b[:12], b[12:])
}

// newLogStream returns a name as an environment's log stream has it.
func newLogStream(now time.Time) string {
	var b [16]byte
	rand.Read(b[:])
	return now.UTC().Format("2006/01/02") + "/[$LATEST]" + hex.EncodeToString(b[:])
}
