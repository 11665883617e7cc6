//go:build unix

package replay

import (
	"net"
	"os"
	"syscall"
)

// A swap is a request that is written to a TCP connection, and the first of what comes back, in three system calls:
// whether the peer of an idle connection has said something is seen by the read that a wait for its answer would begin
// with anyway. It belongs to one connection.
type swap struct {
	raw  syscall.RawConn
	step func(fd uintptr) (done bool)
	in   []byte

	out     []byte
	looked  bool // and nothing was there
	written bool
	swapped
}

// newSwap returns nil for what is not a TCP connection.
func newSwap(conn net.Conn) *swap {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &swap{raw: raw, in: make([]byte, 4<<10)}
	s.step = s.next
	return s
}

// do sends out. Used says that the connection was idle before. What it returns is valid until the next call.
func (s *swap) do(out []byte, used bool) swapped {
	s.out, s.looked, s.written, s.swapped = out, !used, false, swapped{}
	if err := s.raw.Read(s.step); err != nil && s.rerr == nil {
		s.rerr = err // it was cut off
	}
	return s.swapped
}

// next goes on as far as it can without waiting.
func (s *swap) next(fd uintptr) (done bool) {
	if !s.looked {
		if _, err := retried(syscall.Read, fd, s.in); err != syscall.EAGAIN {
			s.spoke = true
			return true
		}
		s.looked = true
	}
	if !s.written {
		n, err := retried(syscall.Write, fd, s.out)
		s.written, s.sent = true, max(n, 0)
		if err != nil && err != syscall.EAGAIN {
			s.err = os.NewSyscallError("write", err)
		}
		return s.sent < len(s.out)
	}
	n, err := retried(syscall.Read, fd, s.in)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		s.rerr = os.NewSyscallError("read", err)
	case n == 0:
		s.rerr = errClosedEarly
	default:
		s.first = s.in[:n]
	}
	return true
}

// retried calls read or write until no signal interrupts it.
func retried(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}
