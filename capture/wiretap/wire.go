package wiretap

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
)

// WireOptions say what a Wire does. Upstream must be set.
type WireOptions struct {
	// Upstream is the server's address, host:port.
	Upstream string
	// Listener is where clients come to; by default a free loopback port. The Wire closes it.
	Listener net.Listener
	Observer Observer
	// MaxBody is how much of each body is kept, in bytes; by default 8 MiB.
	MaxBody int
	// Limit is how much is held for an observer that is slow, in bytes; by default 64 MiB.
	Limit int
}

// A Wire is a Pump whose observer is in the same process. Its methods may be called concurrently.
type Wire struct {
	listener net.Listener
	tap      *Tap
	stop     context.CancelFunc
	pumped   chan struct{} // closed when no connection is open any more
	observed chan struct{} // closed when the observer has been told all

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan struct{} // by what was noted
}

// NewWire starts a Wire. Close it when done.
func NewWire(opts WireOptions) (*Wire, error) {
	if opts.MaxBody == 0 {
		opts.MaxBody = 8 << 20
	}
	if opts.Limit == 0 {
		opts.Limit = 64 << 20
	}
	if opts.Listener == nil {
		var err error
		if opts.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen for %s: %w", opts.Upstream, err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &Wire{
		listener: opts.Listener, tap: NewTap(opts.Limit), stop: stop, pumped: make(chan struct{}),
		observed: make(chan struct{}), waiting: make(map[uint64]chan struct{}),
	}
	pump := &Pump{Upstream: opts.Upstream, Tap: w.tap}
	go func() {
		defer close(w.pumped)
		pump.Serve(ctx, opts.Listener) //nolint:errcheck // it ends when it is to, or when the listener is closed
	}()
	go w.observe(NewAssembler(opts.Observer, opts.MaxBody))
	return w, nil
}

// Addr returns the address that clients are to be given, host:port.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Dropped returns how many bytes the observer has not seen because it was too slow.
func (w *Wire) Dropped() int64 { return w.tap.Dropped() }

// Sync returns when the observer has been told all that had passed when it was called.
func (w *Wire) Sync() {
	told := make(chan struct{})
	w.mu.Lock()
	w.last++
	id := w.last
	w.waiting[id] = told
	w.mu.Unlock()
	w.tap.Note(binary.BigEndian.AppendUint64(nil, id))
	select {
	case <-told:
	case <-w.observed:
	}
}

// Close closes all connections. When it returns the observer has been told all.
func (w *Wire) Close() error {
	w.stop()
	<-w.pumped
	w.tap.Close()
	<-w.observed
	return nil
}

func (w *Wire) observe(a *Assembler) {
	defer close(w.observed)
	defer a.End()
	for {
		s, err := w.tap.Next(context.Background())
		if err != nil {
			return
		}
		a.Add(s)
		if s.Kind == Note {
			w.mu.Lock()
			id := binary.BigEndian.Uint64(s.Data)
			close(w.waiting[id])
			delete(w.waiting, id)
			w.mu.Unlock()
		}
	}
}
