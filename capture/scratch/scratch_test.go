package scratch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNothingIsLeftOfAFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	f, err := Create()
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(f.Name()) != dir {
		t.Errorf("%s is not in %s", f.Name(), dir)
	}
	text := make([]byte, 3)
	if _, err := f.WriteAt([]byte("abc"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(text, 5); err != nil || string(text) != "abc" {
		t.Errorf("%q, %v", text, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
	if _, err := f.WriteAt([]byte("abc"), 0); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("writing to a closed file: %v", err)
	}
}

func TestNoPlaceIsAnError(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere/at/all")
	if _, err := Create(); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Errorf("%v", err)
	}
}
