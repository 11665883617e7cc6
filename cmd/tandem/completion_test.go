package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/config"
	"tandem/replay/completion"
)

// A firing is a target that does what a test says.
type firing func(ctx context.Context) (*capture.Outcome, error)

func (f firing) Fire(ctx context.Context, _ *capture.Invocation) (*capture.Outcome, error) {
	return f(ctx)
}

// waiting waits for a completion that nobody reports.
func waiting(b *completion.Board) firing {
	return func(ctx context.Context) (*capture.Outcome, error) {
		w := b.Expect(completion.Message("m"))
		defer w.Close()
		return nil, w.Await(ctx, func(w *completion.Wait) bool { return len(w.Reports(completion.Message("m"))) > 0 })
	}
}

func TestADeadlineEndsTheWaitAndSaysSo(t *testing.T) {
	for name, target := range map[string]func(*completions) firing{
		"a target that tells the cause": func(c *completions) firing { return waiting(c.board) },
		"a target that tells its own": func(*completions) firing {
			return func(ctx context.Context) (*capture.Outcome, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("ask the store: %w", ctx.Err())
			}
		},
	} {
		c := newCompletions()
		h, err := c.around(target(c), &config.Completion{Deadline: "10ms"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Fire(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "no completion within 10ms") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A broken is a source that has ended.
type broken struct{ completion.Source }

func (broken) Name() string                                 { return "the log" }
func (broken) Open(context.Context) error                   { return nil }
func (broken) Run(context.Context, *completion.Board) error { return errors.New("the hub is gone") }

func TestWhatIsNotHeardSaysWhichSourceHasEnded(t *testing.T) {
	c := newCompletions()
	ended := make(chan struct{})
	s := &broken{}
	var err error
	if c.group, err = completion.Start(t.Context(), c.board, func(error) { close(ended) }, s); err != nil {
		t.Fatal(err)
	}
	c.sources = []completion.Source{s}
	<-ended
	for _, on := range []bool{true, false} {
		h := &heard{Target: waiting(c.board), all: c, after: 1}
		if on {
			h.sources = c.sources
		}
		_, err := h.Fire(t.Context(), nil)
		if says := strings.Contains(fmt.Sprint(err), "the log ended before the replay did: the hub is gone"); says != on {
			t.Errorf("depends on it: %v, %v", on, err)
		}
	}
	var said []string
	c.stop(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if len(said) != 1 || !strings.Contains(said[0], "the hub is gone") {
		t.Errorf("%q", said)
	}
}

func TestFunctionsShareWhatIsOne(t *testing.T) {
	c := newCompletions()
	const hub = "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=s3cret"
	for _, group := range []string{"", "", "other"} {
		cfg := &config.Completion{
			Recorder: &config.Recorder{Listen: "127.0.0.1:0"},
			Logs:     &config.Logs{Connection: hub, Hub: "logs", ConsumerGroup: group},
		}
		if _, err := c.around(firing(nil), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.sources) != 3 { // a recorder, and two groups of one hub
		t.Errorf("%d sources", len(c.sources))
	}
	for name, l := range map[string]*config.Logs{
		"no connection string": {Connection: "s3cret", Hub: "logs"},
		"another hub":          {Connection: hub + ";EntityPath=other", Hub: "logs"},
	} {
		if _, err := c.around(firing(nil), &config.Completion{Logs: l}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nothing is fired where not all sources can be had, and a plan opens none.
func TestSourcesAreOpenBeforeAnythingIsFired(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rec := write("r.jsonl", `{"id":"1","function":"f","trigger":"sqs","format":"sqs","time":"2026-01-01T00:00:00Z",`+
		`"event":{"Records":[{"messageId":"m","body":"b","eventSource":"aws:sqs"}]},"context":{}}`+"\n")
	cfg := write("tandem.yaml", fmt.Sprintf(`version: 1
functions:
  f:
    lambda: {function: f, endpoint: "http://127.0.0.1:1"}
    functions:
      queue: {account: "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:1/a;", name: orders}
      completion: {recorder: {listen: "%s"}}
`, taken.Addr()))
	if code, stdout, stderr := call(t, "replay", rec, "-c", cfg, "--plan"); code != 0 || !strings.Contains(stdout, "1 invocation") {
		t.Errorf("plan: %d, %s%s", code, stdout, stderr)
	}
	out := filepath.Join(dir, "run")
	code, _, stderr := call(t, "replay", rec, "-c", cfg, "-o", out)
	if code == 0 || !strings.Contains(stderr, "listen for completions") {
		t.Errorf("%d, %s", code, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("there is a run")
	}
}
