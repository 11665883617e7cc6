package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal of 80 columns; see pty(7).
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return control, terminal
}

// onTerminal runs tandem with stderr on a terminal and returns what it wrote there.
func onTerminal(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	control, terminal := openTerminal(t)
	defer control.Close()
	cmd := exec.Command(lean(), args...)
	cmd.Dir, cmd.Stderr = dir, terminal
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm", "GORACE=" + atOnce}, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	shown, err := io.ReadAll(control)
	if err != nil && !strings.Contains(err.Error(), "input/output error") { // how Linux says that it is closed
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, shown)
	}
	return string(shown)
}

var escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestBarsFitATerminal(t *testing.T) {
	dir := t.TempDir()
	_, url := begin(t, `stub on (\S+)`, "stub")
	writeShop(t, filepath.Join(dir, "shop.jsonl"), 3000)
	writeShop(t, filepath.Join(dir, "one.jsonl"), 1)
	writeFile(t, filepath.Join(dir, "tandem.yaml"), stubConfig(url))
	shown := onTerminal(t, dir, nil, "replay", "shop.jsonl", "-o", "run")
	if !escape.MatchString(shown) {
		t.Errorf("no bars on a terminal: %q", shown)
	}
	bars := 0
	for _, line := range regexp.MustCompile("[\r\n]+").Split(escape.ReplaceAllString(shown, ""), -1) {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.Contains(line, "3000/3000") {
			bars++
		}
	}
	if bars < 2 || !strings.Contains(shown, "lambda") || !strings.Contains(shown, "functions") {
		t.Errorf("%d bars at the end:\n%s", bars, shown)
	}
	for _, env := range []string{"NO_COLOR=1", "CI=true", "TERM=dumb"} {
		shown := onTerminal(t, dir, []string{env}, "replay", "one.jsonl", "-o", "run-"+env)
		if strings.Contains(shown, "\x1b") || !strings.Contains(shown, "1 of 1 invocations") {
			t.Errorf("%s: bars or nothing: %q", env, shown)
		}
	}
}
