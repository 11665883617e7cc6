package capture

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tandem/capture/jsonval"
)

// LambdaOutcome brings what a Lambda function answered to the neutral form. Payload is the answer, or, when
// functionError is not empty, the error document. FunctionError is what X-Amz-Function-Error says. Event is needed
// for batches, whose messages it names. Durations and effects are left to the caller.
func LambdaOutcome(format Format, event, payload []byte, functionError string) *Outcome {
	if functionError != "" {
		return failedOutcome(format, event, payload)
	}
	switch format.Trigger() {
	case TriggerHTTP:
		answer, err := ExpandAnswer(format, payload)
		if err != nil {
			return &Outcome{Status: StatusFunctionError, Error: &Error{Type: "MalformedProxyResponse", Message: err.Error()}}
		}
		return &Outcome{Status: StatusOK, HTTP: NewHTTPAnswer(answer.Status, answer.Header, answer.Body)}
	case TriggerSQS:
		return &Outcome{Status: StatusOK, Records: batchFates(messages(event), payload)}
	case TriggerS3:
		return &Outcome{Status: StatusOK} // S3 takes no answer
	}
	switch format {
	case FormatSNS, FormatEventBridge: // neither takes one
		return &Outcome{Status: StatusOK}
	case FormatKinesis:
		return &Outcome{Status: StatusOK, Records: streamFates(messages(event), payload)}
	}
	return &Outcome{Status: StatusOK, Result: NewBody("application/json", payload)}
}

// failedOutcome reads the document {"errorType", "errorMessage"} that the Runtime API and the platform write.
func failedOutcome(format Format, event, payload []byte) *Outcome {
	out := &Outcome{Status: StatusFunctionError, Error: &Error{Message: string(payload)}}
	if doc, err := jsonval.Parse(payload); err == nil && doc.Kind == jsonval.Object {
		out.Error = &Error{Type: doc.At("errorType").Text, Message: doc.At("errorMessage").Text}
	}
	if out.Error.Type == "Sandbox.Timedout" || strings.Contains(out.Error.Message, "Task timed out after ") {
		out.Status = StatusTimeout
	}
	id := map[Format]func(jsonval.Value) string{FormatSQS: messageID, FormatKinesis: sequenceNumber}[format]
	if id != nil {
		out.Records = make(map[string]Fate)
		for _, m := range messages(event) {
			out.Records[id(m)] = Retried
		}
	}
	return out
}

func messageID(record jsonval.Value) string { return record.At("messageId").Text }

// sequenceNumber is what names a record of Kinesis.
func sequenceNumber(record jsonval.Value) string { return record.At("kinesis", "sequenceNumber").Text }

// messages returns the records of a batch.
func messages(event []byte) []jsonval.Value {
	v, err := jsonval.Parse(event)
	if err != nil {
		return nil
	}
	return v.At("Records").Elems
}

// batchFates works out what becomes of each message of an SQS batch whose function answered payload, as the event
// source mapping does with ReportBatchItemFailures on: a missing, empty or null list is success; an identifier that
// is not that of a message fails the whole batch; a FIFO queue takes back everything after the first failure.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
func batchFates(batch []jsonval.Value, payload []byte) map[string]Fate {
	fates := make(map[string]Fate, len(batch))
	for _, m := range batch {
		fates[messageID(m)] = Acked
	}
	failed, ok := failedItems(payload, fates)
	rest := !ok
	for _, m := range batch {
		if id := messageID(m); rest || failed[id] {
			fates[id] = Retried
			rest = rest || strings.HasSuffix(m.At("eventSourceARN").Text, ".fifo")
		}
	}
	return fates
}

// streamFates is batchFates for the records of one shard, by sequence number: they are in its order, and all from the
// first failure on come again, whatever the function said of them.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html.
func streamFates(batch []jsonval.Value, payload []byte) map[string]Fate {
	fates := make(map[string]Fate, len(batch))
	for _, r := range batch {
		fates[sequenceNumber(r)] = Acked
	}
	failed, ok := failedItems(payload, fates)
	rest := !ok
	for _, r := range batch {
		if id := sequenceNumber(r); rest || failed[id] {
			fates[id], rest = Retried, true
		}
	}
	return fates
}

// failedItems reads {"batchItemFailures": [{"itemIdentifier": id}]}. ok is false when the answer fails the batch.
func failedItems(payload []byte, known map[string]Fate) (failed map[string]bool, ok bool) {
	if len(payload) == 0 {
		return nil, true
	}
	answer, err := jsonval.Parse(payload)
	if err != nil {
		return nil, false
	}
	list := answer.At("batchItemFailures")
	failed = make(map[string]bool, len(list.Elems))
	for _, item := range list.Elems {
		id := item.At("itemIdentifier")
		if _, isMessage := known[id.Text]; id.Kind != jsonval.String || !isMessage {
			return nil, false
		}
		failed[id.Text] = true
	}
	return failed, true
}

// A WireAnswer is the HTTP response that a client gets for what a function returned, byte for byte.
type WireAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// ExpandAnswer turns what a function returned into the response that a client gets, by the rules of the gateway that
// called it. An error means that the gateway answers with a failure of its own.
//
// Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
// …/set-up-lambda-proxy-integrations.html, https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html.
func ExpandAnswer(format Format, payload []byte) (*WireAnswer, error) {
	answer, err := jsonval.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	status, structured := answer.Get("statusCode")
	if !structured {
		if format == FormatAPIGatewayV1 || format == FormatALB {
			return nil, errors.New("the answer has no statusCode")
		}
		return inferredAnswer(format, answer, payload), nil
	}
	code, err := strconv.Atoi(status.Text)
	if err != nil || code < 200 || code > 599 {
		return nil, fmt.Errorf("statusCode is %s", status)
	}
	header, err := answerHeader(answer)
	if err != nil {
		return nil, err
	}
	body, err := answerBody(answer)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 && header.Get("Content-Type") == "" {
		if media := defaultMediaType(format); media != "" {
			header.Set("Content-Type", media)
		}
	}
	return &WireAnswer{code, header, body}, nil
}

// inferredAnswer is the response to an answer without statusCode: the whole output is the body. API Gateway sends a
// bare string without its quotes, a function URL with them.
func inferredAnswer(format Format, answer jsonval.Value, payload []byte) *WireAnswer {
	body := bytes.TrimSpace(payload)
	if answer.Kind == jsonval.String && format == FormatAPIGatewayV2 {
		body = []byte(answer.Text)
	}
	return &WireAnswer{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, body}
}

// answerHeader merges headers, multiValueHeaders (which wins for a name that is in both) and cookies.
func answerHeader(answer jsonval.Value) (http.Header, error) {
	header := make(http.Header)
	single := answer.At("headers")
	for i, name := range single.Names {
		if k := single.Elems[i].Kind; k == jsonval.Array || k == jsonval.Object {
			return nil, fmt.Errorf("header %q is an %s", name, k)
		}
		header.Set(name, single.Elems[i].Text)
	}
	multi := answer.At("multiValueHeaders")
	for i, name := range multi.Names {
		header.Del(name)
		for _, v := range multi.Elems[i].Elems {
			header.Add(name, v.Text)
		}
	}
	for _, cookie := range answer.At("cookies").Elems {
		header.Add("Set-Cookie", cookie.Text)
	}
	return header, nil
}

func answerBody(answer jsonval.Value) ([]byte, error) {
	body := answer.At("body")
	switch {
	case body.Kind == jsonval.Null:
		return nil, nil
	case body.Kind != jsonval.String:
		return nil, fmt.Errorf("body is a JSON %s, not a string", body.Kind)
	case answer.At("isBase64Encoded").Text != "true":
		return []byte(body.Text), nil
	}
	content, err := base64.StdEncoding.DecodeString(body.Text)
	if err != nil {
		return nil, fmt.Errorf("body is not the base64 that isBase64Encoded says: %w", err)
	}
	return content, nil
}

// defaultMediaType is what a gateway adds to an answer with a body and no Content-Type.
func defaultMediaType(format Format) string {
	switch format {
	case FormatAPIGatewayV2:
		return "text/plain; charset=utf-8"
	case FormatAPIGatewayV1, FormatFunctionURL:
		return "application/json"
	default:
		return ""
	}
}
