//go:build peers

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/local"
)

// A queueSide is the sample application on Lambda, and its port behind a real queue, with what a user would write.
type queueSide struct {
	*demo
	storage peers.Storage
	queue   *azqueue.QueueClient
	// completion is what the config says of it, behind a comma.
	completion string
	apart      bool // replays run in a process of their own
}

const queueConfig = `version: 1
functions:
  process-order:
    lambda: {function: process-order, endpoint: "INVOKE", effects: "INVOKE"}
    functions: {queue: {account: "${STORAGE}", name: orders}EFFECTS}
resources:
  orders-bucket: {aws: "s3://orders", azure: "azblob://devstoreaccount1/orders"}
  notifications-queue: {aws: "sqs://notifications", azure: "azqueue://devstoreaccount1/notifications"}
rules:
  - use: lambda-to-functions
`

func startQueueSide(t *testing.T) *queueSide {
	t.Helper()
	s := &queueSide{storage: peers.Azurite(t)}
	s.demo = startDemo(t, demoOptions{programs: orders(t), dir: filepath.Join(t.TempDir(), "demo"), times: 1})
	if err := s.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.rec, err = capture.Open(s.path("orders.rec"), capture.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.rec.Close() })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.queue, err = azqueue.NewQueueClientFromConnectionString(s.storage.ConnectionString(), "orders",
		&azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STORAGE", s.storage.ConnectionString())
	return s
}

// startLambda runs the application in a world of its own, and returns its address.
func (s *queueSide) startLambda(t *testing.T) string {
	t.Helper()
	platform, err := local.NewLambda(local.LambdaOptions{
		Functions: s.lambdaFunctions(nil), Effects: s.newWorld(t), Log: s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { platform.Close() })
	return serveUntilTheEnd(t, platform.Handler())
}

func (s *queueSide) newWorld(t *testing.T) *effects.Server {
	t.Helper()
	world, err := s.world(t.Context())
	if err == nil {
		err = s.seed(t.Context(), world)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	return world
}

func serveUntilTheEnd(t *testing.T, h http.Handler) string {
	t.Helper()
	var all servers
	address, err := all.serve(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { all.close() })
	return address
}

// startHost runs the port, which polls the queue, and returns its address. One process works on one message at a time:
// the sample's batches have a message twice, and at the same time both would find that it was not there before.
func (s *queueSide) startHost(t *testing.T, mistakes string) string {
	t.Helper()
	return s.startHostWith(t, func(settings string) string { return settings }, s.log, "ORDERS_MISTAKES="+mistakes)
}

// startHostWith runs it with other settings in host.json and in the app, and another log.
func (s *queueSide) startHostWith(t *testing.T, edit func(string) string, log io.Writer, env ...string) string {
	t.Helper()
	app := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(app, os.DirFS(filepath.Join(s.programs, "functions"))); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(app, "host.json"))
	if err != nil {
		t.Fatal(err)
	}
	quick := strings.Replace(string(settings), `"queues": {`, `"queues": {"maxPollingInterval": "00:00:00.1",`, 1)
	if err := os.WriteFile(filepath.Join(app, "host.json"), []byte(edit(quick)), 0o644); err != nil {
		t.Fatal(err)
	}
	host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{
		App: app, Env: append(env, "AzureWebJobsStorage="+s.storage.ConnectionString()), Effects: s.newWorld(t), Log: log,
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

// compareThrough replays the messages and returns the exit code of compare, its report and the run. App is the
// address that tells effects of the port, "" for none.
func (s *queueSide) compareThrough(t *testing.T, app string, flags ...string) (
	code int, report queueReport, out string) {
	t.Helper()
	var effects string
	if app != "" {
		effects = `, effects: "` + app + `"`
	}
	effects += s.completion
	cfg, out := filepath.Join(t.TempDir(), "tandem.yaml"), filepath.Join(t.TempDir(), "run")
	text := strings.NewReplacer("INVOKE", s.startLambda(t), "EFFECTS", effects).Replace(queueConfig)
	if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"replay", s.path("orders.rec"), "-o", out, "-c", cfg, "--only", "function=process-order",
	}, flags...)
	if s.apart {
		p, err := startProcess("", os.Environ(), lean(), args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		if code, err := p.finish(); code != 0 || err != nil {
			text, _ := p.stderr.read()
			t.Fatalf("replay: exit code %d, %v: %s", code, err, text)
		}
	} else if code, _, stderr := call(t, args...); code != 0 {
		t.Fatalf("replay: exit code %d: %s", code, stderr)
	}
	code, stdout, stderr := call(t, "compare", out, "-c", cfg, "--json")
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	return code, report, out
}

type queueReport struct {
	Trials   struct{ Total, Inconclusive, Differed int }
	Clusters []struct{ Function, Kind, Path string }
}

// fates counts what became of messages at a target.
func fates(t *testing.T, dir, target string) map[capture.Fate]int {
	t.Helper()
	run, err := replay.OpenRun(dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[capture.Fate]int)
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		for _, fate := range trial.Outcomes[target].Records {
			counts[fate]++
		}
	}
	return counts
}

func TestThePortIsFiredAtThroughItsQueue(t *testing.T) {
	s := startQueueSide(t)
	t.Run("nobody polls", func(t *testing.T) {
		code, report, out := s.compareThrough(t, "", "--timeout", "4s", "--sample", "20%", "--seed", "1")
		if code != 3 || report.Trials.Total == 0 || report.Trials.Inconclusive != report.Trials.Total {
			t.Errorf("exit code %d, %+v", code, report)
		}
		if got := fates(t, out, functionsTarget); len(got) != 0 {
			t.Errorf("fates %v", got)
		}
		props, err := s.queue.GetProperties(t.Context(), nil)
		if err != nil || *props.ApproximateMessagesCount != 0 {
			t.Errorf("what nobody took is still in the queue: %+v, %v", props, err)
		}
	})
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
			app := s.startHost(t, tt.mistakes)
			code, report, out := s.compareThrough(t, app)
			if code != tt.code || report.Trials.Inconclusive != 0 || report.Trials.Total == 0 {
				t.Errorf("exit code %d, want %d: %+v", code, tt.code, report)
			}
			if tt.code == 0 && report.Trials.Differed != 0 || tt.code != 0 && len(report.Clusters) == 0 {
				t.Errorf("%+v", report)
			}
			for _, c := range report.Clusters {
				if !strings.HasPrefix(c.Path, tt.path) {
					t.Errorf("cluster %+v, want one at %s", c, tt.path)
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
