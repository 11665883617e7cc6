package capture

import (
	"fmt"
	"testing"
)

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name, event string
		trigger     Trigger
		format      Format
	}{
		{"REST API", `{"resource":"/","httpMethod":"GET","requestContext":{"stage":"x"}}`, TriggerHTTP, FormatAPIGatewayV1},
		{"HTTP API", `{"version":"2.0","requestContext":{"http":{"method":"GET"},"domainName":"x.execute-api.eu.amazonaws.com"}}`, TriggerHTTP, FormatAPIGatewayV2},
		{"HTTP API with payload 1.0", `{"version":"1.0","httpMethod":"GET","requestContext":{}}`, TriggerHTTP, FormatAPIGatewayV1},
		{"function URL", `{"version":"2.0","requestContext":{"http":{},"domainName":"abc.lambda-url.eu-west-1.on.aws"}}`, TriggerHTTP, FormatFunctionURL},
		{"ALB", `{"httpMethod":"GET","requestContext":{"elb":{"targetGroupArn":"a"}}}`, TriggerHTTP, FormatALB},
		{"SQS", `{"Records":[{"eventSource":"aws:sqs"}]}`, TriggerSQS, FormatSQS},
		{"S3", `{"Records":[{"eventSource":"aws:s3"}]}`, TriggerS3, FormatS3},
		{"SNS, spelt its own way", `{"Records":[{"EventSource":"aws:sns"}]}`, TriggerOther, "sns"},
		{"Kinesis", `{"Records":[{"eventSource":"aws:kinesis"}]}`, TriggerOther, "kinesis"},
		{"EventBridge", `{"detail-type":"a","source":"b","detail":{}}`, TriggerOther, "eventbridge"},
		{"Kafka", `{"eventSource":"aws:kafka","records":{}}`, TriggerOther, "kafka"},
		{"the test event of S3 has no records", `{"Service":"Amazon S3","Event":"s3:TestEvent"}`, TriggerOther, "s3-test"},
		{"a websocket is no HTTP request", `{"requestContext":{"connectionId":"x","eventType":"MESSAGE"}}`, TriggerOther, "apigw-websocket"},
		{"an empty batch", `{"Records":[]}`, TriggerOther, FormatOther},
		{"anything", `{"a":1}`, TriggerOther, FormatOther},
		{"a scalar", `1`, TriggerOther, FormatOther},
		{"no JSON", `{`, TriggerOther, FormatOther},
	} {
		if trigger, format := Detect([]byte(tt.event)); trigger != tt.trigger || format != tt.format {
			t.Errorf("%s: %s %s, want %s %s", tt.name, trigger, format, tt.trigger, tt.format)
		}
	}
}

func TestShape(t *testing.T) {
	request := func(method, headers, body string) string {
		return fmt.Sprintf(`{"version":"2.0","routeKey":"%s /o","headers":%s,"requestContext":{"http":{"method":%q},"requestId":"x"},"body":%q}`, method, headers, method, body)
	}
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"values do not count", `{"a":1,"b":"x"}`, `{"b":"y","a":2.5}`, true},
		{"types do", `{"a":1}`, `{"a":"1"}`, false},
		{"fields do", `{"a":1}`, `{"a":1,"b":null}`, false},
		{"an empty list is a case of its own", `{"a":[]}`, `{"a":[1]}`, false},
		{"the length of a list is not", `{"a":[1]}`, `{"a":[1,2,3]}`, true},
		{"null is not an empty list", `{"a":null}`, `{"a":[]}`, false},
		{"JSON in a body counts by its structure", request("POST", `{}`, `{"a":1}`), request("POST", `{}`, `{"a":2}`), true},
		{"and so tells requests apart", request("POST", `{}`, `{"a":1}`), request("POST", `{}`, `{"b":1}`), false},
		{"headers that only clients care for do not count", request("POST", `{"user-agent":"a"}`, ``), request("POST", `{"x-trace":"1"}`, ``), true},
		{"the media type that is asked for does", request("POST", `{"accept":"application/pdf"}`, ``), request("POST", `{"accept":"application/json"}`, ``), false},
		{"its parameters do not", request("POST", `{"Content-Type":"text/a; charset=x"}`, ``), request("POST", `{"content-type":"text/a"}`, ``), true},
		{"the method counts", request("POST", `{}`, ``), request("PUT", `{}`, ``), false},
		{"a batch counts as the set of its messages' shapes", `{"Records":[{"eventSource":"aws:sqs","body":"{\"a\":1}"}]}`, `{"Records":[{"eventSource":"aws:sqs","body":"{\"a\":2}"},{"eventSource":"aws:sqs","body":"{\"a\":3}"}]}`, true},
		{"a message that is not like the others counts", `{"Records":[{"eventSource":"aws:sqs","body":"{\"a\":1}"}]}`, `{"Records":[{"eventSource":"aws:sqs","body":"{\"a\":2}"},{"eventSource":"aws:sqs","body":"x"}]}`, false},
		{"what happened to an object counts", `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":{"key":"a"}}}]}`, `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete","s3":{"object":{"key":"a"}}}]}`, false},
		{"which object does not", `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":{"key":"a"}}}]}`, `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":{"key":"b"}}}]}`, true},
	} {
		a, b := Shape([]byte(tt.a)), Shape([]byte(tt.b))
		if (a == b) != tt.same {
			t.Errorf("%s: %s and %s", tt.name, a, b)
		}
		if len(a) != 16 {
			t.Errorf("%s: %q is not 16 digits", tt.name, a)
		}
	}
}

func BenchmarkShape(b *testing.B) {
	event := []byte(`{"version":"2.0","routeKey":"POST /o","headers":{"content-type":"application/json"},"requestContext":{"http":{"method":"POST"}},"body":"{\"items\":[{\"sku\":\"A\",\"quantity\":2},{\"sku\":\"B\",\"quantity\":1}],\"currency\":\"EUR\"}"}`)
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		Shape(event)
	}
}
