//go:build peers

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/fixtures/peers"
)

// A function on the embedded platform is invoked asynchronously, and heard of through a real queue.
func TestAnAsynchronousLambdaIsHeardThroughItsDestination(t *testing.T) {
	fauxqs := peers.Fauxqs(t)
	t.Setenv("AWS_ENDPOINT_URL_SQS", fauxqs)
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := sqs.New(sqs.Options{
		BaseEndpoint: &fauxqs, Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{Transport: transport},
	})
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("records")})
	if err != nil {
		t.Fatal(err)
	}
	_, invoke := begin(t, `Invoke API on (\S+);`, "tandem", "local", "lambda", "--addr", "127.0.0.1:0",
		"--function", "f="+filepath.Join(orders(t), "lambda", "import-catalog"), "--effects", "--destination", *made.QueueUrl)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Outputs":{}}`)
	}))
	defer app.Close()
	var recording strings.Builder
	for i := range 5 {
		fmt.Fprintf(&recording, `{"id":"i-%d","function":"f","trigger":"s3","format":"s3","event":{"Records":[],"n":%[1]d}}`+"\n", i)
	}
	rec, cfg, run := writeFiles(t, recording.String(), fmt.Sprintf(`version: 1
functions:
  f:
    lambda: {function: f, invocation: event, destination: %q, endpoint: %q}
    functions: {handler: {url: %q, function: f, binding: blob}}
`, *made.QueueUrl, invoke, app.URL))
	code, _, stderr := call(t, "replay", rec, "-o", run, "-c", cfg, "--progress", "none", "--timeout", "1m")
	if code != 0 || strings.Contains(stderr, "not known") {
		t.Errorf("replay: %d\n%s", code, stderr)
	}
	if code, stdout, _ := call(t, "compare", run, "-c", cfg); code != 0 {
		t.Errorf("compare: %d\n%s", code, stdout)
	}
}
