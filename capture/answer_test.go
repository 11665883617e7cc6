package capture

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHTTPAnswersAreExpandedAsTheGatewayDoes(t *testing.T) {
	text := func(s string) *Body { return &Body{Text: &s} }
	for _, tt := range []struct {
		name   string
		format Format
		answer string
		want   *HTTPAnswer // nil: malformed
	}{
		{"v2: with everything", FormatAPIGatewayV2,
			`{"statusCode":201,"headers":{"Location":"/o/1","X-N":7},"cookies":["a=1; Path=/","b=2"],"body":"{\"id\": 1.0}","isBase64Encoded":false}`,
			&HTTPAnswer{Status: 201, Headers: map[string][]string{"location": {"/o/1"}, "x-n": {"7"}, "content-type": {"text/plain; charset=utf-8"}},
				Cookies: []Cookie{{Name: "a", Value: "1", Attributes: map[string]string{"path": "/"}}, {Name: "b", Value: "2"}}, Body: text(`{"id": 1.0}`)}},
		{"v2: a JSON body with its media type keeps the text of its numbers", FormatAPIGatewayV2,
			`{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"id\": 1.0}"}`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"content-type": {"application/json"}}, Body: &Body{JSON: json.RawMessage(`{"id":1.0}`)}}},
		{"v2: no statusCode means 200 and JSON, with the whole output as body", FormatAPIGatewayV2, `{"id":1}`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"content-type": {"application/json"}}, Body: &Body{JSON: json.RawMessage(`{"id":1}`)}}},
		{"v2: a bare string is sent without its quotes", FormatAPIGatewayV2, `"hello"`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"content-type": {"application/json"}}, Body: text(`hello`)}},
		{"function URL: a bare string keeps its quotes", FormatFunctionURL, `"hello"`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"content-type": {"application/json"}}, Body: &Body{JSON: json.RawMessage(`"hello"`)}}},
		{"base64 is decoded", FormatAPIGatewayV2, `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"//79","isBase64Encoded":true}`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"content-type": {"image/png"}}, Body: &Body{Base64: []byte{0xff, 0xfe, 0xfd}}}},
		{"base64 that is none", FormatAPIGatewayV2, `{"statusCode":200,"body":"!","isBase64Encoded":true}`, nil},
		{"v1: many values of one header, and a single one that these override", FormatAPIGatewayV1,
			`{"statusCode":200,"headers":{"X":"a","Y":"y"},"multiValueHeaders":{"x":["b","c"],"Set-Cookie":["a=1","b=2"]}}`,
			&HTTPAnswer{Status: 200, Headers: map[string][]string{"x": {"b", "c"}, "y": {"y"}}, Cookies: []Cookie{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}},
		{"v1: a status as a string", FormatAPIGatewayV1, `{"statusCode":"404"}`, &HTTPAnswer{Status: 404}},
		{"v1: nothing is inferred", FormatAPIGatewayV1, `{"id":1}`, nil},
		{"a body that is no string", FormatAPIGatewayV1, `{"statusCode":200,"body":{"a":1}}`, nil},
		{"a status that is none", FormatAPIGatewayV2, `{"statusCode":20}`, nil},
		{"a header that is a list", FormatAPIGatewayV2, `{"statusCode":200,"headers":{"a":["b"]}}`, nil},
		{"an answer that is not JSON", FormatAPIGatewayV2, `{`, nil},
		{"ALB: no media type is added", FormatALB, `{"statusCode":200,"statusDescription":"200 OK","body":"x"}`, &HTTPAnswer{Status: 200, Body: text("x")}},
		{"a null body", FormatAPIGatewayV2, `{"statusCode":204,"body":null}`, &HTTPAnswer{Status: 204}},
	} {
		got := LambdaOutcome(tt.format, []byte(`{}`), []byte(tt.answer), "")
		if tt.want == nil {
			if got.Status != StatusFunctionError || got.HTTP != nil || got.Error == nil || got.Error.Message == "" {
				t.Errorf("%s: outcome is %+v, want a function error that says why", tt.name, got)
			}
			continue
		}
		if got.Status != StatusOK {
			t.Errorf("%s: status is %s (%+v)", tt.name, got.Status, got.Error)
		}
		if diff := cmp.Diff(tt.want, got.HTTP); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func TestBatchAnswersGiveEachMessageItsFate(t *testing.T) {
	const standard = `{"Records":[{"messageId":"a","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:x:1:q"},{"messageId":"b"},{"messageId":"c"}]}`
	const fifo = `{"Records":[{"messageId":"a","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:x:1:q.fifo"},{"messageId":"b","eventSourceARN":"arn:aws:sqs:x:1:q.fifo"},{"messageId":"c","eventSourceARN":"arn:aws:sqs:x:1:q.fifo"}]}`
	const ok, no = Acked, Retried
	for _, tt := range []struct {
		name, event, answer, functionError string
		want                               [3]Fate
	}{
		{"one failure", standard, `{"batchItemFailures":[{"itemIdentifier":"b"}]}`, "", [3]Fate{ok, no, ok}},
		{"an empty list is success", standard, `{"batchItemFailures":[]}`, "", [3]Fate{ok, ok, ok}},
		{"a null list is success", standard, `{"batchItemFailures":null}`, "", [3]Fate{ok, ok, ok}},
		{"an empty answer is success", standard, `{}`, "", [3]Fate{ok, ok, ok}},
		{"null is success", standard, `null`, "", [3]Fate{ok, ok, ok}},
		{"no answer is success", standard, ``, "", [3]Fate{ok, ok, ok}},
		{"invalid JSON fails the batch", standard, `{"batch`, "", [3]Fate{no, no, no}},
		{"an unknown identifier fails the batch", standard, `{"batchItemFailures":[{"itemIdentifier":"z"}]}`, "", [3]Fate{no, no, no}},
		{"an empty identifier fails the batch", standard, `{"batchItemFailures":[{"itemIdentifier":""}]}`, "", [3]Fate{no, no, no}},
		{"a null identifier fails the batch", standard, `{"batchItemFailures":[{"itemIdentifier":null}]}`, "", [3]Fate{no, no, no}},
		{"a missing identifier fails the batch", standard, `{"batchItemFailures":[{"id":"a"}]}`, "", [3]Fate{no, no, no}},
		{"a thrown error fails the batch", standard, `{"errorType":"E"}`, "Unhandled", [3]Fate{no, no, no}},
		{"a FIFO queue takes back all after the first failure", fifo, `{"batchItemFailures":[{"itemIdentifier":"b"}]}`, "", [3]Fate{ok, no, no}},
	} {
		got := LambdaOutcome(FormatSQS, []byte(tt.event), []byte(tt.answer), tt.functionError)
		want := map[string]Fate{"a": tt.want[0], "b": tt.want[1], "c": tt.want[2]}
		if diff := cmp.Diff(want, got.Records); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
		if got.Result != nil || got.HTTP != nil {
			t.Errorf("%s: a batch has neither result nor HTTP answer: %+v", tt.name, got)
		}
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		status        Status
		want          Error
	}{
		{"thrown", `{"errorType":"ValueError","errorMessage":"no"}`, StatusFunctionError, Error{"ValueError", "no"}},
		{"crashed", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: x Error: Runtime exited"}`, StatusFunctionError, Error{"Runtime.ExitError", "RequestId: x Error: Runtime exited"}},
		{"timed out", `{"errorType":"Sandbox.Timedout","errorMessage":"x"}`, StatusTimeout, Error{"Sandbox.Timedout", "x"}},
		{"timed out, as older platforms say it", `{"errorMessage":"2026-01-01T00:00:00Z abc Task timed out after 3.00 seconds"}`, StatusTimeout, Error{"", "2026-01-01T00:00:00Z abc Task timed out after 3.00 seconds"}},
		{"in no known form", `oops`, StatusFunctionError, Error{"", "oops"}},
	} {
		got := LambdaOutcome(FormatOther, nil, []byte(tt.payload), "Unhandled")
		if got.Status != tt.status || *got.Error != tt.want {
			t.Errorf("%s: %s %+v, want %s %+v", tt.name, got.Status, *got.Error, tt.status, tt.want)
		}
	}
}

func TestResultsAreKeptWhereThePlatformKeepsThem(t *testing.T) {
	if got := LambdaOutcome(FormatOther, []byte(`{}`), []byte(`{"a": 1.0}`), ""); got.Result == nil || string(got.Result.JSON) != `{"a":1.0}` {
		t.Errorf("result = %+v", got.Result)
	}
	for _, format := range []Format{FormatS3, FormatSNS, FormatEventBridge} {
		if got := LambdaOutcome(format, []byte(`{}`), []byte(`"x"`), ""); got.Result != nil || got.Status != StatusOK {
			t.Errorf("%s ignores results, but there is %+v", format, got.Result)
		}
	}
}

func TestAStreamComesAgainFromTheFirstFailureOn(t *testing.T) {
	const event = `{"Records":[{"kinesis":{"sequenceNumber":"9"}},{"kinesis":{"sequenceNumber":"10"}},{"kinesis":{"sequenceNumber":"11"}}]}`
	const ok, no = Acked, Retried
	for _, tt := range []struct {
		name, answer, functionError string
		want                        [3]Fate
	}{
		{"no answer is success", ``, "", [3]Fate{ok, ok, ok}},
		{"an empty list is success", `{"batchItemFailures":[]}`, "", [3]Fate{ok, ok, ok}},
		{"something else is success", `"done"`, "", [3]Fate{ok, ok, ok}},
		{"all after a failure", `{"batchItemFailures":[{"itemIdentifier":"10"}]}`, "", [3]Fate{ok, no, no}},
		{"of several failures the first", `{"batchItemFailures":[{"itemIdentifier":"11"},{"itemIdentifier":"10"}]}`, "", [3]Fate{ok, no, no}},
		{"an empty identifier fails the batch", `{"batchItemFailures":[{"itemIdentifier":""}]}`, "", [3]Fate{no, no, no}},
		{"another identifier fails the batch", `{"batchItemFailures":[{"itemIdentifier":"1"}]}`, "", [3]Fate{no, no, no}},
		{"a thrown error fails the batch", `{"errorType":"E"}`, "Unhandled", [3]Fate{no, no, no}},
	} {
		got := LambdaOutcome(FormatKinesis, []byte(event), []byte(tt.answer), tt.functionError)
		want := map[string]Fate{"9": tt.want[0], "10": tt.want[1], "11": tt.want[2]}
		if diff := cmp.Diff(want, got.Records); diff != "" || got.Result != nil {
			t.Errorf("%s: result %+v, -want +got\n%s", tt.name, got.Result, diff)
		}
	}
}

func FuzzLambdaOutcome(f *testing.F) {
	f.Add("apigw-v2", []byte(`{}`), []byte(`{"statusCode":200,"headers":{"a":"b"},"body":"x"}`), "")
	f.Add("sqs", []byte(`{"Records":[{"messageId":"a"}]}`), []byte(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`), "")
	f.Fuzz(func(t *testing.T, format string, event, payload []byte, functionError string) {
		got := LambdaOutcome(Format(format), event, payload, functionError)
		if got == nil || got.Status == "" {
			t.Fatalf("no status: %+v", got)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatalf("the outcome has no JSON form: %v", err)
		}
	})
}
