//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/customhandler"
)

// A replaying is what a replay listens with. It tells of each message that a completion came for.
type replaying struct {
	mu   sync.Mutex
	told map[string]int
	more chan struct{}
	lost int64
}

func (r *replaying) Write(inv *capture.Invocation) error {
	c, err := customhandler.ReadCompletion(inv)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[c.About[0].Message]++
	select {
	case r.more <- struct{}{}:
	default:
	}
	return nil
}

func (r *replaying) Sync() error { return nil }

func (r *replaying) AddLost(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += n
}

// await waits until n messages were told of.
func (r *replaying) await(n int) {
	for {
		r.mu.Lock()
		told := len(r.told)
		r.mu.Unlock()
		if told >= n {
			return
		}
		<-r.more
	}
}

func newReplaying() *replaying {
	return &replaying{told: make(map[string]int), more: make(chan struct{}, 1)}
}

func (r *replaying) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(collector.NewServer(collector.Options{Sink: r, Token: "s3cret"}))
	t.Cleanup(server.Close)
	return "TANDEM_COMPLETIONS=" + server.URL
}

const completionsToken = "TANDEM_COMPLETIONS_TOKEN=s3cret"

func TestAReplayIsToldWhatBecameOfEachCall(t *testing.T) {
	handler := handlerProgram(t)
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"beside recording":     {nil, "30 invocations: 30 recorded; 30 completions told\n"},
		"and without a record": {[]string{"TANDEM_SINK="}, "30 invocations: 0 recorded, 30 not sampled; 30 completions told\n"},
	} {
		t.Run(name, func(t *testing.T) {
			replay := newReplaying()
			r := runBeside(t, handler, append(tt.env, replay.serve(t), completionsToken)...)
			for i := range 30 {
				if err := r.message(fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			replay.await(30) // while the handler runs, and not when it ends
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, readerOf(r.out))
			_ = r.cmd.Wait()
			if !strings.HasSuffix(r.stderr.String(), tt.want) {
				t.Errorf("it says %s", r.stderr.String())
			}
			for message, n := range replay.told {
				if n != 1 {
					t.Errorf("message %s was told of %d times", message, n)
				}
			}
			if _, err := os.Stat(r.recording); (err == nil) != (tt.env == nil) {
				t.Errorf("a recording: %v", err)
			}
		})
	}
}

// The handler is served, and the recording kept, whatever becomes of what completions go to; what is lost is said.
func TestAReplayThatIsNotThereHarmsNobody(t *testing.T) {
	handler := handlerProgram(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusBadRequest)
	}))
	defer refusing.Close()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else it is not seen when the client has gone
		<-r.Context().Done()
	}))
	defer hanging.Close()
	for name, to := range map[string]string{
		"down": "http://" + unusedAddress(t), "refuses": refusing.URL, "hangs": hanging.URL,
	} {
		t.Run(name, func(t *testing.T) {
			r := runBeside(t, handler, "TANDEM_COMPLETIONS="+to, completionsToken)
			for i := range 20 {
				if err := r.message(fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.end(); len(got) != 20 {
				t.Errorf("%d are recorded", len(got))
			}
			if want := "20 invocations: 20 recorded; 0 completions told, 20 LOST\n"; !strings.HasSuffix(r.stderr.String(), want) {
				t.Errorf("it says %s", r.stderr.String())
			}
			if strings.Contains(r.stderr.String(), "s3cret") {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestAWrongAddressForCompletionsLeavesTheHandlerAlone(t *testing.T) {
	r := runBeside(t, handlerProgram(t), "TANDEM_COMPLETIONS=replay:7443")
	if err := r.message("1"); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, readerOf(r.out))
	_ = r.cmd.Wait()
	if want := "nothing is recorded: TANDEM_COMPLETIONS is not the URL"; !strings.Contains(r.stderr.String(), want) {
		t.Errorf("it says %s", r.stderr.String())
	}
}
