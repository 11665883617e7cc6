package httpproxy

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// wire parses a request as a server does, and reads its body. Lines are separated by \n.
func wire(t testing.TB, text string) (*http.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	if body != "" {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "203.0.113.24:50412"
	return r, []byte(body)
}

var at = time.Date(2025, 2, 16, 10, 51, 47, 412e6, time.UTC)

func TestEventV2IsWhatAnHTTPAPISends(t *testing.T) {
	router, err := NewRouter([]string{"POST /customers/{customerId}/orders", "ANY /files/{proxy+}", "$default"})
	if err != nil {
		t.Fatal(err)
	}
	const host = "\nHost: api.example.com"
	for _, tc := range []struct {
		name, why, request string
		want               map[string]string // JSON by path
	}{
		{"route", "the key and the decoded parameter of the route",
			"POST /customers/c%2F1+2%20x/orders HTTP/1.1" + host, map[string]string{
				"routeKey": `"POST /customers/{customerId}/orders"`, "rawPath": `"/customers/c%2F1+2%20x/orders"`,
				"pathParameters.customerId": `"c/1+2 x"`, "requestContext.routeKey": `"POST /customers/{customerId}/orders"`,
				"requestContext.http.path": `"/customers/c%2F1+2%20x/orders"`}},
		{"greedy", "all segments, decoded", "PUT /files/a/b%20c/ HTTP/1.1" + host, map[string]string{
			"routeKey": `"ANY /files/{proxy+}"`, "pathParameters.proxy": `"a/b c/"`}},
		{"default", "no parameters at all", "GET /x HTTP/1.1" + host, map[string]string{
			"routeKey": `"$default"`, "pathParameters": `null`, "queryStringParameters": `null`, "cookies": `null`,
			"body": `null`, "isBase64Encoded": `false`, "rawQueryString": `""`, "headers.content-length": `"0"`}},
		{"raw path", "characters that net/url would write in another way stay", "GET /a|b/%7Eme/{x}//. HTTP/1.1" + host,
			map[string]string{"rawPath": `"/a|b/%7Eme/{x}//."`}},
		{"query", "repeated parameters are joined, in order, decoded; the raw query is untouched",
			"GET /x?b=2&a=1&a=x+y%26&a=&flag&%zz=1;2 HTTP/1.1" + host, map[string]string{
				"rawQueryString":          `"b=2&a=1&a=x+y%26&a=&flag&%zz=1;2"`,
				"queryStringParameters.a": `"1,x y&,"`, "queryStringParameters.b": `"2"`,
				"queryStringParameters.flag": `""`, "queryStringParameters.%zz": `"1;2"`}},
		{"headers", "lower case, repeated ones joined by a comma, without those of the connection",
			"GET /x HTTP/1.1" + host + "\nX-Tag: one\nx-tag: two, three\nConnection: keep-alive\nTandem-Trial: r/i/t/0",
			map[string]string{"headers.x-tag": `"one,two, three"`, "headers.host": `"api.example.com"`,
				"headers.connection": `null`, "headers.tandem-trial": `null`, "headers.x-forwarded-for": `"203.0.113.24"`,
				"headers.x-forwarded-proto": `"http"`}},
		{"forwarded", "the client's address comes last", "GET /x HTTP/1.1" + host + "\nX-Forwarded-For: 10.0.0.1",
			map[string]string{"headers.x-forwarded-for": `"10.0.0.1, 203.0.113.24"`,
				"requestContext.http.sourceIp": `"203.0.113.24"`}},
		{"cookies", "split, out of the headers, values with = whole",
			"GET /x HTTP/1.1" + host + "\nCookie: a=1; b=x=y;c\nCookie: d=4",
			map[string]string{"cookies": `["a=1","b=x=y","c","d=4"]`, "headers.cookie": `null`}},
		{"json", "JSON is text, and is not escaped for HTML",
			"POST /x HTTP/1.1" + host + "\nContent-Type: application/json; charset=utf-8\n\n" + `{"a": "<ü&>"}`,
			map[string]string{"body": `"{\"a\": \"<ü&>\"}"`, "isBase64Encoded": `false`, "headers.content-length": `"14"`}},
		{"form", "an HTTP API takes a form for binary",
			"POST /x HTTP/1.1" + host + "\nContent-Type: application/x-www-form-urlencoded\n\na=1",
			map[string]string{"body": `"YT0x"`, "isBase64Encoded": `true`}},
		{"no type", "and so a body without a type", "POST /x HTTP/1.1" + host + "\n\nabc",
			map[string]string{"body": `"YWJj"`, "isBase64Encoded": `true`}},
		{"problem", "only the exact JSON type is text",
			"POST /x HTTP/1.1" + host + "\nContent-Type: application/problem+json\n\n{}",
			map[string]string{"isBase64Encoded": `true`}},
		{"false text", "what is not UTF-8 keeps its bytes",
			"POST /x HTTP/1.1" + host + "\nContent-Type: text/plain\n\n\xff\xfe",
			map[string]string{"body": `"//4="`, "isBase64Encoded": `true`}},
		{"latin-1", "a header's bytes are kept as characters", "GET /x HTTP/1.1" + host + "\nX-Name: M\xfcller",
			map[string]string{"headers.x-name": `"Müller"`}},
		{"bytes in the target", "what is not UTF-8 is encoded", "GET /\xff?\xfe HTTP/1.1" + host,
			map[string]string{"rawPath": `"/%FF"`, "rawQueryString": `"%FE"`}},
		{"context", "who, when, what", "DELETE /x HTTP/1.1" + host + ":8443\nUser-Agent: ua/1", map[string]string{
			"version": `"2.0"`, "requestContext.http.method": `"DELETE"`, "requestContext.http.protocol": `"HTTP/1.1"`,
			"requestContext.http.userAgent": `"ua/1"`, "requestContext.domainName": `"api.example.com"`,
			"requestContext.domainPrefix": `"api"`, "requestContext.requestId": `"req-1"`,
			"requestContext.time": `"16/Feb/2025:10:51:47 +0000"`, "requestContext.timeEpoch": `1739703107412`,
			"requestContext.stage": `"$default"`, "requestContext.accountId": `"000000000000"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, body := wire(t, tc.request)
			match, ok := router.MatchRequest(r)
			if !ok {
				t.Fatal("no route")
			}
			event, err := EventV2(r, body, Arrival{Match: match, RequestID: "req-1", Time: at})
			if err != nil {
				t.Fatal(err)
			}
			checkEvent(t, tc.why, event, tc.want)
			if _, format := capture.Detect(event); format != capture.FormatAPIGatewayV2 {
				t.Errorf("the event is taken for %s", format)
			}
		})
	}
}

func checkEvent(t *testing.T, why string, event []byte, want map[string]string) {
	t.Helper()
	doc, err := jsonval.Parse(event)
	if err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	for path, value := range want {
		expect, err := jsonval.Parse([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.At(strings.Split(path, ".")...); !jsonval.Equal(got, expect) {
			t.Errorf("%s: %s is %s, want %s", why, path, got, value)
		}
	}
}

func TestAStageIsPartOfAnHTTPAPIsPath(t *testing.T) {
	r, _ := wire(t, "GET /x HTTP/1.1\nHost: h")
	event, err := EventV2(r, nil, Arrival{Stage: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	checkEvent(t, "stage", event, map[string]string{"rawPath": `"/dev/x"`, "requestContext.http.path": `"/dev/x"`,
		"requestContext.stage": `"dev"`})
}

func TestOtherFormatsAreWrittenByTheirOwnRules(t *testing.T) {
	const request = "POST /c%2F1/o?q=a+b&q=%C3%BC&e= HTTP/1.1\nHost: h.example.com\nX-Tag: one\nX-Tag: two\n" +
		"Cookie: a=1; b=2\nContent-Type: text/plain\n\nhi"
	for _, tc := range []struct {
		why    string
		format capture.Format
		multi  bool
		want   map[string]string
	}{
		{"REST: encoded path and parameters, decoded query, last and all values", capture.FormatAPIGatewayV1, false,
			map[string]string{
				"resource": `"/{id}/o"`, "path": `"/c%2F1/o"`, "pathParameters.id": `"c%2F1"`, "headers.X-Tag": `"two"`,
				"multiValueHeaders.X-Tag": `["one","two"]`, "headers.Cookie": `"a=1; b=2"`, "body": `"hi"`,
				"queryStringParameters": `{"q":"ü","e":""}`, "multiValueQueryStringParameters": `{"q":["a b","ü"],"e":[""]}`,
				"requestContext.path": `"/prod/c%2F1/o"`, "requestContext.identity.sourceIp": `"203.0.113.24"`,
				"requestContext.requestTimeEpoch": `1739703107412`}},
		{"Function URL: 2.0 without routes", capture.FormatFunctionURL, false, map[string]string{
			"routeKey": `"$default"`, "rawPath": `"/c%2F1/o"`, "pathParameters": `null`, "cookies": `["a=1","b=2"]`,
			"headers.x-tag": `"one,two"`, "requestContext.accountId": `"anonymous"`, "body": `"hi"`}},
		{"ALB: nothing decoded, last values", capture.FormatALB, false, map[string]string{
			"path": `"/c%2F1/o"`, "queryStringParameters": `{"q":"%C3%BC","e":""}`, "headers.x-tag": `"two"`,
			"headers.cookie": `"a=1; b=2"`, "multiValueHeaders": `null`, "body": `"hi"`, "isBase64Encoded": `false`}},
		{"ALB with multi-value headers", capture.FormatALB, true, map[string]string{
			"multiValueQueryStringParameters": `{"q":["a+b","%C3%BC"],"e":[""]}`, "headers": `null`,
			"multiValueHeaders.x-tag": `["one","two"]`}},
	} {
		router, err := NewRouter([]string{"ANY /{id}/o"})
		if err != nil {
			t.Fatal(err)
		}
		r, body := wire(t, request)
		match, _ := router.MatchRequest(r)
		event, err := NewEvent(tc.format, r, body, Arrival{Match: match, Time: at, MultiValue: tc.multi})
		if err != nil {
			t.Fatal(err)
		}
		checkEvent(t, tc.why, event, tc.want)
		if _, format := capture.Detect(event); format != tc.format {
			t.Errorf("%s: the event is taken for %s", tc.why, format)
		}
	}
	r, _ := wire(t, "GET / HTTP/1.1\nHost: h")
	if _, err := NewEvent(capture.FormatSQS, r, nil, Arrival{}); err == nil {
		t.Error("an SQS event was made of a request")
	}
}

func TestABodyKeepsItsBytesInEveryFormat(t *testing.T) {
	for _, tc := range []struct{ why, header, body string }{
		{"binary", "Content-Type: image/png", "\x89PNG\r\n\x1a\n\x00\xff"},
		{"compressed JSON", "Content-Type: application/json\nContent-Encoding: gzip", "\x1f\x8b\x08\x00\x00"},
		{"text", "Content-Type: text/csv", "a,b\r\nü,\u2028\t\"x\"\n"},
		{"false text", "Content-Type: text/csv", "a\xffb"},
		{"no type", "X: y", "plain"},
	} {
		for _, format := range []capture.Format{
			capture.FormatAPIGatewayV2, capture.FormatFunctionURL, capture.FormatAPIGatewayV1, capture.FormatALB,
		} {
			r, body := wire(t, "POST / HTTP/1.1\nHost: h\n"+tc.header+"\n\n"+tc.body)
			event, err := NewEvent(format, r, body, Arrival{})
			if err != nil {
				t.Fatal(err)
			}
			if got := bodyOf(t, event); string(got) != tc.body {
				t.Errorf("%s in %s: %q became %q", tc.why, format, tc.body, got)
			}
		}
	}
}

func bodyOf(t testing.TB, event []byte) []byte {
	t.Helper()
	var e struct {
		Body   string `json:"body"`
		Base64 bool   `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	if !e.Base64 {
		return []byte(e.Body)
	}
	content, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func FuzzEventV2CanBeSentAgain(f *testing.F) {
	f.Add("/customers/a%2Fb/orders", "q=1&q=+%20", "a=1; b=2", "text/plain", []byte("hello"))
	f.Add("//x/../", "", "", "", []byte{0xff, 0})
	f.Add("/a|{}", "&&=&a", ";;", "application/json", []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, path, query, cookie, contentType string, body []byte) {
		path = "/" + path
		target := path
		if query != "" {
			target += "?" + query
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(path, "?#") || strings.Contains(query, "#") || !utf8.ValidString(target) {
			return
		}
		r := &http.Request{Method: "POST", URL: u, RequestURI: target, Host: "h", Header: http.Header{
			"Cookie": {cookie}, "Content-Type": {contentType}}}
		event, err := EventV2(r, body, Arrival{})
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			RawPath        string            `json:"rawPath"`
			RawQueryString string            `json:"rawQueryString"`
			Cookies        []string          `json:"cookies"`
			Headers        map[string]string `json:"headers"`
		}
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatalf("%v in %s", err, event)
		}
		if diff := cmp.Diff([]string{path, query}, []string{e.RawPath, e.RawQueryString}); diff != "" {
			t.Fatalf("target (-sent +event):\n%s", diff)
		}
		if got := bodyOf(t, event); !bytes.Equal(got, body) {
			t.Fatalf("body %q became %q", body, got)
		}
		again := http.Request{Header: http.Header{"Cookie": {strings.Join(e.Cookies, "; ")}}}
		if diff := cmp.Diff(e.Cookies, splitCookies(again.Header)); diff != "" {
			t.Fatalf("cookies (-first +second):\n%s", diff)
		}
	})
}
