package local

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func post(t *testing.T, server *httptest.Server, path string, header http.Header, body string) (
	status int, answerHeader http.Header, answer string,
) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
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
	return resp.StatusCode, resp.Header, string(content)
}

func TestInvokeAPIRefusesAsLambdaDoes(t *testing.T) {
	_, server := newSDK(t, newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}, {Name: "f:live"}}}))
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	const path = "/2015-03-31/functions/f/invocations"
	tests := []struct {
		name, reason string
		path         string
		header       http.Header
		body         string
		status       int
		errorType    string
		want         string
	}{
		{
			name: "unknown function", reason: "clients look at the type and the ARN",
			path: "/2015-03-31/functions/g/invocations", status: 404, errorType: "ResourceNotFoundException",
			want: `{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:g"}`,
		},
		{
			name: "unknown qualifier", reason: "the ARN then has it",
			path: path + "?Qualifier=dead", status: 404, errorType: "ResourceNotFoundException",
			want: `{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:dead"}`,
		},
		{
			name: "two qualifiers", reason: "they contradict each other",
			path:   "/2015-03-31/functions/f:live/invocations?Qualifier=dead",
			status: 400, errorType: "InvalidParameterValueException",
			want: `{"Type":"User","message":"The derived qualifier from the function name does not match ` +
				`the specified qualifier."}`,
		},
		{
			name: "over 6 MB", reason: "the limit for synchronous events",
			path: path, body: strings.Repeat(" ", 6291457), status: 413, errorType: "RequestTooLargeException",
			want: `{"Type":"User","message":"6291457 byte payload is too large for the RequestResponse invocation type ` +
				`(limit 6291456 bytes)"}`,
		},
		{
			name: "over 1 MB", reason: "the limit for asynchronous ones",
			path: path, header: header("X-Amz-Invocation-Type", "Event"), body: strings.Repeat(" ", 1048578), status: 413,
			errorType: "RequestTooLargeException",
			want: `{"Type":"User","message":"1048578 byte payload is too large for the Event invocation type ` +
				`(limit 1048576 bytes)"}`,
		},
		{
			name: "not JSON", reason: "the platform looks before the function does",
			path: path, body: "foo", status: 400, errorType: "InvalidRequestContentException",
			want: `{"Type":"User","message":"Could not parse request body into json: ` +
				`invalid character 'o' in literal false (expecting 'a')"}`,
		},
		{
			name: "client context not base64", reason: "the platform decodes it",
			path: path, header: header("X-Amz-Client-Context", "%"), status: 400, errorType: "InvalidRequestContentException",
			want: `{"Type":"User","message":"Client context must be a valid Base64-encoded JSON object."}`,
		},
		{
			name: "client context not an object", reason: "null is no object either",
			path: path, header: header("X-Amz-Client-Context", "bnVsbA=="), status: 400,
			errorType: "InvalidRequestContentException",
			want:      `{"Type":"User","message":"Client context must be a valid Base64-encoded JSON object."}`,
		},
		{
			name: "client context too long", reason: "3,583 bytes is the limit",
			path: path, header: header("X-Amz-Client-Context", strings.Repeat("A", 3584)), status: 400,
			errorType: "InvalidRequestContentException",
			want:      `{"Type":"User","message":"Client context must be less than 3583 bytes."}`,
		},
		{
			name: "unknown invocation type", reason: "there are three",
			path: path, header: header("X-Amz-Invocation-Type", "Later"), status: 400,
			errorType: "InvalidParameterValueException",
			want: `{"Type":"User","message":"Value 'Later' at 'invocationType' failed to satisfy constraint: ` +
				`Member must satisfy enum value set: [Event, RequestResponse, DryRun]"}`,
		},
		{
			name: "another operation", reason: "only Invoke is served", path: "/2015-03-31/functions", status: 404,
			errorType: "UnknownOperationException",
			want: `{"Type":"User","message":"The embedded Lambda platform serves only Invoke, ` +
				`not POST /2015-03-31/functions"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, header, body := post(t, server, test.path, test.header, test.body)
			if status != test.status || header.Get("X-Amzn-ErrorType") != test.errorType || body != test.want {
				t.Errorf("%s: got %d %s %s, want %d %s %s", test.reason, status, header.Get("X-Amzn-ErrorType"), body,
					test.status, test.errorType, test.want)
			}
			if header.Get("X-Amzn-RequestId") == "" {
				t.Error("there is no request ID")
			}
		})
	}
}

func TestSDKKnowsTheErrors(t *testing.T) {
	sdk, _ := newSDK(t, newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}}))
	_, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("g")})
	var notFound *types.ResourceNotFoundException
	if !errors.As(err, &notFound) || !strings.HasSuffix(notFound.ErrorMessage(), ":function:g") {
		t.Errorf("got %v", err)
	}
	_, err = sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: make([]byte, 6<<20+1)})
	var tooLarge *types.RequestTooLargeException
	if !errors.As(err, &tooLarge) || !strings.HasPrefix(tooLarge.ErrorMessage(), "6291457 byte payload") {
		t.Errorf("got %v", err)
	}
	_, err = sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("{")})
	var content *types.InvalidRequestContentException
	if !errors.As(err, &content) || content.ErrorMessage() == "" {
		t.Errorf("got %v", err)
	}
}

func TestDryRunRunsNothing(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f", Command: []string{"/nowhere"}}}})
	sdk, _ := newSDK(t, l)
	out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("f"), InvocationType: types.InvocationTypeDryRun,
	})
	if err != nil || out.StatusCode != 204 {
		t.Errorf("got %v, %+v", err, out)
	}
}

func TestEventWithoutABodyIsAnEmptyObject(t *testing.T) {
	sdk, _ := newSDK(t, newLambda(t, LambdaOptions{Functions: []LambdaFunction{{Name: "f"}}}))
	out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
	if err != nil || string(out.Payload) != "{}" {
		t.Errorf("got %v, %+v", err, out)
	}
}

func TestFunctionIsFoundByEveryFormOfItsName(t *testing.T) {
	l := newLambda(t, LambdaOptions{Functions: []LambdaFunction{
		{Name: "f", Command: []string{"/nowhere"}}, {Name: "g:live", Command: []string{"/nowhere"}},
	}})
	tests := []struct{ name, qualifier, want string }{
		{"f", "", "f"},
		{"f", "$LATEST", "f"},
		{"f:$LATEST", "", "f"},
		{"000000000000:function:f", "", "f"},
		{"function:f", "", "f"},
		{"arn:aws:lambda:us-east-1:000000000000:function:f", "", "f"},
		{"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:$LATEST", "", "f"},
		{"arn:aws:lambda:us-east-1:000000000000:function:g", "live", "g:live"},
		{"g:live", "live", "g:live"},
		{"g", "", ""},
		{"f", "1", ""},
		{"", "", ""},
		{"f/g", "", ""},
	}
	for _, test := range tests {
		f, err := l.find(test.name, test.qualifier)
		got := ""
		if err == nil {
			got = f.Name
		}
		if got != test.want {
			t.Errorf("%q with qualifier %q: got %q, %v, want %q", test.name, test.qualifier, got, err, test.want)
		}
	}
	_, server := newSDK(t, l)
	header := http.Header{"X-Amz-Invocation-Type": {"DryRun"}}
	path := "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ag/invocations" +
		"?Qualifier=live"
	if status, _, body := post(t, server, path, header, ""); status != 204 {
		t.Errorf("an escaped ARN: got %d %s", status, body)
	}
}

func FuzzParseFunctionRef(f *testing.F) {
	f.Add("f", "")
	f.Add("arn:aws:lambda:us-east-1:000000000000:function:f:live", "live")
	f.Add("000000000000:function:f", "$LATEST")
	f.Add("a:b:c", "")
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		ref, err := parseFunctionRef(name, qualifier)
		if err != nil {
			return
		}
		if ref.name == "" || strings.ContainsAny(ref.name, ":/") {
			t.Fatalf("%q has the name %q", name, ref.name)
		}
		if strings.Contains(ref.qualifier, ":") {
			return // the request's own, which is compared and never parsed
		}
		again, err := parseFunctionRef(ref.name, ref.qualifier)
		if err != nil || again != ref {
			t.Errorf("%+v reads back as %+v, %v", ref, again, err)
		}
	})
}

func FuzzDecodeClientContext(f *testing.F) {
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString([]byte("{\"custom\":\n{\"a\":\"b\"}}")))
	f.Add("e30=")
	f.Fuzz(func(t *testing.T, value string) {
		doc, err := decodeClientContext(value)
		if err == nil && (strings.ContainsAny(string(doc), "\r\n") || (len(doc) == 0) != (value == "")) {
			t.Errorf("%q is decoded to %q", value, doc)
		}
	})
}
