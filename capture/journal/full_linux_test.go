package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// fullDiskEnv names the folder in which this program, started again, writes until its files may grow no more.
const fullDiskEnv = "TANDEM_JOURNAL_FULL_DISK"

// isChild does what a test started this program again for.
func isChild() bool {
	dir := os.Getenv(fullDiskEnv)
	if dir != "" {
		writeUntilFull(dir)
	}
	return dir != ""
}

func writeUntilFull(dir string) {
	const limit = 64 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		panic(err)
	}
	for _, path := range []string{filepath.Join(dir, "folder"), filepath.Join(dir, "file.jsonl")} {
		w, err := Create(path, "trials", WriterOptions{FrameBytes: 10_000})
		if err != nil {
			panic(err)
		}
		for i := 0; err == nil; i++ {
			err = w.Append(fmt.Appendf(nil, `{"n":%d,"filler":"%x"}`, i, i*i*7919))
		}
		if !errors.Is(w.Close(), syscall.EFBIG) || !errors.Is(w.Append(nil), syscall.EFBIG) {
			panic("the error does not last")
		}
		if err := json.NewEncoder(os.Stdout).Encode(w.Stats()); err != nil {
			panic(err)
		}
	}
}

func TestADiskThatFillsUpLosesOnlyWhatIsCounted(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDiskEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(out)
	for _, name := range []string{"folder", "file.jsonl"} {
		var stats Stats
		if err := dec.Decode(&stats); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		got, _, err := read(t, path, ReaderOptions{Prefix: "trials"})
		if err != nil {
			t.Errorf("%s does not open after the disk was full: %v", name, err)
		}
		if len(got) == 0 || int64(len(got)) != stats.FlushedLines || stats.Lines <= stats.FlushedLines {
			t.Errorf("%s has %d lines, %+v", name, len(got), stats)
		}
		var size int64
		files, err := filepath.Glob(filepath.Join(path, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(files, path) {
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				size += info.Size()
			}
		}
		if size != stats.Bytes || size == 0 {
			t.Errorf("%s has %d bytes, the writer counted %d", name, size, stats.Bytes)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
