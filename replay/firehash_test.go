package replay_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/replay"
)

// A run of a version that knew no FireHash is bound by the hash of the whole config, and says so.
func TestARunOfAnEarlierVersionIsGoneOnWithOrToldHonestly(t *testing.T) {
	opts := optionsFor(t, writeRecording(t, orders(3)...), echo)
	opts.Tool = "tandem 0.1"
	if m, err := replay.Run(t.Context(), t.Context(), opts); err != nil || m.FireHash != "f1" {
		t.Fatalf("%v, %+v", err, m)
	}
	path := filepath.Join(opts.Dir, replay.ManifestName)
	forget := func() {
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(doc, &m); err != nil || m["configHash"] == nil {
			t.Fatalf("%v: %s", err, doc)
		}
		delete(m, "fireHash")
		if doc, err = json.Marshal(m); err == nil {
			err = os.WriteFile(path, doc, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	opts.Resume, opts.Tool = true, "tandem 0.2"
	for _, tt := range []struct {
		name    string
		change  func(*replay.Options)
		refused string // "" when it is not
	}{
		{"another config, which may fire the same", func(o *replay.Options) { o.ConfigHash = "c2" },
			"was made by an earlier version (tandem 0.1), which noted nothing but the hash of the whole config (c1), and this " +
				"config is another one (c2): whether it fires the same is not known"},
		{"another one that is said not to matter", func(o *replay.Options) { o.ConfigHash, o.NewConfig = "c2", true }, ""},
		{"the same config", func(*replay.Options) {}, ""},
	} {
		forget()
		if _, m := readRun(t, opts.Dir); m.FireHash != "" || m.ConfigHash == "" {
			t.Fatalf("the manifest is %+v", m)
		}
		again := opts
		tt.change(&again)
		m, err := replay.Run(t.Context(), t.Context(), again)
		if tt.refused != "" {
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.refused)
			}
			continue
		}
		if err != nil || m.FireHash != "f1" || m.Resumed[len(m.Resumed)-1].FireHash != "" {
			t.Errorf("%s: %v, %+v", tt.name, err, m)
		}
		opts.ConfigHash = again.ConfigHash // as the manifest has it now
	}
}
