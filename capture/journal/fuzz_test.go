package journal

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

// sample is a compressed file of several frames and the lines in it.
func sample(t testing.TB) ([]byte, []string) {
	lines := numbered(12)
	return concat(compress(t, lines[:5]...), compress(t, lines[5:6]...), compress(t, lines[6:]...)), lines
}

// isTold reports whether err is one of those that say that a file is damaged.
func isTold(err error) bool {
	var corrupt *CorruptError
	var cut *CutError
	return errors.As(err, &corrupt) || errors.As(err, &cut)
}

func TestAFileCutOffAnywhereHoldsTheFramesBefore(t *testing.T) {
	content, lines := sample(t)
	plain := []byte(text(lines...))
	dir := t.TempDir()
	for _, file := range []struct {
		name    string
		content []byte
	}{{"a.jsonl.zst", content}, {"a.jsonl", plain}} {
		path := put(t, dir, file.name, file.content)
		before := -1
		for n := len(file.content); n >= 0; n-- {
			if err := os.Truncate(path, int64(n)); err != nil {
				t.Fatal(err)
			}
			got, _, err := read(t, path, ReaderOptions{})
			if err != nil && !isTold(err) {
				t.Fatalf("%s cut off at %d: %v", file.name, n, err)
			}
			wantLines(t, got, lines[:len(got)])
			if before >= 0 && len(got) > before {
				t.Fatalf("%s cut off at %d: %d lines, one byte more gave %d", file.name, n, len(got), before)
			}
			before = len(got)
			tolerant, damage, err2 := read(t, path, ReaderOptions{AllowCut: true})
			if err2 != nil || (damage.Cut != nil) != (err != nil) {
				t.Fatalf("%s cut off at %d: %v, %+v", file.name, n, err2, damage)
			}
			if cut := damage.Cut; cut != nil && cut.Offset+cut.Bytes != int64(n) {
				t.Fatalf("%s cut off at %d: %+v", file.name, n, cut)
			}
			wantLines(t, tolerant, got)
		}
	}
}

func TestAFlippedBitIsFoundOrHarmless(t *testing.T) {
	content, lines := sample(t)
	dir := t.TempDir()
	for i := range content {
		for bit := range 8 {
			damaged := bytes.Clone(content)
			damaged[i] ^= 1 << bit
			path := put(t, dir, "a.jsonl.zst", damaged)
			got, _, err := read(t, path, ReaderOptions{})
			if err == nil && len(got) != len(lines) || err != nil && !isTold(err) {
				t.Fatalf("byte %d, bit %d: %d lines, %v", i, bit, len(got), err)
			}
			wantLines(t, got, lines[:len(got)])

			salvaged, damage, err2 := read(t, path, ReaderOptions{Salvage: true})
			if err2 != nil || damage.None() != (err == nil) {
				t.Fatalf("byte %d, bit %d: %v, %+v", i, bit, err2, damage)
			}
			if len(salvaged) < len(lines)-6 { // the largest frame has six
				t.Fatalf("byte %d, bit %d: only %d lines salvaged", i, bit, len(salvaged))
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	content, lines := sample(f)
	f.Add(content, true)
	f.Add(content[:len(content)-7], true)
	f.Add(concat(content[:50], content), true)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 4, 0, 0, 0, 0, 3, 0, 0}, true) // says to hold 64 MiB
	f.Add([]byte{0x53, 0x2a, 0x4d, 0x18, 255, 255, 255, 255, 0}, true)
	f.Add([]byte(text(lines...)+"{"), false)
	f.Add([]byte("(\xb5/\xfd80"), false) // compressed, whatever its name says
	f.Fuzz(func(t *testing.T, content []byte, compressed bool) {
		name := "a.jsonl"
		if compressed {
			name = "a.jsonl.zst"
		}
		path := put(t, t.TempDir(), name, content)
		strict, _, err := read(t, path, ReaderOptions{})
		if err != nil && !isTold(err) {
			t.Fatal(err)
		}
		salvaged, damage, err2 := read(t, path, ReaderOptions{Salvage: true})
		if err2 != nil || err == nil && (!damage.None() || len(salvaged) != len(strict)) || len(salvaged) < len(strict) {
			t.Fatalf("%d lines and %v, salvaged %d and %v, %+v", len(strict), err, len(salvaged), err2, damage)
		}
		wantLines(t, salvaged[:len(strict)], strict)

		w, err := Create(path, "", WriterOptions{Append: true})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, w, `{"appended":true}`)
		mustClose(t, w)
		after, _, err := read(t, path, ReaderOptions{Salvage: true})
		if err != nil || len(after) == 0 || after[len(after)-1] != `{"appended":true}` {
			t.Fatalf("after append: %q, %v", after, err)
		}
	})
}

func FuzzWriteAndRead(f *testing.F) {
	f.Add("1\n2\n\n3", 2, "a.jsonl.zst")
	f.Add("{}\n\xff\x00\n", 1000, "a.jsonl")
	f.Fuzz(func(t *testing.T, lines string, frame int, name string) {
		if name != "a.jsonl" && name != "folder" {
			name = "a.jsonl.zst"
		}
		path := t.TempDir() + "/" + name
		w := mustCreate(t, path, WriterOptions{FrameBytes: frame, SegmentBytes: 100})
		var want []string
		for i, line := range strings.Split(strings.ReplaceAll(lines, "\r", ""), "\n") {
			mustAppend(t, w, line)
			if i == 0 {
				line = strings.TrimPrefix(line, string(utf8BOM))
			}
			if line != "" {
				want = append(want, line)
			}
		}
		mustClose(t, w)
		got, _, err := read(t, path, ReaderOptions{Prefix: "trials"})
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, got, want)
	})
}
