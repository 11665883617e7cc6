package beside

import "syscall"

// attributes has the handler killed when the recorder is.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
