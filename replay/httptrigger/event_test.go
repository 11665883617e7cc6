package httptrigger

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/replay"
)

// sent fires event at a server and returns what the server got.
func sent(t *testing.T, format capture.Format, template, event string) (*http.Request, string, *capture.Outcome) {
	t.Helper()
	var got *http.Request
	var body []byte
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	defer client.CloseIdleConnections()
	target, err := New(Options{URL: server.URL + template, HTTP: client, Prepare: withKey, Outcome: anyAnswer})
	if err != nil {
		t.Fatal(err)
	}
	out, err := target.Fire(t.Context(), &capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerHTTP, Format: format, Event: []byte(event),
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, string(body), out
}

func withKey(r *http.Request, _ []byte) error {
	r.Header["x-key"] = []string{"secret"}
	return nil
}

func anyAnswer(*http.Response, []byte) (*capture.Outcome, error) {
	return &capture.Outcome{Status: capture.StatusOK}, nil
}

func TestRequestsAreRebuiltAsTheClientSentThem(t *testing.T) {
	const v2 = `"version":"2.0","requestContext":{"http":{"method":"POST"}}`
	tests := []struct {
		name, event, template string
		format                capture.Format
		uri, body             string
	}{
		{"query in its order and its own encoding", `{` + v2 + `,"rawPath":"/o","rawQueryString":"b=2&a=1+%2B&b=%20"}`,
			"/api/orders", capture.FormatAPIGatewayV2, "/api/orders?b=2&a=1+%2B&b=%20", ""},
		{"query behind the URL's own", `{` + v2 + `,"rawPath":"/o","rawQueryString":"a=1"}`,
			"/api?code=x", capture.FormatAPIGatewayV2, "/api?code=x&a=1", ""},
		{"parameter escaped as in the path", `{` + v2 + `,"rawPath":"/customers/a%2Fb%20c/orders",` +
			`"pathParameters":{"id":"a/b c"}}`,
			"/api/c/{id}/o", capture.FormatAPIGatewayV2, "/api/c/a%2Fb%20c/o", ""},
		{"parameter with slashes", `{` + v2 + `,"rawPath":"/files/x/y%2Bz","pathParameters":{"proxy":"x/y+z"}}`,
			"/api/{proxy+}", capture.FormatAPIGatewayV2, "/api/x/y%2Bz", ""},
		{"parameter that the path does not have", `{` + v2 + `,"rawPath":"/q","pathParameters":{"id":"é ?"}}`,
			"/api/{id}", capture.FormatAPIGatewayV2, "/api/%C3%A9%20%3F", ""},
		{"whole path, decoded by the gateway", `{` + v2 + `,"rawPath":"/a b/é?"}`,
			"{path}", capture.FormatAPIGatewayV2, "/a%20b/%C3%A9%3F", ""},
		{"stage of API Gateway's own domain is left out", `{"version":"2.0","requestContext":{"http":{"method":"POST"},` +
			`"stage":"dev","domainName":"x.execute-api.eu-west-1.amazonaws.com"},"rawPath":"/dev/orders"}`,
			"/api{path}", capture.FormatAPIGatewayV2, "/api/orders", ""},
		{"base64 body", `{` + v2 + `,"rawPath":"/","isBase64Encoded":true,"body":"AAH/"}`,
			"/", capture.FormatFunctionURL, "/", "\x00\x01\xff"},
		{"v1 query is encoded again, values in order", `{"httpMethod":"POST","path":"/o",` +
			`"queryStringParameters":{"a":"3"},"multiValueQueryStringParameters":{"z":["&"],"a":["1 2","3"]},"body":"b"}`,
			"/api{path}", capture.FormatAPIGatewayV1, "/api/o?z=%26&a=1+2&a=3", "b"},
		{"ALB query was never decoded", `{"httpMethod":"POST","path":"/o","queryStringParameters":{"a":"1%202","b":"c d"}}`,
			"{path}", capture.FormatALB, "/o?a=1%202&b=c%20d", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, body, out := sent(t, tt.format, tt.template, tt.event)
			if out.Status != capture.StatusOK {
				t.Fatalf("outcome %+v, %+v", out, out.Error)
			}
			if got.RequestURI != tt.uri || body != tt.body || got.Method != "POST" {
				t.Errorf("got %s %s with %q, want %s with %q", got.Method, got.RequestURI, body, tt.uri, tt.body)
			}
			if len(got.TransferEncoding) > 0 || got.ContentLength != int64(len(tt.body)) {
				t.Errorf("content length %d, transfer encoding %v", got.ContentLength, got.TransferEncoding)
			}
		})
	}
}

func TestHeadersAreTheClients(t *testing.T) {
	tests := []struct {
		name, event string
		format      capture.Format
		want        http.Header
	}{
		{"v2: cookies, and nothing of AWS's", `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}},
			"cookies":["a=1","b=2"],"headers":{"accept":"text/html, */*","host":"x","x-forwarded-for":"1","x-amzn-trace-id":"t",
			"x-amz-date":"d","via":"v","content-length":"5","connection":"close","idempotency-key":"k","tandem-trial":"a/b/c/0"}}`,
			capture.FormatAPIGatewayV2, http.Header{
				"Accept": {"text/html, */*"}, "Cookie": {"a=1; b=2"}, "Idempotency-Key": {"k"},
			}},
		{"v1: repeated headers stay apart", `{"httpMethod":"GET","path":"/","headers":{"X-A":"2","User-Agent":"curl"},
			"multiValueHeaders":{"X-A":["1","2"],"Accept-Encoding":["gzip"]}}`,
			capture.FormatAPIGatewayV1, http.Header{
				"X-A": {"1", "2"}, "User-Agent": {"curl"}, "Accept-Encoding": {"gzip"},
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := sent(t, tt.format, "/", tt.event)
			tt.want.Set("X-Key", "secret")
			if !reflect.DeepEqual(got.Header, tt.want) {
				t.Errorf("got  %v\nwant %v", got.Header, tt.want)
			}
		})
	}
}

func TestEventsThatCannotBeSentAreUnreplayable(t *testing.T) {
	tests := []struct{ name, event, template, want string }{
		{"no method", `{"version":"2.0","rawPath":"/"}`, "/", "no method"},
		{"a method that is none", `{"rawPath":"/","requestContext":{"http":{"method":"A B"}}}`, "/", "method"},
		{"no such parameter", `{"rawPath":"/","requestContext":{"http":{"method":"GET"}}}`, "/{id}", "no path parameter id"},
		{"a header with a line end", `{"rawPath":"/","requestContext":{"http":{"method":"GET"}},"headers":{"a":"b\r\nc"}}`,
			"/", `header "a"`},
		{"a body that is not base64", `{"rawPath":"/","requestContext":{"http":{"method":"GET"}},"isBase64Encoded":true,
			"body":"%"}`, "/", "base64"},
		{"no JSON", `{`, "/", "event"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, out := sent(t, capture.FormatAPIGatewayV2, tt.template, tt.event)
			if got != nil || out.Status != capture.StatusUnreplayable || !strings.Contains(out.Error.Message, tt.want) {
				t.Errorf("sent %v, outcome %+v, %+v", got, out, out.Error)
			}
		})
	}
}

func TestNewRefusesWhatIsNoURL(t *testing.T) {
	for _, url := range []string{"", "orders", "ftp://host/", "http://", "http://host/{", "http://host/{}", "http://{path}/", "http://host{id}"} {
		if _, err := New(Options{URL: url}); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
}

func FuzzHTTPEvent(f *testing.F) {
	formats := []capture.Format{
		capture.FormatAPIGatewayV1, capture.FormatAPIGatewayV2, capture.FormatFunctionURL, capture.FormatALB,
	}
	f.Add(1, `{"version":"2.0","rawPath":"/a%20b","rawQueryString":"a=1","requestContext":{"http":{"method":"GET"}},
		"headers":{"a":"b"},"cookies":["c"],"pathParameters":{"id":"a b"},"body":"eA==","isBase64Encoded":true}`)
	f.Add(0, `{"httpMethod":"GET","path":"/x","multiValueQueryStringParameters":{"a":["1",null]},"pathParameters":{"id":"%"}}`)
	template, err := parseTemplate("http://localhost/api/{id}{path}?code=1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, format int, event string) {
		e, err := parseEvent(&capture.Invocation{Format: formats[uint(format)%uint(len(formats))], Event: []byte(event)})
		if err != nil {
			return
		}
		u, err := template.expand(e)
		if err != nil {
			return
		}
		if u.Host != "localhost" || u.Fragment != "" {
			t.Fatalf("%s left its host, or lost a part: %s", event, u)
		}
		req, err := http.NewRequest("GET", u.String(), nil)
		if err != nil {
			t.Fatalf("%s cannot be requested: %v", u, err)
		}
		req.Header = e.header
		if err := req.Write(io.Discard); err != nil {
			t.Fatalf("%s cannot be written: %v", u, err)
		}
	})
}
