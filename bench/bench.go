package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type benchOptions struct {
	requests, inFlight, rounds, memory int
}

// A measure is what one contender took in one round.
type measure struct {
	finding
	cpu  time.Duration
	peak int64 // of resident memory, in bytes
}

func (m *measure) perSecond() float64 { return float64(m.Requests) / m.Seconds }

func (m *measure) cpuPerRequest() float64 { return m.cpu.Seconds() / float64(m.Requests) }

func bench(o benchOptions) (err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	invokes := o.requests / invokeShare
	for _, n := range []int{o.requests / 2, invokes} {
		if err := writeRecording(filepath.Join(dir, fmt.Sprintf("%d.rec", n)), n); err != nil {
			return err
		}
	}
	url, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%d requests, %d of Invoke, %d at once, %d rounds in turns; the server is on the same machine\n\n",
		o.requests, invokes, o.inFlight, o.rounds)
	measured := make(map[string][]*measure)
	for range o.rounds {
		for _, turn := range []struct {
			name     string
			requests int
		}{{"vegeta", o.requests}, {"tandem", o.requests}, {"sdk", invokes}, {"invoke", invokes}} {
			m, err := measureOne(dir, turn.name, url, turn.requests, o.inFlight)
			if err != nil {
				return fmt.Errorf("%s: %w", turn.name, err)
			}
			measured[turn.name] = append(measured[turn.name], m)
		}
	}
	fmt.Printf("%-34s %10s %10s %9s\n", "median of the rounds", "requests/s", "CPU µs/req", "peak MiB")
	row("vegeta: one target", measured["vegeta"])
	row("tandem: two targets, a run written", measured["tandem"])
	ratios("tandem/vegeta", measured["tandem"], measured["vegeta"], 1.5, 1)
	row("AWS SDK: Invoke in a loop", measured["sdk"])
	row("tandem: Invoke, a run written", measured["invoke"])
	ratios("tandem/SDK", measured["invoke"], measured["sdk"], 1, 1)
	return others(o, dir, url)
}

// invokeShare is how many times fewer requests are made of the Invoke API, which take that much longer.
const invokeShare = 4

// others measures the error of the schedule, and the memory for a large recording.
func others(o benchOptions, dir, url string) error {
	const rate = 1000
	if err := writeRecording(filepath.Join(dir, "10000.rec"), 10*rate); err != nil {
		return err
	}
	m, err := measureOne(dir, "pace", url, 2*10*rate, 128, "-rate", fmt.Sprint(rate))
	if err != nil {
		return fmt.Errorf("pace: %w", err)
	}
	fmt.Printf("schedule error at %d/s for 10 s, in ms: p50 %.3f, p99 %.3f, max %.3f; wanted of p99: at most 1 (%s)\n",
		rate, m.ErrorMS.P50, m.ErrorMS.P99, m.ErrorMS.Max, verdict(m.ErrorMS.P99 <= 1))
	if o.memory == 0 {
		return nil
	}
	if err := writeRecording(filepath.Join(dir, fmt.Sprintf("%d.rec", o.memory)), o.memory); err != nil {
		return err
	}
	if m, err = measureOne(dir, "tandem", url, 2*o.memory, o.inFlight); err != nil {
		return err
	}
	fmt.Printf("%d invocations: peak %d MiB, %.0f requests/s; wanted: below 150 MB (%s)\n",
		o.memory, m.peak>>20, m.perSecond(), verdict(m.peak < 150e6))
	return nil
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func row(name string, rounds []*measure) {
	fmt.Printf("%-34s %10.0f %10.1f %9.0f\n", name, median(rounds, (*measure).perSecond),
		1e6*median(rounds, (*measure).cpuPerRequest), median(rounds, func(m *measure) float64 { return float64(m.peak) })/(1<<20))
}

// ratios compares round by round, because in one round the machine was about the same for both, and says whether the
// medians are what is wanted: at least so many times the requests, in at most so many times the CPU time for each.
func ratios(name string, ours, theirs []*measure, rate, cpu float64) {
	of := func(f func(*measure) float64) (middle float64, text string) {
		all := make([]float64, len(ours))
		for i := range ours {
			all[i] = f(ours[i]) / f(theirs[i])
		}
		slices.Sort(all)
		middle = all[len(all)/2]
		return middle, fmt.Sprintf("%.2f (%.2f to %.2f)", middle, all[0], all[len(all)-1])
	}
	perSecond, rates := of((*measure).perSecond)
	perRequest, times := of((*measure).cpuPerRequest)
	fmt.Printf("  %s: requests/s %s, CPU/request %s\n", name, rates, times)
	fmt.Printf("  wanted: at least %.2f (%s), at most %.2f (%s)\n\n",
		rate, verdict(perSecond >= rate), cpu, verdict(perRequest <= cpu))
}

func median(rounds []*measure, f func(*measure) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b *measure) int { return cmp.Compare(f(a), f(b)) })
	return f(sorted[len(sorted)/2])
}

// startServer starts the server in a process of its own.
func startServer() (url string, stop func(), err error) {
	cmd := exec.Command(os.Args[0], "server")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	stop = func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // it ends with its stdin
	}
	return "http://" + strings.TrimSpace(addr), stop, err
}

// measureOne gives one contender its turn.
func measureOne(dir, name, url string, requests, inFlight int, more ...string) (*measure, error) {
	own, err := os.MkdirTemp(dir, name)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(own)
	args := append([]string{name, "-url", url, "-dir", own, "-requests", fmt.Sprint(requests), "-in-flight",
		fmt.Sprint(inFlight)}, more...)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	m := &measure{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.peak = usage.Maxrss << 10 // Linux counts KiB
	}
	return m, json.Unmarshal(out, &m.finding)
}
