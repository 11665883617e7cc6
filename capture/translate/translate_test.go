package translate_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tandem/capture"
	"tandem/capture/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 250e6, time.UTC)

func read[T any](t *testing.T, event json.RawMessage, err error) (doc T) {
	t.Helper()
	if err == nil {
		err = json.Unmarshal(event, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestAPathBecomesThatOfTheAPI(t *testing.T) {
	rewrites := map[string]string{"/api/c/{id}": "/customers/{id}/orders", "/files/{rest+}": "/v1/{rest+}"}
	tests := []struct{ name, prefix, url, path, why string }{
		{"the default prefix", "", "https://h/api/orders?x=1", "/orders", "Azure's is api"},
		{"in any case", "", "/API/orders", "/orders", "Azure matches without case"},
		{"the prefix alone", "", "/api", "/", "a route may be empty"},
		{"a name that begins with it", "", "/apiary/x", "/apiary/x", "it is a segment"},
		{"another prefix", "/v1/", "/v1/api/orders", "/api/orders", "host.json may set one"},
		{"no prefix", "/", "/api/orders", "/api/orders", "host.json may set none"},
		{"escapes stay", "", "http://h/api/a%2Fb/%C3%A4", "/a%2Fb/%C3%A4", "they are the client's"},
		{"a URL in the path", "", "/api/http://x/y", "/http://x/y", "only a whole URL has a host"},
		{"no path", "", "https://h", "/", "there always is one"},
		{"a query without a path", "", "https://h?a=1", "/", "there always is one"},
		{"slashes at the front", "/", "//x/y", "//x/y", "it is not a host"},
		{"a rewrite", "", "/api/c/a%2F%7Bid%7D", "/customers/a%2F%7Bid%7D/orders", "values keep their escapes"},
		{"a value like a variable", "", "/api/c/{id}", "/customers/{id}/orders", "values are not expanded"},
		{"a greedy rewrite", "", "/files/a/b", "/v1/a/b", "it has slashes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event, err := translate.HTTPEvent(translate.Request{Method: "GET", URL: tt.url},
				translate.HTTPOptions{Prefix: tt.prefix, Rewrites: rewrites})
			if got := read[events.APIGatewayV2HTTPRequest](t, event, err); got.RawPath != tt.path {
				t.Errorf("got %s, want %s: %s", got.RawPath, tt.path, tt.why)
			}
		})
	}
}

func TestWhatAzureAddsToARequestIsTakenOut(t *testing.T) {
	sent := http.Header{
		"Host": {"app.azurewebsites.net"}, "Accept": {"a", "b"}, "x-mine": {"1"},
		"X-Functions-Key": {"SECRET"}, "X-Forwarded-For": {"198.51.100.9, 203.0.113.24:51234"},
		"X-Forwarded-Proto": {"https"},
		"CLIENT-IP":         {"203.0.113.24:51234"}, "X-ARR-LOG-ID": {"x"}, "X-Azure-Functions-InvocationId": {"i"},
		"X-Ms-Client-Principal": {"SECRET"}, "Disguised-Host": {"x"}, "Cookie": {"a=1; b=2"},
		"User-Agent": {"curl/8 Azure-Functions-Host/4.0.0.0"}, "Tandem-Trial": {"r/i/t/0"},
	}
	url := "https://app.azurewebsites.net/api/x?a=1&code=SECRET&b=2&Code=SECRET"
	request := translate.Request{Method: "PUT", URL: url, Header: sent, Body: []byte("hi"), Time: noon}
	event, err := translate.HTTPEvent(request, translate.HTTPOptions{Routes: []string{"ANY /x"}, Stage: "$default"})
	got := read[events.APIGatewayV2HTTPRequest](t, event, err)
	want := map[string]string{
		"host": "app.azurewebsites.net", "accept": "a,b", "x-mine": "1", "user-agent": "curl/8", "content-length": "2",
		"x-forwarded-for": "198.51.100.9, 203.0.113.24", "x-forwarded-proto": "https", "x-forwarded-port": "443",
	}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(event), "SECRET") || got.RawQueryString != "a=1&b=2" {
		t.Errorf("the key is in %s", event)
	}
	if r := got.RequestContext; r.HTTP.SourceIP != "203.0.113.24" || r.TimeEpoch != noon.UnixMilli() ||
		got.RouteKey != "ANY /x" {
		t.Errorf("request context %+v", r)
	}
	if sent.Get("X-Functions-Key") == "" || sent.Get("User-Agent") != "curl/8 Azure-Functions-Host/4.0.0.0" {
		t.Error("the request's own header was changed")
	}
	event, err = translate.HTTPEvent(translate.Request{Method: "PUT", URL: url}, translate.HTTPOptions{KeepCode: true})
	if got := read[events.APIGatewayV2HTTPRequest](t, event, err); !strings.HasSuffix(got.RawQueryString, "&Code=SECRET") {
		t.Errorf("the application's own code is gone from %s", got.RawQueryString)
	}
}

func TestEveryFormatOfHTTPIsMade(t *testing.T) {
	for _, format := range []capture.Format{
		capture.FormatAPIGatewayV1, capture.FormatAPIGatewayV2, capture.FormatFunctionURL, capture.FormatALB,
	} {
		event, err := translate.HTTPEvent(translate.Request{Method: "GET", URL: "/api/x"},
			translate.HTTPOptions{Format: format, Host: "api.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := capture.Detect(event); got != format {
			t.Errorf("%s is taken for %s", format, got)
		}
	}
}

func TestWhatCannotBeAnEventIsAnError(t *testing.T) {
	request := translate.Request{Method: "GET", URL: "/api/x"}
	http := func(r translate.Request, opts translate.HTTPOptions) error {
		_, err := translate.HTTPEvent(r, opts)
		return err
	}
	if err := http(request, translate.HTTPOptions{Routes: []string{"GET /y"}}); !errors.Is(err, translate.ErrUnrouted) {
		t.Errorf("got %v", err)
	}
	rewritten := func(from, to string) error {
		return http(request, translate.HTTPOptions{Rewrites: map[string]string{from: to}})
	}
	secret := http(translate.Request{Method: "GET", URL: "/api/%zz?code=SECRET"}, translate.HTTPOptions{})
	if secret == nil || strings.Contains(secret.Error(), "SECRET") {
		t.Errorf("got %v", secret)
	}
	_, noID := translate.QueueEvent(translate.QueueMessage{}, "")
	_, bytes := translate.QueueEvent(translate.QueueMessage{ID: "m", Body: []byte{0xff}}, "")
	_, noName := translate.BlobEvent(translate.Blob{Container: "c"}, translate.BlobOptions{})
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"a URL that is none", http(translate.Request{Method: "GET", URL: "/api/%zz"}, translate.HTTPOptions{}), "%zz"},
		{"no method", http(translate.Request{URL: "/"}, translate.HTTPOptions{}), "no method"},
		{"a format that is not HTTP", http(request, translate.HTTPOptions{Format: "sqs"}), "sqs"},
		{"a rewrite to no path", rewritten("/a", "b"), "rewrite of /a"},
		{"a rewrite without a value", rewritten("/a/{x}", "/{y}"), "{y}"},
		{"a message without an ID", noID, "no ID"},
		{"a message that is not text", bytes, "message m is not text"},
		{"a blob without a name", noName, "no name"},
	}
	for _, tt := range tests {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, tt.err, tt.want)
		}
	}
}

func TestAQueueMessageBecomesAnSQSRecord(t *testing.T) {
	m := translate.QueueMessage{
		ID: "m", Body: []byte("<ä>"), Inserted: noon, DequeueCount: 1, PopReceipt: "p", Received: noon.Add(time.Second),
	}
	event, err := translate.QueueEvent(m, "arn:aws:sqs:eu-west-1:111122223333:orders")
	got := read[events.SQSEvent](t, event, err).Records[0]
	want := events.SQSMessage{
		MessageId: "m", ReceiptHandle: "p", Body: "<ä>", Md5OfBody: "dd91e7414ba8448a636836872dc32167",
		Attributes: map[string]string{
			"ApproximateReceiveCount": "1", "SentTimestamp": "1777896000250", "SenderId": "",
			"ApproximateFirstReceiveTimestamp": "1777896001250",
		},
		MessageAttributes: map[string]events.SQSMessageAttribute{},
		EventSource:       "aws:sqs", EventSourceARN: "arn:aws:sqs:eu-west-1:111122223333:orders", AWSRegion: "eu-west-1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m.DequeueCount = 3
	event, err = translate.QueueEvent(m, "")
	got = read[events.SQSEvent](t, event, err).Records[0]
	if got.Attributes["ApproximateReceiveCount"] != "3" ||
		got.Attributes["ApproximateFirstReceiveTimestamp"] != "1777896000250" {
		t.Errorf("a later delivery has the attributes %v", got.Attributes)
	}
}

func TestASessionBecomesAMessageGroup(t *testing.T) {
	m := translate.ServiceBusMessage{
		ID: "A-77/paid", SessionID: "c-1001", SequenceNumber: 42, Body: []byte("{}"), Enqueued: noon, LockToken: "l",
		Properties: map[string]any{
			"s": "x", "n": int64(7), "f": 1.5, "d": json.Number("1.0"), "b": []byte{1}, "t": noon, "y": true,
		},
	}
	event, err := translate.ServiceBusEvent(m, "")
	got := read[events.SQSEvent](t, event, err).Records[0]
	attributes := map[string]string{
		"ApproximateReceiveCount": "1", "SentTimestamp": "1777896000250", "SenderId": "",
		"ApproximateFirstReceiveTimestamp": "1777896000250",
		"MessageGroupId":                   "c-1001", "MessageDeduplicationId": "A-77/paid", "SequenceNumber": "00000000000000000042",
	}
	if diff := cmp.Diff(attributes, got.Attributes); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(got.EventSourceARN, ".fifo") || got.ReceiptHandle != "l" || got.MessageId != "A-77/paid" {
		t.Errorf("got %+v", got)
	}
	kinds := make(map[string]string)
	for name, a := range got.MessageAttributes {
		kinds[name] = a.DataType + ":"
		if a.StringValue != nil {
			kinds[name] += *a.StringValue
		}
	}
	want := map[string]string{
		"s": "String:x", "n": "Number:7", "f": "Number:1.5", "d": "Number:1.0", "b": "Binary:",
		"t": "String:2026-05-04T12:00:00.25Z", "y": "String:true",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	m.ID, m.SessionID = "", ""
	event, err = translate.ServiceBusEvent(m, "")
	got = read[events.SQSEvent](t, event, err).Records[0]
	if got.MessageId != "sequence-42" || got.Attributes["MessageGroupId"] != "" ||
		strings.HasSuffix(got.EventSourceARN, ".fifo") {
		t.Errorf("without a session and an ID: %+v", got)
	}
}

func TestABlobBecomesAnS3Record(t *testing.T) {
	b := translate.Blob{Container: "catalog", Name: "a b+ü/c.csv", ETag: `"0x8DA"`, Size: 7, Time: noon}
	opts := translate.BlobOptions{Buckets: map[string]string{"catalog": "orders-catalog"}, Region: "eu-west-1"}
	event, err := translate.BlobEvent(b, opts)
	got := read[events.S3Event](t, event, err).Records[0]
	if got.EventName != "ObjectCreated:Put" || got.S3.Bucket.Name != "orders-catalog" || got.S3.Object.Size != 7 ||
		got.S3.Object.URLDecodedKey != b.Name || got.S3.Object.ETag != "0x8DA" || !got.EventTime.Equal(noon) ||
		got.AWSRegion != "eu-west-1" {
		t.Errorf("got %+v", got)
	}
	b.Deleted, b.Container = true, "other"
	event, err = translate.BlobEvent(b, opts)
	got = read[events.S3Event](t, event, err).Records[0]
	if got.EventName != "ObjectRemoved:Delete" || got.S3.Bucket.Name != "other" {
		t.Errorf("got %+v", got)
	}
}

func TestSequencersOfABlobAreInOrder(t *testing.T) {
	blobs := []translate.Blob{ // in order
		{Time: time.Time{}},
		{Time: noon, ETag: "0x8DA1"},
		{Time: noon, ETag: `"0x8DA2"`},
		{Time: noon.Add(time.Nanosecond), ETag: "0x8DA0"},
		{Time: noon.Add(time.Hour), ETag: "not hexadecimal"},
	}
	last := ""
	for _, b := range blobs {
		b.Container, b.Name = "c", "n"
		event, err := translate.BlobEvent(b, translate.BlobOptions{})
		got := read[events.S3Event](t, event, err).Records[0].S3.Object.Sequencer
		if pad := strings.Repeat("0", 64); got+pad[len(got):] <= last || strings.Trim(got, "0123456789ABCDEF") != "" {
			t.Errorf("%+v has %s, which is not behind %s", b, got, last)
		} else {
			last = got + pad[len(got):]
		}
	}
	blob := translate.Blob{Container: "c", Name: "n", Sequencer: "00000442ab"}
	event, err := translate.BlobEvent(blob, translate.BlobOptions{})
	if got := read[events.S3Event](t, event, err).Records[0].S3.Object.Sequencer; got != "00000442AB" {
		t.Errorf("Event Grid's became %s", got)
	}
}

func TestOutcomes(t *testing.T) {
	event, err := translate.QueueEvent(translate.QueueMessage{ID: "m"}, "")
	if err != nil {
		t.Fatal(err)
	}
	bad := &capture.Error{Message: "no"}
	tests := []struct {
		name   string
		out    *capture.Outcome
		status capture.Status
		fate   capture.Fate
	}{
		{"a message that was worked on is gone", translate.MessageOutcome(event, nil), capture.StatusOK, capture.Acked},
		{"one that failed comes again", translate.MessageOutcome(event, bad), capture.StatusFunctionError, capture.Retried},
		{"so does one whose time was out", translate.MessageOutcome(event, &capture.Error{Type: translate.TimedOut}),
			capture.StatusTimeout, capture.Retried},
		{"a blob", translate.Outcome(nil), capture.StatusOK, ""},
		{"a blob that failed", translate.Outcome(bad), capture.StatusFunctionError, ""},
		{"an answer", translate.HTTPOutcome(404, nil, nil), capture.StatusOK, ""},
		{"a 500 that says something", translate.HTTPOutcome(500, nil, []byte("x")), capture.StatusOK, ""},
		{"a function that threw", translate.HTTPOutcome(500, nil, nil), capture.StatusFunctionError, ""},
	}
	for _, tt := range tests {
		if tt.out.Status != tt.status || tt.out.Records["m"] != tt.fate {
			t.Errorf("%s: got %+v", tt.name, tt.out)
		}
	}
}

func TestATranslatedInvocationSaysSo(t *testing.T) {
	event, err := translate.QueueEvent(translate.QueueMessage{ID: "m"}, "")
	if err != nil {
		t.Fatal(err)
	}
	source := translate.Source("eventhub", translate.KindQueue, "orders")
	inv := translate.NewInvocation("process-order", source, noon, event)
	if inv.Source != "eventhub:translated/queue/orders" || inv.Trigger != capture.TriggerSQS || len(inv.ID) != 26 {
		t.Errorf("got %+v", inv)
	}
	if inv := translate.NewInvocation("f", source, time.Time{}, event); len(inv.ID) != 26 {
		t.Errorf("at no time it has the ID %q", inv.ID)
	}
	for source, want := range map[string]bool{
		source: true, "eventhub": false, "import:events/translated/a.json": false, "": false, "translated/x": false,
	} {
		if translate.IsTranslated(source) != want {
			t.Errorf("%q: got %v", source, !want)
		}
	}
}

func FuzzARequestIsAnEventOrAnError(f *testing.F) {
	f.Add("GET", "https://h/api/x?code=1&a=2", "X-Forwarded-For", "1.2.3.4:5")
	f.Add("POST", "//x/%2F?&&#a?b", "User-Agent", "Azure-Functions-Host/4")
	f.Add("GET", "http:/api/a/{b+}/c://d", "host", "[::1]")
	h, err := translate.NewHTTP(translate.HTTPOptions{Rewrites: map[string]string{"/api/{a}/{b+}": "/v/{b+}/"}})
	if err == nil {
		f.Fatal("a variable with slashes is taken before the end")
	}
	h, err = translate.NewHTTP(translate.HTTPOptions{Rewrites: map[string]string{"/api/{a}/{b+}": "/{a}/v/{b+}"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, url, name, value string) {
		event, err := h.Event(translate.Request{Method: method, URL: url, Header: http.Header{name: {value}}})
		if err != nil {
			return
		}
		got := read[events.APIGatewayV2HTTPRequest](t, event, err)
		if _, format := capture.Detect(event); format != capture.FormatAPIGatewayV2 || !strings.HasPrefix(got.RawPath, "/") {
			t.Errorf("%s became %s", url, event)
		}
		for pair := range strings.SplitSeq(got.RawQueryString, "&") {
			if key, _, _ := strings.Cut(strings.ToLower(pair), "="); key == "code" {
				t.Errorf("%s still has the key: %s", url, event)
			}
		}
	})
}
