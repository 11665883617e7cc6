//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package journal

import "os"

// There are no locks that end with the process and work on folders here.
func lock(*os.File) error { return nil }

// Folders cannot be synced here, or need not.
func syncDir(*os.File) error { return nil }
