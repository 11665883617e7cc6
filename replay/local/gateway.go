package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tandem/capture"
	"tandem/capture/httpproxy"
)

// An Invoker runs a function with an event and returns what it answered, or the kind of its failure in
// functionError, as X-Amz-Function-Error has it. ClientContext is the value of X-Amz-Client-Context, or "". An error
// means that the function did not run; one with a method "Throttled() bool" that returns true, that it may later.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte, clientContext string) (
		answer []byte, functionError string, err error)
}

// Limits of HTTP APIs. Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html.
const (
	maxGatewayBody = 10 << 20
	gatewayTimeout = 30 * time.Second
)

// A Gateway is an API Gateway HTTP API with payload format 2.0 in front of local functions. It is an [http.Handler].
type Gateway struct {
	invoker   Invoker
	functions map[string]string // by route key
	router    *httpproxy.Router
	timeout   time.Duration
}

// NewGateway returns a gateway that sends requests to functions by route: "POST /orders", "ANY /files/{proxy+}",
// "$default".
func NewGateway(invoker Invoker, functions map[string]string) (*Gateway, error) {
	if len(functions) == 0 {
		return nil, errors.New("a gateway needs at least one route")
	}
	router, err := httpproxy.NewRouter(slices.Sorted(maps.Keys(functions)))
	if err != nil {
		return nil, err
	}
	return &Gateway{invoker: invoker, functions: maps.Clone(functions), router: router, timeout: gatewayTimeout}, nil
}

// ServeHTTP makes an event of r, invokes the function of its route and writes its answer. A [capture.Mark] in r's
// header becomes the client context; the function does not see the header. A client that goes away does not stop the
// function, as it does not on AWS.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := httpproxy.NewRequestID()
	w.Header().Set("Apigw-Requestid", requestID)
	match, ok := g.router.MatchRequest(r)
	if !ok {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGatewayBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event, err := httpproxy.EventV2(r, body, httpproxy.Arrival{Match: match, RequestID: requestID, Time: time.Now()})
	if err != nil {
		refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	clientContext := ""
	if mark, err := capture.ParseMark(r.Header.Get(capture.MarkHeader)); err == nil {
		clientContext = mark.ClientContext()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.timeout)
	defer cancel()
	payload, functionError, err := g.invoker.Invoke(ctx, g.functions[match.Key()], event, clientContext)
	var throttle interface{ Throttled() bool }
	switch {
	case errors.As(err, &throttle) && throttle.Throttled():
		refuse(w, http.StatusTooManyRequests, "Too Many Requests")
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
	case functionError != "":
		refuse(w, http.StatusBadGateway, "Internal server error")
	default:
		writeAnswer(w, payload)
	}
}

// refuse answers as the gateway does by itself.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"message\":%q}", message) // the client has gone: nobody to tell
}

// writeAnswer writes what a function returned as an HTTP API does. Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
func writeAnswer(w http.ResponseWriter, payload []byte) {
	answer, err := capture.ExpandAnswer(capture.FormatAPIGatewayV2, payload)
	if err != nil {
		refuse(w, http.StatusBadGateway, "Internal server error")
		return
	}
	header := w.Header()
	maps.Copy(header, answer.Header)
	for _, name := range []string{"Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Trailer"} {
		header.Del(name) // the connection's, not the answer's
	}
	if header.Get("Content-Type") == "" {
		header["Content-Type"] = nil // or else net/http guesses one
	}
	if bodyAllowed(answer.Status) {
		header.Set("Content-Length", strconv.Itoa(len(answer.Body)))
	} else {
		header.Del("Content-Length")
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // the client has gone, or a body where HTTP has none
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
