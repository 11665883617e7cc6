//go:build peers

package replay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A line is what stands between a target and its peer.
type line interface {
	// meet has the next exchange that hands text over meet a fault. Taken says whether the peer has what was handed over
	// before the target meets it. Cancel ends the context of who fires.
	meet(f *fault, text string, taken bool, cancel context.CancelFunc)
	// meetNth is like meet, for the nth exchange from now on, from 0, whatever it is for; it has the connection closed.
	meetNth(n int, taken bool)
	// handed tells how often text was handed over to the peer.
	handed(text string) int
	// met tells whether the fault was met.
	met() bool
	drop()   // ends the connections; others can be made
	vanish() // ends them, and no other can be made
}

// An httpLine is a reverse proxy.
type httpLine struct {
	server *httptest.Server
	peer   *httputil.ReverseProxy
	sends  func(r *http.Request, body []byte) (text string, ok bool) // whether it hands over a text, and which

	trap
	mu     sync.Mutex
	counts map[string]int
}

// armed is a fault that waits for its moment.
type armed struct {
	text   string
	after  int // exchanges that are to pass; -1 for that of the text
	taken  bool
	fault  *fault
	cancel context.CancelFunc
}

// A trap has at most one fault armed.
type trap struct {
	trapped sync.Mutex
	armed   *armed
	done    bool
}

func (t *trap) arm(a *armed) {
	t.trapped.Lock()
	defer t.trapped.Unlock()
	t.armed, t.done = a, false
}

func (t *trap) meet(f *fault, text string, taken bool, cancel context.CancelFunc) {
	t.arm(&armed{text: text, after: -1, taken: taken, fault: f, cancel: cancel})
}

// spring returns the fault that an exchange is to meet, or nil. Has reports whether the exchange has a text.
func (t *trap) spring(has func(text string) bool) *armed {
	t.trapped.Lock()
	defer t.trapped.Unlock()
	a := t.armed
	if a == nil || a.after < 0 && !has(a.text) {
		return nil
	}
	if a.after > 0 {
		a.after--
		return nil
	}
	t.armed, t.done = nil, true
	return a
}

// met reports whether the fault was met.
func (t *trap) met() bool {
	t.trapped.Lock()
	defer t.trapped.Unlock()
	return t.done
}

func newHTTPLine(t *testing.T, peer string, sends func(r *http.Request, body []byte) (string, bool)) *httpLine {
	t.Helper()
	to, err := url.Parse(peer)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	l := &httpLine{sends: sends, counts: make(map[string]int), peer: &httputil.ReverseProxy{
		Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
	}}
	l.server = httptest.NewServer(l)
	t.Cleanup(func() {
		l.server.Close()
		transport.CloseIdleConnections()
	})
	return l
}

// ServeHTTP keeps the host that the request names, which it may be signed for.
func (l *httpLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // who sent it has gone
	}
	again := r.Clone(context.WithoutCancel(r.Context())) // the peer works on, whoever goes
	again.Body = io.NopCloser(bytes.NewReader(body))
	text, sends := l.sends(r, body)
	f := l.next(text, sends)
	if f != nil && !f.taken {
		f.meet(w, r)
		return
	}
	if sends {
		l.mu.Lock()
		l.counts[text]++
		l.mu.Unlock()
	}
	if f == nil {
		l.peer.ServeHTTP(w, again)
		return
	}
	l.peer.ServeHTTP(httptest.NewRecorder(), again)
	f.meet(w, r)
}

func (a *armed) meet(w http.ResponseWriter, r *http.Request) {
	r.Body = http.NoBody // it was read
	a.fault.meet(w, r.WithContext(context.WithValue(r.Context(), cancelKey{}, a.cancel)))
}

// next returns the fault that an exchange is to meet, or nil.
func (l *httpLine) next(text string, sends bool) *armed {
	return l.spring(func(wanted string) bool { return sends && text == wanted })
}

func (l *httpLine) meetNth(n int, taken bool) {
	l.arm(&armed{after: n, taken: taken, fault: &fault{meet: hijack("", true)}})
}

func (l *httpLine) handed(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[text]
}

func (l *httpLine) drop() { l.server.CloseClientConnections() }

func (l *httpLine) vanish() { l.server.CloseClientConnections(); l.server.Close() }

// An amqpLine passes frames of AMQP on.
type amqpLine struct {
	listener net.Listener
	peer     string
	frames   atomic.Int32 // that targets have sent

	trap
	mu     sync.Mutex
	counts map[string]int
	texts  []string                   // that may be handed over
	open   map[*passage]chan struct{} // closed when it has ended
	all    sync.WaitGroup
}

// newAMQPLine stands before the peer at that address; with a certificate, targets speak TLS with it.
func newAMQPLine(t *testing.T, peer string, certificate *tls.Certificate) *amqpLine {
	t.Helper()
	l := &amqpLine{peer: peer, counts: make(map[string]int), open: make(map[*passage]chan struct{})}
	var err error
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if certificate != nil {
		l.listener = tls.NewListener(l.listener, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	l.all.Go(func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.all.Go(func() { l.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.vanish()
		l.all.Wait()
	})
	return l
}

// A passage is one connection through an amqpLine.
type passage struct {
	client, server net.Conn

	mu      sync.Mutex
	pending *armed // what comes in the place of the next frame from the peer
	over    bool   // nothing more is passed on
}

func (l *amqpLine) serve(client net.Conn) {
	server, err := net.Dial("tcp", l.peer)
	if err != nil {
		client.Close()
		return
	}
	p, done := &passage{client: client, server: server}, make(chan struct{})
	l.mu.Lock()
	l.open[p] = done
	l.mu.Unlock()
	defer func() {
		client.Close()
		server.Close()
		l.mu.Lock()
		delete(l.open, p)
		l.mu.Unlock()
		close(done)
	}()
	l.all.Go(func() {
		eachFrame(server, p.back)
		client.Close()
	})
	eachFrame(client, func(frame []byte) error { return l.forth(p, frame) })
}

var errOver = errors.New("the line is broken")

// forth passes a frame on to the peer.
func (l *amqpLine) forth(p *passage, frame []byte) error {
	l.frames.Add(1)
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	if over {
		return nil // it is read, so that closing is no reset
	}
	f := l.next(frame)
	if f != nil && !f.taken {
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		return cut(p.client, f, []byte("half a frame"))
	}
	if f != nil {
		p.mu.Lock()
		p.pending = f
		p.mu.Unlock()
	}
	l.count(frame)
	_, err := p.server.Write(frame)
	return err
}

// back passes a frame on to the target.
func (p *passage) back(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return nil
	case p.pending != nil:
		p.over = true
		return cut(p.client, p.pending, frame)
	}
	_, err := p.client.Write(frame)
	return err
}

// cut does to a connection what a fault is for AMQP. Frame is what the target was to get.
func cut(conn net.Conn, a *armed, frame []byte) error {
	half := frame[:len(frame)/2]
	stays := false
	switch a.fault.name {
	case "closed before an answer":
	case "reset before an answer":
		_ = conn.(*net.TCPConn).SetLinger(0)
	case "truncated answer":
		_, _ = conn.Write(half)
	case "reset half way":
		_, _ = conn.Write(half)
		_ = conn.(*net.TCPConn).SetLinger(0)
	case "no HTTP":
		_, _ = io.WriteString(conn, "hello\r\n\r\n")
	case "oversized answer":
		_, _ = conn.Write(binary.BigEndian.AppendUint32(nil, 1<<31-1))
		_, _ = conn.Write(frame[4:])
	case "slow body, cancelled":
		_, _ = conn.Write(half)
		a.cancel()
		stays = true
	default:
		panic("AMQP does not know " + a.fault.name)
	}
	if stays {
		return nil
	}
	return errors.Join(errOver, conn.Close())
}

// eachFrame reads what comes over a connection, one frame or protocol header at a time, until it ends or see fails.
func eachFrame(conn net.Conn, see func([]byte) error) {
	r := bufio.NewReader(conn)
	for {
		head, err := r.Peek(8)
		if err != nil {
			return
		}
		size := 8
		if !bytes.HasPrefix(head, []byte("AMQP")) {
			size = int(binary.BigEndian.Uint32(head))
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(r, frame); err != nil || see(frame) != nil {
			return
		}
	}
}

// expect has a text counted.
func (l *amqpLine) expect(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, text)
}

func (l *amqpLine) count(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.texts {
		if isTransfer(frame) && bytes.Contains(frame, []byte(text)) {
			l.counts[text]++
		}
	}
}

// isTransfer tells whether a frame carries (a part of) a message:
// http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#type-transfer.
func isTransfer(frame []byte) bool {
	return len(frame) > 8 && bytes.HasPrefix(frame[min(4*int(frame[4]), len(frame)):], []byte{0x00, 0x53, 0x14})
}

func (l *amqpLine) next(frame []byte) *armed {
	return l.spring(func(wanted string) bool { return bytes.Contains(frame, []byte(wanted)) })
}

func (l *amqpLine) meetNth(n int, taken bool) {
	l.arm(&armed{after: n, taken: taken, fault: &fault{name: "reset before an answer"}})
}

func (l *amqpLine) handed(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[text]
}

// drop returns when the targets have ended the connections, too.
func (l *amqpLine) drop() {
	l.mu.Lock()
	var ended []chan struct{}
	for p, done := range l.open {
		_ = p.client.(interface{ CloseWrite() error }).CloseWrite()
		ended = append(ended, done)
	}
	l.mu.Unlock()
	for _, done := range ended {
		<-done
	}
}

func (l *amqpLine) vanish() {
	l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.open {
		p.client.Close()
	}
}
