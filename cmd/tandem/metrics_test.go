package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

func TestMetricsAreOpenMetrics(t *testing.T) {
	s := snapshot(10, 7, 2)
	s.Late = &replay.Spread{P50: 1, P99: 20, Max: 31.5}
	target := &s.Targets[0]
	target.Name = "a \"b\"\\\n"
	target.Fired, target.Throttled, target.Statuses[capture.StatusThrottled] = 8, 3, 0
	target.Latency = replay.Distribution{Count: 7, Sum: 1500 * time.Millisecond}
	for i := range target.Latency.UpTo {
		target.Latency.UpTo[i] = min(int64(i), 6)
	}
	var b strings.Builder
	if err := writeMetrics(&b, s); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^(# (TYPE|UNIT|HELP) [a-z_]+ .+|[a-z_]+(\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\})? [0-9.e+-]+)$`)
	families := map[string]bool{}
	for text := range strings.Lines(strings.TrimSuffix(b.String(), "# EOF\n")) {
		text = strings.TrimSuffix(text, "\n")
		if !line.MatchString(text) {
			t.Errorf("not a line of OpenMetrics: %s", text)
		}
		if name, ok := strings.CutPrefix(text, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			if families[name] {
				t.Errorf("family %s is there twice", name)
			}
			families[name] = true
		}
	}
	for _, want := range []string{
		"tandem_trials_total 7\n", "tandem_late_seconds{quantile=\"1\"} 0.0315\n", "# UNIT tandem_answer_seconds seconds\n",
		`tandem_outcomes_total{target="a \"b\"\\\n",status="function_error"} 2` + "\n",
		`tandem_answer_seconds_bucket{target="a \"b\"\\\n",le="1.0"} 6` + "\n",
		`tandem_answer_seconds_bucket{target="a \"b\"\\\n",le="+Inf"} 7` + "\n",
		`tandem_answer_seconds_sum{target="a \"b\"\\\n"} 1.5` + "\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
	if !strings.HasSuffix(b.String(), "\n# EOF\n") {
		t.Error("it does not end in # EOF")
	}
}

func TestMetricsAreServedOnLoopback(t *testing.T) {
	var all servers
	var said strings.Builder
	a := &app{stderr: &said}
	if err := a.serveMetrics(&all, ":0", new(replay.Progress)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		if err := all.close(); err != nil {
			t.Error(err)
		}
	}()
	url := strings.TrimSpace(strings.TrimPrefix(said.String(), "metrics on "))
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("it says %q", said.String())
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text; version=1.0.0") ||
		!strings.Contains(string(text), "tandem_trials_planned 0\n") {
		t.Errorf("%s, %v:\n%s", resp.Header, err, text)
	}
}
