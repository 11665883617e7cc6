package replay

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// watchedConn is a connection of which the other end says nothing.
func watchedConn(t *testing.T) *wireConn {
	t.Helper()
	conn, other := net.Pipe()
	t.Cleanup(func() {
		conn.Close()
		other.Close()
	})
	return &wireConn{Conn: conn}
}

// isCut reports whether what waits for a connection is told that its time is up.
func isCut(conn *wireConn) bool {
	_, err := conn.Conn.Write([]byte("x")) // which waits for somebody to read, otherwise
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func TestAWatchCutsOffWhatHasNoTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watch
		run, start := t.Context(), time.Now()
		late, soon, done := watchedConn(t), watchedConn(t), watchedConn(t)
		w.add(late, run, start.Add(3*time.Second)) // the first has the timer set, and the second has it set to earlier
		w.add(soon, run, start.Add(time.Second))
		w.add(done, run, start.Add(time.Second))
		if !w.remove(done, run) {
			t.Error("what was done in time was cut off")
		}
		for _, tt := range []struct {
			conn *wireConn
			want time.Duration
		}{{soon, time.Second}, {late, 3 * time.Second}} {
			if cut, after := isCut(tt.conn), time.Since(start); !cut || after != tt.want {
				t.Errorf("cut off: %v, after %v, want %v", cut, after, tt.want)
			}
			if w.remove(tt.conn, run) {
				t.Error("what was cut off is whole")
			}
		}
		if len(w.conns) != 0 || len(w.groups) != 0 || !w.rings.IsZero() {
			t.Errorf("left over: %+v", &w)
		}
		again := watchedConn(t)
		w.add(again, run, time.Now().Add(time.Second))
		if !isCut(again) {
			t.Error("the timer does not ring again")
		}
		w.remove(again, run)
	})
}

func TestAWatchCutsOffWhatIsOfARunThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watch
		run, end := context.WithCancel(t.Context())
		mine, other, later := watchedConn(t), watchedConn(t), watchedConn(t)
		in := time.Now().Add(time.Hour)
		w.add(mine, run, in)
		w.add(other, t.Context(), in)
		end()
		synctest.Wait()
		w.add(later, run, in)
		if start := time.Now(); !isCut(mine) || !isCut(later) || time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
		for _, conn := range []*wireConn{mine, later} {
			if w.remove(conn, run) {
				t.Error("what was cut off is whole")
			}
		}
		if !w.remove(other, t.Context()) {
			t.Error("what is of another run was cut off")
		}
	})
}

func TestAFiringEndsAsAContextWithADeadlineDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := errors.New("no answer")
		run, end := context.WithCancelCause(t.Context())
		begin := func() *firing {
			return &firing{run: run, deadline: time.Now().Add(time.Second), late: late}
		}
		silent, asked := begin(), begin()
		child, stop := context.WithCancel(asked)
		defer stop()
		if silent.Err() != nil || asked.Err() != nil || child.Err() != nil {
			t.Fatal("it has ended before its time")
		}
		<-child.Done()
		for name, ctx := range map[string]context.Context{"never asked": silent, "asked": asked, "derived": child} {
			if ctx.Err() != context.DeadlineExceeded {
				t.Errorf("%s: %v", name, ctx.Err())
			}
		}
		if cause := context.Cause(child); cause != late {
			t.Errorf("the cause is %v", cause)
		}
		over, stopped := begin(), begin()
		over.end()
		if <-over.Done(); over.Err() != context.Canceled {
			t.Errorf("when it is over: %v", over.Err())
		}
		why := errors.New("why")
		end(why)
		if <-stopped.Done(); stopped.Err() != context.Canceled || context.Cause(stopped) != why {
			t.Errorf("when the run is over: %v, %v", stopped.Err(), context.Cause(stopped))
		}
		stopped.end()
		asked.end()
	})
}
