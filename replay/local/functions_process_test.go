package local

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/capture/customhandler"
)

func TestHandlerThatDiesIsReplaced(t *testing.T) {
	f, url := startApp(t, FunctionsOptions{App: writeApp(t, payloads, map[string]string{
		"die": httpFunction("res", ""), "named": httpFunction("res", ""),
	})})
	for range 3 {
		if resp, body := send(t, "GET", url+"/api/die", ""); resp.StatusCode != 500 || body != "" {
			t.Fatalf("a function that dies got %d %q, want 500 and nothing", resp.StatusCode, body)
		}
		if resp, _ := send(t, "GET", url+"/api/named", ""); resp.StatusCode != 202 {
			t.Fatalf("the next invocation got %d", resp.StatusCode)
		}
	}
	if n := strings.Count(closedLog(t, f), "handler starts"); n != 4 {
		t.Errorf("%d processes were started, want one and three that took a dead one's place", n)
	}
}

func TestConnectionThatHandlerBreaksOffFailsOnlyOnce(t *testing.T) {
	f, url := startApp(t, FunctionsOptions{App: writeApp(t, forwarding, map[string]string{
		"plain": httpFunction("res", `"route":"plain/x"`), "abort": httpFunction("res", ""),
	})})
	send(t, "GET", url+"/api/plain/x", "") // so that a connection is there to be used again
	if resp, body := send(t, "GET", url+"/api/abort", ""); resp.StatusCode != 500 || body != "" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if resp, _ := send(t, "GET", url+"/api/plain/x", ""); resp.StatusCode != http.StatusTeapot {
		t.Errorf("the next invocation got %d", resp.StatusCode)
	}
	log := closedLog(t, f)
	if strings.Count(log, "handler starts") != 1 {
		t.Error("the process was replaced, though it lives")
	}
	if n := strings.Count(log, "abort runs"); n != 1 {
		t.Errorf("the function ran %d times for one request", n)
	}
}

func TestFunctionThatRunsOutOfTimeIsEnded(t *testing.T) {
	f, url := startApp(t, FunctionsOptions{App: writeApp(t, payloads+`,"functionTimeout":"00:00:01"`, map[string]string{
		"hang": httpFunction("res", ""), "named": httpFunction("res", ""),
	})})
	if resp, body := send(t, "GET", url+"/api/hang", ""); resp.StatusCode != 500 || body != "" {
		t.Errorf("got %d %q, want 500 and nothing", resp.StatusCode, body)
	}
	if resp, _ := send(t, "GET", url+"/api/named", ""); resp.StatusCode != 202 {
		t.Errorf("the next invocation got %d", resp.StatusCode)
	}
	if !strings.Contains(f.opts.Log.(*syncBuffer).String(), "handler-1: the handler is replaced") {
		t.Error("its process goes on")
	}
	resp, _ := send(t, "POST", url+"/tandem/handler/hang", `{"Data":{}}`)
	reason := resp.Header.Get(customhandler.HostErrorHeader)
	if resp.StatusCode != http.StatusGatewayTimeout || reason != errOutOfTime.Error() {
		t.Errorf("a replay is told %d %q", resp.StatusCode, reason)
	}
}

func TestRequestsFailWhileNoHandlerStarts(t *testing.T) {
	stop := filepath.Join(t.TempDir(), "stop")
	_, url := startApp(t, FunctionsOptions{Env: []string{"DIE_IF_EXISTS=" + stop},
		App: writeApp(t, payloads, map[string]string{"die": httpFunction("res", ""), "named": httpFunction("res", "")})})
	if err := os.WriteFile(stop, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	send(t, "GET", url+"/api/die", "")
	for range 3 {
		resp, _ := send(t, "GET", url+"/api/named", "")
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("got %d while no handler starts", resp.StatusCode)
		}
	}
	if err := os.Remove(stop); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, _ := send(t, "GET", url+"/api/named", "")
		if resp.StatusCode == 202 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d long after handlers can start again", resp.StatusCode)
		}
	}
}

func TestBackoffGrowsToALimit(t *testing.T) {
	want := []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}
	for deaths, want := range want {
		if got := backoff(deaths); got != want {
			t.Errorf("after %d deaths: %v, want %v", deaths, got, want)
		}
	}
	if got := backoff(1000); got != longestBackoff {
		t.Errorf("after many deaths: %v", got)
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	app := writeApp(t, payloads, map[string]string{"named": httpFunction("res", "")})
	exists := filepath.Join(app, "host.json")
	tests := []struct {
		name string
		opts FunctionsOptions
		want string
	}{
		{"the handler ends", FunctionsOptions{Env: []string{"DIE_IF_EXISTS=" + exists}},
			"ended before it listened on FUNCTIONS_CUSTOMHANDLER_PORT: exit status 1"},
		{"the handler takes too long",
			FunctionsOptions{Env: []string{"START_DELAY=1m"}, StartTimeout: 50 * time.Millisecond},
			"does not listen on FUNCTIONS_CUSTOMHANDLER_PORT after 50ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.App, tt.opts.Processes = app, 2
			f, err := NewFunctions(t.Context(), tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v", f, err)
			}
		})
	}
	t.Run("the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := NewFunctions(ctx, FunctionsOptions{App: app, Env: []string{"START_DELAY=1m"}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSlowStartIsWaitedFor(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{Env: []string{"START_DELAY=200ms"},
		App: writeApp(t, payloads, map[string]string{"named": httpFunction("res", "")})})
	if resp, _ := send(t, "GET", url+"/api/named", ""); resp.StatusCode != 202 {
		t.Errorf("got %d", resp.StatusCode)
	}
}
