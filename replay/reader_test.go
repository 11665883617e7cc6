package replay_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/replay"
)

const trialLine = `{"invocation":"i1","function":"f","outcomes":{"lambda":{"status":"ok"}}}`

func TestRunsOfAnyoneAreRead(t *testing.T) {
	tests := []struct {
		name, file, text string
		opts             replay.RunOptions
		trials           int
		err, notice      string // "" for none
	}{
		{"plain lines", "run.jsonl", trialLine + "\n\n" + trialLine, replay.RunOptions{}, 2, "", ""},
		{"a line that was not finished", "run.jsonl", trialLine + "\n" + trialLine[:20], replay.RunOptions{}, 1, "", "cut off"},
		{"a line that is not a trial", "run.jsonl", trialLine + "\n{}\n" + trialLine + "\n", replay.RunOptions{}, 1,
			`run.jsonl:2: not a trial: no "invocation"`, ""},
		{"salvage goes on after it", "run.jsonl", trialLine + "\n{}\n" + trialLine + "\n", replay.RunOptions{Salvage: true}, 2,
			"", "skipped 1 lines"},
		{"a folder with trials alone", "trials-000001.jsonl", trialLine + "\n", replay.RunOptions{}, 1, "", ""},
		{"a version that is not known", "manifest.json", `{"version":99}`, replay.RunOptions{}, 0, "version 99 is not known", ""},
		{"a run that is not complete", "manifest.json", `{"version":1,"recording":{"hash":"h"}}`, replay.RunOptions{}, 0,
			"", "not complete"},
		{"a recording", "manifest.json", `{"version":1,"id":"r","complete":true}`, replay.RunOptions{}, 0,
			"not the manifest of a run", ""},
		{"a folder that is no run", "notes.txt", "", replay.RunOptions{}, 0, "is not a run", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			if err := os.WriteFile(filepath.Join(path, tt.file), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if tt.file == "run.jsonl" {
				path = filepath.Join(path, tt.file)
			}
			trials, notices, err := readAll(path, tt.opts)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q in it", err, tt.err)
			}
			if trials != tt.trials {
				t.Errorf("%d trials, want %d", trials, tt.trials)
			}
			if told := strings.Join(notices, "; "); (told == "") != (tt.notice == "") || !strings.Contains(told, tt.notice) {
				t.Errorf("notices %q, want %q", told, tt.notice)
			}
		})
	}
}

func readAll(path string, opts replay.RunOptions) (trials int, notices []string, err error) {
	run, err := replay.OpenRun(path, opts)
	if err != nil {
		return 0, nil, err
	}
	for _, err := range run.Trials() {
		if err != nil {
			return trials, run.Notices(), err
		}
		trials++
	}
	return trials, run.Notices(), nil
}

func TestARunIsNotReadFromStdin(t *testing.T) {
	if _, err := replay.OpenRun("-", replay.RunOptions{}); err == nil || !strings.Contains(err.Error(), "name its folder or file") {
		t.Errorf("OpenRun(-): %v", err)
	}
}
