//go:build peers

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay/local"
)

const busConfig = `version: 1
functions:
  process-order:
    lambda: {function: process-order, endpoint: "INVOKE", effects: "INVOKE"}
    functions: {servicebus: {connection: "${BUS}", name: orders}, effects: "APP"}
resources:
  orders-bucket: {aws: "s3://orders", azure: "azblob://devstoreaccount1/orders"}
  notifications-queue: {aws: "sqs://notifications", azure: "azqueue://devstoreaccount1/notifications"}
rules:
  - use: lambda-to-functions
`

const busFunction = `{"bindings": [{"type": "serviceBusTrigger", "direction": "in", "name": "message",
  "queueName": "orders", "connection": "Bus"}]}`

// startBusHost runs the port with a Service Bus trigger in the place of its queue trigger, and returns its address.
func (s *queueSide) startBusHost(t *testing.T, connection, mistakes string) string {
	t.Helper()
	app := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(app, os.DirFS(filepath.Join(s.programs, "functions"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "process-order", "function.json"), []byte(busFunction), 0o644); err != nil {
		t.Fatal(err)
	}
	host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{
		App: app, Env: []string{"Bus=" + connection, "ORDERS_MISTAKES=" + mistakes}, Effects: s.newWorld(t), Log: s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	return serveUntilTheEnd(t, host.Handler())
}

func TestThePortIsFiredAtThroughServiceBus(t *testing.T) {
	s := &queueSide{demo: startDemo(t, demoOptions{programs: orders(t), dir: filepath.Join(t.TempDir(), "demo"), times: 1})}
	if err := s.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.rec, err = capture.Open(s.path("orders.rec"), capture.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.rec.Close() })
	for _, tt := range []struct {
		mistakes string
		code     int
		path     string
	}{
		{"", 0, ""},
		{"bad-message-acked", 1, "/records/"},
		{"sent-twice", 1, "/effects/"},
	} {
		t.Run("mistakes "+tt.mistakes, func(t *testing.T) {
			connection := peers.ServiceBus(t, map[string]peers.BusQueue{"orders": {MaxDelivery: 3, DuplicatesMS: 60_000}})
			t.Setenv("BUS", connection)
			text := strings.NewReplacer("INVOKE", s.startLambda(t), "APP", s.startBusHost(t, connection, tt.mistakes)).
				Replace(busConfig)
			cfg, out := filepath.Join(t.TempDir(), "tandem.yaml"), filepath.Join(t.TempDir(), "run")
			if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			code, _, stderr := call(t, "replay", s.path("orders.rec"), "-o", out, "-c", cfg, "--only", "function=process-order")
			if code != 0 {
				t.Fatalf("replay: exit code %d: %s", code, stderr)
			}
			code, stdout, stderr := call(t, "compare", out, "-c", cfg, "--json")
			var report queueReport
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatalf("%v: %s%s", err, stdout, stderr)
			}
			if code != tt.code || report.Trials.Inconclusive != 0 || report.Trials.Total == 0 {
				t.Errorf("exit code %d, want %d: %+v", code, tt.code, report)
			}
			for _, c := range report.Clusters {
				if !strings.HasPrefix(c.Path, tt.path) || tt.path == "" {
					t.Errorf("cluster %+v, want one at %q", c, tt.path)
				}
			}
			aws, azure := fates(t, out, lambdaTarget), fates(t, out, functionsTarget)
			if aws[capture.Acked] == 0 || aws[capture.Retried] == 0 {
				t.Errorf("the traffic has no good or no bad messages: %v", aws)
			}
			if tt.mistakes != "bad-message-acked" &&
				(azure[capture.Acked] != aws[capture.Acked] || azure[capture.DeadLettered] != aws[capture.Retried]) {
				t.Errorf("on Lambda %v, on Functions %v", aws, azure)
			}
		})
	}
}
