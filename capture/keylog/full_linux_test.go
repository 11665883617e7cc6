package keylog

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// fullDiskEnv makes this program, started again, write until its files may grow no more.
const fullDiskEnv = "TANDEM_KEYLOG_FULL_DISK"

// isChild does what a test started this program again for.
func isChild() bool {
	full := os.Getenv(fullDiskEnv) != ""
	if full {
		writeUntilFull()
	}
	return full
}

func writeUntilFull() {
	const limit = 64 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		panic(err)
	}
	l, h := Log{Memory: 1}, NewHasher()
	defer l.Close()
	var err error
	for n := uint64(0); err == nil && n < 100_000; n++ {
		err = l.Add(Record{Key: h.Key(n, "")})
	}
	if !errors.Is(err, syscall.EFBIG) {
		panic(err)
	}
	s := Set{Memory: 1}
	defer s.Close()
	err = nil
	for n := uint64(0); err == nil && n < 100_000; n++ {
		err = errors.Join(s.Add(Key{Lo: n}), s.Seal())
	}
	if !errors.Is(err, syscall.EFBIG) {
		panic(err)
	}
	fmt.Println(err)
}

func TestAFullDiskIsAnErrorThatSaysWhere(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDiskEnv+"=1", "TMPDIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), dir) || !strings.Contains(string(out), "TMPDIR") {
		t.Errorf("%v: %s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}
