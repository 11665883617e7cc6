package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
)

// A run's recording is looked into where the run says that it was, as long as it is the same one, or where --recording
// says. What is not told without it does not stand in the way of the verdict.
func TestCompareLooksIntoTheRecording(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var invocations, trials strings.Builder
	for i := range 40 {
		items, total := "[]", i+1
		if i%2 == 0 {
			items = "[1]"
		} else {
			total *= 100
		}
		fmt.Fprintf(&invocations, `{"id":"i%d","function":"f","trigger":"other","format":"other","event":{"items":%s}}`+"\n", i, items)
		fmt.Fprintf(&trials, `{"invocation":"i%d","function":"f","outcomes":{"lambda":{"status":"ok","result":{"json":{"total":%d}}},`+
			`"functions":{"status":"ok","result":{"json":{"total":%d}}}}}`+"\n", i, i+1, total)
	}
	write("orders.jsonl", invocations.String())
	write("other.jsonl", strings.Replace(invocations.String(), "[1]", "[2]", 1))
	write("trials.jsonl", trials.String())
	rec, err := capture.Open(path("orders.jsonl"), capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	hash, err := rec.Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, where := range map[string]string{"here.run": "orders.jsonl", "gone.run": "gone.jsonl", "changed.run": "other.jsonl"} {
		write(name+"/manifest.json", fmt.Sprintf(`{"version":1,"id":"01K","complete":true,"recording":{"path":%q,"hash":%q,"invocations":40}}`,
			path(where), hash))
		write(name+"/trials-000001.jsonl", trials.String())
	}
	const condition = "only where items is empty"
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
		told bool
	}{
		{"where the run says", []string{"here.run"}, exitDiffers, condition, true},
		{"a lone file of trials", []string{"trials.jsonl"}, exitDiffers, "always ×100", false},
		{"a lone file of trials and its recording", []string{"trials.jsonl", "--recording", path("orders.jsonl")}, exitDiffers, condition, true},
		{"gone", []string{"gone.run"}, exitDiffers, "always ×100", false},
		{"gone, but elsewhere", []string{"gone.run", "--recording", path("orders.jsonl")}, exitDiffers, condition, true},
		{"another one since", []string{"changed.run"}, exitDiffers, "not the one that was replayed", false},
		{"one that is not there", []string{"here.run", "--recording", path("gone.jsonl")}, exitUsage, "no recording at", false},
	} {
		code, stdout, stderr := call(t, append([]string{"compare", path(tt.args[0])}, tt.args[1:]...)...)
		out := strings.Join(strings.Fields(stdout+stderr), " ")
		if code != tt.code || !strings.Contains(out, tt.says) || strings.Contains(out, condition) != tt.told {
			t.Errorf("%s: code %d, %s", tt.name, code, out)
		}
	}
}
