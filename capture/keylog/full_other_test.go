//go:build !linux

package keylog

func isChild() bool { return false }
