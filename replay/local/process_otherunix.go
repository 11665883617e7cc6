//go:build unix && !linux

package local

import "syscall"

// childAttributes puts the child in a process group of its own. Only Linux can also tie its life to this process's.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func residentPeak(int) int64 { return 0 }
