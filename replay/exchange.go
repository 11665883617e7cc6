package replay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Exchange sends req, with content as its body, and reads the whole answer, as client does, but once only. Elapsed is
// the time from when the request was sent until its answer was read. Where the header of an answer came and its body
// did not, there is an error that says so. Neither the context and the body of req nor the body of the answer are of
// use. Once Exchange has returned, req may be changed.
//
// A client of [NewHTTPClient] takes half of its time for this way of sending.
func Exchange(ctx context.Context, client *http.Client, req *http.Request, content []byte) (
	answer *http.Response, body []byte, elapsed time.Duration, err error) {
	start := time.Now()
	t, ok := client.Transport.(*limitedTransport)
	if ok && t.isDirect(req, content) {
		x := directExchange{transport: t, ctx: ctx, req: req}
		if answer, body, ok, err = x.do(content); ok {
			return answer, body, time.Since(start), err
		}
	}
	answer, body, err = plainExchange(ctx, client, req, content)
	return answer, body, time.Since(start), err
}

func plainExchange(ctx context.Context, client *http.Client, req *http.Request, content []byte) (
	*http.Response, []byte, error) {
	req = req.Clone(ctx) // net/http may read the header for longer than it takes
	req.Body, req.ContentLength = requestBody(req.Method, content), int64(len(content))
	answer, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, cutShort(answer, err)
	}
	return answer, body, nil
}

// requestBody returns a reader of content. For methods that net/http takes for safe it is, when empty, one that cannot
// be read again, which keeps net/http from sending such a request a second time on another connection.
func requestBody(method string, content []byte) io.ReadCloser {
	switch {
	case len(content) > 0:
		return io.NopCloser(bytes.NewReader(content))
	case method == http.MethodGet, method == http.MethodHead, method == http.MethodOptions:
		return io.NopCloser(io.MultiReader())
	default:
		return http.NoBody
	}
}

// cutShort is the error for an answer whose body cannot be read.
func cutShort(answer *http.Response, err error) error {
	return fmt.Errorf("read the answer with status %d: %w", answer.StatusCode, err)
}

// isDirect reports whether a request can go straight to a connection.
func (t *limitedTransport) isDirect(req *http.Request, content []byte) bool {
	if !wired || len(content) > inlineBody || req.URL.User != nil || req.Method == http.MethodConnect || req.Close ||
		len(req.TransferEncoding) > 0 || len(req.Trailer) > 0 {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(req)
	return err == nil && proxy == nil
}

// A directExchange is a request that is written to a connection as a whole, and its answer.
type directExchange struct {
	transport *limitedTransport
	ctx       context.Context
	req       *http.Request
	conn      *wireConn
}

// do reports with ok whether the request is one that can be sent so. If not, nothing was.
func (x *directExchange) do(content []byte) (answer *http.Response, body []byte, ok bool, err error) {
	ctx, wire := x.ctx, &x.transport.direct
	if err := ctx.Err(); err != nil {
		return nil, nil, true, err
	}
	for {
		x.conn = wire.take(x.req.URL)
		used := x.conn != nil
		if !used {
			if x.conn, err = wire.dial(ctx, x.req.URL); err != nil {
				return nil, nil, true, ended(ctx, err)
			}
		}
		if x.conn.out, ok = appendRequest(x.conn.out[:0], x.req, content); !ok {
			wire.keep(x.conn)
			return nil, nil, false, nil
		}
		var sent bool
		if answer, body, sent, err = x.once(used); sent {
			return answer, body, true, err
		}
	}
}

// once sends the request on its connection, unless the peer has closed that or said what nobody asked for.
func (x *directExchange) once(used bool) (answer *http.Response, body []byte, sent bool, err error) {
	conn, ctx := x.conn, x.ctx
	release := x.watch()
	s := conn.write(used)
	if s.spoke {
		release()
		_ = conn.Close()
		return nil, nil, false, nil
	}
	if err = s.rerr; err == nil {
		answer, body, err = x.answer(s.first)
	}
	if whole := release(); whole && err == nil && s.err == nil && !answer.Close && conn.isAtEnd() {
		x.transport.direct.keep(conn)
	} else {
		_ = conn.Close()
	}
	switch {
	case err == nil:
		return answer, body, true, nil
	case answer != nil:
		return nil, nil, true, cutShort(answer, ended(ctx, err))
	case s.err != nil:
		err = s.err // nothing came back because not all was sent
	}
	return nil, nil, true, ended(ctx, err)
}

// swapped is what came of a swap.
type swapped struct {
	spoke bool  // the peer had said something before anything was written, so nothing was
	sent  int   // bytes
	err   error // of writing; what comes back then, if anything, is to be read
	first []byte
	rerr  error // of reading; with neither this nor first, there is nothing to be read yet
}

// write writes the request that is in out, and returns the first of the answer if that is as good as waiting for it.
func (c *wireConn) write(used bool) (s swapped) {
	if c.swap != nil {
		s = c.swap.do(c.out, used)
		s.err, s.rerr = c.told("write", s.err), c.told("read", s.rerr)
	} else {
		s.spoke = used && !c.silent()
	}
	if !s.spoke && s.err == nil && s.rerr == nil && s.sent < len(c.out) {
		_, s.err = c.Write(c.out[s.sent:])
	}
	return s
}

// told returns the error of a system call as package net tells it.
func (c *wireConn) told(op string, err error) error {
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return err
}

// isAtEnd reports whether all that came was read.
func (c *wireConn) isAtEnd() bool {
	if c.r.Buffered() > 0 || len(c.early) > 0 {
		return false
	}
	if _, ok := c.Conn.(*tls.Conn); !ok {
		return true
	}
	// It may have read more from the network than it has given out. A read past its deadline gives no more than that.
	_ = c.SetReadDeadline(longAgo)
	_, err := c.Conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(time.Time{}) == nil
}

// watch has the connection cut off when the request's context ends. Release reports whether it was not.
func (x *directExchange) watch() (release func() (whole bool)) {
	conn := x.conn
	if f, ok := x.ctx.(*firing); ok {
		watch := &x.transport.direct.watch
		watch.add(conn, f.run, f.deadline)
		return func() bool { return watch.remove(conn, f.run) }
	}
	return context.AfterFunc(x.ctx, func() { _ = conn.SetDeadline(longAgo) })
}

// answer reads the answer, which begins with first. When its body cannot be read, there are both an answer and an error.
func (x *directExchange) answer(first []byte) (*http.Response, []byte, error) {
	conn, limit := x.conn, x.transport.limit
	if answer, size, ok := parseAnswer(first, x.req); ok && answer.ContentLength == int64(len(first)-size) {
		if answer.ContentLength > limit {
			return answer, nil, tooLong(limit)
		}
		return answer, bytes.Clone(first[size:]), nil
	}
	conn.early, conn.head.N = first, maxHeader
	if _, err := conn.r.Peek(1); err == nil {
		head, _ := conn.r.Peek(conn.r.Buffered())
		if answer, size, ok := parseAnswer(head, x.req); ok {
			conn.head.N = noLimit
			_, _ = conn.r.Discard(size) // it is buffered
			body, err := readBody(conn.r, answer.ContentLength, limit)
			return answer, body, err
		}
	}
	answer, err := conn.answer(x.req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(&limitedBody{answer.Body, limit, limit})
	return answer, body, err
}

// readBody reads a body whose length is known.
func readBody(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, tooLong(limit)
	}
	if size > 64<<10 { // do not take its word for more
		body, err := io.ReadAll(io.LimitReader(r, size))
		if err == nil && int64(len(body)) < size {
			err = io.ErrUnexpectedEOF
		}
		return body, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return body, nil
}
