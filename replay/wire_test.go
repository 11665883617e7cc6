package replay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/replay"
)

// counting starts a server and counts the connections that are made to it.
func counting(t *testing.T, handler http.HandlerFunc, start func(*httptest.Server)) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	start(server)
	t.Cleanup(server.Close)
	return server, &connections
}

func do(t *testing.T, client *http.Client, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestOneConnectionServesAnswersOfEveryKind(t *testing.T) {
	long := strings.Repeat("long ", 100_000)
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chunked":
			for i := range 3 {
				fmt.Fprintf(w, "part %d ", i)
				_ = http.NewResponseController(w).Flush()
			}
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/interim":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		case "/long":
			_, _ = io.WriteString(w, long)
		default:
			fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(body))
		}
	}, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	tests := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/a?b=c", "", 200, "GET /a?b=c 0"},
		{"POST", "/a", "hello", 200, "POST /a 5"},
		{"PUT", "/large", long, 200, fmt.Sprint("PUT /large ", len(long))},
		{"HEAD", "/a", "", 200, ""},
		{"GET", "/chunked", "", 200, "part 0 part 1 part 2 "},
		{"GET", "/empty", "", 204, ""},
		{"GET", "/interim", "", 418, ""},
		{"GET", "/long", "", 200, long},
		{"DELETE", "/a", "", 200, "DELETE /a 0"},
	}
	for _, tt := range tests {
		if status, answer := do(t, client, tt.method, server.URL+tt.path, tt.body); status != tt.status || answer != tt.want {
			t.Errorf("%s %s: %d %.80q, want %d %.80q", tt.method, tt.path, status, answer, tt.status, tt.want)
		}
	}
	// The answer to the large one may be there before its sender knows that all was sent.
	if n := connections.Load(); n > 2 {
		t.Errorf("%d connections, want one for all, or two", n)
	}
}

func TestConnectionsAreKeptForWhatIsInFlight(t *testing.T) {
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) }, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{InFlight: 4})
	defer client.CloseIdleConnections()
	for range 20 {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { do(t, client, "POST", server.URL, "x") })
		}
		group.Wait()
	}
	if n := connections.Load(); n > 4 {
		t.Errorf("%d connections for four requests at once", n)
	}
}

// A server may close a connection that is idle. The next request takes another one, and is not lost.
func TestAConnectionThatWasClosedIsNotUsed(t *testing.T) {
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) }, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	for i := range 5 {
		do(t, client, "POST", server.URL, "x")
		server.CloseClientConnections()
		if n := int(connections.Load()); n != i+1 {
			t.Errorf("%d connections after %d", n, i+1)
		}
	}
}

func TestAConnectionThatSaysWhatNobodyAskedForIsNotUsed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var served sync.WaitGroup
	said := make(chan struct{}, 2)
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
				said <- struct{}{}
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	for range 3 {
		if status, answer := do(t, client, "GET", "http://"+l.Addr().String(), ""); status != 200 || answer != "ok" {
			t.Errorf("%d %s", status, answer)
		}
		<-said
	}
	client.CloseIdleConnections()
	l.Close()
	served.Wait()
}

func TestAnAnswerThatComesBeforeAllWasSentIsTaken(t *testing.T) {
	server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	resp, err := client.Post(server.URL, "text/plain", bytes.NewReader(make([]byte, 64<<20)))
	if err != nil {
		t.Fatal(err) // a reset that overtakes the answer would be seen here
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestABodyThatEndsEarlyFailsTheRequest(t *testing.T) {
	server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) }, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	for _, size := range []int64{100, 100_000} { // written before the answer is looked for, and meanwhile
		req, err := http.NewRequest("POST", server.URL, strings.NewReader("short"))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = size
		if _, err := client.Do(req); err == nil || !strings.Contains(err.Error(), "ContentLength") {
			t.Errorf("error %v, want one about the length", err)
		}
	}
}

func TestTheEndOfItsContextEndsARequest(t *testing.T) {
	parts := []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12"}
	for _, part := range parts {
		ctx, cancel := context.WithCancel(t.Context())
		server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, part)
			cancel()
			_, _ = io.Copy(io.Discard, conn) // until the client goes
			_ = conn.Close()
		}, (*httptest.Server).Start)
		client := replay.NewHTTPClient(replay.HTTPOptions{})
		req, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %q: error %v", part, err)
		}
	}
}

func TestTLSIsSpokenAndChecked(t *testing.T) {
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
	}, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // that a client does not trust it
		s.StartTLS()
	})
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	client := replay.NewHTTPClient(replay.HTTPOptions{TLS: &tls.Config{RootCAs: trusted}})
	defer client.CloseIdleConnections()
	for range 3 {
		if _, proto := do(t, client, "GET", server.URL, ""); proto != "HTTP/1.1" {
			t.Errorf("spoke %s", proto)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	_, err := replay.NewHTTPClient(replay.HTTPOptions{}).Get(server.URL)
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

func TestAHeaderWithoutEndIsRefused(t *testing.T) {
	server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for err == nil {
			_, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 10_000)+"\r\n")
		}
	}, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	_, err := client.Get(server.URL)
	if err == nil || !strings.Contains(err.Error(), "header is longer than 1048576 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestAServerThatSaysNothingIsLeftWhenTheTimeIsUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // which takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for _, scheme := range []string{"http", "https"} {
		req, err := http.NewRequestWithContext(ctx, "GET", scheme+"://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replay.NewHTTPClient(replay.HTTPOptions{}).Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v", scheme, err)
		}
	}
}
