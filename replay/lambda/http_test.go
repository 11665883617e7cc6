package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/local"
)

// newHTTPTarget returns a target for a server that answers as handler does. The options' URL is a path.
func newHTTPTarget(t *testing.T, opts HTTPOptions, handler http.Handler) *HTTP {
	t.Helper()
	server := httptest.NewServer(handler)
	opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	t.Cleanup(func() {
		opts.HTTP.CloseIdleConnections()
		server.Close()
	})
	opts.URL = server.URL + opts.URL
	target, err := NewHTTP(opts)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// httpEvent is an event of an HTTP API. Rest are further members.
func httpEvent(method, path, query, rest string) *capture.Invocation {
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	event := fmt.Sprintf(`{"version":"2.0","rawPath":%s,"rawQueryString":%s,"requestContext":{"http":{"method":%s}}%s}`,
		quote(path), quote(query), quote(method), rest)
	return &capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatAPIGatewayV2, Event: []byte(event),
	}
}

var testKeys = aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "SESSION"}

// checkSignature signs what arrived anew, as a service does, and says what is wrong with the signature that it has.
func checkSignature(r *http.Request, body []byte, keys aws.Credentials, service, region string) error {
	auth := r.Header.Values("Authorization")
	if len(auth) != 1 {
		return fmt.Errorf("authorizations %q", auth)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > time.Minute {
		return fmt.Errorf("signed at %v, %v", at, err)
	}
	_, list, _ := strings.Cut(auth[0], "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return err
	}
	again := &http.Request{Method: r.Method, URL: u, Host: r.Host, Header: make(http.Header)}
	for _, name := range strings.Split(list, ";") {
		if name != "host" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if must := strings.HasPrefix(name, "x-amz-") || name == "content-type"; must && !strings.Contains(list, name) {
			return fmt.Errorf("%s is not signed", name)
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), keys, again, hex.EncodeToString(sum[:]), service, region, at)
	if err == nil && again.Header.Get("Authorization") != auth[0] {
		err = fmt.Errorf("%s, and it should be %s", auth[0], again.Header.Get("Authorization"))
	}
	return err
}

func TestRequestsAreSignedAsTheyArrive(t *testing.T) {
	mark := capture.Mark{Run: "r", Invocation: "i", Target: "lambda"}
	tests := []struct {
		name    string
		inv     *capture.Invocation
		uri     string
		session bool
	}{
		{"nothing but a path", httpEvent("GET", "/o", "", ""), "/prod/o", false},
		{"a session", httpEvent("GET", "/o", "", ""), "/prod/o", true},
		{"no path at all", httpEvent("GET", "/", "", ""), "/prod/", true},
		{"a body and its type", httpEvent("POST", "/o", "", `,"headers":{"Content-Type":"text/plain"},"body":"hi"`), "/prod/o", true},
		{"a path with escapes, parentheses and what no client escapes",
			httpEvent("GET", "/a%2Fb%20c/@x=(1)é+/~", "", ""), "/prod/a%2Fb%20c/@x=(1)%C3%A9+/~", true},
		{"a query in its own order and encoding", httpEvent("GET", "/o", "b=2&a=1&a=0&b=%7e&c=x/y:z&flag&a-b=1&a%2Fb=2", ""),
			"/prod/o?b=2&a=1&a=0&b=%7e&c=x/y:z&flag&a-b=1&a%2Fb=2", true},
		{"a query with spaces", httpEvent("GET", "/o", "q=a+b%2Bc%20d", ""), "/prod/o?q=a%20b%2Bc%20d", true},
		{"what a client had signed", httpEvent("GET", "/o", "", `,"headers":{"authorization":"AWS4-HMAC-SHA256 Credential=x",`+
			`"x-amz-date":"20200101T000000Z","x-amz-security-token":"old","x-repeated":"a,  b"}`), "/prod/o", true},
	}
	for _, service := range []string{serviceURL, serviceGateway} {
		for _, tt := range tests {
			t.Run(service+"/"+tt.name, func(t *testing.T) {
				keys := testKeys
				if !tt.session {
					keys.SessionToken = ""
				}
				target := newHTTPTarget(t, HTTPOptions{
					URL: "/prod{path}", Key: "plan", Header: map[string]string{"X-Tenant": "t1"},
					Sign: &Signing{Service: service, Region: "eu-west-1", Credentials: credentials.StaticCredentialsProvider{Value: keys}},
				}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if err := checkSignature(r, body, keys, service, "eu-west-1"); err != nil {
						t.Errorf("the signature is wrong: %v", err)
					}
					if r.RequestURI != tt.uri || r.Header.Get("X-Amz-Security-Token") != keys.SessionToken {
						t.Errorf("got %s with %v", r.RequestURI, r.Header)
					}
					if r.Header.Get(capture.MarkHeader) != mark.String() || r.Header.Get("X-Api-Key") != "plan" ||
						r.Header.Get("X-Tenant") != "t1" {
						t.Errorf("headers %v", r.Header)
					}
				}))
				out, err := target.Fire(replay.WithMark(t.Context(), mark), tt.inv)
				if err != nil || out.Status != capture.StatusOK {
					t.Errorf("got %+v, %v", out, err)
				}
			})
		}
	}
}

// Each attempt has keys of its own, so that those that ended meanwhile are not used.
func TestEachAttemptIsSignedAnew(t *testing.T) {
	attempts := 0
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: fmt.Sprint("AKID", attempts), SecretAccessKey: "SECRET"}, nil
	})
	target := newHTTPTarget(t, HTTPOptions{Sign: &Signing{Service: "lambda", Region: "r", Credentials: keys}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			want, _ := keys(r.Context())
			if err := checkSignature(r, nil, want, "lambda", "r"); err != nil {
				t.Error(err)
			}
			if attempts++; attempts == 1 {
				w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = io.WriteString(w, `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`)
			}
		}))
	out, err := replay.Retry(target, replay.RetryPolicy{MinWait: 1}).Fire(t.Context(), httpEvent("GET", "/", "", ""))
	if err != nil || out.Attempts != 2 || out.Status != capture.StatusOK {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestNothingIsSentThatCannotBeSigned(t *testing.T) {
	sent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	fails := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no credentials anywhere")
	})
	target := newHTTPTarget(t, HTTPOptions{URL: "{path}", Sign: &Signing{Service: "lambda", Region: "r", Credentials: fails}}, sent)
	var setup *replay.SetupError
	if _, err := target.Fire(t.Context(), httpEvent("GET", "/", "", "")); !errors.As(err, &setup) {
		t.Errorf("without credentials: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Fire(ended, httpEvent("GET", "/", "", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	for _, tt := range []struct{ name, path, query string }{
		{"a query whose parts are not told alike by all", "/o", "a=1;b=2"},
		{"an empty parameter", "/o", "a=1&&b=2"},
		{"an empty segment", "/a//b", ""},
		{"a path that goes back", "/a/../b", ""},
		{"a path that stays", "/a/.", ""},
	} {
		if err := target.Check(httpEvent("GET", tt.path, tt.query, "")); err == nil {
			t.Errorf("%s: it is said that it can be signed", tt.name)
		}
		out, err := target.Fire(t.Context(), httpEvent("GET", tt.path, tt.query, ""))
		if err != nil || out.Status != capture.StatusUnreplayable {
			t.Errorf("%s: got %+v, %v", tt.name, out, err)
		}
	}
	unsigned := &HTTP{}
	if err := unsigned.accept(httpEvent("GET", "/", "", ""), httptest.NewRequest("GET", "/a//b?a;b", nil), nil); err != nil {
		t.Errorf("without a signature it can be sent: %v", err)
	}
}

func TestEachFrontHasItsLimit(t *testing.T) {
	for _, tt := range []struct {
		host    string
		service string
		format  capture.Format
		want    int
	}{
		{"abc.lambda-url.eu-west-1.on.aws", "", capture.FormatALB, maxFunctionURL},
		{"abc.execute-api.eu-west-1.amazonaws.com", "", capture.FormatALB, maxGateway},
		{"lb-1.eu-west-1.elb.amazonaws.com", "", capture.FormatAPIGatewayV2, maxALB},
		{"orders.example.com", "lambda", capture.FormatALB, maxFunctionURL},
		{"orders.example.com", "execute-api", capture.FormatALB, maxGateway},
		{"orders.example.com", "", capture.FormatALB, maxALB},
		{"orders.example.com", "", capture.FormatAPIGatewayV1, maxGateway},
		{"orders.example.com", "", capture.FormatFunctionURL, maxFunctionURL},
	} {
		var sign *Signing
		if tt.service != "" {
			sign = &Signing{Service: tt.service}
		}
		if _, got := frontLimit(tt.host, sign, tt.format); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
	target := newHTTPTarget(t, HTTPOptions{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }))
	large := httpEvent("POST", "/", "", `,"body":"`+strings.Repeat("x", maxALB+1)+`"`)
	if err := target.Check(large); err != nil {
		t.Errorf("1 MB through an HTTP API: %v", err)
	}
	large.Format, large.Event = capture.FormatALB, []byte(`{"httpMethod":"POST","path":"/","body":"`+strings.Repeat("x", maxALB+1)+`"}`)
	out, err := target.Fire(t.Context(), large)
	if err != nil || out.Status != capture.StatusUnreplayable || !strings.Contains(out.Error.Message, "load balancer") {
		t.Errorf("over 1 MB through a load balancer: %+v, %v", out, err)
	}
}

func TestAGatewaysAnswersAreToldFromTheFunctions(t *testing.T) {
	const throttled, setup, unknown = "throttled", "setup", "unknown"
	const page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body></html>"
	tests := []struct {
		name   string
		status int
		header string // "Name: value" lines
		body   string
		want   string // a status, or one of the three above
	}{
		{"Function URL: no permission", 403, "X-Amzn-ErrorType: AccessDeniedException", `{"Message":"Forbidden"}`, setup},
		{"Function URL: a wrong signature", 403, "x-amzn-ErrorType: InvalidSignatureException",
			`{"message":"The request signature we calculated does not match the signature you provided."}`, setup},
		{"REST: no key", 403, "x-amzn-ErrorType: ForbiddenException", `{"message":"Forbidden"}`, setup},
		{"REST: no such route", 403, "x-amzn-ErrorType: MissingAuthenticationTokenException",
			`{"message":"Missing Authentication Token"}`, setup},
		{"REST: an authorizer refuses", 401, "x-amzn-ErrorType: UnauthorizedException", `{"message":"Unauthorized"}`, setup},
		{"HTTP API: forbidden, or the function says so", 403, "Apigw-Requestid: r", `{"message":"Forbidden"}`, unknown},
		{"HTTP API with CORS: the same", 403, "Apigw-Requestid: r\nAccess-Control-Allow-Origin: *", `{"message":"Forbidden"}`, unknown},
		{"HTTP API: no route, or the function says so", 404, "Apigw-Requestid: r", `{"message":"Not Found"}`, unknown},
		{"HTTP API: too slow or throttled", 503, "Apigw-Requestid: r", `{"message":"Service Unavailable"}`, unknown},
		{"HTTP API: not to be invoked, or failed", 500, "Apigw-Requestid: r", `{"message":"Internal Server Error"}`, unknown},
		{"HTTP API: too many, which a function may say as well", 429, "Apigw-Requestid: r", `{"message":"Too Many Requests"}`, unknown},
		{"the function's own 403", 403, "Apigw-Requestid: r", `{"message":"not your order"}`, "ok"},
		{"the function's own 403, by its header", 403, "Apigw-Requestid: r\nX-Version: 3", `{"message":"Forbidden"}`, "ok"},
		{"the function's own 403, by its other members", 403, "Apigw-Requestid: r", `{"message":"Forbidden","code":7}`, "ok"},
		{"the function's own 403, behind no HTTP API", 403, "", `{"message":"Forbidden"}`, "ok"},
		{"the function's own 403, which hands on what a service told it", 403, "x-amzn-ErrorType: AccessDeniedException",
			`{"message":"Forbidden","order":1}`, "ok"},
		{"the function's own 429", 429, "Retry-After: 1", `{"message":"slow down"}`, "ok"},
		{"the function's own 200 with such a header", 200, "x-amzn-ErrorType: AccessDeniedException", `{"message":"x"}`, "ok"},
		{"REST: throttled", 429, "x-amzn-ErrorType: TooManyRequestsException\nRetry-After: 7", `{"message":"Too Many Requests"}`, throttled},
		{"Function URL: throttled", 429, "x-amzn-ErrorType: TooManyRequestsException\nRetry-After: 7",
			`{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`, throttled},
		{"REST: the function threw", 502, "x-amzn-ErrorType: InternalServerErrorException", `{"message": "Internal server error"}`,
			"function_error"},
		{"a gateway: the function threw", 502, "Apigw-Requestid: r", `{"message":"Internal server error"}`, "function_error"},
		{"Function URL: the function threw", 502, "", "Internal Server Error", "function_error"},
		{"REST: too slow", 504, "x-amzn-ErrorType: GatewayTimeoutException", `{"message": "Endpoint request timed out"}`, "timeout"},
		{"REST: too slow, unmarked", 504, "", `{"message": "Endpoint request timed out"}`, "timeout"},
		{"REST: the service failed", 500, "x-amzn-ErrorType: InternalServerErrorException", `{"message":"Internal server error"}`,
			"transport_error"},
		{"REST: too large", 413, "x-amzn-ErrorType: RequestTooLargeException", `{"message":"Request Too Long"}`, "unreplayable"},
		{"the function's own 502", 502, "", `{"message":"the warehouse is down"}`, "ok"},
		{"the function's own 504", 504, "", `{"message":"the warehouse is slow"}`, "ok"},
		{"a load balancer's own 502", 502, "Server: awselb/2.0\nContent-Type: text/html", page, unknown},
		{"a function's page behind a load balancer", 502, "Server: awselb/2.0\nContent-Type: text/html", "<html>sorry</html>", "ok"},
		{"a function's page like a load balancer's", 502, "Content-Type: text/html", page, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := newHTTPTarget(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				for line := range strings.Lines(tt.header) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			out, err := target.Fire(t.Context(), httpEvent("GET", "/", "", ""))
			var again *replay.ThrottledError
			var config *replay.SetupError
			got := unknown
			switch {
			case errors.As(err, &again):
				got = throttled
				if again.After != 7*time.Second || again.Outcome.Status != capture.StatusThrottled {
					t.Errorf("after %v: %+v", again.After, again.Outcome)
				}
			case errors.As(err, &config):
				got = setup
			case err == nil:
				got = string(out.Status)
			}
			if got != tt.want {
				t.Errorf("%s: %+v, %v; want %s", got, out, err, tt.want)
			}
			if got == "ok" && out.HTTP.Status != tt.status {
				t.Errorf("status %d", out.HTTP.Status)
			}
		})
	}
}

// A function is heard through a gateway as it is heard through Invoke.
func TestAGatewayAndAnInvokeHaveOneOutcome(t *testing.T) {
	for _, tt := range []struct{ name, answer, functionError string }{
		{"everything", `{"statusCode":201,"headers":{"location":"/o/1","X-Count":3},"cookies":["a=1; HttpOnly","b=2"],"body":"{\"id\":1.0}"}`, ""},
		{"JSON", `{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"id\":1.0}"}`, ""},
		{"bytes", `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"//4A","isBase64Encoded":true}`, ""},
		{"inferred", `{"id":1.0}`, ""},
		{"a 403 of its own", `{"statusCode":403,"body":"{\"message\":\"Forbidden\"}"}`, ""},
		{"no body", `{"statusCode":404}`, ""},
		{"thrown", `{"errorType":"E","errorMessage":"m"}`, "Unhandled"},
		{"malformed", `{"statusCode":"none"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gateway, err := local.NewGateway(invoker{tt.answer, tt.functionError}, map[string]string{"$default": "f"})
			if err != nil {
				t.Fatal(err)
			}
			target := newHTTPTarget(t, HTTPOptions{URL: "{path}"}, gateway)
			inv := httpEvent("POST", "/o", "a=1", `,"body":"x"`)
			out, err := target.Fire(t.Context(), inv)
			if err != nil {
				t.Fatal(err)
			}
			want := capture.LambdaOutcome(inv.Format, inv.Event, []byte(tt.answer), tt.functionError)
			out.DurationMS = 0
			out.Error, want.Error = nil, nil // a gateway says only that the function failed
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("-invoke +gateway\n%s", diff)
			}
		})
	}
}

// invoker is a platform whose function always does the same.
type invoker struct{ answer, functionError string }

func (i invoker) Invoke(context.Context, string, []byte, string) ([]byte, string, error) {
	return []byte(i.answer), i.functionError, nil
}

func TestHeadersThatARESTAPIMovedAreMovedBack(t *testing.T) {
	resp := &http.Response{StatusCode: 200, Header: http.Header{
		"X-Amzn-Remapped-Date": {"d"}, "Date": {"now"}, "X-Amzn-Trace-Id": {"t"}, "Server": {"mine"}, "X-A": {"1", "2"},
	}}
	out, err := httpOutcome(resp, nil)
	want := map[string][]string{"date": {"d"}, "server": {"mine"}, "x-a": {"1", "2"}}
	if diff := cmp.Diff(want, out.HTTP.Headers); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// An answer to HEAD has no words to be told by.
func TestAnAnswerToHEADIsToldByItsHeader(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		status       int
		known        bool
	}{
		{"an HTTP API's, or the function's", "Apigw-Requestid", 403, false},
		{"a failure's, or the function's", "Apigw-Requestid", 502, false},
		{"the function's, by its status", "Apigw-Requestid", 409, true},
		{"the function's, behind no HTTP API", "X-A", 403, true},
	} {
		target := newHTTPTarget(t, HTTPOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set(tt.header, "r")
			w.WriteHeader(tt.status)
		}))
		out, err := target.Fire(t.Context(), httpEvent("HEAD", "/", "", ""))
		if (err == nil) != tt.known || err == nil && out.HTTP.Status != tt.status {
			t.Errorf("%s: %+v, %v", tt.name, out, err)
		}
	}
}

func FuzzGatewayAnswer(f *testing.F) {
	f.Add(403, "AccessDeniedException:x", "r", []byte(`{"Message":"Forbidden"}`))
	f.Add(502, "", "", []byte("Internal Server Error"))
	f.Add(429, "", "r", []byte(`{"message":"Too Many Requests"}`))
	f.Fuzz(func(t *testing.T, code int, kind, id string, body []byte) {
		resp := &http.Response{StatusCode: code, Header: http.Header{
			"X-Amzn-Errortype": {kind}, "Apigw-Requestid": {id}, "Content-Type": {"application/json"},
		}}
		out, err := httpOutcome(resp, body)
		if (out == nil) == (err == nil) {
			t.Fatalf("%+v, %v", out, err)
		}
		if err == nil && out.Status == capture.StatusOK && out.HTTP.Status != code {
			t.Fatalf("%d became %+v", code, out.HTTP)
		}
	})
}
