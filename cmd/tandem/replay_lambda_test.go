package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/replay/local"
)

const httpRecording = `{"id":"i-1","function":"f","trigger":"http","format":"apigw-v2","event":{"version":"2.0",` +
	`"rawPath":"/orders/7","rawQueryString":"q=a+b","requestContext":{"http":{"method":"POST"}},` +
	`"headers":{"authorization":"the client's"},"body":"{}"}}` + "\n"

// writeFiles writes a recording and a config, and returns their paths and that of a run.
func writeFiles(t *testing.T, recording, config string) (rec, cfg, run string) {
	t.Helper()
	dir := t.TempDir()
	rec, cfg, run = filepath.Join(dir, "f.jsonl"), filepath.Join(dir, "tandem.yaml"), filepath.Join(dir, "f.run")
	for path, text := range map[string]string{rec: recording, cfg: config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return rec, cfg, run
}

// One API, called as a signed HTTP API and as an HTTP trigger, which no secret gets out of.
func TestALambdaIsFiredAtOverHTTP(t *testing.T) {
	gateway, err := local.NewGateway(answering(`{"statusCode":201,"body":"made"}`), map[string]string{"$default": "f"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/prod/orders/7", func(w http.ResponseWriter, r *http.Request) {
		signed := strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKID") &&
			strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/execute-api/")
		if !signed || r.Header.Get("X-Amz-Security-Token") == "" || r.Header.Get("X-Api-Key") == "" || r.URL.RawQuery != "q=a%20b" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		gateway.ServeHTTP(w, r)
	})
	mux.HandleFunc("/api/orders/7", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "the client's" || r.Header.Get("X-Amz-Date") != "" || r.URL.RawQuery != "q=a+b" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "made")
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID"+planted)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret"+planted)
	t.Setenv("AWS_SESSION_TOKEN", "session"+planted)
	rec, cfg, run := writeFiles(t, httpRecording, fmt.Sprintf(`version: 1
functions:
  f:
    lambda:
      http:
        url: "%[1]s/prod{path}"
        sign: {service: execute-api, region: eu-west-1}
        key: "%[2]s"
        headers: {X-Tenant: "%[2]s"}
    functions: {http: {url: "%[1]s/api{path}", key: "%[2]s"}}
`, server.URL, planted))
	code, stdout, stderr := call(t, "replay", rec, "-o", run, "-c", cfg, "--progress", "none")
	if code != 0 {
		t.Fatalf("replay: %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = call(t, "compare", run, "-c", cfg)
	if code != 0 || !strings.HasPrefix(stdout, "PARITY") {
		t.Errorf("compare: %d\n%s", code, stdout)
	}
	err = fs.WalkDir(os.DirFS(run), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if text, err := os.ReadFile(filepath.Join(run, path)); err != nil || reveals(text) {
			t.Errorf("%s has a secret, %v", path, err)
		}
		return nil
	})
	if err != nil || reveals([]byte(stderr)) {
		t.Errorf("%v, stderr %s", err, stderr)
	}
}

func TestAnUnheardLambdaIsToldBeforehand(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "q1")
		if r.Header.Get("X-Amz-Invocation-Type") == "Event" {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer server.Close()
	rec, cfg, run := writeFiles(t, `{"id":"i-1","function":"f","trigger":"s3","format":"s3","event":{"Records":[]}}`+"\n",
		fmt.Sprintf(`version: 1
functions:
  f:
    lambda: {function: orders, invocation: event, endpoint: "%[1]s"}
    functions: {handler: {url: "%[1]s", function: f, binding: blob}}
`, server.URL))
	_, stdout, stderr := call(t, "replay", rec, "--plan", "-c", cfg)
	if !strings.Contains(stdout, "lambda event without destination: outcomes stay unknown") {
		t.Errorf("plan:\n%s%s", stdout, stderr)
	}
	_, _, stderr = call(t, "replay", rec, "-o", run, "-c", cfg, "--progress", "none")
	if !strings.Contains(stderr, "1 outcome of lambda not known: unknown") {
		t.Errorf("replay:\n%s", stderr)
	}
	if code, stdout, _ := call(t, "compare", run, "-c", cfg); code != 3 {
		t.Errorf("compare: %d\n%s%s", code, stderr, stdout)
	}
}

// answering is a platform whose function always answers so.
type answering string

func (a answering) Invoke(context.Context, string, []byte, string) (answer []byte, functionError string, err error) {
	return []byte(a), "", nil
}
