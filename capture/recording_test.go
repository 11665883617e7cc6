package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/capture/journal"
)

var when = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// invocationN makes different invocations.
func invocationN(i int) *Invocation {
	return &Invocation{
		ID: fmt.Sprintf("inv-%06d", i), Function: "create-order", Trigger: TriggerOther, Format: FormatOther,
		Source: fmt.Sprintf("import:events/%d.json", i), Time: when.Add(time.Duration(i) * time.Second),
		Event: fmt.Appendf(nil, `{ "n" : %d }`, i),
	}
}

// record writes n invocations to a new recording.
func record(t testing.TB, path string, n int) {
	t.Helper()
	w, err := Create(path, CreateOptions{Tool: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(invocationN(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func openRecording(t testing.TB, path string, opts OpenOptions) *Recording {
	t.Helper()
	r, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// idsIn reads a recording up to the first error.
func idsIn(r *Recording) (ids []string, err error) {
	for inv, err := range r.Invocations() {
		if err != nil {
			return ids, err
		}
		ids = append(ids, inv.ID)
	}
	return ids, nil
}

func wantIDs(t testing.TB, r *Recording, want ...int) {
	t.Helper()
	got, err := idsIn(r)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range want {
		ids = append(ids, invocationN(i).ID)
	}
	if !slices.Equal(got, ids) {
		t.Fatalf("invocations are %v, want %v", got, ids)
	}
}

func TestARecordingGivesBackWhatWasWritten(t *testing.T) {
	var hashes []string
	for _, name := range []string{"orders.rec", "orders.jsonl", "orders.jsonl.zst", "-"} {
		t.Run(name, func(t *testing.T) {
			var stdout bytes.Buffer
			path := name
			if name != "-" {
				path = filepath.Join(t.TempDir(), name)
			}
			w, err := Create(path, CreateOptions{Stdout: &stdout})
			if err != nil {
				t.Fatal(err)
			}
			var want []*Invocation
			for i := range 3 {
				want = append(want, invocationN(i))
			}
			want[1].Event = json.RawMessage("{\n  \"lines\" : 2 }")
			want[2].Context = Context{RequestID: "r-1", ColdStart: true}
			for _, inv := range want {
				if err := w.Write(inv); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r := openRecording(t, path, OpenOptions{Stdin: &stdout})
			for range 2 {
				i := 0
				for inv, err := range r.Invocations() {
					if err != nil {
						t.Fatal(err)
					}
					if inv.ID != want[i].ID || string(inv.Event) != string(want[i].Event) ||
						inv.Context.RequestID != want[i].Context.RequestID {
						t.Errorf("got %+v, want %+v", inv, want[i])
					}
					i++
				}
				if i != len(want) {
					t.Errorf("%d invocations", i)
				}
			}
			counts, err := r.Verify(t.Context())
			if err != nil || counts.Invocations != 3 || !r.Complete() || len(r.Notices()) > 0 {
				t.Error(counts, err, r.Complete(), r.Notices())
			}
			hash, err := r.Hash(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, hash)
		})
	}
	if len(slices.Compact(hashes)) != 1 || len(hashes[0]) != 64 {
		t.Errorf("hashes are %v", hashes)
	}
}

func TestTheManifestSaysWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.rec")
	w, err := Create(path, CreateOptions{Tool: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, i := range []int{5, 3, 9} {
		if err := w.Write(invocationN(i)); err != nil {
			t.Fatal(err)
		}
	}
	inv := invocationN(1)
	inv.Source, inv.Time = "http", time.Time{}
	if err := w.Write(inv); err != nil {
		t.Fatal(err)
	}
	w.AddLost(2)
	if m := openRecording(t, path, OpenOptions{}).Manifest(); m.Complete || m.Counts != (Counts{}) {
		t.Errorf("before the end it is %+v", m)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	m := openRecording(t, path, OpenOptions{}).Manifest()
	if !m.Complete || m.Counts != (Counts{Invocations: 4, Lost: 2}) ||
		m.Version != 1 || m.Tandem != "v1" || m.ID == "" {
		t.Errorf("manifest is %+v", m)
	}
	if !slices.Equal(m.Sources, []string{"http", "import"}) ||
		!m.From.Equal(when.Add(3*time.Second)) || !m.To.Equal(when.Add(9*time.Second)) {
		t.Errorf("manifest is %+v", m)
	}
	doc, err := os.ReadFile(filepath.Join(path, "manifest.json"))
	if err != nil || !strings.Contains(string(doc), `"redaction": null`) {
		t.Errorf("%s %v", doc, err)
	}
}

func TestAnExistingRecordingIsKept(t *testing.T) {
	for _, name := range []string{"orders.rec", "orders.jsonl", "orders.jsonl.zst"} {
		path := filepath.Join(t.TempDir(), name)
		record(t, path, 2)
		_, err := Create(path, CreateOptions{})
		if err == nil || err.Error() != path+" exists: choose another name or add --append" {
			t.Errorf("error is %v", err)
		}
		w, err := Create(path, CreateOptions{Append: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Create(path, CreateOptions{Append: true}); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("a second writer: %v", err)
		}
		if err := w.Write(invocationN(2)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r := openRecording(t, path, OpenOptions{})
		wantIDs(t, r, 0, 1, 2)
	}
	folder := t.TempDir()
	record(t, folder, 1) // an empty folder is a good place
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(other, CreateOptions{Append: true}); !errors.Is(err, errNoManifest) {
		t.Errorf("append to what is no recording: %v", err)
	}
}

func TestAppendCountsARecordingThatWasNotClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.rec")
	w, err := Create(path, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.Write(invocationN(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.PutObject(strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.lines.Close(); err != nil { // and no manifest, as after a kill
		t.Fatal(err)
	}
	w, err = Create(path, CreateOptions{Append: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := openRecording(t, path, OpenOptions{}).Manifest()
	if m.Counts != (Counts{Invocations: 3, Objects: 1}) || !m.From.Equal(when) {
		t.Errorf("manifest is %+v", m)
	}
}

func TestIDsThatAreMadeGrow(t *testing.T) {
	var g ids
	last := ""
	clock := when
	for i := range 5000 {
		clock = clock.Add([]time.Duration{0, 0, time.Millisecond, -time.Hour}[i%4]) // it also goes back
		id, err := g.next(clock)
		if err != nil || id <= last || len(id) != 26 {
			t.Fatalf("%s after %s: %v", id, last, err)
		}
		last = id
	}
	w, err := Create(filepath.Join(t.TempDir(), "a.jsonl"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	inv := invocationN(0)
	inv.ID = ""
	if err := w.Write(inv); err != nil || len(inv.ID) != 26 {
		t.Errorf("ID is %q: %v", inv.ID, err)
	}
	for name, spoil := range map[string]func(*Invocation){
		"white space in the ID": func(inv *Invocation) { inv.ID = "a b" },
		"no function":           func(inv *Invocation) { inv.Function = "" },
		"no JSON":               func(inv *Invocation) { inv.Event = json.RawMessage("{") },
	} {
		inv := invocationN(1)
		spoil(inv)
		if err := w.Write(inv); err == nil {
			t.Errorf("an invocation with %s is accepted", name)
		}
	}
}

func TestManyMayWriteAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.rec")
	w, err := Create(path, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				inv := invocationN(i)
				inv.ID = ""
				if err := w.Write(inv); err != nil {
					t.Error(err)
				}
				if _, _, err := w.PutObject(strings.NewReader(fmt.Sprint("object ", i%3))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, path, OpenOptions{})
	counts, err := r.Verify(t.Context())
	if err != nil || counts != r.Manifest().Counts || counts != (Counts{Invocations: 800, Objects: 3}) {
		t.Fatalf("%+v, manifest %+v: %v", counts, r.Manifest().Counts, err)
	}
	if ids, err := idsIn(r); err != nil || !slices.IsSorted(ids) {
		t.Error("made IDs are not in the order of the recording", err)
	}
}

func TestObjectsAreKeptUnderTheirHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.rec")
	w, err := Create(path, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for range 2 {
		hash, size, err := w.PutObject(strings.NewReader("hello"))
		if err != nil || hash != hello || size != 5 {
			t.Fatal(hash, size, err)
		}
	}
	broken := errors.New("connection lost")
	_, _, err = w.PutObject(io.MultiReader(strings.NewReader("part"), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(path, "objects", "sha256"))
	if err != nil || len(entries) != 1 || entries[0].Name() != hello {
		t.Errorf("objects are %v: %v", entries, err)
	}
	r := openRecording(t, path, OpenOptions{})
	if got, err := readObject(r, hello); got != "hello" || err != nil || r.Manifest().Counts.Objects != 1 {
		t.Errorf("got %q: %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(path, "objects", "sha256", hello), []byte("hellO"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readObject(r, hello); err == nil {
		t.Error("other bytes are not told")
	}
	for _, name := range []string{
		"", "../../manifest.json", strings.ToUpper(hello), hello[:63] + "/", strings.Repeat("0", 64),
	} {
		if _, err := readObject(r, name); err == nil {
			t.Errorf("object %q can be opened", name)
		}
	}

	lone, err := Create(filepath.Join(t.TempDir(), "a.jsonl"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer lone.Close()
	_, _, err = lone.PutObject(strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "record into a folder") {
		t.Errorf("error is %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func readObject(r *Recording, hash string) (string, error) {
	object, err := r.OpenObject(hash)
	if err != nil {
		return "", err
	}
	defer object.Close()
	content, err := io.ReadAll(object)
	return string(content), err
}

func TestARecordingIsForItsOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // its files have no such bits
	}
	dir := filepath.Join(t.TempDir(), "orders.rec")
	w, err := Create(dir, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.PutObject(strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Invocation{Function: "f", Event: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestObjectsThatAKillCutOffAreRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "[a].rec")
	w, err := Create(path, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.PutObject(strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(path, "objects", "sha256")
	if err := os.WriteFile(filepath.Join(folder, "new-123"), []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.lines.Close(); err != nil { // and not w.Close: it was killed
		t.Fatal(err)
	}
	if w, err = Create(path, CreateOptions{Append: true}); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 || !isSHA256(left[0].Name()) {
		t.Errorf("left are %v, %v", left, err)
	}
}
