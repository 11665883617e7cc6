//go:build !linux

package main

import "os"

// peakResident is not known here.
func peakResident(*os.ProcessState) int64 { return 0 }
