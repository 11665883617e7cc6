//go:build unix

package replay

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// wired says whether requests are sent by a wire.
const wired = true

// silence returns a function that reports whether an idle connection is open, and its peer has said nothing: neither
// that it closes it, nor anything that nobody asked for.
func silence(conn net.Conn) func() bool {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return func() bool { return false }
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var silent bool
	var b [1]byte
	peek := func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = err == unix.EAGAIN
	}
	return func() bool {
		silent = false
		return raw.Control(peek) == nil && silent
	}
}
