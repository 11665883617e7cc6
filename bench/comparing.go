package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	jd "github.com/josephburnett/jd/v2"

	"tandem/compare"
	"tandem/replay"
)

// comparing is what a contender says of itself on stdout.
type comparing struct {
	Pairs   int64
	Bytes   int64   // of the answers, of both sides
	CPU     float64 // seconds, of all threads
	Seconds float64 // by the clock
	Peak    int64   // of resident memory, in bytes
}

// compareAs has one contender compare the pairs of a run, and prints what it took.
func compareAs(name, run string) error {
	var found *comparing
	var err error
	switch name {
	case "jd":
		found, err = comparePairs(run, func(b, c []byte) (bool, error) {
			x, err := jd.ReadJsonString(string(b))
			if err != nil {
				return false, err
			}
			y, err := jd.ReadJsonString(string(c))
			return len(x.Diff(y)) > 0, err
		})
	case "go-cmp":
		covered := map[string]bool{"orderId": true, "requestId": true, "createdAt": true, "score": true}
		ignore := cmp.FilterPath(func(p cmp.Path) bool {
			m, ok := p.Last().(cmp.MapIndex)
			return ok && covered[m.Key().String()]
		}, cmp.Ignore())
		found, err = comparePairs(run, func(b, c []byte) (bool, error) {
			var x, y any
			if err := json.Unmarshal(b, &x); err != nil {
				return false, err
			}
			if err := json.Unmarshal(c, &y); err != nil {
				return false, err
			}
			return cmp.Equal(x, y, ignore), nil
		})
	default:
		found, err = compareRun(run)
	}
	if err != nil {
		return err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	found.Peak = usage.Maxrss << 10 // Linux counts KiB
	return json.NewEncoder(os.Stdout).Encode(found)
}

// comparePairs has the answers of a run compared, all of which are in memory before. Each comparison has to be true.
func comparePairs(run string, equal func(b, c []byte) (bool, error)) (*comparing, error) {
	const most = 5000 // pairs, which they take long enough for
	r, err := replay.OpenRun(run, replay.RunOptions{})
	if err != nil {
		return nil, err
	}
	var pairs [][2][]byte
	for trial, err := range r.Trials() {
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2][]byte{trial.Outcomes["lambda"].HTTP.Body.JSON, trial.Outcomes["functions"].HTTP.Body.JSON})
		if len(pairs) == most {
			break
		}
	}
	return measured(func(m *comparing) error {
		for i, p := range pairs {
			ok, err := equal(p[0], p[1])
			if err != nil || !ok {
				return fmt.Errorf("pair %d: %t, %w", i, ok, err)
			}
			m.Pairs++
		}
		return nil
	})
}

// compareRun does what `tandem compare RUN` does.
func compareRun(path string) (*comparing, error) {
	rules, err := compare.Preset(compare.LambdaToFunctions)
	if err != nil {
		return nil, err
	}
	rules = append(rules,
		compare.Rule{At: "/body/orderId", Treat: compare.Alias, Why: "each call generates one"},
		compare.Rule{At: "/body/requestId", Treat: compare.Ignore, Why: "for the logs alone"},
		compare.Rule{At: "/**/createdAt", Treat: compare.Time, Within: "2s", Why: "the time of the call"},
		compare.Rule{At: "/body/score", Treat: compare.Tolerance, Within: "0.5", Why: "the model is not exact"},
	)
	run, err := replay.OpenRun(path, replay.RunOptions{})
	if err != nil {
		return nil, err
	}
	m, err := measured(func(m *comparing) error {
		report, err := compare.Run(context.Background(), run, compare.Options{Rules: rules})
		if err != nil {
			return err
		}
		if m.Pairs = report.Trials.Matched; m.Pairs != report.Trials.Total {
			return fmt.Errorf("%+v", report.Trials)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.Bytes, err = bytesOf(path, m.Pairs)
	return m, err
}

// bytesOf estimates the bytes of a run's answers by those of its first one, because all are about as long.
func bytesOf(path string, pairs int64) (int64, error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return 0, err
	}
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	trial, err := replay.ParseTrial(line)
	if err != nil {
		return 0, err
	}
	envelope := len(line)
	for _, o := range trial.Outcomes {
		envelope -= len(o.HTTP.Body.JSON)
	}
	return info.Size() - pairs*int64(envelope), nil
}

// measured times what do does.
func measured(do func(*comparing) error) (*comparing, error) {
	m := new(comparing)
	cpu, err := cpuSeconds()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := do(m); err != nil {
		return nil, err
	}
	m.Seconds = time.Since(start).Seconds()
	m.CPU, err = cpuSeconds()
	m.CPU -= cpu
	return m, err
}

func cpuSeconds() (float64, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("CPU time: %w", err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9, nil
}
