package functions

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/replay"
)

// app is a custom handler that fails messages that begin with "bad" and keeps what it was sent.
type app struct {
	texts    []string
	requests []*customhandler.Request
	headers  []http.Header
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, _ := io.ReadAll(r.Body)
	req, err := customhandler.ParseRequest(payload)
	if err != nil || r.URL.Path != "/process-order" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	text, ok := req.Text("message")
	if !ok {
		text, _ = req.Text("blob")
	}
	a.texts = append(a.texts, text)
	a.requests = append(a.requests, req)
	a.headers = append(a.headers, r.Header)
	switch {
	case strings.HasPrefix(text, "bad"):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.HasPrefix(text, "slow"): // as the local host says it
		w.Header().Set(customhandler.HostErrorHeader, "the function ran out of time")
		w.WriteHeader(http.StatusGatewayTimeout)
	case strings.HasPrefix(text, "nonsense"):
		_, _ = io.WriteString(w, "ok")
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Outputs":{}}`)
	}
}

func (a *app) target(t *testing.T, opts HandlerOptions) *Handler {
	t.Helper()
	server := httptest.NewServer(a)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	opts.URL, opts.Function, opts.HTTP = server.URL, "process-order", client
	h, err := NewHandler(opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// batch is an SQS event; a message is "body" or "body@group", and its ID is its place.
func batch(messages ...string) *capture.Invocation {
	var records []string
	for i, m := range messages {
		body, group, _ := strings.Cut(m, "@")
		text, _ := json.Marshal(body)
		record := fmt.Sprintf(`{"messageId":"m%d","receiptHandle":"r","body":%s,"eventSource":"aws:sqs","attributes":`+
			`{"ApproximateReceiveCount":"2","SentTimestamp":"1700000000000"`, i, text)
		if group != "" {
			record += `,"MessageGroupId":"` + group + `"`
		}
		records = append(records, record+"}}")
	}
	return &capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Event: []byte(`{"Records":[` + strings.Join(records, ",") + `]}`),
	}
}

func TestBatchesAreTakenApart(t *testing.T) {
	const a, r = capture.Acked, capture.Retried
	tests := []struct {
		name     string
		messages []string
		sent     []string
		fates    []capture.Fate
		status   capture.Status
	}{
		{"in order, all well", []string{"1", "2", "3"}, []string{"1", "2", "3"}, []capture.Fate{a, a, a}, capture.StatusOK},
		{"a bad one fails alone", []string{"1", "bad", "3"}, []string{"1", "bad", "3"}, []capture.Fate{a, r, a}, capture.StatusOK},
		{"an answer that the host refuses fails", []string{"nonsense", "2"}, []string{"nonsense", "2"}, []capture.Fate{r, a},
			capture.StatusOK},
		{"all bad is a failure", []string{"bad1", "bad2"}, []string{"bad1", "bad2"}, []capture.Fate{r, r},
			capture.StatusFunctionError},
		{"a function that the host stops at its deadline", []string{"slow"}, []string{"slow"}, []capture.Fate{r},
			capture.StatusTimeout},
		{"the rest of a FIFO batch waits behind the one that failed", []string{"1@g", "bad@g", "3@g", "4@h"},
			[]string{"1", "bad"}, []capture.Fate{a, r, r, r}, capture.StatusOK},
		{"no messages", nil, nil, nil, capture.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var app app
			mark := capture.Mark{Run: "r", Invocation: "i", Target: "functions"}
			out, err := app.target(t, HandlerOptions{}).Fire(replay.WithMark(t.Context(), mark), batch(tt.messages...))
			if err != nil || out.Status != tt.status {
				t.Fatalf("got %+v, %v; want %s", out, err, tt.status)
			}
			if !reflect.DeepEqual(app.texts, tt.sent) {
				t.Errorf("sent %q, want %q", app.texts, tt.sent)
			}
			for i, fate := range tt.fates {
				if got := out.Records[fmt.Sprintf("m%d", i)]; got != fate {
					t.Errorf("message %d is %s, want %s", i, got, fate)
				}
			}
			for _, header := range app.headers {
				if header.Get(capture.MarkHeader) != mark.String() {
					t.Errorf("mark %q", header.Get(capture.MarkHeader))
				}
			}
		})
	}
}

func TestMessagesHaveTheirMetadata(t *testing.T) {
	var app app
	if _, err := app.target(t, HandlerOptions{}).Fire(t.Context(), batch(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Id": `"\"m0\""`, "DequeueCount": `"2"`, "InsertionTime": `"2023-11-14T22:13:20+00:00"`,
		"ExpirationTime": `"2023-11-21T22:13:20+00:00"`,
	}
	for name, value := range want {
		got := string(app.requests[0].Metadata[name])
		if got != value && got != strings.ReplaceAll(value, "+00:00", "Z") {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	if data := string(app.requests[0].Data["message"]); data != `"\"{\\\"n\\\":1}\""` {
		t.Errorf("Data.message is %s", data)
	}
}

func TestWhatNoTriggerCanCarryIsUnreplayable(t *testing.T) {
	s3 := func(name, key string) *capture.Invocation {
		return &capture.Invocation{ID: "i", Trigger: capture.TriggerS3, Format: capture.FormatS3, Event: []byte(
			`{"Records":[{"eventName":"` + name + `","s3":{"bucket":{"name":"b"},"object":{"key":"` + key + `"}}}]}`)}
	}
	tests := []struct {
		name string
		inv  *capture.Invocation
		want string
	}{
		{"a message too large in base64, and then the whole batch", batch("small", strings.Repeat("x", 49153)), "65540 bytes"},
		{"an object that is not pinned", s3("ObjectCreated:Put", "a+b"), "does not have the object a b of bucket b"},
		{"a deletion", s3("ObjectRemoved:Delete", "a"), "ObjectRemoved:Delete"},
		{"HTTP", &capture.Invocation{Trigger: capture.TriggerHTTP}, "use http:"},
		{"another service", &capture.Invocation{Trigger: capture.TriggerOther, Format: "sns"}, "sns"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var app app
			out, err := app.target(t, HandlerOptions{}).Fire(t.Context(), tt.inv)
			if err != nil || out.Status != capture.StatusUnreplayable || !strings.Contains(out.Error.Message, tt.want) {
				t.Errorf("got %+v, %v; want %q", out, err, tt.want)
			}
			if len(app.texts) > 0 {
				t.Errorf("sent %q", app.texts)
			}
		})
	}
}

// objects keeps objects in a folder by name.
type objects string

func (dir objects) OpenObject(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(dir), name))
}

func TestObjectsAreSentAsBlobs(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"h1": "sku,price\n", "h2": "bad"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inv := &capture.Invocation{
		ID: "i", Trigger: capture.TriggerS3, Format: capture.FormatS3,
		Event: []byte(`{"Records":[{"eventName":"ObjectCreated:Put","eventTime":"2026-01-02T03:04:05Z","s3":{"bucket":` +
			`{"name":"uploads"},"object":{"key":"a+b%2Bc/%C3%A9.csv","eTag":"e","versionId":"v2"}}}]}`),
		Objects: []capture.Object{
			{Bucket: "uploads", Key: "a b+c/é.csv", VersionID: "v1", SHA256: "h2"},
			{Bucket: "uploads", Key: "a b+c/é.csv", VersionID: "v2", SHA256: "h1", ContentType: "text/csv"},
		},
	}
	var app app
	target := app.target(t, HandlerOptions{Objects: objects(dir), Container: "catalog", AccountURL: "https://acct"})
	out, err := target.Fire(t.Context(), inv)
	if err != nil || out.Status != capture.StatusOK || !reflect.DeepEqual(app.texts, []string{"sku,price\n"}) {
		t.Fatalf("got %+v, %v; sent %q", out, err, app.texts)
	}
	metadata := app.requests[0].Metadata
	if uri := string(metadata["Uri"]); uri != `"\"https://acct/catalog/a%20b%2Bc/%C3%A9.csv\""` {
		t.Errorf("Uri %s", uri)
	}
	if name := string(metadata["name"]); name != `"\"a b+c/é.csv\""` {
		t.Errorf("name %s", name)
	}
	inv.Objects[1].SHA256 = "h2"
	if out, err := target.Fire(t.Context(), inv); err != nil || out.Status != capture.StatusFunctionError || out.Error == nil {
		t.Errorf("a blob that fails: %+v, %v", out, err)
	}
}

func FuzzParseSQSEvent(f *testing.F) {
	f.Add([]byte(batch("1", "bad@g").Event))
	f.Fuzz(func(t *testing.T, event []byte) {
		messages, err := parseSQSEvent(event)
		if err != nil {
			return
		}
		for _, m := range messages {
			if _, err := json.Marshal(m.trigger(false).Request("message", customhandler.Sys{})); err != nil {
				t.Fatalf("%s cannot be sent: %v", event, err)
			}
		}
	})
}

func FuzzParseS3Event(f *testing.F) {
	f.Add([]byte(`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a+b"}}}]}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		records, err := parseS3Event(event)
		if err != nil {
			return
		}
		for _, r := range records {
			if r.S3.Object.Key == "" {
				t.Fatalf("%s has a record without a key", event)
			}
		}
	})
}
