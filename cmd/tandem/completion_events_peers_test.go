//go:build peers

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/local"
)

// behind has the host start the recorder, which starts the handler of the app.
func behind(t *testing.T, recorder, app, handler string) {
	t.Helper()
	path := filepath.Join(app, "host.json")
	settings, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const plain = `"defaultExecutablePath": "handler"`
	if !strings.Contains(string(settings), plain) {
		t.Fatalf("host.json is %s", settings)
	}
	changed := strings.Replace(string(settings), plain, fmt.Sprintf(
		`"defaultExecutablePath": %q, "arguments": ["handler", "--", %q]`, recorder, handler), 1)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Without the recorder, what does not fail is unknown; see TestThePortIsFiredAtThroughItsContainer.
func TestTheRecorderTellsWhatBecameOfBlobsThatEventGridTells(t *testing.T) {
	s := startBlobSide(t)
	recorder := recorder(t)
	for _, tt := range []struct {
		mistakes string
		code     int
	}{
		{"", exitParity},
		{"last-row-lost", exitDiffers},
	} {
		t.Run("mistakes "+tt.mistakes, func(t *testing.T) {
			listen := quietAddress(t)
			app := s.startHostBehind(t, recorder, "EventGrid", tt.mistakes, "TANDEM_COMPLETIONS=http://"+listen,
				"TANDEM_COMPLETIONS_TOKEN=s3cret")
			s.completion = fmt.Sprintf(`, completion: {recorder: {listen: "%s", token: s3cret}, deadline: 2m}`, listen)
			code, report, out := s.compareThrough(t, `, source: eventgrid, url: "`+app+`", key: system-key`, app)
			if code != tt.code || report.Trials.Inconclusive != 0 || report.Trials.Total == 0 {
				t.Errorf("exit code %d, want %d: %+v", code, tt.code, report)
			}
			aws, azure := statuses(t, out, lambdaTarget), statuses(t, out, functionsTarget)
			if aws[capture.StatusOK] == 0 || aws[capture.StatusFunctionError] == 0 ||
				aws[capture.StatusOK] != azure[capture.StatusOK] {
				t.Errorf("on Lambda %v, on Functions %v", aws, azure)
			}
			run, err := replay.OpenRun(out, replay.RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if c := run.Manifest().Completions; c == nil || c.Sources["recorder"] == 0 || c.Claimed == 0 || c.Lost != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// clicksApp is an app with an Event Hubs trigger, and returns its folder.
func clicksApp(t *testing.T, recorder string) string {
	t.Helper()
	app := t.TempDir()
	handler := filepath.Join(app, "handler")
	if out, err := exec.Command("go", "build", "-o", handler, "./testdata/clickshandler").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Mkdir(filepath.Join(app, "count-clicks"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"host.json": `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}}}`,
		"count-clicks/function.json": `{"bindings": [{"type": "eventHubTrigger", "direction": "in", "name": "event",
			"eventHubName": "clicks", "connection": "Clicks"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(app, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	behind(t, recorder, app, handler)
	return app
}

// countClicks is a Lambda function that fails on what has the word fail.
func countClicks(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Records []struct{ Kinesis struct{ Data []byte } }
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, record := range event.Records {
		if bytes.Contains(record.Kinesis.Data, []byte("fail")) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `{"errorType":"E","errorMessage":"no"}`)
			return
		}
	}
	_, _ = io.WriteString(w, `{"batchItemFailures":[]}`)
}

func TestTheRecorderTellsWhatBecameOfEventsOfAHub(t *testing.T) {
	recorder := recorder(t)
	lambda := serveUntilTheEnd(t, http.HandlerFunc(countClicks))
	var events []string
	for i, text := range []string{"fine", "fail", "special"} {
		events = append(events, fmt.Sprintf(`{"Records":[{"eventSource":"aws:kinesis","eventID":"shardId-0:%d","kinesis":`+
			`{"partitionKey":"k","sequenceNumber":"%[1]d","data":%q}}]}`, i,
			base64.StdEncoding.EncodeToString([]byte(text))))
	}
	for _, tt := range []struct {
		failsOn string
		code    int
	}{
		{"", exitParity},
		{"special", exitDiffers},
	} {
		t.Run("fails on "+tt.failsOn, func(t *testing.T) {
			connection, listen := peers.EventHubs(t, "clicks", 1), quietAddress(t)
			host, err := local.NewFunctions(t.Context(), local.FunctionsOptions{
				App: clicksApp(t, recorder), Log: t.Output(), Env: []string{
					"Clicks=" + connection, "FAILS_ON=" + tt.failsOn, "TANDEM_COMPLETIONS=http://" + listen,
					"TANDEM_COMPLETIONS_TOKEN=s3cret",
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := host.Close(); err != nil {
					t.Error(err)
				}
			})
			config, recording := eventsFolder(t, fmt.Sprintf("eventhub: {connection: %q, name: clicks}, "+
				"completion: {recorder: {listen: %q, token: s3cret}, deadline: 2m}", connection, listen), lambda, events...)
			code, printed := replayAndCompare(t, config, recording)
			if code != tt.code || strings.Contains(printed, "not known") {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, printed)
			}
		})
	}
}
