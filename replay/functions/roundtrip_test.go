package functions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
	"tandem/replay"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	event, err := os.ReadFile("../../fixtures/events/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// leaves returns what is in a document, by JSON pointer.
func leaves(t *testing.T, doc []byte) map[string]string {
	t.Helper()
	var v any
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				walk(at+"/"+name, member)
			}
		case []any:
			for i, element := range v {
				walk(fmt.Sprintf("%s/%d", at, i), element)
			}
		case nil: // as good as not there
		default:
			all[at] = fmt.Sprintf("%T %v", v, v)
		}
	}
	walk("", v)
	return all
}

// differences returns the places where two events are not the same.
func differences(t *testing.T, a, b []byte) []string {
	one, other := leaves(t, a), leaves(t, b)
	places := make(map[string]bool)
	for at, v := range one {
		places[at] = other[at] != v
	}
	for at, v := range other {
		places[at] = one[at] != v
	}
	var differ []string
	for _, at := range slices.Sorted(maps.Keys(places)) {
		if places[at] {
			differ = append(differ, at)
		}
	}
	return differ
}

// Every field of an event that goes to an Azure function and is translated back is the same but for these.
func TestAnHTTPEventComesBackFromAzure(t *testing.T) {
	tests := []struct {
		file     string
		opts     translate.HTTPOptions
		time, id string
		differ   []string
	}{
		{"apigw-v2.json", translate.HTTPOptions{
			Host: "9k2vexamp1.execute-api.eu-west-1.amazonaws.com", Routes: []string{"POST /customers/{customerId}/orders"},
		}, "2025-02-16T10:51:47.412Z", "GB3kLhVjDoEEJqw=", []string{
			"/headers/x-amzn-trace-id", "/headers/x-forwarded-for", "/headers/x-forwarded-port", "/headers/x-forwarded-proto",
			"/requestContext/accountId", "/requestContext/http/sourceIp",
		}},
		{"function-url.json", translate.HTTPOptions{
			Format: capture.FormatFunctionURL, Host: "zq7exampleurlid.lambda-url.eu-west-1.on.aws",
		}, "2025-02-16T10:52:17.030Z", "5c9a7e10-8a52-4f0b-b6a3-1e2d3c4b5a69", []string{
			"/headers/x-amzn-tls-cipher-suite", "/headers/x-amzn-tls-version", "/headers/x-amzn-trace-id",
			"/headers/x-forwarded-for", "/headers/x-forwarded-port", "/headers/x-forwarded-proto",
			"/requestContext/http/sourceIp",
		}},
		{"apigw-v1.json", translate.HTTPOptions{
			Format: capture.FormatAPIGatewayV1, Host: "4hq8examp2.execute-api.eu-west-1.amazonaws.com",
			Routes: []string{"GET /customers/{customerId}/orders/{orderId}"},
		}, "2025-02-16T10:52:00.208Z", "0f3b2a6e-2c4d-4a55-9d0e-7f4b8f1c2d3e", []string{
			"/headers/X-Amzn-Trace-Id", "/headers/X-Forwarded-For", "/headers/X-Forwarded-Port", "/headers/X-Forwarded-Proto",
			"/multiValueHeaders/X-Amzn-Trace-Id/0", "/multiValueHeaders/X-Forwarded-For/0",
			"/multiValueHeaders/X-Forwarded-Port/0", "/multiValueHeaders/X-Forwarded-Proto/0",
			"/requestContext/accountId", "/requestContext/extendedRequestId", "/requestContext/identity/sourceIp",
			"/requestContext/resourceId", "/stageVariables/table",
		}},
		{"alb.json", translate.HTTPOptions{
			Format: capture.FormatALB, Host: "orders-1234567890.eu-west-1.elb.amazonaws.com",
		}, "2025-02-16T10:52:00Z", "", []string{
			"/headers/x-amzn-trace-id", "/headers/x-forwarded-for", "/headers/x-forwarded-port", "/headers/x-forwarded-proto",
			"/requestContext/elb/targetGroupArn",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			event := fixture(t, tt.file)
			at, err := time.Parse(time.RFC3339, tt.time)
			if err != nil {
				t.Fatal(err)
			}
			var plain, payload translate.Request // as a host forwards it, and as it puts it into a payload
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				url := "http://" + r.Host + r.RequestURI
				plain = translate.Request{Method: r.Method, URL: url, Header: r.Header, Body: body}
				req, err := customhandler.HTTPTrigger{URL: url, Method: r.Method, Header: r.Header, Body: body}.
					Request("req", customhandler.Sys{})
				if err != nil {
					t.Error(err)
					return
				}
				h, err := req.HTTP("req")
				if err != nil {
					t.Error(err)
				}
				payload = translate.Request{Method: h.Method, URL: h.URL, Header: h.Header, Body: h.Body}
			}))
			defer server.Close()
			client := replay.NewHTTPClient(replay.HTTPOptions{})
			defer client.CloseIdleConnections()
			target, err := NewHTTP(HTTPOptions{URL: server.URL + "/api{path}", Key: "secret", HTTP: client})
			if err != nil {
				t.Fatal(err)
			}
			trigger, format := capture.Detect(event)
			inv := &capture.Invocation{ID: "i", Function: "f", Trigger: trigger, Format: format, Event: event}
			mark := capture.Mark{Run: "r", Invocation: "i", Target: "functions"}
			out, err := target.Fire(replay.WithMark(t.Context(), mark), inv)
			if err != nil || out.Status != capture.StatusOK {
				t.Fatalf("got %+v, %v", out, err)
			}
			for name, r := range map[string]translate.Request{"plain": plain, "payload": payload} {
				if name == "payload" && tt.file == "function-url.json" {
					continue // a host takes image/png for text, and what was no UTF-8 is lost there
				}
				r.ID, r.Time = tt.id, at
				back, err := translate.HTTPEvent(r, tt.opts)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.differ, differences(t, event, back)); diff != "" {
					t.Errorf("%s (-want to differ +differs):\n%s\n%s", name, diff, back)
				}
			}
		})
	}
}

func TestAnSQSEventComesBackFromAzure(t *testing.T) {
	differ := []string{ // of each record; a payload has whole seconds
		"/attributes/ApproximateFirstReceiveTimestamp", "/attributes/SenderId", "/attributes/SentTimestamp",
	}
	tests := []struct {
		file   string
		differ []string
	}{
		{"sqs.json", []string{"/messageAttributes/source/dataType", "/messageAttributes/source/stringValue"}},
		{"sqs-fifo.json", []string{ // Storage Queues know no groups
			"/attributes/MessageDeduplicationId", "/attributes/MessageGroupId", "/attributes/SequenceNumber",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			event := fixture(t, tt.file)
			records := parseRecords(t, event)
			var app app
			inv := &capture.Invocation{ID: "i", Trigger: capture.TriggerSQS, Format: capture.FormatSQS, Event: event}
			if _, err := app.target(t, HandlerOptions{}).Fire(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			if len(app.requests) != len(records) {
				t.Fatalf("%d of %d messages were sent", len(app.requests), len(records))
			}
			for i, req := range app.requests {
				m, err := req.Queue("message", false)
				if err != nil {
					t.Fatal(err)
				}
				back, err := translate.QueueEvent(translate.QueueMessage{
					ID: m.ID, Body: m.Body, Inserted: m.Inserted, DequeueCount: m.DequeueCount, PopReceipt: m.PopReceipt,
				}, arnOf(t, records[i]))
				if err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(differ)
				if i == 0 || tt.file == "sqs-fifo.json" {
					want = slices.Sorted(slices.Values(append(want, tt.differ...)))
				}
				if diff := cmp.Diff(want, differences(t, records[i], parseRecords(t, back)[0])); diff != "" {
					t.Errorf("record %d (-want to differ +differs):\n%s", i, diff)
				}
			}
		})
	}
}

func TestAFIFOEventComesBackFromServiceBus(t *testing.T) {
	for _, record := range parseRecords(t, fixture(t, "sqs-fifo.json")) {
		l := leaves(t, record)
		text := func(at string) string { return strings.TrimPrefix(l[at], "string ") }
		// As the port of a queue to Service Bus has it; the sequence number is one that Service Bus gives.
		back, err := translate.ServiceBusEvent(translate.ServiceBusMessage{
			ID: text("/attributes/MessageDeduplicationId"), SessionID: text("/attributes/MessageGroupId"), SequenceNumber: 1,
			Body: []byte(text("/body")), Enqueued: time.UnixMilli(1739703200101), LockToken: "l", DeliveryCount: 1,
		}, arnOf(t, record))
		if err != nil {
			t.Fatal(err)
		}
		differ := differences(t, record, parseRecords(t, back)[0])
		differ = slices.DeleteFunc(differ, func(at string) bool { return at == "/attributes/SentTimestamp" }) // of the second
		want := []string{
			"/attributes/ApproximateFirstReceiveTimestamp", "/attributes/SenderId", "/attributes/SequenceNumber", "/messageId",
			"/receiptHandle",
		}
		if diff := cmp.Diff(want, differ); diff != "" {
			t.Errorf("(-want to differ +differs):\n%s", diff)
		}
	}
}

func TestAnS3EventComesBackFromAzure(t *testing.T) {
	event := fixture(t, "s3.json")
	const key = "incoming/Frühjahr 2025/tea+cups.csv"
	objects := store{"h": strings.Repeat("x", 1834)}
	inv := &capture.Invocation{
		ID: "i", Trigger: capture.TriggerS3, Format: capture.FormatS3, Event: event,
		Objects: []capture.Object{{Bucket: "orders-catalog", Key: key, ContentType: "text/csv", Size: 1834, SHA256: "h"}},
	}
	var app app
	target := app.target(t, HandlerOptions{Container: "catalog", Objects: objects})
	if out, err := target.Fire(t.Context(), inv); err != nil || out.Status != capture.StatusOK {
		t.Fatalf("got %+v, %v", out, err)
	}
	b, err := app.requests[0].Blob("blob", false)
	if err != nil {
		t.Fatal(err)
	}
	back, err := translate.BlobEvent(translate.Blob{
		Container: b.Container, Name: b.Name, ETag: b.ETag, Size: int64(len(b.Body)), Time: b.Modified,
	}, translate.BlobOptions{Buckets: map[string]string{"catalog": "orders-catalog"}, Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/eventTime", // whole seconds
		"/requestParameters/sourceIPAddress", "/responseElements/x-amz-id-2", "/responseElements/x-amz-request-id",
		"/s3/bucket/ownerIdentity/principalId", "/s3/configurationId", "/s3/object/sequencer", "/s3/object/versionId",
		"/userIdentity/principalId",
	}
	got := differences(t, parseRecords(t, event)[0], parseRecords(t, back)[0])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want to differ +differs):\n%s\n%s", diff, back)
	}
}

// A store has objects by their hash.
type store map[string]string

func (s store) OpenObject(sha256 string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(s[sha256])), nil
}

func parseRecords(t *testing.T, event []byte) []json.RawMessage {
	t.Helper()
	var doc struct{ Records []json.RawMessage }
	if err := json.Unmarshal(event, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Records
}

func arnOf(t *testing.T, record []byte) string {
	return strings.TrimPrefix(leaves(t, record)["/eventSourceARN"], "string ")
}
