package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// shutdownPatience is how long requests in flight may take once a server was asked to stop.
const shutdownPatience = 10 * time.Second

// tlsFlags say what a server serves HTTPS with.
type tlsFlags struct{ cert, key string }

func (t *tlsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.cert, "tls-cert", "", "PEM `file` of the certificate chain to serve HTTPS with")
	cmd.Flags().StringVar(&t.key, "tls-key", "", "PEM `file` of the certificate's key")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
}

// config returns what to serve HTTPS with, nil for plain HTTP.
func (t *tlsFlags) config() (*tls.Config, error) {
	if t.cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", t.cert, t.key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

// servers are HTTP servers that live together.
type servers []*httpServer

// listen takes an address, port 0 for any, so that it is known to be free before anything else is begun. Connections
// wait until something is served there. An empty address is none, and gives nil.
func (s *servers) listen(addr string) (*httpServer, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	server := &httpServer{listener: l, done: make(chan error, 1)}
	*s = append(*s, server)
	return server, nil
}

// serve serves a handler on a free loopback port and returns its URL.
func (s *servers) serve(h http.Handler) (string, error) {
	server, err := s.listen("127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server.serve(h)
	return server.url(), nil
}

// wait returns when ctx ends, or when one of the servers cannot go on.
func (s *servers) wait(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, server := range *s {
		group.Go(func() error { return server.wait(ctx) })
	}
	return group.Wait()
}

// close closes the servers, the last first, and returns all errors. Closing again does nothing.
func (s *servers) close() error {
	var err error
	for n := len(*s) - 1; n >= 0; n-- {
		err = errors.Join(err, (*s)[n].close())
	}
	*s = nil
	return err
}

// An httpServer serves one handler on one address until it is closed.
type httpServer struct {
	listener net.Listener
	tls      *tls.Config  // nil to speak plainly; set it before serve
	server   *http.Server // nil until serve
	done     chan error
}

func (s *httpServer) serve(h http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{Handler: h, Protocols: protocols, TLSConfig: s.tls, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		if s.tls != nil {
			s.done <- s.server.ServeTLS(s.listener, "", "")
		} else {
			s.done <- s.server.Serve(s.listener)
		}
	}()
}

func (s *httpServer) url() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

func (s *httpServer) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.done:
		s.done <- http.ErrServerClosed // for close
		return fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
	}
}

// close lets requests in flight finish, within reason, and waits until the server is down.
func (s *httpServer) close() error {
	if s.server == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
