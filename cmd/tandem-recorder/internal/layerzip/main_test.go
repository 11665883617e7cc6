package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEqualFilesMakeEqualZips(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, content := range map[string]string{a: "A", b: "B"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zips := make([][]byte, 2)
	for i, args := range [][]string{{"extensions/a=" + a, "b=" + b}, {"b=" + b, "extensions/a=" + a}} {
		if err := os.Chtimes(a, time.Time{}, time.Unix(int64(i)*1e6, 0)); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out.zip")
		if err := run(append([]string{out}, args...)); err != nil {
			t.Fatal(err)
		}
		var err error
		if zips[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("the zips differ")
	}
	r, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = f.Mode().String() + " " + string(content)
	}
	want := map[string]string{"b": "-rwxr-xr-x B", "extensions/a": "-rwxr-xr-x A"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the zip has (-want +got):\n%s", diff)
	}
}

func TestWrongArgumentsAreErrors(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.zip")
	for _, args := range [][]string{nil, {out}, {out, "name"}, {out, "name=/none/there"}, {"/none/there/x.zip", "a=b"}} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
