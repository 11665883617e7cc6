package capture

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"tandem/capture/journal"
)

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func encryptedTo(ids ...*age.X25519Identity) (opts CreateOptions) {
	for _, id := range ids {
		opts.Recipients = append(opts.Recipients, id.Recipient())
	}
	return opts
}

func openedBy(id *age.X25519Identity) OpenOptions {
	return OpenOptions{Identities: []age.Identity{id}}
}

// recordTo writes n invocations, from the first on, with a frame for each.
func recordTo(t testing.TB, path string, opts CreateOptions, first, n int) {
	t.Helper()
	opts.Journal = journal.WriterOptions{FrameBytes: 1, SegmentBytes: 1000}
	w, err := Create(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(invocationN(first + i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnEncryptedRecordingGivesBackWhatWasWritten(t *testing.T) {
	alice, bob := newIdentity(t), newIdentity(t)
	plain := filepath.Join(t.TempDir(), "plain.rec")
	record(t, plain, 5)
	want, err := openRecording(t, plain, OpenOptions{}).Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orders.rec", "orders.jsonl.zst.age", "-"} {
		for _, id := range []*age.X25519Identity{alice, bob} {
			var stdout bytes.Buffer
			path := name
			if name != "-" {
				path = filepath.Join(t.TempDir(), name)
			}
			create := encryptedTo(alice, bob)
			create.Stdout = &stdout
			recordTo(t, path, create, 0, 5)
			opts := openedBy(id)
			opts.Stdin = &stdout
			r := openRecording(t, path, opts)
			wantIDs(t, r, 0, 1, 2, 3, 4)
			if !r.Encrypted() || !r.Complete() || len(r.Notices()) > 0 {
				t.Errorf("%s: encrypted %v, complete %v, notices %q", name, r.Encrypted(), r.Complete(), r.Notices())
			}
			if got, err := r.Hash(t.Context()); got != want || err != nil {
				t.Errorf("%s: hash %s, of the plain recording %s: %v", name, got, want, err)
			}
		}
	}
}

func TestTheManifestOfAnEncryptedRecordingSaysNothingOfItsContents(t *testing.T) {
	alice := newIdentity(t)
	path := filepath.Join(t.TempDir(), "orders.rec")
	for i := range 2 {
		opts := encryptedTo(alice)
		opts.Append = true
		recordTo(t, path, opts, 3*i, 3)
	}
	m := openRecording(t, path, openedBy(alice)).Manifest()
	if m.Encryption != "age" || m.Counts.Invocations != 6 || !m.Complete {
		t.Errorf("manifest is %+v", m)
	}
	if len(m.Sources) > 0 || !m.From.IsZero() || !m.To.IsZero() {
		t.Errorf("it tells %v, %v, %v", m.Sources, m.From, m.To)
	}
}

func TestWithoutAKeyAnEncryptedRecordingIsNamedAndItsFlag(t *testing.T) {
	alice := newIdentity(t)
	dir := t.TempDir()
	for _, name := range []string{"orders.rec", "a.jsonl.zst.age"} {
		path := filepath.Join(dir, name)
		recordTo(t, path, encryptedTo(alice), 0, 2)
		for who, opts := range map[string]OpenOptions{
			"none": {}, "none, salvaging": {Salvage: true}, "another": openedBy(newIdentity(t)),
		} {
			r, err := Open(path, opts)
			if err == nil {
				_, err = r.Verify(t.Context())
			}
			var keyless *journal.KeyError
			if !errors.As(err, &keyless) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--identity") {
				t.Errorf("%s, key %s: %v", name, who, err)
			}
		}
	}
	empty := filepath.Join(dir, "empty.rec")
	recordTo(t, empty, encryptedTo(alice), 0, 0)
	if _, err := Open(empty, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "--identity") {
		t.Errorf("without invocations: %v", err)
	}
}

func TestARecordingIsPlainOrEncryptedAsAWhole(t *testing.T) {
	alice := newIdentity(t)
	dir := t.TempDir()
	plain, sealed := filepath.Join(dir, "plain.rec"), filepath.Join(dir, "sealed.rec")
	recordTo(t, plain, CreateOptions{}, 0, 0)
	recordTo(t, sealed, encryptedTo(alice), 0, 0) // without a file that would tell
	encrypted := encryptedTo(alice)
	encrypted.Append = true
	for path, opts := range map[string]CreateOptions{plain: encrypted, sealed: {Append: true}} {
		_, err := Create(path, opts)
		var mix *journal.MixError
		if !errors.As(err, &mix) || mix.Path != path || !strings.Contains(err.Error(), "--recipient") {
			t.Errorf("error is %v", err)
		}
	}
	recordTo(t, plain, CreateOptions{Append: true}, 0, 1)
	recordTo(t, sealed, encrypted, 0, 1)
}

func TestAFrameThatIsGoneFromTheEndIsTold(t *testing.T) {
	alice := newIdentity(t)
	path := filepath.Join(t.TempDir(), "orders.rec")
	recordTo(t, path, encryptedTo(alice), 0, 5)
	segments, err := filepath.Glob(filepath.Join(path, "*.age"))
	if err != nil || len(segments) < 2 {
		t.Fatal(segments, err)
	}
	if err := os.Remove(segments[len(segments)-1]); err != nil {
		t.Fatal(err)
	}
	_, err = openRecording(t, path, openedBy(alice)).Verify(t.Context())
	if err == nil || !strings.Contains(err.Error(), "says 5 invocations") {
		t.Errorf("error is %v", err)
	}
}

const helloHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// putObjects keeps objects in a recording, twice each, and returns the hash of the last one.
func putObjects(t *testing.T, path string, opts CreateOptions, objects ...string) (hash string) {
	t.Helper()
	w, err := Create(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range append(objects, objects...) {
		if hash, _, err = w.PutObject(strings.NewReader(object)); err != nil {
			t.Fatal(err)
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
	return hash
}

// sealedFiles returns the encrypted objects in a recording, by their paths, and how many keys of names it has.
func sealedFiles(t *testing.T, path string) (objects []string, keys int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, "objects", "hmac-sha256"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "key-") {
			keys++
			continue
		}
		objects = append(objects, filepath.Join(path, "objects", "hmac-sha256", e.Name()))
	}
	return objects, keys
}

func TestEncryptedObjectsAreFoundByReadersAlone(t *testing.T) {
	alice, bob := newIdentity(t), newIdentity(t)
	path := filepath.Join(t.TempDir(), "orders[1].rec")
	opts := encryptedTo(alice, bob)
	opts.Append = true
	if got := putObjects(t, path, opts, "other", "hello"); got != helloHash {
		t.Errorf("hash is %s", got)
	}
	files, keys := sealedFiles(t, path)
	if len(files) != 2 || keys != 1 {
		t.Fatalf("%d objects, %d keys", len(files), keys)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || strings.Contains(file, helloHash) || bytes.Contains(content, []byte("hello")) {
			t.Errorf("%s tells what is in it: %v", file, err)
		}
	}
	worldHash := putObjects(t, path, opts, "hello", "world") // by another Writer, which cannot tell that hello is there
	for _, id := range []*age.X25519Identity{alice, bob} {
		r := openRecording(t, path, openedBy(id))
		for hash, want := range map[string]string{helloHash: "hello", worldHash: "world"} {
			if got, err := readObject(r, hash); got != want || err != nil {
				t.Errorf("got %q: %v", got, err)
			}
		}
		counts, err := r.Verify(t.Context())
		if err != nil || counts.Objects != 4 || r.Manifest().Counts.Objects != 4 {
			t.Errorf("%+v, manifest %+v: %v", counts, r.Manifest().Counts, err)
		}
		if _, err := readObject(r, strings.Repeat("0", 64)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an object that is not there: %v", err)
		}
	}
	var keyless *journal.KeyError
	if _, err := readObject(openRecording(t, path, openedBy(newIdentity(t))), helloHash); !errors.As(err, &keyless) {
		t.Errorf("with another key: %v", err)
	}
}

func TestAByteThatIsChangedInAnEncryptedObjectIsTold(t *testing.T) {
	alice := newIdentity(t)
	path := filepath.Join(t.TempDir(), "orders.rec")
	putObjects(t, path, encryptedTo(alice), "hello")
	objects, _ := sealedFiles(t, path)
	good, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	try := func(content []byte, what string, at int) {
		t.Helper()
		if err := os.WriteFile(objects[0], content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readObject(openRecording(t, path, openedBy(alice)), helloHash)
		if err == nil || !strings.HasPrefix("hello", got) || !strings.Contains(err.Error(), objects[0]) {
			t.Errorf("%s at byte %d: %q, %v", what, at, got, err)
		}
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1 << (i % 8)
		try(changed, "changed", i)
		try(good[:i], "cut off", i)
	}
	other := filepath.Join(t.TempDir(), "other.rec")
	putObjects(t, other, encryptedTo(alice), "world")
	others, _ := sealedFiles(t, other)
	content, err := os.ReadFile(others[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(objects[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readObject(openRecording(t, path, openedBy(alice)), helloHash); err == nil {
		t.Error("another object under its name is not told")
	}
}
