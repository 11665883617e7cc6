package local

import (
	"os"
	"syscall"
)

// childAttributes keeps a terminal's Ctrl-C from the child.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup kills p. Programs that it started live on: ending them takes a job object.
func killGroup(p *os.Process) { _ = p.Kill() }

func residentPeak(int) int64 { return 0 }
