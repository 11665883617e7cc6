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
	fds := make([]unix.PollFd, 1)
	poll := func(fd uintptr) {
		fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(fds, 0)
		silent = n == 0 && err == nil
	}
	return func() bool {
		silent = false
		return raw.Control(poll) == nil && silent
	}
}
