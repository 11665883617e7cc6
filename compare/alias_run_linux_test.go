package compare

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// truncateTemp empties the temporary files that this process has open and that have no name any more.
func truncateTemp(t *testing.T) (n int) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, os.TempDir()) && strings.HasSuffix(to, "(deleted)") {
			if err := os.Truncate(fd, 0); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

// What was on disk and is gone might have been a contradiction.
func TestContradictionsThatAreLostWhileTheRunIsReadAgainAreAnError(t *testing.T) {
	emptyTemp(t)
	lines := idLines(2000)
	source, read, lost := countedRun{RunReader: runOf(t, lines...)}, 0, 0
	source.line = func() {
		if read++; read == len(lines)+1 {
			lost = truncateTemp(t)
		}
	}
	opts := Options{Rules: idRules, noteMemory: 1, Workers: 1, Now: now}.withDefaults()
	_, err := compareTrials(t.Context(), &source, opts, AgainstLambda, nil)
	if err == nil || !strings.Contains(err.Error(), "temporary file") || lost != 1 {
		t.Errorf("%d files are lost: %v", lost, err)
	}
}
