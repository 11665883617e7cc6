package replay

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A fineTimer rings to within a tenth of a millisecond on an idle machine, where the timers of Go's runtime are late
// by up to one, because it waits for them in whole milliseconds; see https://go.dev/issue/44343. It is used beside
// such a timer, and may ring late or when nobody waits any more. One goroutine uses it.
type fineTimer struct {
	ring chan struct{}
	fd   int
	file *os.File
	done chan struct{}
}

// newFineTimer returns nil when the system gives none.
func newFineTimer() *fineTimer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	t := &fineTimer{
		ring: make(chan struct{}, 1), fd: fd, file: os.NewFile(uintptr(fd), "timerfd"), done: make(chan struct{}),
	}
	go func() {
		defer close(t.done)
		var expirations [8]byte
		for {
			if _, err := t.file.Read(expirations[:]); err != nil {
				return // it was closed
			}
			select {
			case t.ring <- struct{}{}:
			default:
			}
		}
	}()
	return t
}

// set has it ring after d, which is above 0, and not when it was to before.
func (t *fineTimer) set(d time.Duration) {
	// It cannot fail for such a time, and if it did, the other timer would ring.
	_ = unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (t *fineTimer) stop() {
	_ = t.file.Close()
	<-t.done
}
