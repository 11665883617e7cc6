//go:build unix

package beside

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

var passedOn = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// signalOf returns the number of the signal that ended a process, 0 if none did.
func signalOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}

// Replace has the handler take this process's place, as if there were no recorder. It returns only if that failed.
func Replace(command, env []string) (exitCode int, err error) {
	path, err := exec.LookPath(command[0])
	if err == nil {
		err = syscall.Exec(path, command, env)
	}
	return 0, fmt.Errorf("start the handler: %w", err)
}
