package local

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// asChild lets a test of this package run again as a program, in a child process: it runs program and does not return
// when this is the child.
func asChild(t *testing.T, program func()) (command, env []string) {
	const variable = "TANDEM_TEST_CHILD"
	if os.Getenv(variable) == t.Name() {
		program()
		os.Exit(0)
	}
	return []string{os.Args[0], "-test.run=^" + t.Name() + "$"}, append(os.Environ(), variable+"="+t.Name())
}

// connect is what a program does to be seen: it holds a connection for as long as it lives.
func connect() {
	conn, err := net.Dial("tcp", os.Getenv("TANDEM_TEST_ADDR"))
	if err != nil {
		os.Exit(1)
	}
	io.Copy(io.Discard, conn)
}

// listen returns where connect connects to, and a function that waits for the next connection.
func listen(t *testing.T) (env string, accept func() net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "TANDEM_TEST_ADDR=" + l.Addr().String(), func() net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func TestFlushedOutputIsAllThatWasWrittenBefore(t *testing.T) {
	command, env := asChild(t, func() {
		conn, err := net.Dial("tcp", os.Getenv("TANDEM_TEST_ADDR"))
		if err != nil {
			os.Exit(1)
		}
		for i := range 200 {
			fmt.Fprint(os.Stdout, strings.Repeat("o", 1000))
			fmt.Fprintf(os.Stderr, "%d", i)
			conn.Write([]byte{0})
			io.ReadFull(conn, make([]byte, 1))
		}
	})
	addr, accept := listen(t)
	var got, want bytes.Buffer
	p, err := startProcess(processSpec{Command: command, Env: append(env, addr), Output: &got})
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	conn := accept()
	for i := range 200 {
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%s%d", strings.Repeat("o", 1000), i)
		p.flush()
		if got.String() != want.String() { // nothing writes to got now: the child waits
			t.Fatalf("round %d: %d bytes have come, want %d", i, got.Len(), want.Len())
		}
		conn.Write([]byte{0})
	}
	<-p.exited
	p.flush() // of a process that is gone
	if p.exitText() != "" {
		t.Errorf("it ended with %s", p.exitText())
	}
}

func TestKillTakesTheWholeProcessGroup(t *testing.T) {
	command, env := asChild(t, func() {
		if os.Getenv("GRANDCHILD") == "" {
			cmd := exec.Command(os.Args[0], os.Args[1:]...)
			cmd.Env = append(os.Environ(), "GRANDCHILD=1")
			cmd.Stdout = os.Stdout
			if cmd.Start() != nil {
				os.Exit(1)
			}
		}
		connect()
	})
	addr, accept := listen(t)
	p, err := startProcess(processSpec{Command: command, Env: append(env, addr)})
	if err != nil {
		t.Fatal(err)
	}
	conns := []net.Conn{accept(), accept()}
	p.kill()
	p.kill() // again does nothing
	for _, conn := range conns {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d, %v", n, err)
		}
	}
	if p.alive() || p.exitText() != "signal: killed" {
		t.Errorf("it ended with %q", p.exitText())
	}
}

// A parent that is killed cannot clean up, so the kernel must.
func TestChildDiesWithAParentThatIsKilled(t *testing.T) {
	command, env := asChild(t, func() {
		if os.Getenv("GRANDCHILD") == "" {
			p, err := startProcess(processSpec{Command: os.Args, Env: append(os.Environ(), "GRANDCHILD=1")})
			if err != nil {
				os.Exit(1)
			}
			<-p.exited
		}
		connect()
	})
	addr, accept := listen(t)
	parent := exec.Command(command[0], command[1:]...)
	parent.Env = append(env, addr)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	conn := accept()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the child lives on: %v", err)
	}
}

func TestProcessThatCannotStartIsAnError(t *testing.T) {
	for _, command := range []string{"/nowhere/program", "no-such-program-anywhere"} {
		if p, err := startProcess(processSpec{Command: []string{command}}); err == nil {
			p.kill()
			t.Errorf("%s started", command)
		}
	}
}

func FuzzMarkSplitter(f *testing.F) {
	f.Add([]byte("one|two||three"), uint8(3))
	f.Add([]byte("\x00M\x00MARK\x00MARKARK|\x00MAR"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		mark := []byte("\x00MARK")
		parts := bytes.Split(data, []byte("|")) // a mark in the place of each |
		for i, part := range parts {
			parts[i] = bytes.ReplaceAll(part, mark, nil) // programs cannot guess it
			if bytes.Contains(parts[i], mark) {
				return
			}
		}
		stream := bytes.Join(parts, mark)
		s := markSplitter{mark: mark}
		got := [][]byte{nil}
		step := int(size)%len(mark) + 1
		for len(stream) > 0 {
			n := min(step, len(stream))
			s.split(stream[:n:n], func(text []byte) {
				got[len(got)-1] = append(got[len(got)-1], text...)
			}, func() { got = append(got, nil) })
			stream = stream[n:]
		}
		got[len(got)-1] = append(got[len(got)-1], s.held...)
		if g, w := bytes.Join(got, []byte("|")), bytes.Join(parts, []byte("|")); !bytes.Equal(g, w) {
			t.Errorf("got %q, want %q", g, w)
		}
	})
}
