//go:build unix && !linux

package beside

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
