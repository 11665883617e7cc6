package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodHost = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"run"}}}`

func TestAppErrorsSayWhereAndWhatToDo(t *testing.T) {
	binding := func(b string) map[string]string {
		return map[string]string{"host.json": goodHost, "f/function.json": `{"bindings":[` + b + `]}`}
	}
	host := func(doc string) map[string]string {
		return map[string]string{"host.json": doc, "f/function.json": queueFunction}
	}
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no host.json", map[string]string{}, "no host.json, so this is not the folder of a Functions app"},
		{"broken host.json", host("{\n\"version\": 2.0.0}"), "host.json: line 2: invalid character"},
		{"a member of the wrong type", host("{\"version\":\"2.0\",\n\"customHandler\":[]}"),
			"host.json: line 2: customHandler is a JSON array where"},
		{"another version", host(`{}`), `host.json: version is ""; this host knows "2.0"`},
		{"no custom handler", host(`{"version":"2.0"}`),
			"host.json: no customHandler; this host runs custom handlers only"},
		{"no executable", host(`{"version":"2.0","customHandler":{}}`), "defaultExecutablePath: it is not set"},
		{"an executable that is not there", host(strings.Replace(goodHost, "run", "none", 1)),
			"build the handler there first"},
		{"an executable that is a folder", host(strings.Replace(goodHost, "run", "f", 1)),
			"is a folder; name the program in it"},
		{"an executable that is none", host(strings.Replace(goodHost, "run", "host.json", 1)), "run chmod +x on it"},
		{"no such working directory", host(strings.Replace(goodHost, `"run"`, `"run","workingDirectory":"w"`, 1)),
			"/w is not a folder"},
		{"a time-out that is no time", host(strings.Replace(goodHost, "{", `{"functionTimeout":"5m",`, 1)),
			`functionTimeout: "5m" is not hh:mm:ss`},
		{"a time-out of nothing", host(strings.Replace(goodHost, "{", `{"functionTimeout":"00:00:00",`, 1)),
			`write "-1" for no limit`},
		{"no functions", map[string]string{"host.json": goodHost}, "no folder with a function.json"},
		{"a folder that cannot be a name", map[string]string{"host.json": goodHost, "a b/function.json": queueFunction},
			`the folder "a b" cannot be a function's name`},
		{"broken function.json", map[string]string{"host.json": goodHost, "f/function.json": "{\n\n]"},
			"function.json: line 3:"},
		{"no bindings", binding(``), "no trigger among the bindings"},
		{"no trigger", binding(`{"type":"queue","direction":"out","name":"o"}`), "no trigger among the bindings"},
		{"no type", binding(`{"direction":"in","name":"o"}`), `bindings[0]: no "type"`},
		{"no name", binding(`{"direction":"in","type":"queueTrigger"}`), `bindings[0]: no "name"`},
		{"no direction", binding(`{"type":"queue","name":"o"}`), `bindings[0]: direction is ""; write "in" or "out"`},
		{"a trigger that goes out", binding(`{"type":"queueTrigger","direction":"out","name":"o"}`),
			`bindings[0]: direction of a queueTrigger is "out"; write "in"`},
		{"two triggers", binding(strings.Repeat(`{"type":"timerTrigger","direction":"in","name":"a"},`, 2) +
			`{"type":"queue","direction":"out","name":"o"}`), "bindings[1]: a second trigger"},
		{"a queue without a name", binding(`{"type":"queueTrigger","direction":"in","name":"a"}`), `no "queueName"`},
		{"a blob without a path", binding(`{"type":"blobTrigger","direction":"in","name":"a"}`), `no "path"`},
		{"a hub without a name", binding(`{"type":"eventHubTrigger","direction":"in","name":"a"}`), `no "eventHubName"`},
		{"events in unknown numbers", binding(`{"type":"eventGridTrigger","direction":"in","name":"a","cardinality":"all"}`),
			`cardinality of the eventGridTrigger is "all"; write "one" or "many"`},
		{"a batch of no events", host(strings.Replace(goodHost, "{", `{"extensions":{"eventHubs":{"maxEventBatchSize":0}},`, 1)),
			"extensions.eventHubs.maxEventBatchSize: 0 is less than 1"},
		{"an unknown begin", host(strings.Replace(goodHost, "{",
			`{"extensions":{"eventHubs":{"initialOffsetOptions":{"type":"now"}}},`, 1)), `type is "now"; this host knows`},
		{"an unknown level", binding(`{"type":"httpTrigger","direction":"in","name":"a","authLevel":"user"}`),
			`authLevel is "user"; write anonymous, function or admin`},
		{"a bad route", binding(`{"type":"httpTrigger","direction":"in","name":"a","route":"{x"}`),
			`function.json: route "{x"`},
		{"one route twice", map[string]string{
			"host.json": goodHost, "f/function.json": httpFunction("res", `"route":"x/{a}"`),
			"g/function.json": httpFunction("res", `"route":"X/{b}","methods":["get"]`)},
			"functions f and g both answer /api/x/{b}"},
		{"a route of the host", map[string]string{
			"host.json":       strings.Replace(goodHost, "{", `{"extensions":{"http":{"routePrefix":""}},`, 1),
			"f/function.json": httpFunction("res", `"route":"admin/{a}"`)}, "the route /admin/{a} belongs to the host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				writeFile(t, filepath.Join(dir, name), content, 0o644)
			}
			writeFile(t, filepath.Join(dir, "run"), "", 0o755)
			_, err := NewFunctions(t.Context(), FunctionsOptions{App: dir})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v\nwant it to name %s and say %s", err, dir, tt.want)
			}
		})
	}
}

func writeFile(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestAppIsReadWithItsDefaults(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "run"), "", 0o755)
	writeFile(t, filepath.Join(dir, "host.json"), "\ufeff"+goodHost, 0o644)
	writeFile(t, filepath.Join(dir, "hello/function.json"),
		`{"bindings":[{"type":"httpTrigger","direction":"in","name":"req"}]}`, 0o644)
	app, err := readApp(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if app.prefix != "api" || app.forward || app.timeout != 5*time.Minute || app.workDir != dir {
		t.Errorf("app %+v", app)
	}
	fn := app.functions[0]
	if fn.auth != authFunction || fn.route.Template != "hello" || !fn.answers("DELETE") || fn.plain {
		t.Errorf("function %+v", fn)
	}
}

func TestTimeSpans(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
	}{
		{"00:05:00", 5 * time.Minute},
		{"1.02:03:04", 26*time.Hour + 3*time.Minute + 4*time.Second},
		{"-1", 0},
		{"", 5 * time.Minute},
	}
	for _, tt := range tests {
		if got, err := parseTimeSpan(tt.text); err != nil || got != tt.want {
			t.Errorf("%q: got %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestExpandKeepsWhatIsNotSet(t *testing.T) {
	env := []string{"A=old", "A=1", "EMPTY="}
	if got := expand("%A%/%B%/%EMPTY%/100%", env); got != "1/%B%//100%" {
		t.Errorf("got %q", got)
	}
}
