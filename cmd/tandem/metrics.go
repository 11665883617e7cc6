package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"tandem/capture"
	"tandem/replay"
)

// serveMetrics serves p as OpenMetrics on addr, "" for nowhere. An address without a host is on loopback.
func (a *app) serveMetrics(all *servers, addr string, p *replay.Progress) error {
	if addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--metrics %s: it is not HOST:PORT or :PORT", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	server, err := all.listen(net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	server.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		_ = writeMetrics(w, p.Snapshot()) // the client has gone
	}))
	a.say("metrics on %s/metrics", server.url())
	return nil
}

// writeMetrics writes a snapshot in the text format of OpenMetrics; see
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md.
func writeMetrics(w io.Writer, s replay.Snapshot) error {
	var m metrics
	m.family("tandem_trials_planned", "gauge", "Trials that the run will have; 0 while the recording is read.")
	m.sample("tandem_trials_planned", s.Total)
	m.family("tandem_trials_resumed", "gauge", "Trials that the run had when it was gone on with.")
	m.sample("tandem_trials_resumed", s.Resumed)
	m.family("tandem_trials", "counter", "Trials that were written, with those before it was gone on with.")
	m.sample("tandem_trials_total", s.Done)
	m.family("tandem_warm_up_invocations", "counter", "Invocations that were fired to warm up.")
	m.sample("tandem_warm_up_invocations_total", s.WarmedUp)
	m.family("tandem_in_flight", "gauge", "Invocations that are being fired.")
	m.sample("tandem_in_flight", s.InFlight)
	m.family("tandem_waiting_in_lanes", "gauge", "Invocations that wait for one before them in their lane.")
	m.sample("tandem_waiting_in_lanes", s.Blocked)
	if s.Late != nil {
		m.family("tandem_late_seconds", "gauge", "How long after they were due invocations were fired.", "seconds")
		for _, q := range []struct {
			name string
			ms   float64
		}{{"0.5", s.Late.P50}, {"0.99", s.Late.P99}, {"1", s.Late.Max}} {
			m.sample("tandem_late_seconds", q.ms/1000, "quantile", q.name)
		}
	}
	m.targets(s.Targets)
	m.WriteString("# EOF\n")
	_, err := io.WriteString(w, m.String())
	return err
}

// metrics is an exposition that is being written.
type metrics struct{ strings.Builder }

func (m *metrics) family(name, kind, help string, unit ...string) {
	fmt.Fprintf(m, "# TYPE %s %s\n", name, kind)
	for _, u := range unit {
		fmt.Fprintf(m, "# UNIT %s %s\n", name, u)
	}
	fmt.Fprintf(m, "# HELP %s %s\n", name, help)
}

// sample writes a value with labels, a name and a value each.
func (m *metrics) sample(name string, value any, labels ...string) {
	m.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		fmt.Fprintf(m, "%c%s=\"%s\"", "{,"[min(i, 1)], labels[i], labelEscapes.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	fmt.Fprintf(m, " %v\n", value)
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m *metrics) targets(targets []replay.TargetSnapshot) {
	m.family("tandem_firings", "counter", "Invocations that were fired at a target.")
	for _, t := range targets {
		m.sample("tandem_firings_total", t.Fired, "target", t.Name)
	}
	m.family("tandem_throttles", "counter", "Requests that a target refused for want of capacity.")
	for _, t := range targets {
		m.sample("tandem_throttles_total", t.Throttled, "target", t.Name)
	}
	m.family("tandem_outcomes", "counter", "Outcomes by target and status.")
	for _, t := range targets {
		for _, status := range knownStatuses {
			m.sample("tandem_outcomes_total", t.Statuses[capture.Status(status)], "target", t.Name, "status", status)
		}
	}
	m.family("tandem_answer_seconds", "histogram", "How long answers took, of the last attempt.", "seconds")
	for _, t := range targets {
		for i, bound := range replay.LatencyBounds {
			m.sample("tandem_answer_seconds_bucket", t.Latency.UpTo[i], "target", t.Name,
				"le", canonical(bound))
		}
		m.sample("tandem_answer_seconds_bucket", t.Latency.Count, "target", t.Name, "le", "+Inf")
		m.sample("tandem_answer_seconds_count", t.Latency.Count, "target", t.Name)
		m.sample("tandem_answer_seconds_sum", t.Latency.Sum.Seconds(), "target", t.Name)
	}
}

// canonical writes a bound as OpenMetrics wants it, so that the same bound is always the same text.
func canonical(bound float64) string {
	text := strconv.FormatFloat(bound, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
