package wiretap

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Pump passes the bytes of connections to a server and back. It changes nothing and waits for nobody but the two
// sides. When the server cannot be reached the client's connection is reset.
type Pump struct {
	Upstream string // the server's address, host:port
	Tap      *Tap   // gets the copies; with nil there are none
}

const (
	bufferSize = 64 << 10
	// acceptAgain is how long the pump waits before it accepts again when the system is short of something.
	acceptAgain = 10 * time.Millisecond
)

// Serve passes on what comes to listener until ctx ends or the listener is closed. It closes the listener. When it
// returns no connection is open, and the tap has all that it will get.
func (p *Pump) Serve(ctx context.Context, listener net.Listener) error {
	defer listener.Close()
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			conns.Go(func() { p.carry(ctx, conn) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // such as no file descriptors: that passes
			select {
			case <-time.After(acceptAgain):
			case <-ctx.Done():
			}
		}
	}
}

// carry connects client with the server until both have ended.
func (p *Pump) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", p.Upstream)
	if err != nil {
		reset(client)
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() {
		client.Close()
		server.Close()
	})()
	id := p.Tap.open()
	var there, back error
	var both sync.WaitGroup
	both.Go(func() {
		there = pass(server, client, func(b []byte) { p.Tap.pass(id, Client, b) })
	})
	both.Go(func() {
		back = pass(client, server, func(b []byte) { p.Tap.pass(id, Server, b) })
		if back == nil {
			p.Tap.pass(id, ServerEnd, nil)
		}
	})
	both.Wait()
	p.Tap.close(id, errors.Join(there, back))
}

// pass copies from src to dst to the end, and ends dst as src has ended. What is read is copied before it is passed
// on, so that an answer's copy never comes before that of what it answers.
//
// When dst cannot be written to, the other direction, which reads from dst, sees why and passes that on.
func pass(dst, src net.Conn, copied func([]byte)) error {
	buf := make([]byte, bufferSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			copied(buf[:n])
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				half.CloseWrite() //nolint:errcheck // it is gone, then
			}
			return nil
		}
		if err != nil {
			reset(dst)
			return err
		}
	}
}

// reset closes a connection as one that was cut off.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // it is closed in any case
	}
	conn.Close() //nolint:errcheck // likewise
}
