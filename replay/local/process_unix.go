//go:build unix

package local

import (
	"os"
	"syscall"
)

// killGroup kills p and everything in its process group. Nobody may be left in it, so errors do not matter.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
