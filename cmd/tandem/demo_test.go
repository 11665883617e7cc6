package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"tandem/capture"
	"tandem/compare"
	"tandem/fixtures/orders/mistakes"
)

// recordDemo records the sample application under its traffic, and returns the folder that it did so in.
func recordDemo(t *testing.T, programs string) string {
	t.Helper()
	d := startDemo(t, demoOptions{programs: programs, dir: filepath.Join(t.TempDir(), "demo"), times: 1})
	if err := d.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d.dir
}

func startDemo(t *testing.T, opts demoOptions) *demo {
	t.Helper()
	d, err := (&app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}).newDemo(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.log.Close(); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(d.log.Name()); t.Failed() && err == nil {
			t.Logf("%s", text[max(0, len(text)-4000):])
		}
	})
	return d
}

// replayDemo compares what became of the recording in folder with a port that has some mistakes.
func replayDemo(t *testing.T, programs, folder, mistakes string) *compare.Report {
	t.Helper()
	d := startDemo(t, demoOptions{
		programs: programs, dir: filepath.Join(t.TempDir(), "demo"), times: 1, mistakes: mistakes, fixed: mistakes == "",
	})
	if err := os.Symlink(filepath.Join(folder, "orders.rec"), d.path("orders.rec")); err != nil {
		t.Fatal(err)
	}
	if err := d.replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := d.compare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// All mistakes together, and none, are shown by testdata/script/demo.txtar, which has the race detector.
func TestEachMistakeAloneIsOneClusterOfItsFunction(t *testing.T) {
	programs := orders(t)
	for _, mistake := range mistakes.All {
		t.Run(mistake.Name, func(t *testing.T) {
			t.Parallel()
			report := leanDemo(t, programs, mistake.Name)
			if report.Verdict != compare.Differs || report.Trials.Inconclusive != 0 || report.Trials.Unreplayable != 0 {
				t.Errorf("verdict %s, trials %+v", report.Verdict, report.Trials)
			}
			if len(report.Clusters) != 1 {
				t.Errorf("%d clusters, want 1", len(report.Clusters))
			}
			for _, c := range report.Clusters {
				t.Logf("%s %s %s: %d trials, %s %s", c.Function, c.Path, c.Kind, c.Trials, c.Cause, c.Condition)
				if c.Function != mistake.Function {
					t.Errorf("a cluster of %s, want %s", c.Function, mistake.Function)
				}
			}
			for name, function := range report.Functions {
				if name != mistake.Function && function.Trials.Differed != 0 {
					t.Errorf("%d trials of %s differ", function.Trials.Differed, name)
				}
			}
		})
	}
}

// leanDemo runs tandem demo, without the race detector, with a mistake that the port has, and returns its report.
func leanDemo(t *testing.T, programs, mistake string) *compare.Report {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	p, err := startProcess("", os.Environ(), lean(), "demo", "--programs", programs, "--mistakes", mistake, "-o", dir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if code, err := p.finish(); code != 1 || err != nil {
		text, _ := p.stderr.read()
		log, _ := os.ReadFile(filepath.Join(dir, "functions.log"))
		t.Fatalf("exit code %d, %v:\n%s\n%s", code, err, text, log[max(0, len(log)-4000):])
	}
	report := new(compare.Report)
	if err := json.Unmarshal(p.stdout.Bytes(), report); err != nil {
		t.Fatal(err)
	}
	return report
}

// The recording holds what the driver sent, each kind with the outcome that Lambda had.
func TestTheDemoRecordsAllThatTheDriverSends(t *testing.T) {
	rec, err := capture.Open(filepath.Join(recordDemo(t, orders(t)), "orders.rec"), capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	functions, objects := map[string]int{}, 0
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		functions[inv.Function]++
		objects += len(inv.Objects)
		if inv.Outcome == nil {
			t.Errorf("invocation %s of %s has no outcome", inv.ID, inv.Function)
		}
	}
	if functions["create-order"] != 65 || functions["process-order"] != 20 || functions["import-catalog"] != 12 {
		t.Errorf("invocations %v", functions)
	}
	if objects != 12 {
		t.Errorf("%d objects are pinned, want those that import-catalog read", objects)
	}
}
