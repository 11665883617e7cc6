package replay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A wire sends HTTP/1.1 requests, each once, in the goroutine that asks for it. A load of requests takes about half
// of what net/http's transport takes, which hands each one to two further goroutines, and unlike that transport it
// never decides to send one again. It is safe for concurrent use.
type wire struct {
	tls     *tls.Config // nil for the system's certificates
	perHost int         // connections to keep, 1 or more

	mu   sync.Mutex
	idle map[server][]*wireConn // the last used at the end

	watch watch
}

// A server is what connections go to, as URLs have it.
type server struct{ scheme, host string }

// Bounds on connecting, and on a request that is written before an answer is looked for: longer ones, which may fill
// the buffers of a server that has answered already, are written meanwhile.
const (
	dialTimeout      = 30 * time.Second
	handshakeTimeout = 10 * time.Second
	inlineBody       = 16 << 10
	maxHeader        = 1 << 20 // bytes of an answer's header
	noLimit          = 1<<63 - 1
)

// A wireConn is one connection, for one request at a time.
type wireConn struct {
	net.Conn
	server server
	silent func() bool // see [silence]
	swap   *swap       // nil with TLS
	since  time.Time   // idle
	early  []byte      // comes before what Conn has to be read
	head   io.LimitedReader
	r      *bufio.Reader
	w      *bufio.Writer
	out    []byte // the request that was written last
	watched
}

// Read implements [io.Reader].
func (c *wireConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// roundTrip sends req and returns the answer, whose body has to be closed.
func (t *wire) roundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	conn, err := t.conn(req.Context(), req.URL)
	if err != nil {
		closeBody(req)
		return nil, ended(req.Context(), err)
	}
	x := &exchange{wire: t, conn: conn, ctx: req.Context()}
	x.release = context.AfterFunc(x.ctx, func() { _ = conn.SetDeadline(longAgo) })
	if req.Body == nil || req.ContentLength >= 0 && req.ContentLength <= inlineBody {
		x.sent = x.send(req)
	} else {
		x.sending = make(chan struct{})
		go func() {
			defer close(x.sending)
			x.sent = x.send(req)
		}()
	}
	resp, err := conn.answer(req)
	if err != nil {
		x.end(false)
		if x.sent != nil {
			err = x.sent // nothing came back because not all was sent
		}
		return nil, ended(x.ctx, err)
	}
	x.reuse = !resp.Close && !req.Close
	x.body, resp.Body = resp.Body, x
	return resp, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// ended returns why a request failed: that its context ended, if it has.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// conn returns a connection to where u goes: one that is idle, or a new one.
func (t *wire) conn(ctx context.Context, u *url.URL) (*wireConn, error) {
	for conn := t.take(u); conn != nil; conn = t.take(u) {
		if conn.silent() {
			return conn, nil
		}
		_ = conn.Close()
	}
	return t.dial(ctx, u)
}

func (t *wire) dial(ctx context.Context, u *url.URL) (*wireConn, error) {
	switch u.Scheme {
	case "http", "https":
	default:
		return nil, fmt.Errorf("unsupported protocol scheme %q", u.Scheme)
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", address(u))
	if err != nil {
		return nil, err
	}
	conn := &wireConn{Conn: raw, server: server{u.Scheme, u.Host}, silent: silence(raw)}
	if u.Scheme == "http" {
		conn.swap = newSwap(raw)
	} else {
		if conn.Conn, err = t.handshake(ctx, u, raw); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	conn.head.R = conn
	conn.r, conn.w = bufio.NewReaderSize(&conn.head, 4<<10), bufio.NewWriterSize(conn.Conn, 4<<10)
	return conn, nil
}

func (t *wire) handshake(ctx context.Context, u *url.URL, raw net.Conn) (net.Conn, error) {
	config := new(tls.Config)
	if t.tls != nil {
		config = t.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	config.NextProtos = []string{"http/1.1"}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	return conn, conn.HandshakeContext(ctx)
}

// address is the host and port of a URL.
func address(u *url.URL) string {
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil {
		host = u.Host // for the dialer to refuse
	}
	switch {
	case u.Port() != "":
		return host
	case u.Scheme == "https":
		return host + ":443"
	default:
		return host + ":80"
	}
}

// take returns a connection to where u goes that has not been idle for too long, nil when there is none. Its peer may
// have said something, or closed it.
func (t *wire) take(u *url.URL) *wireConn {
	for to := (server{u.Scheme, u.Host}); ; {
		conn := t.last(to)
		if conn == nil || time.Since(conn.since) < maxIdle {
			return conn
		}
		_ = conn.Close()
	}
}

func (t *wire) last(to server) *wireConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.idle[to]
	if len(list) == 0 {
		return nil
	}
	conn := list[len(list)-1]
	list[len(list)-1] = nil
	t.idle[to] = list[:len(list)-1]
	return conn
}

// keep makes a connection idle, and closes those that have been so for too long.
func (t *wire) keep(conn *wireConn) {
	conn.since = time.Now()
	var old []*wireConn
	t.mu.Lock()
	list := t.idle[conn.server]
	for len(list) > 0 && (len(list) >= t.perHost || conn.since.Sub(list[0].since) > maxIdle) {
		old = append(old, list[0])
		list = append(list[:0], list[1:]...)
	}
	if t.idle == nil {
		t.idle = make(map[server][]*wireConn)
	}
	t.idle[conn.server] = append(list, conn)
	t.mu.Unlock()
	for _, conn := range old {
		_ = conn.Close()
	}
}

func (t *wire) closeIdle() {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, list := range idle {
		for _, conn := range list {
			_ = conn.Close()
		}
	}
}

// An exchange is one request and its answer. It is the answer's body.
type exchange struct {
	wire    *wire
	conn    *wireConn
	ctx     context.Context
	release func() bool // from ctx

	sending chan struct{} // closed when a request that is sent meanwhile is; nil when it was sent before
	sent    error
	reuse   bool // the connection, when all was read
	body    io.ReadCloser
	over    bool
}

func (x *exchange) send(req *http.Request) error {
	err := req.Write(unflushed{x.conn.w})
	if err == nil {
		err = x.conn.w.Flush()
	}
	var network *net.OpError
	if err != nil && !errors.As(err, &network) {
		_ = x.conn.Close() // the peer waits for a rest that does not come
	}
	return err
}

// unflushed keeps net/http from sending the header by itself before a body whose type it does not know, such as the AWS
// SDK's: one packet and one system call more for each request. It does so to a bufio.Writer alone.
type unflushed struct{ *bufio.Writer }

var errClosedEarly = errors.New("the connection was closed before an answer came")

// answer reads the header of the answer, after those of interim ones.
func (c *wireConn) answer(req *http.Request) (*http.Response, error) {
	c.head.N = maxHeader
	for {
		switch _, err := c.r.Peek(1); {
		case err == io.EOF:
			return nil, errClosedEarly
		case err != nil:
			return nil, err
		}
		resp, err := http.ReadResponse(c.r, req)
		if err != nil {
			if c.head.N <= 0 {
				err = fmt.Errorf("the answer's header is longer than %d bytes", maxHeader)
			}
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			resp.Close = resp.Close || resp.StatusCode == http.StatusSwitchingProtocols
			c.head.N = noLimit
			return resp, nil
		}
	}
}

// Read implements [io.Reader].
func (x *exchange) Read(p []byte) (int, error) {
	if x.over {
		return 0, io.EOF
	}
	n, err := x.body.Read(p)
	switch {
	case err == io.EOF:
		x.end(true)
	case err != nil:
		err = ended(x.ctx, err)
		x.end(false)
	}
	return n, err
}

// Close implements [io.Closer]. What was not read is not read any more.
func (x *exchange) Close() error {
	x.end(false)
	return nil
}

// end gives the connection back when all of the answer was read and another request may be sent on it.
func (x *exchange) end(whole bool) {
	if x.over {
		return
	}
	x.over = true
	if x.release() && whole && x.reuse && x.isSent() && x.conn.isAtEnd() {
		x.wire.keep(x.conn)
		return
	}
	_ = x.conn.Close()
	if x.sending != nil {
		<-x.sending
	}
}

// isSent reports whether all of the request was sent.
func (x *exchange) isSent() bool {
	if x.sending == nil {
		return x.sent == nil
	}
	select {
	case <-x.sending:
		return x.sent == nil
	default:
		return false
	}
}
