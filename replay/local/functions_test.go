package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/effects"
)

// httpFunction is a function.json with an HTTP trigger; extra goes into the trigger.
func httpFunction(output, extra string) string {
	if extra != "" {
		extra = "," + extra
	}
	return `{"bindings":[{"type":"httpTrigger","direction":"in","name":"req","authLevel":"anonymous"` + extra + `},` +
		`{"type":"http","direction":"out","name":"` + output + `"}]}`
}

const queueFunction = `{"bindings":[{"type":"queueTrigger","direction":"in","name":"message","queueName":"q"}]}`

// writeApp writes an app for the test handler. Host is what follows customHandler's description in host.json.
func writeApp(t *testing.T, host string, functions map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("host.json", fmt.Sprintf(
		`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":%q,"arguments":["-x","%%WORD%%"]}%s}`,
		build(t, "functionshandler"), host))
	for name, doc := range functions {
		write(name+"/function.json", doc)
	}
	return dir
}

const (
	forwarding = `,"enableForwardingHttpRequest":true}`
	payloads   = `}`
)

// startApp runs an app and serves it.
func startApp(t *testing.T, opts FunctionsOptions) (*Functions, string) {
	t.Helper()
	log := new(syncBuffer)
	opts.Log = log
	f, err := NewFunctions(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	srv := httptest.NewServer(f.Handler())
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return f, srv.URL
}

// closedLog closes an app and returns its log. What handlers write comes over a pipe, and is all there only then.
func closedLog(t *testing.T, f *Functions) string {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.opts.Log.(*syncBuffer).String()
}

// syncBuffer is a buffer that a test reads while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// client follows no redirects and keeps no connections.
var client = &http.Client{
	Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Minute,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends a request and returns the answer with its body read. Header lines are "Name: value".
func send(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(content)
}

func TestForwardedRequestArrivesAsItWasSent(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{App: writeApp(t, forwarding, map[string]string{
		"plain": httpFunction("res", `"route":"plain/{*rest}"`),
	})})
	body := "\x00\xff bytes"
	resp, answer := send(t, "PUT", url+"/api/plain/a%20b/%2F+c?x=1&y=%20&z", body,
		"X-Twice: one", "X-Twice: two", "Host: ignored", "User-Agent: test/1")
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("status %d, want the handler's 418", resp.StatusCode)
	}
	if got := resp.Header.Values("Set-Cookie"); len(got) != 2 || got[0] != "a=1; Path=/" || got[1] != "b=2; HttpOnly" {
		t.Errorf("Set-Cookie lines %q", got)
	}
	var got struct {
		Method, URI, Host string
		Header            http.Header
		Body              []byte
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.URI != "/api/plain/a%20b/%2F+c?x=1&y=%20&z" || string(got.Body) != body {
		t.Errorf("got %s %s %q", got.Method, got.URI, got.Body)
	}
	if "http://"+got.Host != url {
		t.Errorf("host %q, want the one that the client named", got.Host)
	}
	if twice := got.Header.Values("X-Twice"); len(twice) != 2 {
		t.Errorf("X-Twice arrived as %q", twice)
	}
	if got.Header.Get("X-Azure-Functions-InvocationId") == "" {
		t.Error("no invocation ID")
	}
	if !strings.HasPrefix(got.Header.Get("User-Agent"), "test/1 Azure-Functions-Host/") {
		t.Errorf("user agent %q", got.Header.Get("User-Agent"))
	}
}

func TestForwardedRequestWithoutBodyHasNone(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{App: writeApp(t, forwarding, map[string]string{
		"plain": httpFunction("res", `"route":"plain/{*rest}"`),
	})})
	for _, method := range []string{"GET", "POST", "DELETE", "PUT"} {
		_, answer := send(t, method, url+"/api/plain/x", "")
		if !strings.Contains(answer, `"length":0`) {
			t.Errorf("%s: the handler got %s", method, answer)
		}
	}
}

func TestForwardedQueryJoinsRepeatedNames(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"nothing repeated stays as it came", "b=%20x&a=1+2&c", "b=%20x&a=1+2&c"},
		{"values are joined, and encoded anew", "a=1&b=x+y&a=2", "a=1%2C2&b=x%20y"},
		{"names are the same whatever their case", "A=1&a=2", "A=1%2C2"},
		{"what cannot be decoded is left alone", "a=%zz&a=1", "a=%zz&a=1"},
		{"none", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := forwardedQuery(tt.raw); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPayloadAndOutputs(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{App: writeApp(t, payloads, map[string]string{
		"payload": httpFunction("res", `"route":"payload/{id:int}"`),
		"returns": httpFunction("$return", ""),
		"named":   httpFunction("res", ""),
		"silent":  `{"bindings":[{"type":"httpTrigger","direction":"in","name":"r","authLevel":"anonymous"}]}`,
		"untyped": httpFunction("res", ""),
		"fails":   httpFunction("res", ""),
	})})

	resp, answer := send(t, "POST", url+"/api/payload/7?a=1&a=2", `{"n":1.0}`, "Content-Type: application/json")
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("X-Number") != "5" ||
		resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
	}
	var got struct {
		Data struct {
			Req struct {
				URL, Method, Body string
				Query, Params     map[string]string
				Headers           map[string][]string
			}
		}
		Metadata struct{ Sys struct{ MethodName string } }
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	req := got.Data.Req
	if req.URL != url+"/api/payload/7?a=1&a=2" || req.Method != "POST" || req.Body != `{"n":1.0}` ||
		req.Query["a"] != "1,2" || req.Params["id"] != "7" || len(req.Headers["Content-Type"]) != 1 {
		t.Errorf("the handler got %s", answer)
	}
	if got.Metadata.Sys.MethodName != "payload" {
		t.Errorf("MethodName %q", got.Metadata.Sys.MethodName)
	}
	if len(resp.Header.Get("X-Id")) != 36 {
		t.Errorf("invocation ID %q", resp.Header.Get("X-Id"))
	}

	tests := []struct {
		function    string
		status      int
		body        string
		contentType string
		why         string
	}{
		{"returns", 200, "\xb5\xeb-", "application/octet-stream", "a return value that is base64 is decoded"},
		{"named", 202, "test", "text/plain; charset=utf-8", "the body of a named output is not"},
		{"silent", 204, "", "", "a function without an HTTP output has nothing to say"},
		{"untyped", 500, "", "", "an answer must say that it is JSON"},
		{"fails", 500, "", "", "a handler's reason does not get out"},
	}
	for _, tt := range tests {
		t.Run(tt.function, func(t *testing.T) {
			resp, body := send(t, "GET", url+"/api/"+tt.function, "")
			if resp.StatusCode != tt.status || body != tt.body || resp.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("%s: got %d %q %q", tt.why, resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
		})
	}
}

func TestRoutingAndKeys(t *testing.T) {
	keyed := func(level string) string {
		return strings.Replace(httpFunction("res", ""), `"anonymous"`, `"`+level+`"`, 1)
	}
	f, url := startApp(t, FunctionsOptions{
		FunctionKey: "fk", MasterKey: "mk", Env: []string{"AzureWebJobs.off2.Disabled=1"},
		App: writeApp(t, payloads+`,"extensions":{"http":{"routePrefix":""}}`, map[string]string{
			"named":  keyed("function"),
			"silent": strings.Replace(keyed("admin"), `"name":"req"`, `"name":"req","route":"top/{x}","methods":["get"]`, 1),
			"fails":  httpFunction("res", `"route":"top/secret"`),
			"off":    strings.Replace(keyed("anonymous"), "{", `{"disabled":true,`, 1),
			"off2":   keyed("anonymous"),
		}),
	})
	if keys := f.Keys(); keys.Master != "mk" || keys.Function != "fk" || keys.System == "" {
		t.Errorf("keys %+v", f.Keys())
	}
	tests := []struct {
		name, method, path string
		header             string
		want               int
	}{
		{"no key", "GET", "/named", "", 401},
		{"wrong key", "GET", "/named?code=nope", "", 401},
		{"key in the query", "GET", "/named?code=fk", "", 202},
		{"key in the header", "GET", "/named", "x-functions-key: fk", 202},
		{"the master key opens everything", "GET", "/named?code=mk", "", 202},
		{"the path's case does not matter", "GET", "/NAMED/?code=fk", "", 202},
		{"an admin function wants the master key", "GET", "/top/x?code=fk", "", 401},
		{"and takes it", "GET", "/top/x?code=mk", "", 200},
		{"a literal comes before a parameter", "GET", "/top/Secret", "", 500},
		{"a method that is not listed is not found", "POST", "/top/x?code=mk", "", 404},
		{"no such route", "GET", "/top", "", 404},
		{"a function that is disabled in its file", "GET", "/off", "", 404},
		{"a function that is disabled by a setting", "GET", "/off2", "", 404},
		{"paths are not cleaned, and nobody is sent elsewhere", "GET", "//named?code=fk", "", 404},
		{"the status of the host", "GET", "/admin/host/status", "x-functions-key: mk", 200},
		{"is not for everyone", "GET", "/admin/host/status", "", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.header != "" {
				header = append(header, tt.header)
			}
			if resp, body := send(t, tt.method, url+tt.path, "", header...); resp.StatusCode != tt.want {
				t.Errorf("got %d %q, want %d", resp.StatusCode, body, tt.want)
			}
		})
	}
}

func TestKeysAreMadeUp(t *testing.T) {
	var k Keys
	k.fillIn()
	if len(k.Master) < 40 || len(k.Function) < 40 || k.Master == k.Function {
		t.Errorf("made up %+v", k)
	}
}

func TestHandlerEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "must not get out")
	app := writeApp(t, payloads, map[string]string{"environment": httpFunction("res", "")})
	_, url := startApp(t, FunctionsOptions{App: app, Env: []string{"WORD=w", "TZ=Asia/Tokyo"}})
	_, answer := send(t, "GET", url+"/api/environment", "")
	var got struct {
		Env, Args []string
		Dir       string
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for name, want := range map[string]string{
		"FUNCTIONS_WORKER_RUNTIME": "custom", "AzureWebJobsScriptRoot": app, "WORD": "w", "TZ": "Asia/Tokyo",
		"AWS_SECRET_ACCESS_KEY": "",
	} {
		if got := lookup(got.Env, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(got.Args) != 2 || got.Args[1] != "w" {
		t.Errorf("arguments %q, want %%WORD%% replaced", got.Args)
	}
	if resolved, _ := filepath.EvalSymlinks(app); got.Dir != app && got.Dir != resolved {
		t.Errorf("works in %s, want the app's folder", got.Dir)
	}
}

func TestEffectsBelongToTheirInvocation(t *testing.T) {
	server, err := effects.NewServer(effects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_, url := startApp(t, FunctionsOptions{
		Effects: server, Processes: 2, App: writeApp(t, payloads, map[string]string{"queue": queueFunction}),
	})
	var calls sync.WaitGroup
	marks := make([]string, 8)
	for i := range marks {
		marks[i] = capture.Mark{Run: "r", Invocation: fmt.Sprint("i", i), Target: "functions"}.String()
		calls.Go(func() {
			body := fmt.Sprintf(`{"Data":{"message":"from %d"},"Metadata":{}}`, i)
			resp, answer := send(t, "POST", url+"/tandem/handler/queue", body, capture.MarkHeader+": "+marks[i])
			if resp.StatusCode != 200 {
				t.Errorf("got %d %s", resp.StatusCode, answer)
			}
		})
	}
	calls.Wait()
	for i, mark := range marks {
		work, ok := server.Take(mark)
		if !ok || len(work.Effects) != 1 || string(work.Effects[0].Body.Bytes()) != fmt.Sprintf("from %d", i) {
			t.Errorf("invocation %d has %+v", i, work)
		}
	}
	send(t, "POST", url+"/tandem/handler/queue", `{"Data":{"message":"x"}}`, "X-Azure-Functions-InvocationId: own")
	if work, ok := server.Take("own"); !ok || len(work.Effects) != 1 {
		t.Errorf("an invocation without a mark is not known by its ID: %+v", work)
	}
	resp, _ := send(t, "GET", url+"/tandem/effects?tag=none", "")
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown tag got %d", resp.StatusCode)
	}
}

// meeting is where handlers come to and wait for the test.
type meeting struct {
	arrived chan string // the pid of a handler that has come
	leave   chan struct{}
}

// newMeeting returns a meeting and the setting that leads handlers to it.
func newMeeting(t *testing.T) (*meeting, string) {
	m := &meeting{arrived: make(chan string), leave: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case m.arrived <- r.URL.Query().Get("pid"):
		case <-r.Context().Done():
			return
		}
		select {
		case <-m.leave:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	return m, "MEET=" + srv.URL
}

func TestEachProcessWorksOnOneInvocation(t *testing.T) {
	m, setting := newMeeting(t)
	_, url := startApp(t, FunctionsOptions{Processes: 2, Env: []string{setting},
		App: writeApp(t, forwarding, map[string]string{"meet": httpFunction("res", "")})})
	const requests = 6
	var calls sync.WaitGroup
	for range requests {
		calls.Go(func() {
			if resp, body := send(t, "GET", url+"/api/meet", ""); resp.StatusCode != 200 {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
		})
	}
	first, second := <-m.arrived, <-m.arrived
	if first == second {
		t.Errorf("process %s works on two invocations at once", first)
	}
	for range requests - 2 {
		m.leave <- struct{}{}
		<-m.arrived
	}
	close(m.leave)
	calls.Wait()
}

func TestAnswersStream(t *testing.T) {
	m, setting := newMeeting(t)
	_, url := startApp(t, FunctionsOptions{Env: []string{setting},
		App: writeApp(t, forwarding, map[string]string{"stream": httpFunction("res", "")})})
	resp, err := client.Get(url + "/api/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	half := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, half); err != nil || string(half) != "first" {
		t.Fatalf("got %q, %v while the function still runs", half, err)
	}
	<-m.arrived
	close(m.leave)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("then got %q, %v", rest, err)
	}
}

func TestHTTPClientDoesNotWaitForever(t *testing.T) {
	m, setting := newMeeting(t)
	_, url := startApp(t, FunctionsOptions{Env: []string{setting}, HTTPTimeout: 50 * time.Millisecond,
		App: writeApp(t, forwarding, map[string]string{"meet": httpFunction("res", "")})})
	done := make(chan int)
	go func() {
		resp, _ := send(t, "GET", url+"/api/meet", "")
		done <- resp.StatusCode
	}()
	<-m.arrived
	if status := <-done; status != http.StatusBadGateway {
		t.Errorf("got %d, want 502 while the function runs on", status)
	}
	m.leave <- struct{}{} // it is still there
}

func TestLargeRequestsAreRefused(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{App: writeApp(t, payloads, map[string]string{
		"named": httpFunction("res", ""),
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/api/named", io.LimitReader(zeros{}, maxRequest+1))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = maxRequest + 1
	req.Header.Set("Expect", "100-continue") // so that the refusal comes before the body is sent
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
