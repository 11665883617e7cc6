package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/capture/customhandler"
)

// maxRequest is the largest request body in bytes. Source: "Limits" in
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger.
const maxRequest = 100 << 20

// ownRoutes are the first segments of paths that belong to the host.
var ownRoutes = []string{"admin", "runtime", "tandem"}

// hostVersion is told to handlers.
const hostVersion = "4.0.0.0"

// Handler serves the HTTP triggers below the app's route prefix, Azure's admin API under /admin/, the webhooks of
// extensions under /runtime/, and under /tandem/ what only a replay needs.
func (f *Functions) Handler() http.Handler {
	own := f.ownHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if below && slices.Contains(ownRoutes, first) {
			own.ServeHTTP(w, r)
			return
		}
		f.serveTrigger(w, r)
	})
}

// serveTrigger answers a request for an HTTP function. One that no route and method fits gets 404, never 405:
// https://github.com/Azure/azure-functions-host/issues/10098.
func (f *Functions) serveTrigger(w http.ResponseWriter, r *http.Request) {
	fn, params := f.find(r)
	if fn == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !f.keys.admit(r, fn.auth) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.ContentLength > maxRequest {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		status := http.StatusBadRequest // the client has gone away
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		w.WriteHeader(status)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.opts.HTTPTimeout)
	defer cancel()
	if f.app.forward && fn.plain {
		f.serveForwarded(ctx, w, r, fn, body)
		return
	}
	f.servePayload(ctx, w, r, fn, customhandler.HTTPTrigger{
		URL: requestURL(r), Method: r.Method, Header: headersOf(r), Params: params, Body: body,
	})
}

// find returns the function that r is for, or nil.
func (f *Functions) find(r *http.Request) (*azureFunction, map[string]string) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if f.app.prefix != "" {
		n := len(f.app.prefix)
		if len(path) < n || !strings.EqualFold(path[:n], f.app.prefix) || len(path) > n && path[n] != '/' {
			return nil, nil
		}
		path = strings.TrimPrefix(path[n:], "/")
	}
	path = strings.TrimSuffix(path, "/")
	for _, fn := range f.routes {
		if params, ok := fn.route.Match(path); ok && fn.answers(r.Method) {
			return fn, params
		}
	}
	return nil, nil
}

// serveForwarded gives the handler the plain request and the client its plain answer.
func (f *Functions) serveForwarded(
	ctx context.Context, w http.ResponseWriter, r *http.Request, fn *azureFunction, body []byte) {
	inv := newInvocation(fn, r, "")
	inv.send = func(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
		out, err := forwardedRequest(ctx, url, r, inv.id, body)
		if err != nil {
			return nil, err
		}
		return client.Do(out)
	}
	resp, err := f.invoke(ctx, inv)
	if err != nil {
		f.fail(w, err)
		return
	}
	defer resp.Body.Close()
	f.passOn(w, resp)
}

// passOn answers as a handler did.
func (f *Functions) passOn(w http.ResponseWriter, resp *http.Response) {
	writeHead(w, resp.StatusCode, resp.Header)
	if err := copyFlushed(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler) // the only way to tell the client that the answer was cut off
	}
}

// writeHead writes a status and headers, without those of one connection only.
func writeHead(w http.ResponseWriter, status int, header http.Header) {
	removeHopByHop(header)
	maps.Copy(w.Header(), header)
	if header.Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // keeps net/http from guessing one
	}
	w.WriteHeader(status)
}

// forwardedRequest makes the request that a handler gets for r.
func forwardedRequest(ctx context.Context, handlerURL string, r *http.Request, id string, body []byte) (
	*http.Request, error) {
	target := handlerURL + r.URL.EscapedPath()
	if query := forwardedQuery(r.URL.RawQuery); query != "" {
		target += "?" + query
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, target, nil)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 || mayBeRepeated(r.Method) {
		// A body that cannot be had again, even an empty one, keeps net/http from sending a request twice.
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	out.Host = r.Host
	out.Header = r.Header.Clone()
	removeHopByHop(out.Header)
	out.Header.Set(customhandler.InvocationIDHeader, id)
	out.Header.Set("X-Azure-Functions-HostVersion", hostVersion)
	out.Header.Set("User-Agent", strings.TrimSpace(r.UserAgent()+" Azure-Functions-Host/"+hostVersion))
	return out, nil
}

// mayBeRepeated tells the methods whose requests net/http sends again when a connection breaks, without a word. Their
// empty bodies are not sent.
func mayBeRepeated(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// forwardedQuery returns the query that a handler gets: the host takes it apart and joins the values of a repeated
// name with commas (HttpRequestExtensions.ToHttpRequestMessage in the host's source). Else it passes as it came.
func forwardedQuery(raw string) string {
	seen := make(map[string]int) // by name in lower case: where it is in names
	var names, values []string
	repeated := false
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return raw
		}
		if part == "" {
			continue
		}
		if i, ok := seen[strings.ToLower(name)]; ok {
			values[i] += "," + value
			repeated = true
			continue
		}
		seen[strings.ToLower(name)] = len(names)
		names, values = append(names, name), append(values, value)
	}
	if !repeated {
		return raw
	}
	for i, name := range names {
		names[i] = url.QueryEscape(name) + "=" + strings.ReplaceAll(url.QueryEscape(values[i]), "+", "%20")
	}
	return strings.Join(names, "&")
}

// servePayload gives the handler a payload and makes the answer from its outputs. An invocation that fails is
// answered with 500 and nothing else.
func (f *Functions) servePayload(
	ctx context.Context, w http.ResponseWriter, r *http.Request, fn *azureFunction, trigger customhandler.HTTPTrigger) {
	inv := newInvocation(fn, r, "")
	payload, err := trigger.Request(fn.trigger.Name, customhandler.NewSys(fn.name, time.Now()))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	resp, err := f.call(ctx, inv, payload)
	if err != nil {
		f.log.printf("%s: %v", fn.name, err)
		f.fail(w, err)
		return
	}
	output, ok := fn.httpOutput()
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a, err := resp.HTTP(output)
	if err != nil {
		f.log.printf("%s: %v", fn.name, err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	a.Header.Del("Content-Length")
	writeHead(w, a.Status, a.Header)
	_, _ = w.Write(a.Body) // a client that is gone has nobody to tell
}

// call invokes a function with a payload. An error means that the invocation failed.
func (f *Functions) call(ctx context.Context, inv *invocation, req *customhandler.Request) (
	*customhandler.Response, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	inv.send = func(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
		c := customhandler.Client{URL: url, HTTP: client}
		return c.Post(ctx, inv.function, inv.id, nil, payload)
	}
	answer, err := f.invoke(ctx, inv)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	resp, err := customhandler.ReadResponse(answer)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, fmt.Errorf("the handler answered %s", answer.Status)
	}
	for _, line := range resp.Logs {
		f.log.printf("%s: %s", inv.function, line)
	}
	return resp, nil
}

// fail answers for an invocation that has no answer of its own.
func (f *Functions) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusBadGateway // the load balancer's, not the host's
	case errors.Is(err, errFunctionsClosed), errors.Is(err, errNoHandler):
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
}

// copyFlushed copies an answer as it comes. It returns an error only when from fails: a client that has gone away is
// no reason to stop the function.
func copyFlushed(to http.ResponseWriter, from io.Reader) error {
	out := http.NewResponseController(to)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil || out.Flush() != nil {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// requestURL is the whole URL of r, as the client wrote it.
func requestURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.RequestURI()
}

// headersOf returns the headers of r with Host, which net/http keeps apart.
func headersOf(r *http.Request) http.Header {
	h := r.Header.Clone()
	h.Set("Host", r.Host)
	return h
}

// removeHopByHop removes what concerns one connection only: RFC 9110, section 7.6.1.
func removeHopByHop(h http.Header) {
	for name := range strings.SplitSeq(strings.Join(h.Values("Connection"), ","), ",") {
		h.Del(strings.TrimSpace(name))
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}
