package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"tandem/capture/wiretap"
)

// between is what stands between the runtime and the Runtime API: a pump, and the workers that get its copies. The nil
// pointer is nothing.
type between struct {
	address string // for the runtime
	workers *workers
	known   io.Closer
	stop    context.CancelFunc
	pumped  chan struct{} // closed when nothing is passed on any more
}

// stepBetween listens on loopback, passes on what comes there, and makes that known.
func stepBetween(c config, l *ledger, stdout, stderr io.Writer) (*between, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	if err != nil && c.port != 0 {
		l.log.Printf("%v: another port is used", err)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime: %w", err)
	}
	b := &between{address: listener.Addr().String(), pumped: make(chan struct{})}
	if b.known, err = publish([]string{c.platform, c.upstream}, b.address); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	tap := wiretap.NewTap(0)
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	go func() {
		defer close(b.pumped)
		pump := &wiretap.Pump{Upstream: c.upstream, Tap: tap}
		if err := pump.Serve(ctx, listener); err != nil {
			l.log.Printf("the function cannot be served any more: %v", err)
		}
	}()
	b.workers = startWorkers(workerCommand, tap, l, stdout, stderr)
	return b, nil
}

// ask returns the workers, if there are any.
func (b *between) ask() *workers {
	if b == nil {
		return nil
	}
	return b.workers
}

func (b *between) close() {
	if b == nil {
		return
	}
	b.workers.close()
	b.stop()
	<-b.pumped
	b.known.Close() //nolint:errcheck // the process ends
}
