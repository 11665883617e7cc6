//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/capture/runtimeapi"
)

// BenchmarkAddedLatency invokes a function without and with a recorder, by turns, and reports in microseconds how
// much later the caller has its answer (answer) and how much later the environment is free for the next invocation,
// after the flush to disk (cycle); the most memory that each of the recorder's two processes has had, in MB; and what
// both have at the end, where what they share counts once.
func BenchmarkAddedLatency(b *testing.B) {
	for _, size := range []int{2 << 10, 200 << 10, 5 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			without, with := newPlatform(b), newPlatform(b, "TANDEM_SINK=file:"+filepath.Join(b.TempDir(), "x.rec"))
			without.awake, with.awake = true, true
			without.startAlone(b)
			with.startManaged()
			event := []byte(`{"body":"` + strings.Repeat("order ", size/6) + `"}`)
			const warmUp = 20
			var answers, cycles [2][]time.Duration
			for i := range b.N + warmUp {
				for k, p := range []*platform{without, with} {
					answer, cycle := p.timed(event)
					if i >= warmUp {
						answers[k] = append(answers[k], answer)
						cycles[k] = append(cycles[k], cycle)
					}
				}
			}
			for _, q := range []float64{0.5, 0.99} {
				name := fmt.Sprintf("p%g", q*100)
				b.ReportMetric(float64(quantile(answers[0], q).Microseconds()), name+"-base-us")
				b.ReportMetric(microseconds(answers, q), name+"-answer-us")
				b.ReportMetric(microseconds(cycles, q), name+"-cycle-us")
			}
			worker, extension := with.workerOf(), with.recorder.Process.Pid
			b.ReportMetric(memoryMB(b, worker, "status", "VmHWM"), "worker-peak-MB")
			b.ReportMetric(memoryMB(b, extension, "status", "VmHWM"), "extension-peak-MB")
			both := memoryMB(b, worker, "smaps_rollup", "Pss") + memoryMB(b, extension, "smaps_rollup", "Pss")
			b.ReportMetric(both, "both-Pss-MB")
		})
	}
}

// startAlone starts the runtime without an extension.
func (p *platform) startAlone(b *testing.B) {
	b.Helper()
	p.set(make(chan event, b.N+1000)) // as if one were always ready
	p.startRuntime("task/bootstrap.real")
}

// timed returns when the caller had its answer and when the environment was ready again.
func (p *platform) timed(body []byte) (answer, cycle time.Duration) {
	p.t.Helper()
	p.n++
	req := runtimeapi.Request{ID: "request-" + strconv.Itoa(p.n), Event: body, Deadline: time.Now().Add(patience)}
	started := time.Now()
	if p.recorder != nil {
		p.tellExtension(event{Type: eventInvoke, RequestID: req.ID, DeadlineMS: req.Deadline.UnixMilli()})
	}
	ctx := p.t.Context()
	_, err := p.host.Invoke(ctx, req)
	answer = time.Since(started)
	if err == nil {
		err = p.host.Ready(ctx)
	}
	if err == nil {
		err = p.extensionReady(ctx)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return answer, time.Since(started)
}

// microseconds returns the difference of the quantiles with and without.
func microseconds(of [2][]time.Duration, q float64) float64 {
	return float64((quantile(of[1], q) - quantile(of[0], q)).Microseconds())
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

var field = regexp.MustCompile(`(?m)^(VmHWM|Rss|Pss):\s+(\d+) kB`)

// memoryMB returns what a file in /proc says of a process's memory.
func memoryMB(b testing.TB, pid int, file, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	for _, found := range field.FindAllSubmatch(text, -1) {
		if string(found[1]) == name {
			kb, err := strconv.ParseFloat(string(found[2]), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatalf("no %s in %s", name, file)
	return 0
}
