package distill_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"tandem/capture"
	"tandem/capture/distill"
)

func TestPinnedObjectsAreCopiedBetweenPlainAndEncryptedRecordings(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipients := []age.Recipient{id.Recipient()}
	dir := t.TempDir()
	first := filepath.Join(dir, "plain.rec")
	withObject(t, first, "i-1", "first", "second")
	from := open(t, first)
	for _, step := range []struct {
		name string
		to   []age.Recipient
	}{{"sealed.rec", recipients}, {"again.rec", recipients}, {"back.rec", nil}} {
		path := filepath.Join(dir, step.name)
		w, err := capture.Create(path, capture.CreateOptions{Recipients: step.to})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := distill.Scan(t.Context(), []distill.Source{from}, distill.Options{All: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Write(t.Context(), []distill.Part{{Name: path, Sink: w}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rec, err := capture.Open(path, capture.OpenOptions{Identities: []age.Identity{id}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rec.Close() })
		if got := strings.Join(contentsOf(t, rec), " "); got != "first second" {
			t.Errorf("%s has objects %q", step.name, got)
		}
		if counts := rec.Manifest().Counts; counts.Objects != 2 || counts.Invocations != 1 {
			t.Errorf("%s has %+v", step.name, counts)
		}
		from = distill.Source{Name: path, Recording: rec}
	}
}

// contentsOf returns the bytes of the objects in a recording.
func contentsOf(t *testing.T, rec *capture.Recording) (contents []string) {
	t.Helper()
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range inv.Objects {
			r, err := rec.OpenObject(o.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			contents = append(contents, string(content))
		}
	}
	return contents
}
