package wiretap

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pumping starts a pump before the server at upstream and returns its address.
func pumping(t *testing.T, upstream string, tap *Tap) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&Pump{Upstream: upstream, Tap: tap}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// accepting starts a server that hands each connection to handle.
func accepting(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// Whatever becomes of the copies, the bytes pass, and each side can end its own.
func TestBytesPassUntouched(t *testing.T) {
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	var got []byte
	var end sync.WaitGroup
	end.Add(1)
	upstream := accepting(t, func(conn *net.TCPConn) {
		defer end.Done()
		var err error
		if got, err = io.ReadAll(conn); err != nil { // it sees the client's end
			t.Error(err)
		}
		conn.Write(sent)
	})
	for name, tap := range map[string]*Tap{
		"no copies": nil, "nobody takes them": NewTap(100_000), "all are kept": NewTap(0),
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, pumping(t, upstream, tap))
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			conn.CloseWrite()
			answer, err := io.ReadAll(conn)
			end.Wait()
			end.Add(1)
			if err != nil || !bytes.Equal(answer, sent) || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes there, %d back, of %d: %v", len(got), len(answer), len(sent), err)
			}
		})
	}
}

func TestResetsPassAsResets(t *testing.T) {
	upstream := accepting(t, func(conn *net.TCPConn) {
		conn.Read(make([]byte, 1))
		conn.SetLinger(0)
	})
	conn := dial(t, pumping(t, upstream, nil))
	conn.Write([]byte("x"))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}

	seen := make(chan error, 1)
	upstream = accepting(t, func(conn *net.TCPConn) {
		conn.Read(make([]byte, 1))
		_, err := conn.Read(make([]byte, 1))
		seen <- err
	})
	conn = dial(t, pumping(t, upstream, nil))
	conn.Write([]byte("x"))
	conn.SetLinger(0)
	conn.Close()
	if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server sees %v", err)
	}
}

func TestServerThatIsAwayIsAwayForClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := l.Addr().String()
	l.Close()
	address := pumping(t, upstream, NewTap(0))
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
}

// An answer passes piece by piece, however long it takes.
func TestStreamsAreNotHeldUp(t *testing.T) {
	next := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for part := range next {
			io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
	}))
	defer server.Close()
	done := make(chan string, 1)
	w, err := NewWire(WireOptions{
		Upstream: server.Listener.Addr().String(), Observer: Observer{Done: func(x *Exchange) { done <- describe(x) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+w.Addr()+"/s", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	responses := make(chan *http.Response, 1)
	go func() {
		resp, err := transport.RoundTrip(request)
		if err != nil {
			t.Error(err)
		}
		responses <- resp
	}()
	next <- "one"
	resp := <-responses
	buf := make([]byte, 10)
	for _, part := range []string{"one", "two", "three"} {
		if part != "one" {
			next <- part
		}
		if n, err := resp.Body.Read(buf); err != nil || string(buf[:n]) != part {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	}
	w.Sync()
	close(next)
	io.Copy(io.Discard, resp.Body)
	w.Sync()
	select {
	case got := <-done:
		if diff := cmp.Diff(`POST /s "body" -> 200 "onetwothree"`, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	default:
		t.Error("what had passed was not told")
	}
	resp.Body.Close()
	transport.CloseIdleConnections()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w.Sync() // there is nothing to wait for
	if w.Dropped() != 0 {
		t.Errorf("%d bytes were dropped", w.Dropped())
	}
}

func TestClosedListenerEndsThePump(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := (&Pump{}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
