package local

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

// invokerFunc is a function in the place of a Lambda platform.
type invokerFunc func(function string, payload []byte, clientContext string) ([]byte, string, error)

func (f invokerFunc) Invoke(_ context.Context, function string, payload []byte, clientContext string) (
	[]byte, string, error) {
	return f(function, payload, clientContext)
}

// gatewayServer serves a gateway whose one function, "f", is invoke.
func gatewayServer(t *testing.T, invoke invokerFunc) *httptest.Server {
	t.Helper()
	g, err := NewGateway(invoke, map[string]string{"ANY /customers/{id}/orders": "f"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return server
}

func answering(answer string) invokerFunc {
	return func(string, []byte, string) ([]byte, string, error) { return []byte(answer), "", nil }
}

func TestAGatewayAnswersAsAnHTTPAPIDoes(t *testing.T) {
	type header = http.Header
	const failure = `{"message":"Internal server error"}`
	for _, tc := range []struct {
		why, answer string
		status      int
		header      header
		body        string
	}{
		{"everything", `{"statusCode":201,"headers":{"location":"/o/1","X-Count":3},"cookies":["a=1; HttpOnly","b=2"],
			"body":"{ \"id\": 1 }"}`, 201,
			header{"Location": {"/o/1"}, "X-Count": {"3"}, "Set-Cookie": {"a=1; HttpOnly", "b=2"}, "Content-Length": {"11"},
				"Content-Type": {"text/plain; charset=utf-8"}}, `{ "id": 1 }`},
		{"base64", `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"//4A","isBase64Encoded":true}`, 200,
			header{"Content-Type": {"image/png"}, "Content-Length": {"3"}}, "\xff\xfe\x00"},
		{"a wrong length is corrected", `{"statusCode":200,"headers":{"content-length":"99"},"body":"ab"}`, 200,
			header{"Content-Length": {"2"}}, "ab"},
		{"a status as text", `{"statusCode":"404"}`, 404, header{"Content-Length": {"0"}, "Content-Type": nil}, ""},
		{"no content", `{"statusCode":204,"body":"ignored"}`, 204, header{"Content-Length": nil}, ""},
		{"inferred from an object", ` {"id": 1.0} `, 200, header{"Content-Type": {"application/json"}}, `{"id": 1.0}`},
		{"inferred from a list", `[1]`, 200, header{"Content-Type": {"application/json"}}, `[1]`},
		{"inferred from a string", `"hi \u00fc"`, 200, header{"Content-Type": {"application/json"}}, "hi ü"},
		{"inferred from null", `null`, 200, header{"Content-Type": {"application/json"}}, "null"},
		{"not JSON", `oops`, 502, header{"Content-Type": {"application/json"}}, failure},
		{"no answer at all", ``, 502, nil, failure},
		{"a body that is not a string", `{"statusCode":200,"body":{}}`, 502, nil, failure},
		{"not the base64 it says", `{"statusCode":200,"body":"!","isBase64Encoded":true}`, 502, nil, failure},
		{"not a status", `{"statusCode":"ok"}`, 502, nil, failure},
		{"a status that HTTP lacks", `{"statusCode":99}`, 502, nil, failure},
		{"a header that is a list", `{"statusCode":200,"headers":{"a":["b"]}}`, 502, nil, failure},
	} {
		t.Run(tc.why, func(t *testing.T) {
			server := gatewayServer(t, answering(tc.answer))
			resp, body := call(t, server, http.MethodGet, "/customers/1/orders", nil)
			if resp.StatusCode != tc.status || body != tc.body {
				t.Errorf("got %d with %q, want %d with %q", resp.StatusCode, body, tc.status, tc.body)
			}
			for name, values := range tc.header {
				if diff := cmp.Diff(values, resp.Header[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if resp.Header.Get("Apigw-Requestid") == "" {
				t.Error("the answer has no request ID")
			}
		})
	}
}

func call(t *testing.T, server *httptest.Server, method, target string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, server.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(content)
}

type throttled struct{ error }

func (throttled) Throttled() bool { return true }

func TestAGatewayRefusesByItself(t *testing.T) {
	for _, tc := range []struct {
		why, target   string
		body          string
		functionError string
		err           error
		status        int
		message       string
	}{
		{"no route", "/nowhere", "", "", nil, 404, "Not Found"},
		{"10 MiB and a byte", "/customers/1/orders", strings.Repeat("x", 10<<20+1), "", nil, 413,
			"Request Entity Too Large"},
		{"a function that failed", "/customers/1/orders", "", "Unhandled", nil, 502, "Internal server error"},
		{"no capacity", "/customers/1/orders", "", "", throttled{errors.New("busy")}, 429, "Too Many Requests"},
		{"no function", "/customers/1/orders", "", "", errors.New("unknown"), 503, "Service Unavailable"},
	} {
		server := gatewayServer(t, func(string, []byte, string) ([]byte, string, error) {
			return []byte(`{"errorMessage":"x"}`), tc.functionError, tc.err
		})
		resp, body := call(t, server, http.MethodPost, tc.target, strings.NewReader(tc.body))
		if want := `{"message":"` + tc.message + `"}`; resp.StatusCode != tc.status || body != want {
			t.Errorf("%s: %d with %s, want %d with %s", tc.why, resp.StatusCode, body, tc.status, want)
		}
	}
}

func TestAFunctionBehindAGatewayGetsTheEventAndTheMark(t *testing.T) {
	mark := capture.Mark{Run: "run", Invocation: "inv", Target: "lambda", Repeat: 1}
	var event []byte
	server := gatewayServer(t, func(function string, payload []byte, clientContext string) ([]byte, string, error) {
		doc, err := base64.StdEncoding.DecodeString(clientContext)
		if got, ok := capture.MarkFromClientContext(doc); err != nil || !ok || got != mark || function != "f" {
			t.Errorf("%s was invoked with mark %v, %v, %v", function, got, ok, err)
		}
		event = payload
		return []byte(`{"statusCode":200}`), "", nil
	})
	target := server.URL + "/customers/a%2Fb/orders?x=1&x=2"
	req, err := http.NewRequest(http.MethodPut, target, bytes.NewReader([]byte{0xff}))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(capture.MarkHeader, mark.String())
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var got struct {
		RawPath        string
		PathParameters map[string]string
		Headers        map[string]string
		Body           string
		RequestContext struct{ RequestID string }
	}
	if err := json.Unmarshal(event, &got); err != nil {
		t.Fatal(err)
	}
	if got.RawPath != "/customers/a%2Fb/orders" || got.PathParameters["id"] != "a/b" || got.Body != "/w==" ||
		got.RequestContext.RequestID != resp.Header.Get("Apigw-Requestid") {
		t.Errorf("the event is %s", event)
	}
	if _, ok := got.Headers[capture.MarkHeader]; ok {
		t.Error("the function sees the mark among the headers")
	}
}

// What the gateway puts on the wire and what capture works out of the same answer must be the same, or else a
// function would differ from itself.
func TestAGatewayAndAnInvokeAgreeOnEveryAnswer(t *testing.T) {
	event := []byte(`{"version":"2.0","requestContext":{"http":{}}}`)
	for _, answer := range []string{
		`{"statusCode":201,"headers":{"X-A":"1"},"cookies":["a=1; Path=/"],"body":"x"}`, `{"statusCode":200}`, `{"a":1}`,
		`"text"`, `[1,2]`, `{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"a\": 1}"}`,
		`{"statusCode":200,"body":"AAE=","isBase64Encoded":true}`, `{"statusCode":"302","headers":{"location":"/x"}}`,
	} {
		server := gatewayServer(t, answering(answer))
		client := *server.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := client.Get(server.URL + "/customers/1/orders")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, added := range []string{"Date", "Content-Length", "Apigw-Requestid"} {
			resp.Header.Del(added)
		}
		wire := capture.NewHTTPAnswer(resp.StatusCode, resp.Header, body)
		invoked := capture.LambdaOutcome(capture.FormatAPIGatewayV2, event, []byte(answer), "").HTTP
		if len(wire.Headers) == 0 {
			wire.Headers = nil
		}
		if diff := cmp.Diff(invoked, wire); diff != "" {
			t.Errorf("%s (-invoke +gateway):\n%s", answer, diff)
		}
	}
}
