//go:build peers

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/local"
)

// A blobSide is the sample application on Lambda, and its port behind a real container, with what a user would write.
type blobSide struct{ *queueSide }

const blobConfig = `version: 1
functions:
  import-catalog:
    lambda: {function: import-catalog, endpoint: "INVOKE", effects: "INVOKE"}
    functions: {blob: {account: "${STORAGE}", container: catalogSOURCE}EFFECTS}
resources:
  orders-bucket: {aws: "s3://orders", azure: "azblob://devstoreaccount1/orders"}
rules:
  - use: lambda-to-functions
`

func startBlobSide(t *testing.T) *blobSide {
	t.Helper()
	s := &blobSide{startQueueSide(t)}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	account, err := service.NewClientFromConnectionString(s.storage.ConnectionString(), &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.CreateContainer(t.Context(), "catalog", &container.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// startHost runs the port, whose trigger has that source, and returns its address.
func (s *blobSide) startHost(t *testing.T, source, mistakes string) string {
	t.Helper()
	return s.startHostBehind(t, "", source, mistakes)
}

// startHostBehind is like startHost, with a recorder between the host and the handler unless that is "".
func (s *blobSide) startHostBehind(t *testing.T, recorder, source, mistakes string, env ...string) string {
	t.Helper()
	app := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(app, os.DirFS(filepath.Join(s.programs, "functions"))); err != nil {
		t.Fatal(err)
	}
	trigger := filepath.Join(app, "import-catalog", "function.json")
	text, err := os.ReadFile(trigger)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), `"source": "EventGrid"`, `"source": "`+source+`"`, 1))
	if err := os.WriteFile(trigger, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if recorder != "" {
		behind(t, recorder, app, filepath.Join(s.programs, "functions", "handler"))
	}
	host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{
		App: app, Processes: 2, BlobScan: 50 * time.Millisecond, SystemKey: "system-key", Effects: s.newWorld(t),
		Log: s.log,
		Env: append(env, "AzureWebJobsStorage="+s.storage.ConnectionString(), "ORDERS_MISTAKES="+mistakes),
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

// compareThrough replays the catalogs and returns the exit code of compare, its report and the run. Source is what
// the config has beside account and container. App is the address that tells effects of the port, "" for none.
func (s *blobSide) compareThrough(t *testing.T, source, app string, flags ...string) (
	code int, report queueReport, out string) {
	t.Helper()
	var effects string
	if app != "" {
		effects = `, effects: "` + app + `"`
	}
	effects += s.completion
	cfg, out := filepath.Join(t.TempDir(), "tandem.yaml"), filepath.Join(t.TempDir(), "run")
	text := strings.NewReplacer("INVOKE", s.startLambda(t), "EFFECTS", effects, "SOURCE", source).Replace(blobConfig)
	if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"replay", s.path("orders.rec"), "-o", out, "-c", cfg, "--only", "function=import-catalog",
	}, flags...)
	if code, _, stderr := call(t, args...); code != 0 {
		t.Fatalf("replay: exit code %d: %s", code, stderr)
	}
	code, stdout, stderr := call(t, "compare", out, "-c", cfg, "--json")
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	return code, report, out
}

// statuses counts the outcomes of a target.
func statuses(t *testing.T, dir, target string) map[capture.Status]int {
	t.Helper()
	run, err := replay.OpenRun(dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[capture.Status]int)
	for trial, err := range run.Trials() {
		if err != nil {
			t.Fatal(err)
		}
		counts[trial.Outcomes[target].Status]++
	}
	return counts
}

func TestThePortIsFiredAtThroughItsContainer(t *testing.T) {
	s := startBlobSide(t)
	t.Run("nobody polls", func(t *testing.T) {
		code, report, out := s.compareThrough(t, "", "", "--timeout", "2s", "--sample", "20%", "--seed", "1")
		if code != 3 || report.Trials.Total == 0 || report.Trials.Inconclusive != report.Trials.Total {
			t.Errorf("exit code %d, %+v", code, report)
		}
		if got := statuses(t, out, functionsTarget); got[capture.StatusUnknown] != report.Trials.Total {
			t.Errorf("outcomes %v", got)
		}
	})
	for _, tt := range []struct {
		mistakes string
		code     int
		path     string
	}{
		{"", 0, ""},
		{"last-row-lost", 1, "/effects/"},
		{"number-as-string", 1, "/effects/"},
	} {
		t.Run("mistakes "+tt.mistakes, func(t *testing.T) {
			app := s.startHost(t, "LogsAndContainerScan", tt.mistakes)
			code, report, out := s.compareThrough(t, "", app)
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
			aws, azure := statuses(t, out, lambdaTarget), statuses(t, out, functionsTarget)
			if aws[capture.StatusOK] == 0 || aws[capture.StatusFunctionError] == 0 ||
				aws[capture.StatusOK] != azure[capture.StatusOK] {
				t.Errorf("on Lambda %v, on Functions %v", aws, azure)
			}
		})
	}
	// There are no receipts then, and nobody else is asked: what failed is known, and what did not fail is not.
	t.Run("Event Grid", func(t *testing.T) {
		app := s.startHost(t, "EventGrid", "")
		source := `, source: eventgrid, url: "` + app + `", key: system-key`
		code, report, out := s.compareThrough(t, source, app, "--only", "status=function_error")
		if got := statuses(t, out, functionsTarget); code != 0 || got[capture.StatusFunctionError] != report.Trials.Total {
			t.Errorf("what fails: exit code %d, %+v, outcomes %v", code, report.Trials, got)
		}
		code, report, out = s.compareThrough(t, source, app, "--only", "status=ok", "--timeout", "2s", "--in-flight", "20")
		if got := statuses(t, out, functionsTarget); code != 3 || got[capture.StatusUnknown] != report.Trials.Total {
			t.Errorf("what does not fail: exit code %d, %+v, outcomes %v", code, report.Trials, got)
		}
	})
}
