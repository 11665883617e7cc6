package distill_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/capture/distill"
)

// discard is a sink that keeps nothing, or fails.
type discard struct{ err error }

func (d discard) Write(*capture.Invocation) error { return d.err }

func (d discard) PutObject(io.Reader) (string, int64, error) { return "", 0, d.err }

// lanesIn reads the lanes of an invocation that traffic in lanes consists of.
func lanesIn(inv *capture.Invocation) []string {
	return strings.Fields(strings.Trim(string(inv.Event), `"`))
}

func laned(id string, lanes ...string) *capture.Invocation {
	return invocation(id, "f", fmt.Sprintf("%q", strings.Join(lanes, " ")), nil)
}

func TestInvocationsThatShareALaneStayTogetherInOrder(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		var invs []*capture.Invocation
		for i := range 200 {
			lanes := []string{}
			for range r.IntN(4) {
				lanes = append(lanes, fmt.Sprint("lane-", r.IntN(150)))
			}
			invs = append(invs, laned(fmt.Sprintf("i-%03d", i), lanes...))
		}
		source := record(t, invs...)
		opts := distill.Options{
			All: r.IntN(2) == 0, PerClass: 150, Seed: seed, Parts: 1 + r.IntN(4), Lanes: lanesIn,
		}
		report, parts := run(t, opts, source)
		checkSums(t, report, 200, 0)
		partOf := map[string]int{}
		var written []string
		for n, part := range parts {
			if !slices.IsSorted(ids(part)) {
				t.Errorf("seed %d: part %d is out of order: %v", seed, n, ids(part))
			}
			if got := report.Written[n].Invocations; got != int64(len(part)) {
				t.Errorf("seed %d: part %d has %d, reported are %d", seed, n, len(part), got)
			}
			for _, inv := range part {
				written = append(written, inv.ID)
				for _, lane := range lanesIn(inv) {
					if other, there := partOf[lane]; there && other != n {
						t.Fatalf("seed %d: %s is in part %d and in %d", seed, lane, other, n)
					}
					partOf[lane] = n
				}
			}
		}
		slices.Sort(written)
		if len(slices.Compact(written)) != int(report.Kept) {
			t.Errorf("seed %d: %d different ones are written, kept are %d", seed, len(slices.Compact(written)), report.Kept)
		}
		if opts.All && report.Kept != 200 {
			t.Errorf("seed %d: %d of 200 are kept", seed, report.Kept)
		}
		for _, k := range report.Invocations {
			n := slices.IndexFunc(report.Written, func(p distill.PartReport) bool { return p.Name == k.Written })
			if n < 0 || !slices.Contains(ids(parts[n]), k.ID) {
				t.Errorf("seed %d: %s is not in %s", seed, k.ID, k.Written)
			}
		}
	}
}

func TestPartsAreOfLikeSize(t *testing.T) {
	var free, bound []*capture.Invocation
	for i := range 400 {
		free = append(free, laned(fmt.Sprint("i-", i)))
		bound = append(bound, laned(fmt.Sprint("i-", i), fmt.Sprint("lane-", i)))
	}
	for _, test := range []struct {
		name     string
		invs     []*capture.Invocation
		min, max int64
	}{
		{"nothing binds them: dealt in turn", free, 100, 100},
		{"each in a lane of its own: dealt by hash", bound, 60, 140},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, _ := run(t, distill.Options{All: true, Parts: 4, Lanes: lanesIn}, record(t, test.invs...))
			for _, part := range report.Written {
				if part.Invocations < test.min || part.Invocations > test.max {
					t.Errorf("%d, want %d to %d", part.Invocations, test.min, test.max)
				}
			}
		})
	}
}

// withObject records an invocation that names objects of these contents.
func withObject(t *testing.T, path, id string, contents ...string) {
	t.Helper()
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inv := invocation(id, "f", fmt.Sprintf(`{%q:1}`, id), nil)
	for _, content := range contents {
		sum, size, err := w.PutObject(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		inv.Objects = append(inv.Objects, capture.Object{Bucket: "b", Key: "k", Size: size, SHA256: sum})
	}
	write(t, w, inv)
}

func TestPinnedObjectsAreCopied(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.rec"), filepath.Join(dir, "two.rec")
	withObject(t, one, "i-1", "first", "second")
	withObject(t, two, "i-2", "second", "third", "")
	to := filepath.Join(dir, "to.rec")
	report := distillTo(t, to, distill.Options{}, open(t, one), open(t, two))
	if report.MissingObjects != 0 {
		t.Errorf("%d are missing", report.MissingObjects)
	}
	rec := open(t, to).Recording
	counts, err := rec.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counts.Objects != 4 {
		t.Errorf("%d objects, want 4", counts.Objects)
	}
	var contents []string
	for _, inv := range all(t, distill.Source{Recording: rec}) {
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
	if want := []string{"first", "second", "second", "third", ""}; !slices.Equal(contents, want) {
		t.Errorf("copied %q, want %q", contents, want)
	}
}

func distillTo(t *testing.T, path string, opts distill.Options, sources ...distill.Source) *distill.Report {
	t.Helper()
	report, err := tryDistill(t, path, opts, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func tryDistill(t *testing.T, path string, opts distill.Options, sources ...distill.Source) (*distill.Report, error) {
	t.Helper()
	plan, err := distill.Scan(t.Context(), sources, opts)
	if err != nil {
		return nil, err
	}
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return plan.Write(t.Context(), []distill.Part{{Name: path, Sink: w}})
}

func TestObjectsThatAreNotThere(t *testing.T) {
	dir := t.TempDir()
	damage := func(name string, harm func(object string) error) string {
		path := filepath.Join(dir, name)
		withObject(t, path, "i-1", "first")
		objects, err := filepath.Glob(filepath.Join(path, "objects", "sha256", "*"))
		if err != nil || len(objects) != 1 {
			t.Fatalf("%v, %v", objects, err)
		}
		if err := harm(objects[0]); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := damage("gone.rec", os.Remove)
	other := damage("other.rec", func(path string) error { return os.WriteFile(path, []byte("fIrst"), 0o644) })
	lone := filepath.Join(dir, "lone.jsonl")
	whole := damage("whole.rec", func(string) error { return nil })
	distillTo(t, filepath.Join(dir, "copy.rec"), distill.Options{}, open(t, whole))
	line := onlyLine(t, filepath.Join(dir, "copy.rec"))
	if err := os.WriteFile(lone, line, 0o644); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		name, path string
		to         string
		salvage    bool
		wantErr    string
	}{
		{"its file is gone", gone, "to.rec", false, "object k of bucket b: open "},
		{"its file is gone, and salvage", gone, "to.rec", true, ""},
		{"its file has other bytes", other, "to.rec", false, "bytes are not those of its hash; --salvage leaves it out"},
		{"its file has other bytes, and salvage", other, "to.rec", true, ""},
		{"the recording is one file, which has none", lone, "to.rec", false, ""},
		{"both recordings are one file", lone, "to.jsonl", false, ""},
		{"there is no place for it", whole, "to.jsonl", true, "record into a folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			to := filepath.Join(dir, fmt.Sprint(i, test.to))
			report, err := tryDistill(t, to, distill.Options{Salvage: test.salvage}, open(t, test.path))
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("%v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if report.MissingObjects != 1 || report.Kept != 1 {
				t.Errorf("%d missing, %d kept, want 1 of each", report.MissingObjects, report.Kept)
			}
		})
	}
}

// onlyLine returns the line of a recording that has one.
func onlyLine(t *testing.T, path string) []byte {
	t.Helper()
	for line, err := range open(t, path).Recording.Lines() {
		if err != nil {
			t.Fatal(err)
		}
		return append(bytes.Clone(line.Data), '\n')
	}
	t.Fatal("no line")
	return nil
}

func TestWhatTheRecordingsLackIsReported(t *testing.T) {
	dir := t.TempDir()
	whole, killed := filepath.Join(dir, "whole.rec"), filepath.Join(dir, "killed.rec")
	for _, path := range []string{whole, killed} {
		w, err := capture.Create(path, capture.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.AddLost(3)
		write(t, w, invocation(filepath.Base(path), "f", `{}`, nil))
	}
	manifest := filepath.Join(killed, "manifest.json")
	doc, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	doc = bytes.Replace(doc, []byte(`"complete": true`), []byte(`"complete": false`), 1)
	if err := os.WriteFile(manifest, doc, 0o644); err != nil {
		t.Fatal(err)
	}
	report := distillTo(t, filepath.Join(dir, "to.jsonl"), distill.Options{}, open(t, whole), open(t, killed))
	want := []distill.SourceReport{
		{Name: whole, Invocations: 1, Lost: 3, Complete: true}, {Name: killed, Invocations: 1, Lost: 3},
	}
	if !slices.Equal(report.Recordings, want) {
		t.Errorf("%+v, want %+v", report.Recordings, want)
	}
}
