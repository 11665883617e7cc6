//go:build !linux

package replay

import "time"

// A fineTimer is for Linux alone.
type fineTimer struct{ ring chan struct{} }

func newFineTimer() *fineTimer         { return nil }
func (t *fineTimer) set(time.Duration) {}
func (t *fineTimer) stop()             {}
