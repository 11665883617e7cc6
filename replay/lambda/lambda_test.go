package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"tandem/capture"
	"tandem/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTarget(t *testing.T, handler http.HandlerFunc) *Target {
	t.Helper()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	cfg := aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
		RetryMaxAttempts: 5, HTTPClient: client,
	}
	return New(Options{Client: NewClient(cfg, server.URL), Function: "orders", Qualifier: "live"})
}

func event(body string) *capture.Invocation {
	return &capture.Invocation{
		ID: "i1", Function: "f", Trigger: capture.TriggerOther, Format: capture.FormatOther, Event: []byte(body),
	}
}

func TestFireInvokesAsThePlatformDoes(t *testing.T) {
	mark := capture.Mark{Run: "r", Invocation: "i1", Target: "lambda"}
	target := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/2015-03-31/functions/orders/invocations" || r.URL.Query().Get("Qualifier") != "live" {
			t.Errorf("URL %s", r.URL)
		}
		if r.Header.Get("X-Amz-Invocation-Type") != "RequestResponse" || r.Header.Get("X-Amz-Log-Type") != "Tail" {
			t.Errorf("headers %v", r.Header)
		}
		doc, _ := base64.StdEncoding.DecodeString(r.Header.Get("X-Amz-Client-Context"))
		if got, ok := capture.MarkFromClientContext(doc); !ok || got != mark {
			t.Errorf("client context %s", doc)
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("x-amzn-RequestId", "q1")
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(
			"REPORT RequestId: q1\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMax Memory Used: 64 MB\tInit Duration: 9 ms")))
		_, _ = fmt.Fprintf(w, `{"got":%s}`, body)
	})
	out, err := target.Fire(replay.WithMark(t.Context(), mark), event(`{"n":1.0}`))
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != capture.StatusOK || string(out.Result.Bytes()) != `{"got":{"n":1.0}}` {
		t.Errorf("outcome %+v", out)
	}
	if out.PlatformMS != 1.5 || out.BilledMS != 2 || out.MemoryMB != 64 || out.InitMS != 9 || out.DurationMS <= 0 {
		t.Errorf("measured %+v", out)
	}
}

func TestFireTellsFailuresApart(t *testing.T) {
	refuse := func(status int, code, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", code)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	failed := func(payload, tail string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(tail)))
			_, _ = io.WriteString(w, payload)
		}
	}
	const throttled = "throttled"
	const setup = "setup"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string // a status, or one of the two above
	}{
		{"the function threw", failed(`{"errorType":"E","errorMessage":"m"}`, ""), "function_error"},
		{"the function ran out of time, by its error", failed(`{"errorMessage":"x Task timed out after 3.00 seconds"}`, ""),
			"timeout"},
		{"the function ran out of time, by its report",
			failed(`{"errorType":"E"}`, "REPORT RequestId: a\tDuration: 1 ms\tStatus: timeout"), "timeout"},
		{"too many requests", refuse(429, "TooManyRequestsException", `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}`),
			throttled},
		{"no such function", refuse(404, "ResourceNotFoundException", `{"Message":"Function not found"}`), setup},
		{"no permission", refuse(403, "AccessDeniedException", `{"Message":"not authorized"}`), setup},
		{"too large for the service", refuse(413, "RequestTooLargeException", `{}`), "unreplayable"},
		{"refused content", refuse(400, "InvalidRequestContentException", `{}`), "unreplayable"},
		{"a service that fails", refuse(500, "ServiceException", `{}`), "transport_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests := 0
			target := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				tt.handler(w, r)
			})
			out, err := target.Fire(t.Context(), event(`{}`))
			var again *replay.ThrottledError
			var config *replay.SetupError
			switch {
			case requests != 1:
				t.Errorf("%d requests; a failure is not retried here", requests)
			case errors.As(err, &again):
				if tt.want != throttled || again.After != 7*time.Second || again.Outcome.Status != capture.StatusThrottled ||
					again.Outcome.Error.Message != "Rate Exceeded. (ReservedFunctionConcurrentInvocationLimitExceeded)" {
					t.Errorf("throttled for %v: %+v", again.After, again.Outcome)
				}
			case errors.As(err, &config):
				if tt.want != setup {
					t.Errorf("error %v", err)
				}
			case err != nil || string(out.Status) != tt.want:
				t.Errorf("got %+v, %v; want %s", out, err, tt.want)
			}
		})
	}
}

func TestAFunctionIsNamedInAnyWayThatLambdaKnows(t *testing.T) {
	const arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
	for _, tt := range []struct{ function, qualifier, path, query string }{
		{"orders", "", "orders", ""},
		{"orders", "7", "orders", "Qualifier=7"},
		{"orders:live", "", "orders:live", ""},
		{"123456789012:function:orders", "live", "123456789012:function:orders", "Qualifier=live"},
		{arn, "$LATEST", arn, "Qualifier=%24LATEST"},
		{arn + ":live", "", arn + ":live", ""},
	} {
		target := newTarget(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/2015-03-31/functions/"+tt.path+"/invocations" || r.URL.RawQuery != tt.query {
				t.Errorf("%+v: %s", tt, r.URL)
			}
		})
		target.opts.Function, target.opts.Qualifier = tt.function, tt.qualifier
		if _, err := target.Fire(t.Context(), event(`{}`)); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestALargeEventIsNotSent(t *testing.T) {
	target := newTarget(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	out, err := target.Fire(t.Context(), event(`"`+strings.Repeat("x", MaxPayload)+`"`))
	if err != nil || out.Status != capture.StatusUnreplayable {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestMissingCredentialsAreAMistakeOfTheSetup(t *testing.T) {
	cfg := aws.Config{
		Region: "eu-west-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no credentials anywhere")
		}),
	}
	_, err := New(Options{Client: NewClient(cfg, ""), Function: "f"}).Fire(t.Context(), event(`{}`))
	var setup *replay.SetupError
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "no credentials anywhere") {
		t.Errorf("error %v", err)
	}
}
