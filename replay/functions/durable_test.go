package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/follow"
)

// A durableApp is a Functions app whose function start starts an orchestration, and answers as
// CreateCheckStatusResponse does. Its status is what HttpApiHandler.cs of Durable Functions makes of one.
type durableApp struct {
	start    http.HandlerFunc   // in the place of the function; may be nil
	statuses []http.HandlerFunc // what questions for the status are answered; the last is for all further ones

	mu     sync.Mutex
	url    string
	starts int
	asked  []*http.Request
}

const (
	durablePath = "/runtime/webhooks/durabletask/instances/abc?taskHub=h&connection=Storage&code=systemhush"
	appKey      = "apphush"
)

func (a *durableApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.URL.Path != "/api/start":
		status := a.statuses[min(len(a.asked), len(a.statuses)-1)]
		a.asked = append(a.asked, r)
		status(w, r)
	case a.start != nil:
		a.starts++
		a.start(w, r)
	default:
		a.starts++
		at := a.url + durablePath
		w.Header().Set("Location", at)
		w.Header().Set("Retry-After", "10")
		reply(202, fmt.Sprintf(`{"id":"abc","statusQueryGetUri":%q,"terminatePostUri":%q}`, at, at+"&reason={text}"))(w, r)
	}
}

func (a *durableApp) seen() (starts int, asked []*http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.starts, slices.Clone(a.asked)
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// orchestration answers that it is in this state, with this output.
func orchestration(state, output string) http.HandlerFunc {
	code := map[string]int{"Running": 202, "Pending": 202, "ContinuedAsNew": 202, "Suspended": 202}[state]
	return reply(max(code, 200), fmt.Sprintf(`{"name":"Order","instanceId":"abc","runtimeStatus":%q,"input":{"a":1},`+
		`"customStatus":"Completed","output":%s,"createdTime":"2026-01-02T03:04:05Z","lastUpdatedTime":"2026-01-02T03:04:06Z"}`,
		state, output))
}

func brokenOff(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

func cutOff(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"runtimeStatus":"Completed","output":1`)
	_ = http.NewResponseController(w).Flush()
	brokenOff(w, r)
}

// target starts the app and returns a target for it.
func (a *durableApp) target(t *testing.T, opts DurableOptions) *Durable {
	t.Helper()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	a.url = server.URL
	opts.URL, opts.Key, opts.HTTP = server.URL+"/api/start", appKey, client
	start, err := NewHTTP(HTTPOptions{URL: opts.URL, Key: opts.Key, HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	opts.Start = start
	// Short, and shorter than the pauses that the app asks for.
	opts.Pace = follow.Pace{Min: time.Millisecond, Max: time.Millisecond, Longest: time.Millisecond, Missing: 3}
	target, err := NewDurable(opts)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func startOrder() *capture.Invocation {
	return &capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatALB,
		Event: []byte(`{"httpMethod":"POST","path":"/","headers":{},"body":"{}"}`),
	}
}

// told is the kind of an outcome, and what it says in one text.
func told(out *capture.Outcome, err error) (kind, text string) {
	var setup *replay.SetupError
	var throttled *replay.ThrottledError
	switch {
	case errors.As(err, &setup):
		return "setup", err.Error()
	case errors.As(err, &throttled):
		return "throttled", err.Error()
	case err != nil:
		return "unknown", err.Error()
	case out.Result != nil:
		text = "result " + string(out.Result.Bytes())
	case out.HTTP != nil:
		text = fmt.Sprint(out.HTTP.Status, " ", string(out.HTTP.Body.Bytes()))
	case out.Error != nil:
		text = out.Error.Message
	}
	return string(out.Status), text
}

func TestAnOrchestrationIsFollowedToItsEnd(t *testing.T) {
	completed := orchestration("Completed", `{"total": 12.50}`)
	running := orchestration("Running", "null")
	busy := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		reply(429, "")(w, r)
	}
	type answers = []http.HandlerFunc
	tests := []struct {
		name     string
		statuses answers
		want     string
		text     string
		asked    int
	}{
		{"completed", answers{completed}, "ok", `result {"total":12.50}`, 1},
		{"completed after a while", answers{orchestration("Pending", "null"), running, orchestration("ContinuedAsNew", "null"),
			orchestration("Suspended", "null"), completed}, "ok", `result {"total":12.50}`, 5},
		{"an output that is null", answers{orchestration("Completed", "null")}, "ok", "result null", 1},
		{"an output that is text", answers{orchestration("Completed", `"Running"`)}, "ok", `result "Running"`, 1},
		{"a large number", answers{orchestration("Completed", "12345678901234567890.0")}, "ok", "result 12345678901234567890.0", 1},
		{"no output", answers{reply(200, `{"runtimeStatus":"Completed"}`)}, "ok", "result null", 1},
		{"failed", answers{running, orchestration("Failed", `"Orchestrator function 'Order' failed: no stock"`)}, "function_error",
			"Orchestrator function 'Order' failed: no stock", 2},
		{"failed, and said so with a 500", answers{reply(500, `{"runtimeStatus":"Failed","output":"no stock"}`)}, "function_error",
			"no stock", 1},
		{"terminated", answers{orchestration("Terminated", `"by hand"`)}, "unknown", "by hand", 1},
		{"canceled", answers{orchestration("Canceled", "null")}, "unknown", "Canceled", 1},
		{"a state of the future", answers{orchestration("Dreaming", "null")}, "unknown", "Dreaming", 1},
		{"connections that break, and the app's own failures",
			answers{brokenOff, cutOff, reply(500, ""), reply(502, "<html>"), reply(503, ""), busy, completed}, "ok", "12.50", 7},
		{"not seen at once", answers{reply(404, ""), running, completed}, "ok", "12.50", 3},
		{"purged", answers{reply(404, "")}, "unknown", "404", 3},
		{"gone", answers{reply(410, "")}, "unknown", "410", 1},
		{"a code that is refused", answers{reply(401, "")}, "setup", "401", 1},
		{"a status that is none", answers{reply(200, `{"output":1}`)}, "unknown", "no runtimeStatus", 1},
		{"a page to log in", answers{reply(302, "")}, "unknown", "302", 1},
		{"a bad request", answers{reply(400, "")}, "unknown", "400", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := durableApp{statuses: tt.statuses}
			mark := capture.Mark{Run: "r", Invocation: "i", Target: "functions"}
			out, err := app.target(t, DurableOptions{}).Fire(replay.WithMark(t.Context(), mark), startOrder())
			kind, text := told(out, err)
			if kind != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("got %s with %q, want %s with %q", kind, text, tt.want, tt.text)
			}
			starts, asked := app.seen()
			if starts != 1 || len(asked) != tt.asked {
				t.Errorf("started %d times and asked %d times, want once and %d", starts, len(asked), tt.asked)
			}
			for _, r := range asked {
				if r.Method != http.MethodGet || r.URL.Query().Get("code") != "systemhush" ||
					r.Header.Get("X-Functions-Key") != "" || r.Header.Get(capture.MarkHeader) != mark.String() {
					t.Errorf("asked with %s %s %v", r.Method, r.URL, r.Header)
				}
			}
			leaks(t, out, err)
		})
	}
}

// leaks fails the test when a key got into an outcome or an error.
func leaks(t *testing.T, out *capture.Outcome, err error) {
	t.Helper()
	line, jsonErr := json.Marshal(out)
	if text := fmt.Sprint(string(line), err); jsonErr != nil || strings.Contains(text, "hush") {
		t.Errorf("a key got out: %s", text)
	}
}

func TestAnswersThatStartNothingOrOtherWork(t *testing.T) {
	located := func(at string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", at)
			reply(202, `{"accepted":true}`)(w, r)
		}
	}
	completed := orchestration("Completed", "1")
	tests := []struct {
		name   string
		start  http.HandlerFunc
		status http.HandlerFunc
		waits  bool
		want   string
		text   string
	}{
		{"refused", reply(400, `{"why":1}`), nil, false, "ok", `400 {"why":1}`},
		{"failed", reply(500, ""), nil, false, "function_error", ""},
		{"a 200 that says of nothing that was started", reply(200, `{"a":1}`), nil, false, "unknown", "no status URL"},
		{"a 202 without a status URL", reply(202, `{"id":"abc"}`), nil, false, "unknown", "no status URL"},
		{"a status URL that is none", located("http://[::1"), nil, false, "unknown", "is none"},
		{"a status URL that is neither whole nor a path", located("status/1"), nil, false, "unknown", "neither"},
		{"a status URL of another kind", located("ftp://host/a"), nil, false, "unknown", "neither"},

		{"other work", located("/api/status/1"), reply(200, `{"state":"done"}`), false, "ok", `200 {"state":"done"}`},
		{"other work that refuses in the end", located("/api/status/1"), reply(422, `{"why":1}`), false, "ok", `422 {"why":1}`},
		{"other work that is forgotten", located("/api/status/1"), reply(404, ``), false, "unknown", "404"},
		{"an orchestration that only Location tells of", located("/api/status/1"), completed, false, "ok", "result 1"},

		{"waited for", reply(200, `{"total": 1}`), nil, true, "ok", `result {"total":1}`},
		{"waited for, without an output", reply(200, ""), nil, true, "ok", "result null"},
		{"waited for, and failed", orchestration("Failed", `"no stock"`), nil, true, "function_error", "no stock"},
		{"waited for, and failed with a 500", reply(500, `{"instanceId":"a","runtimeStatus":"Failed","output":"no stock"}`), nil, true,
			"function_error", "no stock"},
		{"waited for, and terminated", orchestration("Terminated", `"by hand"`), nil, true, "unknown", "by hand"},
		{"waited for in vain", nil, completed, true, "ok", "result 1"},
		{"waits, but refused", reply(400, `{"why":1}`), nil, true, "ok", `400 {"why":1}`},
		{"waits, and answers 204", reply(204, ""), nil, true, "unknown", "204"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := durableApp{start: tt.start, statuses: []http.HandlerFunc{orchestration("Running", "null"), tt.status}}
			if tt.status == nil {
				app.statuses = []http.HandlerFunc{func(http.ResponseWriter, *http.Request) { t.Error("a status was asked for") }}
			}
			out, err := app.target(t, DurableOptions{Waits: tt.waits}).Fire(t.Context(), startOrder())
			kind, text := told(out, err)
			if kind != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("got %s with %q, want %s with %q", kind, text, tt.want, tt.text)
			}
			leaks(t, out, err)
		})
	}
}

func TestAThrottledStartIsNotFollowed(t *testing.T) {
	app := durableApp{start: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}}
	out, err := app.target(t, DurableOptions{}).Fire(t.Context(), startOrder())
	if kind, _ := told(out, err); kind != "throttled" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestTheKeyGoesOnlyToTheAppItIsOf(t *testing.T) {
	var elsewhere durableApp
	elsewhere.statuses = []http.HandlerFunc{orchestration("Completed", "1")}
	elsewhere.target(t, DurableOptions{})
	app := durableApp{statuses: []http.HandlerFunc{orchestration("Completed", "1")}}
	target := app.target(t, DurableOptions{Authorize: func(r *http.Request) error {
		r.Header["Authorization"] = []string{"Bearer token"}
		return nil
	}})
	tests := []struct {
		name, location string
		to             *durableApp
		want, token    string
	}{
		{"its own status", "/api/status/1", &app, appKey, "Bearer token"},
		{"its own status, with a key of its own", "/api/status/1?code=other", &app, "", "Bearer token"},
		{"somebody else's", elsewhere.url + "/api/status/1", &elsewhere, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app.start = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", tt.location)
				w.WriteHeader(http.StatusAccepted)
			}
			out, err := target.Fire(t.Context(), startOrder())
			if err != nil || out.Status != capture.StatusOK {
				t.Fatalf("got %+v, %v", out, err)
			}
			_, asked := tt.to.seen()
			header := asked[len(asked)-1].Header
			if key, token := header.Get("X-Functions-Key"), header.Get("Authorization"); key != tt.want || token != tt.token {
				t.Errorf("key %q and token %q, want %q and %q", key, token, tt.want, tt.token)
			}
		})
	}
}

func TestNoKeyIsAskedWithInTheClear(t *testing.T) {
	start := answering{&capture.Outcome{Status: capture.StatusOK, HTTP: &capture.HTTPAnswer{
		Status: 202, Headers: map[string][]string{"location": {"http://app.example" + durablePath}},
	}}}
	target, err := NewDurable(DurableOptions{Start: start, URL: "https://app.example/api/start"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so that nothing is asked if it is not refused
	out, err := target.Fire(ctx, startOrder())
	if err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("got %+v, %v", out, err)
	}
	leaks(t, out, err)
}

// answering is a function that gives one outcome, as no server here can: it is at an https URL.
type answering struct{ outcome *capture.Outcome }

func (a answering) Fire(context.Context, *capture.Invocation) (*capture.Outcome, error) {
	return a.outcome, nil
}

func TestAnOrchestrationThatDoesNotEndInTimeIsUnknown(t *testing.T) {
	running := orchestration("Running", "null")
	for name, last := range map[string]http.HandlerFunc{"running": running, "broken connection": brokenOff, "cut off": cutOff} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			app := durableApp{statuses: []http.HandlerFunc{running, last, func(w http.ResponseWriter, r *http.Request) {
				cancel()
				last(w, r)
			}}}
			out, err := app.target(t, DurableOptions{}).Fire(ctx, startOrder())
			if out != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("got %+v, %v", out, err)
			}
			leaks(t, out, err)
		})
	}
}

func TestRetryAfterOfAStatusIsHeeded(t *testing.T) {
	for header, want := range map[string]time.Duration{"5": 5 * time.Second, "": 0, "soon": 0, "-1": 0} {
		resp := &http.Response{StatusCode: 202, Header: http.Header{"Retry-After": {header}}}
		_, err := new(durableWork).judge(resp, []byte(`{"runtimeStatus":"Running"}`))
		var pending *follow.Pending
		if !errors.As(err, &pending) || pending.After != want {
			t.Errorf("%q: %v, want %v", header, err, want)
		}
	}
	a := capture.NewHTTPAnswer(202, http.Header{"Location": {"/s"}, "Retry-After": {"10"}}, nil)
	target, err := NewDurable(DurableOptions{URL: "https://app.example/{path}"})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := target.started(a); err != nil || w.after != 10*time.Second || w.status.String() != "https://app.example/s" {
		t.Errorf("got %+v, %v", w, err)
	}
}

func FuzzDurableStatus(f *testing.F) {
	f.Add([]byte(`{"runtimeStatus":"Completed","output":{"a":1}}`))
	f.Add([]byte(`{"runtimeStatus":"Failed","output":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, ok := parseStatus(body)
		if !ok {
			return
		}
		out, err := s.outcome(0)
		if (out == nil) == (err == nil) {
			t.Fatalf("%+v, %v", out, err)
		}
		if out != nil && (out.Status == capture.StatusOK) != (s.RuntimeStatus == "Completed") {
			t.Errorf("%s is %s", s.RuntimeStatus, out.Status)
		}
		if _, err := json.Marshal(out); err != nil {
			t.Error(err)
		}
	})
}
