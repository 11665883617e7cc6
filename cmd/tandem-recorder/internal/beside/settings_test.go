package beside

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tandem/capture/customhandler"
	"tandem/capture/translate"
)

func settings(t *testing.T, env map[string]string) (customhandler.ObserverOptions, error) {
	t.Helper()
	const app = "../../../../fixtures/orders/functionsapp"
	opts, complaints, err := ReadSettings(func(name string) string { return env[name] }, app)
	if complaints != nil {
		t.Error(complaints)
	}
	return opts, err
}

func TestSettingsAreListsByName(t *testing.T) {
	opts, err := settings(t, map[string]string{
		"TANDEM_FUNCTIONS": "create-order=orders-create", "TANDEM_QUEUES": "a=arn:1 ,\n b=arn:2,",
		"TANDEM_BUCKETS": "catalog=c",
		"TANDEM_REGION":  "eu-west-1", "TANDEM_VERBATIM": "TRUE", "TANDEM_RECORD_REPLAYS": "1",
		"TANDEM_HTTP_FORMAT": "alb, labels=function-url", "TANDEM_HTTP_HOST": "api.example.com, v1=old.example.com",
		"TANDEM_HTTP_STAGE": "prod", "TANDEM_HTTP_ROUTES": "GET /x,POST /customers/{id}",
		"TANDEM_HTTP_REWRITES": "/api/c/{id}=/customers/{id}", "TANDEM_HTTP_MULTI_VALUE": "true",
	})
	if err != nil {
		t.Fatal(err)
	}
	if opts.App.Functions["create-order"] == nil || !opts.App.Forward {
		t.Errorf("the app is %+v", opts.App)
	}
	opts.App = nil
	all := translate.HTTPOptions{
		Format: "alb", Host: "api.example.com", Stage: "prod", Routes: []string{"GET /x", "POST /customers/{id}"},
		Rewrites: map[string]string{"/api/c/{id}": "/customers/{id}"}, MultiValue: true,
	}
	labels, v1 := all, all
	labels.Format, v1.Host = "function-url", "old.example.com"
	want := customhandler.ObserverOptions{
		Names: map[string]string{"create-order": "orders-create"}, QueueARNs: map[string]string{"a": "arn:1", "b": "arn:2"},
		Blobs:    translate.BlobOptions{Buckets: map[string]string{"catalog": "c"}, Region: "eu-west-1"},
		Verbatim: true, Replays: true, HTTP: map[string]translate.HTTPOptions{"": all, "labels": labels, "v1": v1},
	}
	if diff := cmp.Diff(want, opts); diff != "" {
		t.Error(diff)
	}
}

func TestNoSettingsAreEnough(t *testing.T) {
	if _, err := settings(t, nil); err != nil {
		t.Error(err)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"TANDEM_QUEUES", "arn:1", `"arn:1" has no name before it`},
		{"TANDEM_QUEUES", "a=1,a=2", `"a" is there twice`},
		{"TANDEM_BUCKETS", "=x", `"=x" is not name=value`},
		{"TANDEM_BUCKETS", "x=", `"x=" is not name=value`},
		{"TANDEM_VERBATIM", "yes", `"yes" is neither`},
		{"TANDEM_HTTP_FORMAT", "sqs", `"sqs"`},
		{"TANDEM_HTTP_ROUTES", "/x", `route "/x"`},
		{"TANDEM_HTTP_REWRITES", "/a=/{b}", `there is no {b}`},
	}
	for _, tt := range tests {
		_, err := settings(t, map[string]string{tt.name: tt.value})
		prefix := tt.name
		if strings.HasPrefix(tt.name, "TANDEM_HTTP_") {
			prefix = "TANDEM_HTTP_"
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), prefix) {
			t.Errorf("%s=%s: got %v", tt.name, tt.value, err)
		}
	}
}
