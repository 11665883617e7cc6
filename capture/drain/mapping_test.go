package drain_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"tandem/capture/drain"
)

const (
	queueARN = "arn:aws:sqs:eu-west-1:111122223333:orders"
	aUUID    = "6f8d1c9e-1b0a-4f6e-9f0b-0123456789ab"
)

// newLambda speaks the part of the Lambda API that lists mappings, a page a mapping:
// https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html. Queue "denied" is not permitted.
func newLambda(t *testing.T, mappings ...map[string]any) *lambda.Client {
	t.Helper()
	reply := func(w http.ResponseWriter, status int, doc any) {
		w.Header().Set("Content-Type", "application/json")
		if status != http.StatusOK {
			w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		}
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(doc); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2015-03-31/event-source-mappings", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if strings.HasSuffix(q.Get("EventSourceArn"), ":denied") {
			reply(w, http.StatusForbidden, map[string]any{"Message": "no"})
			return
		}
		var found []map[string]any
		for _, m := range mappings {
			if arn := q.Get("EventSourceArn"); arn != "" && arn != m["EventSourceArn"] {
				continue
			}
			if f := q.Get("FunctionName"); f != "" && !strings.HasSuffix(m["FunctionArn"].(string), ":"+f) {
				continue
			}
			found = append(found, m)
		}
		page := map[string]any{"EventSourceMappings": []any{}}
		if at := len(q.Get("Marker")); at < len(found) { // the first page is empty, as pages may be
			page["NextMarker"] = q.Get("Marker") + "x"
			if at > 0 {
				page["EventSourceMappings"] = found[at-1 : at]
			}
		} else if at > 0 {
			page["EventSourceMappings"] = found[at-1:]
		}
		reply(w, http.StatusOK, page)
	})
	mux.HandleFunc("GET /2015-03-31/event-source-mappings/{uuid}", func(w http.ResponseWriter, r *http.Request) {
		for _, m := range mappings {
			if m["UUID"] == r.PathValue("uuid") {
				reply(w, http.StatusOK, m)
				return
			}
		}
		reply(w, http.StatusNotFound, map[string]any{"Message": "none"})
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/") // ListEventSourceMappings has a slash at the end
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return lambda.New(lambda.Options{
		BaseEndpoint: &server.URL, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: server.Client(),
	})
}

func mapping(uuid, function, source, state string, more map[string]any) map[string]any {
	m := map[string]any{
		"UUID": uuid, "FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:" + function, "EventSourceArn": source,
		"State": state, "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0,
	}
	for name, value := range more {
		m[name] = value
	}
	return m
}

func TestAQueueWithAnEventSourceMappingIsNoTap(t *testing.T) {
	client := newLambda(t,
		mapping(aUUID, "f", queueARN, "Enabled", nil), mapping("second", "g", queueARN, "Disabled", nil))
	var mapped *drain.MappedError
	err := drain.CheckTap(t.Context(), client, queueARN)
	if !errors.As(err, &mapped) || len(mapped.Mappings) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{aUUID, "function:f (Enabled)", "function:g (Disabled)", queueARN} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := drain.CheckTap(t.Context(), client, queueARN+"-tap"); err != nil {
		t.Errorf("a queue of its own: %v", err)
	}
	err = drain.CheckTap(t.Context(), client, "arn:aws:sqs:eu-west-1:111122223333:denied")
	if err == nil || errors.As(err, &mapped) || !strings.Contains(err.Error(), "lambda:ListEventSourceMappings") {
		t.Errorf("when it may not look: %v", err)
	}
}

func TestAMappingIsFound(t *testing.T) {
	const stream = "arn:aws:kinesis:eu-west-1:111122223333:stream/orders"
	filtered := map[string]any{
		"BatchSize": 500, "MaximumBatchingWindowInSeconds": 5,
		"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"body":["x"]}`}}},
	}
	client := newLambda(t,
		mapping(aUUID, "f", queueARN, "Enabled", filtered), mapping("s", "f", stream, "Enabled", nil),
		mapping("g1", "g", queueARN, "Enabled", nil), mapping("g2", "g", queueARN+"2", "Enabled", nil),
		mapping("7f8d1c9e-1b0a-4f6e-9f0b-0123456789ab", "s", stream, "Enabled", nil),
	)
	want := drain.Mapping{
		UUID: aUUID, Function: "arn:aws:lambda:eu-west-1:111122223333:function:f", Queue: queueARN, State: "Enabled",
		BatchSize: 500, BatchWindow: 5 * time.Second, Filtered: true,
	}
	for _, ref := range []string{aUUID, "f"} {
		if got, err := drain.FindMapping(t.Context(), client, ref); err != nil || got != want {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
	for ref, want := range map[string]string{
		"g":                                    "g1 of " + queueARN + ", g2 of " + queueARN + "2",
		"s":                                    "no event source mapping of a queue",
		"7f8d1c9e-1b0a-4f6e-9f0b-0123456789ab": "not one of a queue",
		"8f8d1c9e-1b0a-4f6e-9f0b-0123456789ab": "get event source mapping",
	} {
		if m, err := drain.FindMapping(t.Context(), client, ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", ref, m, err)
		}
	}
}
