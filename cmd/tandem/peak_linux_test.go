package main

import (
	"os"
	"syscall"
)

// peakResident returns the most memory, in bytes, that a process had resident.
// Source: ru_maxrss in https://man7.org/linux/man-pages/man2/getrusage.2.html.
func peakResident(ended *os.ProcessState) int64 {
	return ended.SysUsage().(*syscall.Rusage).Maxrss << 10
}
