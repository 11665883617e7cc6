package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Keys that stay the same, so that fuzzing finds the same files.
const (
	aliceKey = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	bobKey   = "AGE-SECRET-KEY-1XGLP4EHX9SU6L5EK6783CL0G35M6CD2TVWJVJSMCC4QZLAHTQY8SSE5Z28"
)

func identity(t testing.TB, key string) *age.X25519Identity {
	t.Helper()
	id, err := age.ParseX25519Identity(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func forAll(ids ...*age.X25519Identity) (recipients []age.Recipient) {
	for _, id := range ids {
		recipients = append(recipients, id.Recipient())
	}
	return recipients
}

// sealedWith returns options for a frame a line.
func sealedWith(goOn bool, ids ...*age.X25519Identity) WriterOptions {
	return WriterOptions{Append: goOn, FrameBytes: 1, SegmentBytes: 400, Recipients: forAll(ids...)}
}

func readAs(id *age.X25519Identity) ReaderOptions {
	return ReaderOptions{Prefix: "trials", Identities: []age.Identity{id}}
}

func salvageAs(id *age.X25519Identity) ReaderOptions {
	opts := readAs(id)
	opts.Salvage = true
	return opts
}

// sealedSample returns an encrypted file of three frames, each with its own lines, and these.
func sealedSample(t testing.TB, id *age.X25519Identity) (frames [][]byte, lines []string) {
	t.Helper()
	lines = numbered(6)
	f, err := newForm(sealed, forAll(id))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(lines); i += 2 {
		frame, err := f.encode([]byte(text(lines[i : i+2]...)))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(frame))
	}
	return frames, lines
}

func TestWhatIsEncryptedIsReadByEachRecipientAlone(t *testing.T) {
	alice, bob := identity(t, aliceKey), identity(t, bobKey)
	for _, name := range []string{"folder", "a.jsonl.zst.age", "stream"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			opts := sealedWith(false, alice, bob)
			lines := append(numbered(9), "a secret "+strings.Repeat("secret", 100))
			if name == "stream" {
				file, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				w := NewWriter(file, opts)
				mustAppend(t, w, lines...)
				mustClose(t, w)
			} else {
				w := mustCreate(t, path, opts)
				mustAppend(t, w, lines...)
				mustClose(t, w)
			}
			for who, id := range map[string]*age.X25519Identity{"alice": alice, "bob": bob} {
				got, damage, err := read(t, path, readAs(id))
				if err != nil || !damage.None() {
					t.Fatalf("%s: %v, %+v", who, err, damage)
				}
				wantLines(t, got, lines)
			}
			err := filepath.WalkDir(path, func(file string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				content, err := os.ReadFile(file)
				if bytes.Contains(content, []byte("secret")) {
					t.Errorf("%s can be read by anybody", file)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// splitSealed reads a file as docs/formats.md describes it, without this package.
func splitSealed(t *testing.T, content []byte, id age.Identity) string {
	t.Helper()
	var compressed bytes.Buffer
	for len(content) > 0 {
		n := binary.LittleEndian.Uint32(content[8:12])
		plain, err := age.Decrypt(bytes.NewReader(content[48:48+n]), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&compressed, plain); err != nil {
			t.Fatal(err)
		}
		content = content[48+n:]
	}
	decoder, err := zstd.NewReader(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	text, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEncryptedFilesCanBeReadWithoutTandem(t *testing.T) {
	alice := identity(t, aliceKey)
	frames, lines := sealedSample(t, alice)
	if got := splitSealed(t, concat(frames...), alice); got != text(lines...) {
		t.Errorf("it reads %q", got)
	}
}

func TestWithoutTheRightKeyNothingIsReadAndTheErrorSaysSo(t *testing.T) {
	alice, bob := identity(t, aliceKey), identity(t, bobKey)
	frames, _ := sealedSample(t, alice)
	both, _ := sealedSample(t, bob)
	dir := t.TempDir()
	lone := put(t, dir, "a.jsonl.zst.age", concat(frames...))
	anyName := put(t, dir, "stdin", concat(frames...))
	changed := put(t, dir, "b.jsonl.zst.age", concat(frames[0], both[0]))
	folder := filepath.Join(dir, "folder")
	w := mustCreate(t, folder, sealedWith(false, alice))
	mustAppend(t, w, "1")
	mustClose(t, w)
	tests := []struct {
		name, path string
		ids        []age.Identity
		wrong      bool
	}{
		{"no key", lone, nil, false},
		{"no key for what has another name", anyName, nil, false},
		{"no key for a folder", folder, nil, false},
		{"another key", lone, []age.Identity{bob}, true},
		{"another key for a folder", folder, []age.Identity{bob}, true},
		{"a key for a part of it", changed, []age.Identity{alice}, true},
	}
	for _, tt := range tests {
		for _, salvage := range []bool{false, true} {
			_, _, err := read(t, tt.path, ReaderOptions{Prefix: "trials", Salvage: salvage, Identities: tt.ids})
			var keyless *KeyError
			if !errors.As(err, &keyless) || keyless.Wrong != tt.wrong {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			for _, want := range []string{tt.path, "--identity", "TANDEM_IDENTITY"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %q does not name %s", tt.name, err, want)
				}
			}
		}
	}
}

func TestAnEncryptedFileCutOffAnywhereGoesOnWithoutAKey(t *testing.T) {
	alice := identity(t, aliceKey)
	frames, lines := sealedSample(t, alice)
	content := concat(frames...)
	dir := t.TempDir()
	for n := len(content); n >= 0; n-- {
		path := put(t, dir, "a.jsonl.zst.age", content[:n])
		whole, end := 0, 0 // what is in front of the cut
		for whole < len(frames) && end+len(frames[whole]) <= n {
			end += len(frames[whole])
			whole++
		}
		got, _, err := read(t, path, readAs(alice))
		var cut *CutError
		if end != n && (!errors.As(err, &cut) || cut.Offset != int64(end)) || end == n && err != nil {
			t.Fatalf("cut off at %d: %v", n, err)
		}
		wantLines(t, got, lines[:2*whole])
		if (n-end)%40 > 1 {
			continue // going on takes longer, and the header is gone through well enough
		}
		w := mustCreate(t, path, sealedWith(true, alice))
		if end != n && (w.Cut() == nil || *w.Cut() != Cut{path, int64(end), int64(n - end)}) {
			t.Fatalf("cut off at %d: %v was cut", n, w.Cut())
		}
		mustAppend(t, w, "more")
		mustClose(t, w)
		got, damage, err := read(t, path, readAs(alice))
		if err != nil || !damage.None() {
			t.Fatalf("cut off at %d and gone on with: %v, %+v", n, err, damage)
		}
		wantLines(t, got, append(lines[:2*whole:2*whole], "more"))
	}
}

func TestAByteThatIsChangedInAnEncryptedFileIsTold(t *testing.T) {
	alice := identity(t, aliceKey)
	frames, lines := sealedSample(t, alice)
	content := concat(frames...)
	dir := t.TempDir()
	for i := range content {
		for _, change := range []byte{1 << (i % 8)} {
			damaged := bytes.Clone(content)
			damaged[i] ^= change
			path := put(t, dir, "a.jsonl.zst.age", damaged)
			got, _, err := read(t, path, readAs(alice))
			if !isTold(err) || !strings.Contains(err.Error(), path) {
				t.Fatalf("byte %d: %v", i, err)
			}
			wantLines(t, got, lines[:len(got)])
			salvaged, damage, err := read(t, path, salvageAs(alice))
			if err != nil || damage.None() || len(salvaged) != len(lines)-2 {
				t.Fatalf("byte %d: %d lines salvaged, %v, %+v", i, len(salvaged), err, damage)
			}
		}
	}
}

func TestFramesThatAreNotAsTheyWereWrittenAreTold(t *testing.T) {
	alice := identity(t, aliceKey)
	f, _ := sealedSample(t, alice)
	others, _ := sealedSample(t, alice)
	miscounted := bytes.Clone(f[1])
	miscounted[12]++
	resum := sumOf(miscounted)
	copy(miscounted[sealSumAt:], resum[:])
	zeros := concat(f[1][:sealHeader], make([]byte, len(f[1])-sealHeader))
	tests := []struct {
		name     string
		content  [][]byte
		salvaged int // lines
		breaks   int
		frames   int
		cut      bool
	}{
		{"the first is gone", [][]byte{f[1], f[2]}, 4, 1, 0, false},
		{"one is gone", [][]byte{f[0], f[2]}, 4, 1, 0, false},
		{"one is there twice", [][]byte{f[0], f[1], f[1], f[2]}, 8, 1, 0, false},
		{"two changed places", [][]byte{f[1], f[0], f[2]}, 6, 3, 0, false},
		{"the last two changed places", [][]byte{f[0], f[2], f[1]}, 6, 2, 0, false},
		{"one is of another file", [][]byte{f[0], others[1], f[2]}, 6, 2, 0, false},
		{"one was put in", [][]byte{f[0], others[0], f[1], f[2]}, 8, 2, 0, false},
		{"two files in one", append(append([][]byte{}, f...), others...), 12, 1, 0, false},
		{"one says to have more lines", [][]byte{f[0], miscounted, f[2]}, 4, 0, 1, false},
		{"something else is between", [][]byte{f[0], []byte("else"), f[1], f[2]}, 6, 0, 1, false},
		{"one is of zeros", [][]byte{f[0], zeros, f[2]}, 4, 0, 1, false},
		{"the last is of zeros, after a power failure", [][]byte{f[0], zeros}, 2, 0, 1, false},
		{"zeros at the end, after a power failure", [][]byte{f[0], make([]byte, 500)}, 2, 0, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := put(t, t.TempDir(), "a.jsonl.zst.age", concat(tt.content...))
			if _, _, err := read(t, path, readAs(alice)); !isTold(err) {
				t.Errorf("it is not told: %v", err)
			}
			got, damage, err := read(t, path, salvageAs(alice))
			if err != nil || len(got) != tt.salvaged || damage.Breaks != tt.breaks || damage.Frames != tt.frames ||
				(damage.Cut != nil) != tt.cut {
				t.Errorf("%d lines salvaged, %+v: %v", len(got), damage, err)
			}
		})
	}
}

func TestSegmentsOfAnEncryptedFolderFollowOneAnother(t *testing.T) {
	alice := identity(t, aliceKey)
	dir := t.TempDir()
	for range 2 { // gone on with once
		w := mustCreate(t, dir, sealedWith(true, alice))
		mustAppend(t, w, numbered(5)...)
		mustClose(t, w)
	}
	segments, err := segmentsOf(dir, "trials")
	if err != nil || len(segments) != 6 {
		t.Fatal(names(t, dir), err)
	}
	got, _, err := read(t, dir, readAs(alice))
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, append(numbered(5), numbered(5)...))
	if n, err := CountSealed(dir, "trials"); n != 10 || err != nil {
		t.Errorf("%d lines: %v", n, err)
	}
	swap := func(a, b string) {
		t.Helper()
		for _, step := range [][2]string{{a, "temp"}, {b, a}, {"temp", b}} {
			if err := os.Rename(filepath.Join(dir, step[0]), filepath.Join(dir, step[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap("trials-000002.jsonl.zst.age", "trials-000004.jsonl.zst.age")
	if _, _, err = read(t, dir, readAs(alice)); !isTold(err) {
		t.Errorf("segments that changed places: %v", err)
	}
	if err := os.Remove(segments[2].path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, readAs(alice)); err == nil || !strings.Contains(err.Error(), "trials-000003.jsonl.zst.age is") {
		t.Errorf("a segment that is gone: %v", err)
	}
	put(t, dir, "trials-000003.jsonl.zst", compress(t, "a line of somebody else"))
	if _, err := Open(dir, salvageAs(alice)); err == nil || !strings.Contains(err.Error(), "one is encrypted and one is not") {
		t.Errorf("a plain segment: %v", err)
	}
}

func TestCountingWithoutAKeyFindsDamage(t *testing.T) {
	frames, _ := sealedSample(t, identity(t, aliceKey))
	flipped := concat(frames...)
	flipped[len(frames[0])+100] ^= 1
	for name, content := range map[string][]byte{"damage": flipped, "a cut": concat(frames...)[:len(frames[0])+100]} {
		dir := t.TempDir()
		put(t, dir, "trials-000001.jsonl.zst.age", content)
		if n, err := CountSealed(dir, "trials"); !isTold(err) {
			t.Errorf("%s: %d lines, %v", name, n, err)
		}
	}
}

func TestPlainAndEncryptedAreNotMixed(t *testing.T) {
	alice := identity(t, aliceKey)
	sealedOpts := sealedWith(true, alice)
	plainOpts := WriterOptions{Append: true}
	frames, _ := sealedSample(t, alice)
	dir := t.TempDir()
	tests := []struct {
		name, path string
		first      *WriterOptions // how it is begun, if it is
		then       WriterOptions
		says       string
	}{
		{"a plain folder", "plain", &plainOpts, sealedOpts, "is not encrypted"},
		{"an encrypted folder", "sealed", &sealedOpts, plainOpts, "--recipient"},
		{"an encrypted file", "a.jsonl.zst.age", &sealedOpts, plainOpts, "--recipient"},
		{"a plain name", "a.jsonl", nil, sealedOpts, "a.jsonl.zst.age"},
		{"a compressed name", "b.jsonl.zst", nil, sealedOpts, "b.jsonl.zst.age"},
		{"an encrypted file with a plain name", put(t, dir, "c.jsonl", frames[0]), nil, plainOpts, "is encrypted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			if tt.first != nil {
				w := mustCreate(t, path, *tt.first)
				mustAppend(t, w, "1")
				mustClose(t, w)
			}
			_, err := Create(path, "trials", tt.then)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAFileThatAgeEncryptedAsAWholeIsTold(t *testing.T) {
	alice := identity(t, aliceKey)
	var whole bytes.Buffer
	w, err := age.Encrypt(&whole, alice.Recipient())
	if err == nil {
		_, err = w.Write(compress(t, "{}"))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	path := put(t, t.TempDir(), "a.jsonl.zst.age", whole.Bytes())
	if _, _, err := read(t, path, readAs(alice)); !isTold(err) || !strings.Contains(err.Error(), "age -d") {
		t.Errorf("error is %v", err)
	}
}

func TestALongLineIsEncrypted(t *testing.T) {
	alice := identity(t, aliceKey)
	path := filepath.Join(t.TempDir(), "a.jsonl.zst.age")
	line := strings.Repeat("x", MaxLine)
	w := mustCreate(t, path, sealedWith(false, alice))
	mustAppend(t, w, line, "next")
	mustClose(t, w)
	got, _, err := read(t, path, readAs(alice))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != line || got[1] != "next" {
		t.Errorf("%d lines", len(got))
	}
}

func FuzzSealedReader(f *testing.F) {
	alice := identity(f, aliceKey)
	frames, _ := sealedSample(f, alice)
	f.Add(concat(frames...))
	f.Add(concat(frames...)[:len(frames[0])+60])
	f.Add(concat(frames[0], frames[0], []byte("x"), frames[2]))
	f.Add(concat(sealMagic, []byte{255, 255, 255, 3}, make([]byte, 40), frames[1]))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := put(t, t.TempDir(), "a.jsonl.zst.age", content)
		strict, _, err := read(t, path, readAs(alice))
		if err != nil && !isTold(err) {
			t.Fatal(err)
		}
		salvaged, damage, err2 := read(t, path, salvageAs(alice))
		if err2 != nil || damage.None() != (err == nil) || len(salvaged) < len(strict) {
			t.Fatalf("%d lines and %v, salvaged %d and %v, %+v", len(strict), err, len(salvaged), err2, damage)
		}
		wantLines(t, salvaged[:len(strict)], strict)
		w := mustCreate(t, path, sealedWith(true, alice))
		mustAppend(t, w, "appended")
		mustClose(t, w)
		after, _, err := read(t, path, salvageAs(alice))
		if err != nil || len(after) == 0 || after[len(after)-1] != "appended" {
			t.Fatalf("after append: %q, %v", after, err)
		}
	})
}
