package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A Request is one invocation on its way to a runtime.
type Request struct {
	ID              string
	FunctionARN     string
	Deadline        time.Time // told to the runtime; it is for the caller of Invoke to enforce
	TraceID         string
	ClientContext   []byte // plain JSON, or nil
	CognitoIdentity []byte // plain JSON, or nil
	Event           []byte
}

// A Response is what a runtime posted for an invocation.
type Response struct {
	// Payload is the function's answer, or the error document when FunctionError is not empty.
	Payload     []byte
	ContentType string
	// FunctionError is "" or [Unhandled].
	FunctionError string
	// ErrorType is the kind of failure, such as "Runtime.ExitError"; "" where the runtime did not tell.
	ErrorType string
}

// ErrorResponse returns the response that the platform gives for an invocation of which the runtime said nothing.
func ErrorResponse(errorType, message string) Response {
	return Response{
		Payload:       errorDocument(errorType, message),
		ContentType:   "application/json",
		FunctionError: Unhandled,
		ErrorType:     errorType,
	}
}

func errorDocument(errorType, message string) []byte {
	doc, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		panic(err) // strings always marshal
	}
	return doc
}

// An InitError says that the runtime reported that it could not be initialized.
type InitError struct{ Response Response }

func (e *InitError) Error() string {
	return fmt.Sprintf("the runtime could not be initialized: %s", e.Response.Payload)
}

// ErrBusy is what Invoke returns while another invocation is under way.
var ErrBusy = errors.New("the environment is working on another invocation")

// ErrClosed is what a Host's methods return once it is closed.
var ErrClosed = errors.New("the runtime API host is closed")

// A Host is the environment's half of the Runtime API, for one runtime process and one invocation at a time. A
// process that has died is not replaced within a Host: close it and make another.
//
// All methods may be called by several goroutines at once.
type Host struct {
	handler http.Handler
	server  *server

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever one of the fields below changes
	waiting   int           // requests for the next event that have no answer yet
	current   *work         // the invocation that the runtime is to handle; nil when it is to have none
	started   bool          // the runtime has asked for an event
	initError *InitError
	closed    bool
}

// work is one invocation in a Host.
type work struct {
	request   Request
	delivered bool
	answer    chan Response // has room for the one response
}

// NewHost starts a Host on a free loopback port. Close it when done.
func NewHost() (*Host, error) {
	h := &Host{changed: make(chan struct{})}
	h.handler = h.routes()
	var err error
	if h.server, err = serve(h); err != nil {
		return nil, err
	}
	return h, nil
}

// Addr returns the host's address in the form of AWS_LAMBDA_RUNTIME_API, "127.0.0.1:port".
func (h *Host) Addr() string { return h.server.addr() }

// ServeHTTP serves the API to a runtime that does not come to Addr, such as one whose requests pass another server.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// Ready waits until the runtime waits for an event: once it is initialized, and again when it is done with what it
// was given last, which is later than when it posted its response. The error is an [*InitError] when the runtime
// reported one, [ErrClosed], or ctx's.
func (h *Host) Ready(ctx context.Context) error {
	for {
		h.mu.Lock()
		waiting, initError, closed, changed := h.waiting, h.initError, h.closed, h.changed
		h.mu.Unlock()
		switch {
		case waiting > 0:
			return nil
		case initError != nil:
			return initError
		case closed:
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Invoke hands an invocation to the runtime, as soon as it asks for one, and waits for what it posts. A function that
// failed is a response; an error means that there is none: [ErrBusy], [ErrClosed], or the cause of ctx's end. After
// ctx has ended the runtime may still be busy with the invocation, but can no longer post a response to it.
func (h *Host) Invoke(ctx context.Context, req Request) (Response, error) {
	w := &work{request: req, answer: make(chan Response, 1)}
	if err := h.offer(w); err != nil {
		return Response{}, err
	}
	resp, err := h.await(ctx, w)
	if err != nil && !h.withdraw(w) {
		return <-w.answer, nil // it came at the last moment
	}
	return resp, err
}

func (h *Host) await(ctx context.Context, w *work) (Response, error) {
	for {
		h.mu.Lock()
		closed, changed := h.closed, h.changed
		h.mu.Unlock()
		if closed {
			return Response{}, ErrClosed
		}
		select {
		case resp := <-w.answer:
			return resp, nil
		case <-ctx.Done():
			return Response{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

func (h *Host) offer(w *work) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return ErrClosed
	case h.current != nil:
		return ErrBusy
	}
	h.current = w
	h.broadcast()
	return nil
}

// withdraw takes back an invocation that has no response yet, and tells whether it could.
func (h *Host) withdraw(w *work) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != w {
		return false
	}
	h.current = nil
	return true
}

// answer gives the current invocation its response and tells whether id was that invocation's.
func (h *Host) answer(id string, resp Response) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current == nil || !h.current.delivered || h.current.request.ID != id {
		return false
	}
	h.current.answer <- resp
	h.current = nil
	return true
}

// broadcast wakes everyone who waits for a change. The caller holds h.mu.
func (h *Host) broadcast() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Close ends the host, and with it all calls to Ready and Invoke. When it returns, no request is being served.
func (h *Host) Close() error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		h.broadcast()
	}
	h.mu.Unlock()
	return h.server.close()
}
