package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func mustAppend(t testing.TB, w *Writer, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := w.Append([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
}

func mustCreate(t testing.TB, path string, opts WriterOptions) *Writer {
	t.Helper()
	w, err := Create(path, "trials", opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustClose(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestALineWaitsOneSecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := NewWriter(&out, WriterOptions{})
		flushed := func(after time.Duration, want int64) {
			t.Helper()
			time.Sleep(after) // of the bubble's clock
			synctest.Wait()
			if got := w.Stats().FlushedLines; got != want {
				t.Errorf("%d lines are flushed, want %d", got, want)
			}
		}
		mustAppend(t, w, "1")
		flushed(600*time.Millisecond, 0)
		mustAppend(t, w, "2") // does not put off the first
		flushed(399*time.Millisecond, 0)
		flushed(time.Millisecond, 2)
		flushed(time.Hour, 2)
		mustAppend(t, w, "3")
		flushed(999*time.Millisecond, 2)
		flushed(time.Millisecond, 3)

		mustAppend(t, w, strings.Repeat("x", 1<<20)) // full
		flushed(0, 4)
		mustAppend(t, w, "5") // has a second of its own
		flushed(999*time.Millisecond, 4)
		flushed(time.Millisecond, 5)
		mustAppend(t, w, "6")
		mustClose(t, w)
		if got := strings.Count(out.String(), "\n"); got != 6 {
			t.Errorf("%d lines came out", got)
		}
	})
}

// countingSink counts what is asked of a sink.
type countingSink struct {
	streamSink
	writes, syncs int
}

func (s *countingSink) write(text []byte) (int, error) { s.writes++; return s.streamSink.write(text) }
func (s *countingSink) sync() error                    { s.syncs++; return nil }

func TestFilesAreSyncedOnceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &countingSink{streamSink: streamSink{w: new(bytes.Buffer)}}
		w := start(sink, nil, WriterOptions{FlushAfter: 100 * time.Millisecond}.withDefaults())
		for range 50 { // over ten seconds
			mustAppend(t, w, "1")
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		mustClose(t, w)
		if sink.writes != 50 || sink.syncs < 9 || sink.syncs > 11 {
			t.Errorf("%d writes, %d syncs", sink.writes, sink.syncs)
		}
	})
}

func TestEachWriteIsOfWholeLines(t *testing.T) {
	var writes [][]byte
	w := NewWriter(writerFunc(func(p []byte) (int, error) {
		writes = append(writes, bytes.Clone(p))
		return len(p), nil
	}), WriterOptions{FrameBytes: 10, FlushAfter: time.Hour})
	mustAppend(t, w, "1234", "5678", "9", strings.Repeat("x", 30), "0")
	mustClose(t, w)
	want := []string{"1234\n5678\n", "9\n", strings.Repeat("x", 30) + "\n", "0\n"}
	if fmt.Sprintf("%s", writes) != fmt.Sprintf("%s", want) {
		t.Errorf("writes are %q, want %q", writes, want)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWhatIsWrittenByManyIsRead(t *testing.T) {
	for _, name := range []string{"folder", "a.jsonl", "a.jsonl.zst"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			w := mustCreate(t, path, WriterOptions{FrameBytes: 1000, SegmentBytes: 5000})
			var wg sync.WaitGroup
			for writer := range 4 {
				wg.Go(func() {
					for i := range 2000 {
						if err := w.Append(fmt.Appendf(nil, "%d %d", writer, i)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			mustClose(t, w)
			if stats := w.Stats(); stats.Lines != 8000 || stats.FlushedLines != 8000 || stats.Bytes == 0 {
				t.Errorf("stats are %+v", stats)
			}
			lines, _, err := read(t, path, ReaderOptions{Prefix: "trials"})
			if err != nil || len(lines) != 8000 {
				t.Fatal(len(lines), err)
			}
			var next [4]int // each writer's lines are in its order
			for _, line := range lines {
				var writer, i int
				if _, err := fmt.Sscan(line, &writer, &i); err != nil || next[writer] != i {
					t.Fatalf("line %q, want %d: %v", line, next[writer], err)
				}
				next[writer]++
			}
		})
	}
}

func TestSegmentsEndAtTheirSize(t *testing.T) {
	dir := t.TempDir()
	w := mustCreate(t, dir, WriterOptions{FrameBytes: 1, SegmentBytes: 60})
	mustAppend(t, w, numbered(6)...)
	mustClose(t, w)
	if got := names(t, dir); !strings.HasPrefix(got, "trials-000001.jsonl.zst trials-000002.jsonl.zst trials-000003") {
		t.Errorf("files are %s", got)
	}
	got, _, err := read(t, dir, ReaderOptions{Prefix: "trials"})
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, numbered(6))
}

func TestALineThatCannotBeOneIsRefused(t *testing.T) {
	w := NewWriter(new(bytes.Buffer), WriterOptions{})
	if w.Append([]byte("a\nb")) == nil || w.Append(make([]byte, MaxLine+1)) == nil {
		t.Error("it is not refused")
	}
	mustAppend(t, w, "others are not harmed")
	mustClose(t, w)
	if err := w.Append([]byte("1")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	mustClose(t, w)
}

func TestAFailedWriteEndsTheWriting(t *testing.T) {
	full := errors.New("disk full")
	w := NewWriter(writerFunc(func([]byte) (int, error) { return 0, full }), WriterOptions{FrameBytes: 1})
	mustAppend(t, w, "1")
	if err := w.Flush(); err != full {
		t.Errorf("flush: %v", err)
	}
	if err := w.Append([]byte("2")); err != full {
		t.Errorf("append: %v", err)
	}
	if err := w.Close(); err != full {
		t.Errorf("close: %v", err)
	}
	if stats := w.Stats(); stats != (Stats{Lines: 1}) {
		t.Errorf("stats are %+v", stats)
	}
}

func TestAppendGoesOnInANewSegmentOrAtTheEnd(t *testing.T) {
	for _, name := range []string{"folder", "a.jsonl", "a.jsonl.zst"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			w := mustCreate(t, path, WriterOptions{Append: true}) // nothing is there yet
			mustAppend(t, w, "1", "2")
			mustClose(t, w)
			if _, err := Create(path, "trials", WriterOptions{}); !errors.Is(err, os.ErrExist) {
				t.Errorf("without append: %v", err)
			}
			w = mustCreate(t, path, WriterOptions{Append: true})
			mustAppend(t, w, "3")
			mustClose(t, w)
			got, _, err := read(t, path, ReaderOptions{Prefix: "trials"})
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, got, []string{"1", "2", "3"})
			if name == "folder" && names(t, path) != "trials-000001.jsonl.zst trials-000002.jsonl.zst" {
				t.Errorf("files are %s", names(t, path))
			}
		})
	}
}

func TestTwoWritersCannotHaveOneJournal(t *testing.T) {
	for _, name := range []string{"folder", "a.jsonl"} {
		path := filepath.Join(t.TempDir(), name)
		w := mustCreate(t, path, WriterOptions{})
		if _, err := Create(path, "trials", WriterOptions{Append: true}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: second writer: %v", name, err)
		}
		if _, err := Repair(path, "trials"); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: repair: %v", name, err)
		}
		mustClose(t, w)
		mustClose(t, mustCreate(t, path, WriterOptions{Append: true}))
	}
}

func TestRepairCutsOnlyAnUnfinishedEnd(t *testing.T) {
	frame := compress(t, "1", "2")
	flipped := bytes.Clone(frame)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name, file string
		content    []byte
		cut        int64 // bytes
		after      []byte
	}{
		{"a whole file", "a.jsonl.zst", frame, 0, frame},
		{"an empty file", "a.jsonl.zst", nil, 0, nil},
		{"an unfinished frame", "a.jsonl.zst", concat(frame, frame[:9]), 9, frame},
		{"a few bytes of a header", "a.jsonl.zst", concat(frame, frame[:3]), 3, frame},
		{"zeros, as after a power failure", "a.jsonl.zst", concat(frame, make([]byte, 4096)), 4096, frame},
		{"damage before good frames", "a.jsonl.zst", concat(frame, frame[:9], frame), 0, concat(frame, frame[:9], frame)},
		{"a damaged frame that is whole", "a.jsonl.zst", concat(frame, flipped), 0, concat(frame, flipped)},
		{"whole lines", "a.jsonl", []byte("{}\n{}\n"), 0, []byte("{}\n{}\n")},
		{"an unfinished line", "a.jsonl", []byte("{}\n{\"a"), 3, []byte("{}\n")},
		{"only an unfinished line", "a.jsonl", []byte("{\"a"), 3, nil},
		{"an unfinished line longer than a buffer", "a.jsonl",
			[]byte("{}\n" + strings.Repeat("x", 2*readAhead)), 2 * readAhead, []byte("{}\n")},
		{"a line that lacks its line end", "a.jsonl", []byte("{}\n{}"), 0, []byte("{}\n{}\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := put(t, t.TempDir(), tt.file, tt.content)
			cut, err := Repair(path, "")
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case cut == nil && tt.cut != 0, cut != nil && *cut != (Cut{path, int64(len(tt.content)) - tt.cut, tt.cut}):
				t.Errorf("cut is %v, want %d bytes", cut, tt.cut)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, tt.after) {
				t.Errorf("the file is %q, want %q (%v)", after, tt.after, err)
			}
		})
	}
}

func TestAppendRepairsTheLastSegmentFirst(t *testing.T) {
	dir := t.TempDir()
	frame := compress(t, "1")
	put(t, dir, "trials-000001.jsonl.zst", concat(frame, frame[:9]))
	w := mustCreate(t, dir, WriterOptions{Append: true})
	if w.Cut() == nil || w.Cut().Bytes != 9 {
		t.Errorf("cut is %v", w.Cut())
	}
	mustAppend(t, w, "2")
	mustClose(t, w)
	got, _, err := read(t, dir, ReaderOptions{Prefix: "trials"})
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, []string{"1", "2"})
}

func TestAFileIsReplacedAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "manifest.json")
	for _, content := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("it holds %q: %v", got, err)
		}
	}
	if got := names(t, dir); got != "manifest.json" {
		t.Errorf("files are %s", got)
	}
}
