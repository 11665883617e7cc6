package runtimeapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

func (h *Host) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiPath+"invocation/next", h.serveNext)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/response", h.serveResponse)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/error", h.serveError)
	mux.HandleFunc("POST "+apiPath+"init/error", h.serveInitError)
	return mux
}

// serveNext answers when there is an event, however long that takes.
func (h *Host) serveNext(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	if h.current != nil && h.current.delivered {
		h.mu.Unlock()
		refuseTransition(w, "Running", "Ready")
		return
	}
	h.started = true
	h.waiting++
	h.broadcast()
	h.mu.Unlock()

	req, ok := h.take(r)
	if !ok {
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(req.Event)))
	header.Set(headerRequestID, req.ID)
	header.Set(headerDeadline, strconv.FormatInt(req.Deadline.UnixMilli(), 10))
	header.Set(headerFunctionARN, req.FunctionARN)
	setIfAny(header, headerTraceID, req.TraceID)
	setIfAny(header, headerClientContext, string(req.ClientContext))
	setIfAny(header, headerCognitoIdentity, string(req.CognitoIdentity))
	w.Write(req.Event) //nolint:errcheck // a runtime that went away is seen by whoever runs it
}

func setIfAny(header http.Header, name, value string) {
	if value != "" {
		header.Set(name, value)
	}
}

// take waits for an invocation and marks it as delivered. ok is false when r or the host ended before there was one.
func (h *Host) take(r *http.Request) (req Request, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() {
		h.waiting--
		h.broadcast()
	}()
	for h.current == nil || h.current.delivered {
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		h.mu.Lock()
		if h.closed || r.Context().Err() != nil {
			return Request{}, false
		}
	}
	h.current.delivered = true
	return h.current.request, true
}

func (h *Host) serveResponse(w http.ResponseWriter, r *http.Request) {
	if !h.mayPost(w, r.PathValue("id"), "InvocationResponse") {
		return
	}
	if mode := r.Header.Get(headerResponseMode); mode != "" && mode != "streaming" {
		h.answer(r.PathValue("id"), ErrorResponse("Runtime.InvalidResponseModeHeader",
			fmt.Sprintf("Invalid response mode header: %q", mode)))
		refuse(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	payload, ok := h.readPayload(w, r)
	if !ok {
		return
	}
	resp := Response{Payload: payload, ContentType: r.Header.Get("Content-Type")}
	if errorType := r.Trailer.Get(headerErrorType); errorType != "" {
		resp = trailerError(r.Trailer)
	}
	h.accept(w, r, resp)
}

// trailerError reads the trailers in which a runtime says that a response it has begun to stream has failed.
func trailerError(trailer http.Header) Response {
	errorType := trailer.Get(headerErrorType)
	doc, err := base64.StdEncoding.DecodeString(trailer.Get(headerErrorBody))
	if err != nil || !json.Valid(doc) {
		return ErrorResponse(errorType, "")
	}
	return Response{Payload: doc, ContentType: "application/json", FunctionError: Unhandled, ErrorType: errorType}
}

func (h *Host) serveError(w http.ResponseWriter, r *http.Request) {
	if !h.mayPost(w, r.PathValue("id"), "InvocationErrorResponse") {
		return
	}
	payload, ok := h.readPayload(w, r)
	if !ok {
		return
	}
	h.accept(w, r, postedError(r, payload))
}

// postedError makes the response of an error that a runtime posted. What the runtime wrote is passed on as it is.
func postedError(r *http.Request, payload []byte) Response {
	var doc struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(payload, &doc) != nil || doc.Type == "" {
		doc.Type = r.Header.Get(headerErrorType)
	}
	if len(payload) == 0 {
		return ErrorResponse(doc.Type, "")
	}
	return Response{
		Payload: payload, ContentType: r.Header.Get("Content-Type"), FunctionError: Unhandled, ErrorType: doc.Type,
	}
}

func (h *Host) serveInitError(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	started := h.started
	h.mu.Unlock()
	if started {
		refuseTransition(w, "Ready", "InitError")
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if err != nil {
		refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	h.mu.Lock()
	h.initError = &InitError{postedError(r, payload)}
	h.broadcast()
	h.mu.Unlock()
	accepted(w)
}

// mayPost tells whether the runtime is at work on invocation id, and else refuses the request.
func (h *Host) mayPost(w http.ResponseWriter, id, transition string) bool {
	h.mu.Lock()
	busy := h.current != nil && h.current.delivered
	known := busy && h.current.request.ID == id
	h.mu.Unlock()
	switch {
	case !busy:
		refuseTransition(w, "Ready", transition)
	case !known:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	}
	return known
}

// readPayload reads a request's body. When it is too large the invocation has failed; when it is cut off, nothing has
// happened yet: how the invocation ends is then seen from what becomes of the runtime.
func (h *Host) readPayload(w http.ResponseWriter, r *http.Request) (payload []byte, ok bool) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	if err != nil {
		refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return nil, false
	}
	if len(payload) > MaxPayload {
		h.answer(r.PathValue("id"), tooLarge())
		io.Copy(io.Discard, r.Body) //nolint:errcheck // so that the runtime comes to read the answer
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
		return nil, false
	}
	return payload, true
}

func tooLarge() Response {
	return ErrorResponse("Function.ResponseSizeTooLarge",
		fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload))
}

func (h *Host) accept(w http.ResponseWriter, r *http.Request, resp Response) {
	if !h.answer(r.PathValue("id"), resp) {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	accepted(w)
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`+"\n") //nolint:errcheck // the runtime's loss
}

func refuseTransition(w http.ResponseWriter, from, to string) {
	refuse(w, http.StatusForbidden, "InvalidStateTransition", fmt.Sprintf(
		"State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(errorDocument(errorType, message)) //nolint:errcheck // the runtime's loss
}
