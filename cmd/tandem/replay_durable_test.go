package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tandem/replay"
)

// workflows stands in for Step Functions, for Lambda functions that start executions, and for a Functions app with
// Durable Functions. What runs is told by the order in its input.
type workflows struct {
	url string

	mu   sync.Mutex
	work map[string]*workflow // by name: of the execution, or of the instance
}

type workflow struct {
	order string
	asked int
}

func (s *workflows) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in map[string]string
	if r.Method == http.MethodPost {
		var raw map[string]json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&raw)
		in = make(map[string]string)
		for name, value := range raw {
			var text string
			if json.Unmarshal(value, &text) == nil {
				in[name] = text
			}
		}
	}
	answer := func(status int, doc map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(doc)
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case target == "AWSStepFunctions.StartExecution":
		s.work[in["name"]] = &workflow{order: orderOf(in["input"])}
		answer(200, map[string]any{"executionArn": executions + in["name"], "startDate": 1.7e9})
	case target == "AWSStepFunctions.DescribeExecution":
		answer(200, s.execution(in["executionArn"]))
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/"):
		name := fmt.Sprint("from-function-", len(s.work))
		s.work[name] = &workflow{order: orderOf(in["body"])}
		answer(200, map[string]any{"statusCode": 202, "body": `{"executionArn":"` + executions + name + `"}`})
	case strings.HasPrefix(r.URL.Path, "/api/"):
		name := fmt.Sprint("instance-", len(s.work))
		s.work[name] = &workflow{order: in["order"]}
		at := s.url + "/runtime/webhooks/durabletask/instances/" + name + "?code=" + planted
		w.Header().Set("Location", at)
		answer(202, map[string]any{"id": name, "statusQueryGetUri": at})
	default:
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		doc, status := s.instance(name), 200
		if doc["runtimeStatus"] == "Running" {
			status = 202
		}
		answer(status, doc)
	}
}

const executions = "arn:aws:states:eu-west-1:123456789012:execution:orders:"

func orderOf(input string) string {
	var doc struct{ Order string }
	_ = json.Unmarshal([]byte(input), &doc)
	return doc.Order
}

func (s *workflows) execution(arn string) map[string]any {
	doc := map[string]any{"executionArn": arn, "stateMachineArn": "m", "startDate": 1.7e9, "status": "RUNNING"}
	f := s.work[strings.TrimPrefix(arn, executions)]
	if f.asked++; f.asked < 2 {
		return doc
	}
	switch doc["status"] = "SUCCEEDED"; f.order {
	case "fails":
		doc["status"], doc["error"], doc["cause"] = "FAILED", "States.TaskFailed", "no stock"
	case "stopped":
		doc["status"] = "ABORTED"
	default:
		doc["output"] = `{"total": 12.50, "order": "` + f.order + `"}`
	}
	return doc
}

func (s *workflows) instance(name string) map[string]any {
	doc := map[string]any{"instanceId": name, "runtimeStatus": "Running"}
	f := s.work[name]
	if f.asked++; f.asked < 2 {
		return doc
	}
	switch doc["runtimeStatus"] = "Completed"; f.order {
	case "fails":
		doc["runtimeStatus"], doc["output"] = "Failed", "Orchestrator function 'Order' failed: no stock"
	case "differs":
		doc["output"] = map[string]any{"order": f.order, "total": 13}
	default:
		doc["output"] = map[string]any{"order": f.order, "total": json.Number("12.5")}
	}
	return doc
}

// A state machine, and a function that starts executions, are compared with an orchestration by what came out of them.
func TestExecutionsAreComparedWithOrchestrations(t *testing.T) {
	s := &workflows{work: make(map[string]*workflow)}
	server := httptest.NewServer(s)
	defer server.Close()
	s.url = server.URL
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	config := strings.ReplaceAll(`version: 1
functions:
  machine:
    lambda: {stateMachine: "arn:aws:states:eu-west-1:123456789012:stateMachine:orders", input: /body, endpoint: "URL"}
    functions: {http: {url: "URL/api/start", key: Zq7Planted9, durable: true}}
  starter:
    lambda: {function: start, execution: /body/executionArn, region: eu-west-1, endpoint: "URL", executionEndpoint: "URL"}
    functions: {http: {url: "URL/api/start", key: Zq7Planted9, durable: true}}
rules:
  - use: lambda-to-functions
`, "URL", server.URL)
	if err := os.WriteFile(path("tandem.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		order   string
		code    int
		outcome string
	}{
		{"fine", exitParity, `"result":{"json":{"total":12.50,"order":"fine"}}`},
		{"fails", exitParity, `"status":"function_error"`},
		{"differs", exitDiffers, `"result":{"json":{"order":"differs","total":13}}`},
		{"stopped", exitInconclusive, `"status":"unknown"`},
	}
	for _, tt := range tests {
		t.Run(tt.order, func(t *testing.T) {
			var recording, stderr, report bytes.Buffer
			for i, function := range []string{"machine", "starter"} {
				fmt.Fprintf(&recording, `{"id":"%s-%d","function":"%s","time":"2026-01-02T03:04:05Z","event":{"httpMethod":"POST",`+
					`"path":"/orders","headers":{"content-type":"application/json"},"body":%q,"requestContext":{"elb":{}},`+
					`"isBase64Encoded":false},"context":{}}`+"\n", tt.order, i, function, `{"order":"`+tt.order+`"}`)
			}
			dest, rec := path(tt.order+".run"), path(tt.order+".jsonl")
			if err := os.WriteFile(rec, recording.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			code := run(t.Context(), []string{"replay", rec, "-o", dest, "-c", path("tandem.yaml"), "--progress", "none"},
				nil, &report, &stderr)
			if code != exitParity {
				t.Fatalf("replay: exit code %d:\n%s", code, &stderr)
			}
			code = run(t.Context(), []string{"compare", dest, "-c", path("tandem.yaml")}, nil, &report, &stderr)
			if code != tt.code {
				t.Errorf("compare: exit code %d, want %d:\n%s%s", code, tt.code, &report, &stderr)
			}
			if trials := trialsOf(t, dest); strings.Count(trials, tt.outcome) < 2 || strings.Contains(trials, planted) {
				t.Errorf("trials without %s, or with a key:\n%s", tt.outcome, trials)
			}
		})
	}
}

// trialsOf returns the trials of a run as they are written.
func trialsOf(t *testing.T, dir string) string {
	t.Helper()
	r, err := replay.OpenRun(dir, replay.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for trial, err := range r.Trials() {
		if err == nil {
			lines, err = trial.AppendJSON(append(lines, '\n'))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return string(lines)
}
