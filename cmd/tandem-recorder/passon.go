package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// passOn passes bytes between whoever connects to a socket and the upstream, until ctx ends. It is what is left of
// the proxy when no worker can be had.
func passOn(ctx context.Context, socket *os.File, upstream string) error {
	listener, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("take over the socket: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		conns.Go(func() { join(ctx, conn.(*net.TCPConn), upstream) })
	}
}

// join connects conn with the upstream, until both sides are done.
func join(ctx context.Context, conn *net.TCPConn, upstream string) {
	defer conn.Close()
	dialed, err := new(net.Dialer).DialContext(ctx, "tcp", upstream)
	if err != nil {
		return // as if the upstream were the one that was asked
	}
	other := dialed.(*net.TCPConn)
	defer other.Close()
	defer context.AfterFunc(ctx, func() {
		conn.Close()
		other.Close()
	})()
	var both sync.WaitGroup
	both.Go(func() { pipe(other, conn) })
	both.Go(func() { pipe(conn, other) })
	both.Wait()
}

func pipe(to, from *net.TCPConn) {
	io.Copy(to, from) //nolint:errcheck // the other direction ends as well
	to.CloseWrite()   //nolint:errcheck // likewise
}
