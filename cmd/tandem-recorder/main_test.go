//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// The programs that tests start: this one, a real function, on aws-lambda-go, and a runtime without kept connections.
var recorder, echo, oneshot string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tandem-recorder")
	if err != nil {
		panic(err)
	}
	recorder, echo = filepath.Join(dir, "tandem-recorder"), filepath.Join(dir, "echo")
	oneshot = filepath.Join(dir, "oneshot")
	for path, pkg := range map[string]string{
		recorder: ".", echo: "tandem/replay/local/testdata/lambdafunction", oneshot: "./testdata/oneshot",
	} {
		if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
