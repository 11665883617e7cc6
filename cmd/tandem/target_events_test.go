package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/completion"
)

// eventsFolder makes a folder with a config and a recording of the function f, a line for each event.
func eventsFolder(t *testing.T, functions string, lambda string, events ...string) (config, recording string) {
	t.Helper()
	dir := t.TempDir()
	config, recording = filepath.Join(dir, "tandem.yaml"), filepath.Join(dir, "events.jsonl")
	text := fmt.Sprintf("version: 1\nfunctions:\n  f:\n    lambda: {function: f, endpoint: %q}\n    functions: {%s}\n"+
		"rules: [{use: lambda-to-functions}]\n", lambda, functions)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i, event := range events {
		fmt.Fprintf(&lines, `{"id":"i%d","function":"f","event":%s}`+"\n", i, event)
	}
	if err := os.WriteFile(recording, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, recording
}

// eventServer is a Lambda function and an app whose functions both fail on what has the word fail, and only the port on
// what has the word differ.
func eventServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fails := bytes.Contains(body, []byte("fail"))
		if strings.HasPrefix(r.URL.Path, "/2015-03-31/") {
			if fails {
				w.Header().Set("X-Amz-Function-Error", "Unhandled")
				_, _ = io.WriteString(w, `{"errorType":"E","errorMessage":"no"}`)
				return
			}
			_, _ = io.WriteString(w, `{"returned":"and thrown away"}`)
			return
		}
		if r.URL.Path != "/runtime/webhooks/eventgrid" || r.Header.Get("X-Functions-Key") != "hush" {
			http.Error(w, "who is there", http.StatusUnauthorized)
			return
		}
		if fails || bytes.Contains(body, []byte("differ")) {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const bridged = `{"detail-type":"D","source":"s","time":"2026-01-01T00:00:00Z","detail":{"n":%q}}`

// replayAndCompare runs both commands and returns the exit code and what was printed.
func replayAndCompare(t *testing.T, config, recording string, flags ...string) (code int, printed string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "run")
	var said bytes.Buffer
	args := append([]string{"replay", recording, "-c", config, "-o", out, "--progress", "none"}, flags...)
	if code := run(t.Context(), args, strings.NewReader(""), &said, &said); code != 0 {
		return code, said.String()
	}
	code = run(t.Context(), []string{"compare", out, "-c", config}, strings.NewReader(""), &said, &said)
	return code, said.String()
}

func TestEventsOfEventBridgeAreComparedByWhetherTheFunctionFailed(t *testing.T) {
	server := eventServer(t)
	for _, tt := range []struct {
		name, key, event string
		code             int
	}{
		{"both succeed", "hush", "fine", exitParity},
		{"both fail", "hush", "fail", exitParity},
		{"only the port fails", "hush", "differ", exitDiffers},
		{"a wrong key ends the replay", "wrong", "fine", exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, recording := eventsFolder(t, fmt.Sprintf("eventgrid: {url: %q, key: %s}", server, tt.key), server,
				fmt.Sprintf(bridged, tt.event))
			code, printed := replayAndCompare(t, config, recording)
			if code != tt.code || strings.Contains(printed, "hush") {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, printed)
			}
		})
	}
}

func TestTargetsThatKeepConnectionsAreClosed(t *testing.T) {
	const hub = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=hush;UseDevelopmentEmulator=true"
	for name, f := range map[string]*config.Functions{
		"event hub":   {EventHub: &config.EventHub{Connection: hub, Name: "clicks"}},
		"Service Bus": {ServiceBus: &config.ServiceBus{Connection: hub, Name: "orders"}},
	} {
		b := &targetBuilder{board: completion.NewBoard(), http: http.DefaultClient}
		d, err := b.functions("f", f)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := d.Target.(io.Closer); !ok {
			t.Errorf("%s: closeTargets leaves a %T open", name, d.Target)
		}
		closed := &closer{Target: d.Target}
		around, err := newCompletions().around(closed, &config.Completion{})
		if err != nil {
			t.Fatal(err)
		}
		if err := closeTargets(map[string][]replay.Deployment{"f": {{Target: around}}}); err != nil || !closed.did {
			t.Errorf("%s: with completion it was closed: %v, %v", name, closed.did, err)
		}
	}
}

// A closer notes that it was closed.
type closer struct {
	replay.Target
	did bool
}

func (c *closer) Close() error {
	c.did = true
	return nil
}

func TestEventsThatCannotBeSentAreToldByThePlan(t *testing.T) {
	const stream = `{"Records":[{"eventID":"1","eventSource":"aws:dynamodb","dynamodb":{}}]}`
	const hub = `eventhub: {connection: "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=hush;` +
		`UseDevelopmentEmulator=true", name: clicks}`
	config, recording := eventsFolder(t, hub, "http://127.0.0.1:1", stream)
	code, printed := replayAndCompare(t, config, recording, "--plan")
	_ = code // there is no run to compare
	if !strings.Contains(printed, "functions: sb://127.0.0.1:1/clicks") ||
		!strings.Contains(printed, "eventhub without a recorder: outcomes stay unknown") || !strings.Contains(printed, "DynamoDB stream") ||
		strings.Contains(printed, "hush") {
		t.Errorf("the plan is\n%s", printed)
	}
}
