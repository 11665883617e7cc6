package runtimeapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// server is an HTTP server on a free port of the loopback interface.
type server struct {
	listener net.Listener
	http     *http.Server
	cancel   context.CancelFunc // ends the contexts of all requests
	served   chan struct{}      // closed when the server has stopped accepting
}

// closeTime is how long requests that are being answered get to notice that the server closes.
const closeTime = time.Second

func serve(handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtime API: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{
		listener: listener,
		http: &http.Server{
			Handler:     handler,
			BaseContext: func(net.Listener) context.Context { return ctx },
		},
		cancel: cancel,
		served: make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		s.http.Serve(listener) //nolint:errcheck // always ErrServerClosed, by close
	}()
	return s, nil
}

func (s *server) addr() string { return s.listener.Addr().String() }

// close ends all requests, and returns when their handlers have returned.
func (s *server) close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close() // connections that no request has come on
	}
	<-s.served
	return err
}
