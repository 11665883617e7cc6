//go:build !linux

package journal

func isChild() bool { return false }
