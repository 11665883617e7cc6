package main

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func TestCaptureS3ListsABucket(t *testing.T) {
	backend := s3mem.New()
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server())
	t.Cleanup(server.Close)
	if err := backend.CreateBucket("catalog"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"in/a b.csv", "in/b.csv", "in/b.txt", "other/a.csv"} {
		content := "content of " + key
		_, err := backend.PutObject("catalog", key, map[string]string{"Content-Type": "text/csv"},
			strings.NewReader(content),
			int64(len(content)), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	rec := filepath.Join(dir, "s3.rec")
	args := []string{"capture", "s3", "--endpoint", server.URL, "--list", "s3://catalog/in/", "--suffix", ".csv",
		"--function", "f"}

	code, stdout, stderr := call(t, append(args, "-o", rec, "--max-objects", "1")...)
	if code != 0 || stdout != "" || !strings.Contains(stderr,
		"1 event: 1 recorded, 0 came again, 0 left out, 0 refused, 0 waiting\n"+
			"1 object pinned, 21 bytes\n") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, _, stderr := call(t, append(args, "-o", rec)...); code != 2 || !strings.Contains(stderr, "--append") {
		t.Errorf("a recording that is there: exit code %d, stderr %q", code, stderr)
	}
	code, stdout, stderr = call(t, append(args, "-o", rec, "--append", "--json", "--max-object-size", "5")...)
	if code != 0 || !strings.Contains(stderr, "going on after in/a b.csv\n") || !strings.Contains(stdout,
		`"too-large": 1`) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, _ = call(t, "inspect", rec, "--json")
	if code != 0 || !strings.Contains(stdout, `"invocations": 2`) || !strings.Contains(stdout, `"objects": 1`) {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}

	code, stdout, stderr = call(t, append(args, "-o", "-", "--no-objects")...)
	if code != 0 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, `"key":"in/a+b.csv"`) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	args[3] = server.URL
	args[5] = "s3://nowhere"
	if code, _, stderr := call(t, append(args, "-o", filepath.Join(dir, "none.rec"))...); code != 2 ||
		!strings.Contains(stderr, "NoSuchBucket") {
		t.Errorf("no bucket: exit code %d, stderr %q", code, stderr)
	}
}
