package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if isChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// compress makes one frame of lines.
func compress(t testing.TB, lines ...string) []byte {
	t.Helper()
	enc, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll([]byte(text(lines...)), nil)
}

func text(lines ...string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// put writes a file and returns its path.
func put(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// read returns all lines up to the first error.
func read(t testing.TB, path string, opts ReaderOptions) ([]string, Damage, error) {
	t.Helper()
	r, err := Open(path, opts)
	if err != nil {
		return nil, Damage{}, err
	}
	var lines []string
	for line, err := range r.Lines() {
		if err != nil {
			return lines, r.Damage(), err
		}
		lines = append(lines, string(line.Data))
	}
	return lines, r.Damage(), nil
}

func numbered(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"n":%d,"filler":"%x"}`, i, i*7919)
	}
	return lines
}

func wantLines(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d lines, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("line %d is %.100q, want %.100q", i+1, got[i], want[i])
		}
	}
}

func TestAFolderIsReadAsOne(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "trials-000001.jsonl.zst", concat(compress(t, "1", "2"), compress(t, "3")))
	put(t, dir, "trials-000002.jsonl", []byte("4\r\n\r\n5"))
	put(t, dir, "trials-000003.jsonl.zst", nil)
	put(t, dir, "trials-000004.jsonl.zst", compress(t, "6"))
	put(t, dir, "trials-4.jsonl", []byte("not a segment"))
	put(t, dir, "trials-000005.jsonl.zst.part", []byte("not a segment"))
	put(t, dir, "others-000007.jsonl", []byte("another journal"))

	r, err := Open(dir, ReaderOptions{Prefix: "trials"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line, err := range r.Lines() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s:%d@%d", line.Data, filepath.Base(line.File), line.Number, line.Offset))
	}
	second := len(compress(t, "1", "2"))
	wantLines(t, got, []string{
		"1 trials-000001.jsonl.zst:1@0",
		"2 trials-000001.jsonl.zst:2@0",
		fmt.Sprintf("3 trials-000001.jsonl.zst:3@%d", second),
		"4 trials-000002.jsonl:1@0",
		"5 trials-000002.jsonl:3@5",
		"6 trials-000004.jsonl.zst:1@0",
	})
}

func TestForeignFilesAreRead(t *testing.T) {
	big := strings.Repeat("x", 3*readAhead)
	skippable := []byte{0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}
	bare, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file string
		content    []byte
		want       []string
	}{
		{"lines longer than the reader's buffer", "a.jsonl", []byte(text("1", big, "2")), []string{"1", big, "2"}},
		{"compressed under another name, as from a pipe", "spool", compress(t, "1", "2"), []string{"1", "2"}},
		{"plain under any name", "a.txt", []byte("1\n2\n"), []string{"1", "2"}},
		{"a line that goes over frames", "a.jsonl.zst",
			concat(bare.EncodeAll([]byte("1\n2"), nil), bare.EncodeAll([]byte("2\n3"), nil)), []string{"1", "22", "3"}},
		{"a byte order mark", "a.jsonl", []byte("\xef\xbb\xbf1\n2\n"), []string{"1", "2"}},
		{"frames that are there to be skipped", "a.jsonl.zst",
			concat(skippable, compress(t, "1"), skippable, compress(t, "2"), skippable), []string{"1", "2"}},
		{"an empty frame", "a.jsonl.zst", concat(compress(t), compress(t, "1")), []string{"1"}},
		{"nothing", "a.jsonl.zst", nil, nil},
		{"no line end after the last line", "a.jsonl", []byte("{}\n{ }"), []string{"{}", "{ }"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, damage, err := read(t, put(t, t.TempDir(), tt.file, tt.content), ReaderOptions{})
			if err != nil || !damage.None() {
				t.Fatal(err, damage)
			}
			wantLines(t, got, tt.want)
		})
	}
}

func TestAFrameTooLargeForMemoryIsDecodedAsAStream(t *testing.T) {
	// More content than a frame that is read whole may have, though it compresses to little.
	line := strings.Repeat("x", 1<<20)
	content := strings.Repeat(line+"\n", wholeContent>>20+1)
	enc, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	frame := enc.EncodeAll([]byte(content), nil)
	path := put(t, t.TempDir(), "a.jsonl.zst", concat(frame, compress(t, "last")))
	got, _, err := read(t, path, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != wholeContent>>20+2 || got[0] != line || got[len(got)-1] != "last" {
		t.Fatalf("got %d lines", len(got))
	}

	frame[len(frame)-1] ^= 1 // the checksum
	path = put(t, t.TempDir(), "b.jsonl.zst", concat(frame, compress(t, "last")))
	var corrupt *CorruptError
	if _, _, err = read(t, path, ReaderOptions{}); !errors.As(err, &corrupt) || corrupt.Offset != 0 {
		t.Fatalf("error is %v", err)
	}
	got, damage, err := read(t, path, ReaderOptions{Salvage: true})
	if err != nil || damage.Frames != 1 || got[len(got)-1] != "last" {
		t.Fatal(err, damage)
	}
}

func TestDamageIsToldAndSalvaged(t *testing.T) {
	one, two, three := compress(t, "1", "2"), compress(t, "3", "4"), compress(t, "5", "6")
	flipped := bytes.Clone(two)
	flipped[len(flipped)-1] ^= 1
	headless := bytes.Clone(two)
	headless[0] ^= 1
	tests := []struct {
		name     string
		content  []byte
		err      string // what it begins with; %s is the file
		salvaged []string
		frames   int
		bytes    int
	}{
		{"a checksum that does not match", concat(one, flipped, three),
			fmt.Sprintf("%%s: frame at byte %d: checksum does not match; --salvage skips it", len(one)),
			[]string{"1", "2", "5", "6"}, 1, len(two)},
		{"a magic number that is none", concat(headless, two),
			"%s: frame at byte 0: no zstd frame begins here; --salvage skips it", []string{"3", "4"}, 1, len(two)},
		{"a frame cut short in the middle", concat(one, two[:8], three),
			fmt.Sprintf("%%s: frame at byte %d: ", len(one)),
			[]string{"1", "2", "5", "6"}, 1, 8},
		{"nothing good after it", concat(one, flipped),
			fmt.Sprintf("%%s: frame at byte %d: checksum does not match; --salvage skips it", len(one)),
			[]string{"1", "2"}, 1, len(two)},
		{"two damaged frames beside each other", concat(one, flipped, headless, three),
			fmt.Sprintf("%%s: frame at byte %d: checksum does not match; --salvage skips it", len(one)),
			[]string{"1", "2", "5", "6"}, 1, 2 * len(two)},
		{"not a compressed file", []byte("{}\n{}\n"),
			"%s: frame at byte 0: no zstd frame begins here; --salvage skips it", nil, 1, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := put(t, t.TempDir(), "a.jsonl.zst", tt.content)
			_, _, err := read(t, path, ReaderOptions{AllowCut: true})
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error is %v", err)
			}
			if want := fmt.Sprintf(tt.err, path); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error is %q, want %q", err, want)
			}
			got, damage, err := read(t, path, ReaderOptions{Salvage: true})
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, got, tt.salvaged)
			if damage.Frames != tt.frames || damage.Bytes != int64(tt.bytes) || damage.None() {
				t.Errorf("damage is %+v, want %d frames, %d bytes", damage, tt.frames, tt.bytes)
			}
		})
	}
}

func TestMissingSegmentsAreNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "trials-000002.jsonl.zst", compress(t, "1"))
	put(t, dir, "trials-000004.jsonl.zst", compress(t, "2"))
	_, _, err := read(t, dir, ReaderOptions{Prefix: "trials"})
	if err == nil || !strings.Contains(err.Error(), "trials-000001.jsonl.zst, trials-000003.jsonl.zst are missing") {
		t.Fatalf("error is %v", err)
	}
	got, damage, err := read(t, dir, ReaderOptions{Prefix: "trials", Salvage: true})
	if err != nil || len(damage.Missing) != 2 {
		t.Fatal(err, damage)
	}
	wantLines(t, got, []string{"1", "2"})

	put(t, dir, "trials-000004.jsonl", []byte("3\n"))
	if _, err := Open(dir, ReaderOptions{Prefix: "trials", Salvage: true}); err == nil {
		t.Error("one segment in two files is not told")
	}
}

func TestOnlyTheLastSegmentMayBeCut(t *testing.T) {
	dir := t.TempDir()
	whole := compress(t, "1", "2")
	cut := concat(whole, whole[:len(whole)-3])
	put(t, dir, "trials-000001.jsonl.zst", whole)
	put(t, dir, "trials-000002.jsonl.zst", cut)
	var cutErr *CutError
	if _, _, err := read(t, dir, ReaderOptions{Prefix: "trials"}); !errors.As(err, &cutErr) {
		t.Fatalf("error is %v", err)
	}
	want := fmt.Sprintf("cut off at byte %d: the last %d bytes", len(whole), len(whole)-3)
	if !strings.Contains(cutErr.Error(), want) {
		t.Errorf("error is %q, want %q in it", cutErr, want)
	}
	got, damage, err := read(t, dir, ReaderOptions{Prefix: "trials", AllowCut: true})
	if err != nil || damage.Cut == nil || damage.Cut.Offset != int64(len(whole)) {
		t.Fatal(err, damage)
	}
	wantLines(t, got, []string{"1", "2", "1", "2"})

	put(t, dir, "trials-000003.jsonl.zst", whole)
	if _, _, err := read(t, dir, ReaderOptions{Prefix: "trials", AllowCut: true}); !errors.As(err, &cutErr) {
		t.Fatalf("error is %v", err)
	}
	got, damage, err = read(t, dir, ReaderOptions{Prefix: "trials", Salvage: true})
	if err != nil || damage.Frames != 1 || damage.Bytes != int64(len(whole)-3) {
		t.Fatal(err, damage)
	}
	wantLines(t, got, []string{"1", "2", "1", "2", "1", "2"})
}

func TestALineThatIsTooLongIsRefused(t *testing.T) {
	long := strings.Repeat("x", MaxLine+1)
	path := put(t, t.TempDir(), "a.jsonl", []byte("1\n"+long+"y\n2\n"))
	_, _, err := read(t, path, ReaderOptions{})
	if err == nil || err.Error() != path+":2: line is longer than 64 MiB; --salvage skips it" {
		t.Fatalf("error is %.200v", err)
	}
	got, damage, err := read(t, path, ReaderOptions{Salvage: true})
	if err != nil || damage.Lines != 1 {
		t.Fatal(err, damage)
	}
	wantLines(t, got, []string{"1", "2"})
}

func TestReadingStopsWhenNoMoreIsWanted(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "trials-000001.jsonl.zst", compress(t, "1", "2"))
	put(t, dir, "trials-000002.jsonl.zst", compress(t, "3"))
	r, err := Open(dir, ReaderOptions{Prefix: "trials"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and begins from the start again
		for line, err := range r.Lines() {
			if err != nil || string(line.Data) != "1" {
				t.Fatal(err, line)
			}
			break
		}
	}
}
