package importer

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
)

// corpus returns the folder of the sample events that AWS keeps with aws-lambda-go.
func corpus(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "events", "testdata")
}

// What AWS publishes as events is imported, recorded and read again byte for byte.
func TestEventsOfAWSAreKeptByteForByte(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	rec := filepath.Join(t.TempDir(), "corpus.rec")
	w, err := capture.Create(rec, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]byte)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Import(t.Context(), []string{file}, Options{Function: name, Sink: w})
		if valid := json.Valid(event); valid != (err == nil) { // AWS has one that is malformed, on purpose
			t.Errorf("%s: valid %v, imported with %v", name, valid, err)
		} else if valid {
			want[name] = event
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := capture.Open(rec, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for inv, err := range r.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(inv.Event), bytes.TrimSpace(want[inv.Function])) {
			t.Errorf("%s is not what it was", inv.Function)
		}
		delete(want, inv.Function)
	}
	for name := range want {
		t.Errorf("%s was not recorded", name)
	}
}

func TestEventsOfAWSAreToldApart(t *testing.T) {
	for _, test := range []struct {
		file    string
		trigger capture.Trigger
		format  capture.Format
	}{
		{"apigw-request", capture.TriggerHTTP, capture.FormatAPIGatewayV1},
		{"apigw-restapi-openapi-request", capture.TriggerHTTP, capture.FormatAPIGatewayV1},
		{"apigw-v2-request-iam", capture.TriggerHTTP, capture.FormatAPIGatewayV2},
		{"apigw-v2-request-jwt-authorizer", capture.TriggerHTTP, capture.FormatAPIGatewayV2},
		{"apigw-v2-request-lambda-authorizer", capture.TriggerHTTP, capture.FormatAPIGatewayV2},
		{"apigw-v2-request-no-authorizer", capture.TriggerHTTP, capture.FormatAPIGatewayV2},
		{"lambda-urls-request", capture.TriggerHTTP, capture.FormatFunctionURL},
		{"alb-lambda-target-request-headers-only", capture.TriggerHTTP, capture.FormatALB},
		{"alb-lambda-target-request-multivalue-headers", capture.TriggerHTTP, capture.FormatALB},
		{"sqs-event", capture.TriggerSQS, capture.FormatSQS},
		{"s3-event", capture.TriggerS3, capture.FormatS3},
		{"s3-replication-event", capture.TriggerS3, capture.FormatS3},
		{"s3-restore-event", capture.TriggerS3, capture.FormatS3},
		{"sns-event", capture.TriggerOther, "sns"},
		{"kinesis-event", capture.TriggerOther, "kinesis"},
		{"dynamodb-event", capture.TriggerOther, "dynamodb"},
		{"codebuild-state-change", capture.TriggerOther, "eventbridge"},
		{"cognito-event", capture.TriggerOther, capture.FormatOther},
		{"lex-event", capture.TriggerOther, capture.FormatOther},
		{"s3-batch-job-event-request-1.0", capture.TriggerOther, capture.FormatOther},
	} {
		event, err := os.ReadFile(filepath.Join(corpus(t), test.file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if trigger, format := capture.Detect(event); trigger != test.trigger || format != test.format {
			t.Errorf("%s is taken for %s, %s", test.file, trigger, format)
		}
	}
}
