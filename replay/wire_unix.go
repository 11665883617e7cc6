//go:build unix

package replay

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// wired says whether requests are sent by a wire.
const wired = true

// isSilent reports whether an idle connection is open, and its peer has said nothing: neither that it closes it, nor
// anything that nobody asked for.
func isSilent(conn net.Conn) bool {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = err == unix.EAGAIN
	})
	return err == nil && silent
}
