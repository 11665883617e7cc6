package replay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/replay"
)

func newRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["User-Agent"] = []string{"shop/1.0"}
	req.Header["x-more"] = []string{"b", "a"}
	return req
}

// exchange is one that succeeds.
func exchange(t *testing.T, client *http.Client, method, url, body string) (*http.Response, string) {
	t.Helper()
	answer, got, _, err := replay.Exchange(t.Context(), client, newRequest(t, method, url), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(got)
}

// An Exchange gets what net/http gets of the same server, and sends it the same bytes.
func TestAnExchangeIsThatOfNetHTTP(t *testing.T) {
	long := strings.Repeat("long ", 100_000)
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Del("Connection") // net/http asks for close, without keep-alives
		w.Header()["Date"] = nil
		w.Header().Add("Set-Cookie", "a=b")
		w.Header().Add("Set-Cookie", "c=d")
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
		case "/known":
			w.Header().Set("Content-Length", "6000")
			_, _ = io.WriteString(w, long[:3000])
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, long[:3000])
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			fmt.Fprintf(w, "%s %s %v %d %s", r.Method, r.URL, r.Header, r.ContentLength, body)
		}
	}
	for _, start := range []func(*httptest.Server){(*httptest.Server).Start, (*httptest.Server).StartTLS} {
		server, connections := counting(t, handler, start)
		config := new(tls.Config)
		if server.Certificate() != nil {
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AddCert(server.Certificate())
		}
		ours := replay.NewHTTPClient(replay.HTTPOptions{TLS: config})
		theirs := &http.Client{
			Transport:     &http.Transport{TLSClientConfig: config, DisableCompression: true, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		for _, tt := range []struct{ method, path, body string }{
			{"GET", "/a?b=c", ""}, {"GET", "/a%2Fb", "x"}, {"POST", "/a", "hello"}, {"POST", "/a", ""}, {"PUT", "/a", long},
			{"HEAD", "/a", ""}, {"GET", "/chunked", ""}, {"GET", "/empty", ""}, {"GET", "/interim", ""}, {"GET", "/long", ""},
			{"GET", "/known", ""}, {"GET", "/redirect", ""}, {"DELETE", "/a", ""}, {"PURGE", "/a", ""},
		} {
			got, gotBody := exchange(t, ours, tt.method, server.URL+tt.path, tt.body)
			want, wantBody := exchange(t, theirs, tt.method, server.URL+tt.path, tt.body)
			want.Header.Del("Connection")
			if got.StatusCode != want.StatusCode || gotBody != wantBody || !reflect.DeepEqual(got.Header, want.Header) {
				t.Errorf("%s %s: %d %v %.200q\nwant %d %v %.200q", tt.method, tt.path, got.StatusCode, got.Header, gotBody,
					want.StatusCode, want.Header, wantBody)
			}
		}
		ours.CloseIdleConnections()
		// Theirs makes one for each, and of ours the large one may not be sent when its answer is there.
		if n := connections.Load(); n > 14+2 {
			t.Errorf("%d connections", n)
		}
	}
}

func TestAnExchangeUsesNoConnectionThatWasClosed(t *testing.T) {
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) }, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	for i := range 5 {
		exchange(t, client, "POST", server.URL, "x")
		server.CloseClientConnections()
		if n := int(connections.Load()); n != i+1 {
			t.Errorf("%d connections after %d", n, i+1)
		}
	}
}

// talker serves connections as it likes, until the test ends.
func talker(t *testing.T, serve func(conn net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	return "http://" + l.Addr().String()
}

func TestAnExchangeTakesNoAnswerThatNobodyAskedFor(t *testing.T) {
	said := make(chan struct{}, 3)
	url := talker(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		said <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	defer client.CloseIdleConnections()
	for range 3 {
		if answer, body := exchange(t, client, "GET", url, ""); answer.StatusCode != 200 || body != "ok" {
			t.Errorf("%d %s", answer.StatusCode, body)
		}
		<-said
	}
}

func TestTheEndOfItsContextEndsAnExchange(t *testing.T) {
	parts := []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12"}
	for _, part := range parts {
		ctx, cancel := context.WithCancel(t.Context())
		url := talker(t, func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, part)
				cancel()
			}
			_, _ = io.Copy(io.Discard, conn) // until the client goes
		})
		client := replay.NewHTTPClient(replay.HTTPOptions{})
		_, _, _, err := replay.Exchange(ctx, client, newRequest(t, "GET", url), nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %q: error %v", part, err)
		}
	}
}

func TestTheDeadlineOfItsContextEndsAnExchange(t *testing.T) {
	url := talker(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, _, err := replay.Exchange(ctx, replay.NewHTTPClient(replay.HTTPOptions{}), newRequest(t, "GET", url), nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestAnAnswerBeyondTheLimitFailsAnExchange(t *testing.T) {
	server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1001))
	}, (*httptest.Server).Start)
	client := replay.NewHTTPClient(replay.HTTPOptions{MaxAnswer: 1000})
	defer client.CloseIdleConnections()
	for _, path := range []string{"/", "/chunked"} {
		_, _, _, err := replay.Exchange(t.Context(), client, newRequest(t, "GET", server.URL+path), nil)
		if err == nil || err.Error() != "read the answer with status 200: the answer is longer than 1000 bytes" {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

func TestABrokenConnectionFailsAnExchangeAsItFailsAnotherRequest(t *testing.T) {
	for _, reset := range []bool{false, true} {
		server, _ := counting(t, hijack("", reset), (*httptest.Server).Start)
		client := replay.NewHTTPClient(replay.HTTPOptions{})
		_, _, _, err := replay.Exchange(t.Context(), client, newRequest(t, "GET", server.URL), nil)
		_, want := client.Get(server.URL)
		if err == nil || want == nil {
			t.Fatalf("errors %v and %v", err, want)
		}
		// They differ in the ports.
		if got, want := withoutPorts(err), withoutPorts(errors.Unwrap(want)); got != want {
			t.Errorf("reset %v: error %q, want %q", reset, got, want)
		}
	}
}

func withoutPorts(err error) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// With TLS what nobody asked for may have been read from the network with the answer before it.
func TestNoAnswerThatNobodyAskedForIsTakenWithTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	config := &tls.Config{Certificates: server.TLS.Certificates}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	url := talker(t, func(raw net.Conn) {
		together := &gathering{Conn: raw}
		conn := tls.Server(together, config)
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		together.hold = true
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		_, _ = raw.Write(together.held)
		_, _ = io.Copy(io.Discard, raw)
	})
	url = strings.Replace(url, "http:", "https:", 1)
	client := replay.NewHTTPClient(replay.HTTPOptions{TLS: &tls.Config{RootCAs: roots}})
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for what would wait for an answer in vain
	defer cancel()
	for range 3 {
		answer, body, _, err := replay.Exchange(ctx, client, newRequest(t, "GET", url), nil)
		if err != nil || answer.StatusCode != 200 || string(body) != "ok" {
			t.Errorf("%+v %s %v", answer, body, err)
		}
	}
	for range 3 {
		answer, err := client.Do(newRequest(t, "GET", url).WithContext(ctx))
		if err != nil {
			t.Error(err)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("%+v", answer)
		}
	}
}

// A gathering connection keeps what is written to it.
type gathering struct {
	net.Conn
	hold bool
	held []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	if !g.hold {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}
