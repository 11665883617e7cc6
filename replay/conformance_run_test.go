package replay_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

// runAt replays invocations at one contender alone.
func runAt(t *testing.T, c contender, handler http.HandlerFunc, timeout time.Duration, invs ...*capture.Invocation) (
	map[string]*replay.Trial, *replay.RunManifest) {
	t.Helper()
	url, client := serve(t, handler)
	target, err := c.make(url, client)
	if err != nil {
		t.Fatal(err)
	}
	recording := writeRecording(t, invs...)
	opts := replay.Options{
		Recording: openRecording(t, recording), RecordingPath: recording, InFlight: 4, TargetTimeout: timeout,
		Targets: map[string][]replay.Deployment{"f": {{Name: c.name, Kind: c.name, Target: target}}},
		Dir:     filepath.Join(t.TempDir(), "f.run"),
	}
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	return readRun(t, opts.Dir)
}

func TestWhatIsNotAnsweredInTimeIsUnknown(t *testing.T) {
	slow := map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"Out`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	}
	for _, c := range contenders {
		for name, handler := range slow {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				inv := *c.inv
				inv.Function = "f"
				trials, m := runAt(t, c, handler, 30*time.Millisecond, &inv)
				out := trials["i"].Outcomes[c.name]
				if out.Status != capture.StatusUnknown || !strings.Contains(out.Error.Message, "no answer within 30ms") {
					t.Errorf("outcome %s: %+v", out.Status, out.Error)
				}
				if !m.Complete || m.Counts.Trials != 1 || m.Counts.Outcomes[c.name][capture.StatusUnknown] != 1 {
					t.Errorf("counts %+v", m.Counts)
				}
			})
		}
	}
}

func TestAMessageGroupIsFiredInItsOrder(t *testing.T) {
	const n = 12
	for _, c := range contenders {
		if c.group == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var got []string
			var together atomic.Int32
			invs := make([]*capture.Invocation, n)
			for i := range invs {
				invs[i] = c.group(i)
			}
			trials, _ := runAt(t, c, func(w http.ResponseWriter, r *http.Request) {
				if together.Add(1) > 1 {
					t.Error("two of a group are fired at once")
				}
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				got = append(got, messageText.FindString(string(body)))
				mu.Unlock()
				together.Add(-1) // from here on, the answer may be there
				fine(w, r)
			}, 0, invs...)
			for i, text := range got {
				if want := fmt.Sprintf("message %d.", i); text != want {
					t.Errorf("request %d is %q, want %q", i, text, want)
				}
			}
			if len(got) != n || len(trials) != n {
				t.Errorf("%d requests and %d trials, want %d of either", len(got), len(trials), n)
			}
		})
	}
}

var messageText = regexp.MustCompile(`message \d+\.`)
