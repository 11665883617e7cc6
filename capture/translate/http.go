package translate

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/httpproxy"
)

// ErrUnrouted is returned for a request that the API has no route for: it would not have come to the Lambda
// function.
var ErrUnrouted = errors.New("no route matches")

// A Request is an HTTP request as an Azure Functions app got it.
type Request struct {
	Method string
	URL    string      // as the client wrote it, whole or from the path on
	Header http.Header // with or without Host, as [http.Request] or as the host hands it on
	Body   []byte
	Proto  string    // default "HTTP/1.1"
	ID     string    // default is one that is made up
	Time   time.Time // when it came
}

// HTTPOptions say what stood in front of the Lambda function. The zero value is an HTTP API without routes.
type HTTPOptions struct {
	Format capture.Format // default [capture.FormatAPIGatewayV2]
	// Prefix is what the app's routes begin with. Default is "api", which is Azure's; "/" is none.
	Prefix string
	// Rewrites has the API's paths, such as "/orders/{id}", for paths of the app, prefix included, such as
	// "/api/v2/orders/{id}", with the same variables. Other paths lose their prefix.
	Rewrites map[string]string
	// Routes are the API's, such as "POST /orders/{id}". With none, every request is one of the route $default.
	Routes []string
	// Host is the API's domain name. Default is the app's.
	Host       string
	Stage      string // default is that of [httpproxy.Arrival]
	MultiValue bool   // of a load balancer: it has multi-value headers on
	// KeepCode says that the query's code is not the access key, which is taken out, but the application's own.
	KeepCode bool
}

// An HTTP makes events of requests. It is safe for concurrent use.
type HTTP struct {
	opts     HTTPOptions
	router   *httpproxy.Router
	rewrites *httpproxy.Router // of the app
}

// NewHTTP checks opts and returns what makes events as they say.
func NewHTTP(opts HTTPOptions) (*HTTP, error) {
	opts.Format = cmp.Or(opts.Format, capture.FormatAPIGatewayV2)
	if opts.Format.Trigger() != capture.TriggerHTTP {
		return nil, fmt.Errorf("no HTTP request makes an event of format %q", opts.Format)
	}
	opts.Prefix = strings.Trim(cmp.Or(opts.Prefix, "api"), "/")
	h := &HTTP{opts: opts}
	var err error
	if h.router, err = httpproxy.NewRouter(opts.Routes); err != nil {
		return nil, err
	}
	if len(opts.Rewrites) == 0 {
		return h, nil
	}
	var keys []string
	for from, to := range opts.Rewrites {
		if err := checkRewrite(from, to); err != nil {
			return nil, err
		}
		keys = append(keys, "ANY "+from)
	}
	h.rewrites, err = httpproxy.NewRouter(keys)
	return h, err
}

// HTTPEvent returns the event for one request; see [HTTP.Event].
func HTTPEvent(r Request, opts HTTPOptions) (json.RawMessage, error) {
	h, err := NewHTTP(opts)
	if err != nil {
		return nil, err
	}
	return h.Event(r)
}

// Event returns the event for a request. The error is [ErrUnrouted] when the API has no route for it.
func (h *HTTP) Event(r Request) (json.RawMessage, error) {
	req, err := h.request(r)
	if err != nil {
		return nil, err
	}
	match, ok := h.router.MatchRequest(req)
	if !ok {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, ErrUnrouted)
	}
	return httpproxy.NewEvent(h.opts.Format, req, r.Body, httpproxy.Arrival{
		Match: match, Host: cmp.Or(h.opts.Host, req.Host), Stage: h.opts.Stage, MultiValue: h.opts.MultiValue,
		RequestID: cmp.Or(r.ID, httpproxy.NewRequestID()), Time: r.Time,
	})
}

// request returns r as the gateway would have got it from the client.
func (h *HTTP) request(r Request) (*http.Request, error) {
	if r.Method == "" {
		return nil, errors.New("the request has no method")
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		var of *url.Error // names the URL, which may have a key in it
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, fmt.Errorf("the request's URL: %w", err)
	}
	header := make(http.Header, len(r.Header)) // net/http's names, whatever the case of r's
	for name, values := range r.Header {
		for _, v := range values {
			header.Add(name, v)
		}
	}
	query := u.RawQuery
	if !h.opts.KeepCode {
		query = withoutCode(query)
	}
	target := h.path(r.URL)
	if query != "" {
		target += "?" + query
	}
	req := &http.Request{
		Method: r.Method, URL: u, RequestURI: target, Proto: cmp.Or(r.Proto, "HTTP/1.1"), Header: header,
		Host: cmp.Or(header.Get("Host"), u.Host), RemoteAddr: takeClient(header),
	}
	if u.Scheme == "https" || strings.EqualFold(header.Get("X-Forwarded-Proto"), "https") {
		req.TLS = &tls.ConnectionState{}
	}
	withoutAzure(header)
	return req, nil
}

// path returns the path that the API has for a URL of the app, escaped as it was.
func (h *HTTP) path(rawURL string) string {
	path, _, _ := strings.Cut(rawURL, "#")
	path, _, _ = strings.Cut(path, "?")
	if _, rest, whole := strings.Cut(path, "://"); whole && path[0] != '/' {
		_, path, _ = strings.Cut(rest, "/")
	}
	path = "/" + strings.TrimPrefix(path, "/")
	if h.rewrites != nil {
		if m, ok := h.rewrites.Match(http.MethodGet, path); ok {
			return expand(h.opts.Rewrites[m.Route.Path], m.Params)
		}
	}
	prefix := "/" + h.opts.Prefix
	if prefix == "/" || len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return path
	}
	rest := path[len(prefix):]
	if rest != "" && rest[0] != '/' {
		return path
	}
	return "/" + strings.TrimPrefix(rest, "/")
}

// expand puts the values of variables, which are escaped, into a path.
func expand(path string, params map[string]string) string {
	return variable.ReplaceAllStringFunc(path, func(v string) string { return params[strings.Trim(v, "{+}")] })
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// checkRewrite finds the variables of a rewrite that have no value.
func checkRewrite(from, to string) error {
	if _, err := httpproxy.ParseRoute("ANY " + to); err != nil {
		return fmt.Errorf("rewrite of %s: %w", from, err)
	}
	known := variable.FindAllString(strings.ReplaceAll(from, "+}", "}"), -1)
	for _, v := range variable.FindAllString(strings.ReplaceAll(to, "+}", "}"), -1) {
		if !slices.Contains(known, v) {
			return fmt.Errorf("rewrite of %s to %s: there is no %s in the former", from, to, v)
		}
	}
	return nil
}

// withoutCode takes the access key out of a query and leaves all else as it is. Source:
// https://learn.microsoft.com/azure/azure-functions/function-keys-how-to.
func withoutCode(query string) string {
	if !strings.Contains(strings.ToLower(query), "code=") {
		return query
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(pair, "="); !strings.EqualFold(name, "code") {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// takeClient takes the last address out of X-Forwarded-For, where Azure's front end puts the client's, with its
// port. Without one it is 0.0.0.0.
func takeClient(header http.Header) string {
	addresses := strings.Split(strings.Join(header.Values("X-Forwarded-For"), ","), ",")
	last := strings.TrimSpace(addresses[len(addresses)-1])
	header.Del("X-Forwarded-For")
	for _, a := range addresses[:len(addresses)-1] {
		header.Add("X-Forwarded-For", strings.TrimSpace(a))
	}
	if client, err := netip.ParseAddrPort(last); err == nil {
		return client.Addr().String()
	}
	return cmp.Or(last, "0.0.0.0")
}

var hostAgent = regexp.MustCompile(`\s*Azure-Functions-Host/\S+$`)

// withoutAzure takes out what Azure's front end and the Functions host put into a request, and the access key, and
// X-Forwarded-Proto and -Port, which the event says itself.
func withoutAzure(header http.Header) {
	for name := range header {
		lower := strings.ToLower(name)
		if azureHeaders[lower] || strings.HasPrefix(lower, "x-azure-") || strings.HasPrefix(lower, "x-arr-") ||
			strings.HasPrefix(lower, "x-ms-") {
			delete(header, name)
		}
	}
	header.Del("Host")
	if agent, ok := header["User-Agent"]; ok {
		for i := range agent {
			agent[i] = hostAgent.ReplaceAllString(agent[i], "")
		}
		if len(agent) == 1 && agent[0] == "" {
			header.Del("User-Agent")
		}
	}
}

// azureHeaders are those whose names have no prefix of Azure's.
var azureHeaders = map[string]bool{
	"x-functions-key": true, "x-functions-clientid": true,
	"client-ip": true, "disguised-host": true, "was-default-hostname": true, "max-forwards": true,
	"x-site-deployment-id": true, "x-original-url": true, "x-waws-unencoded-url": true, "x-appservice-proto": true,
	"x-client-ip": true, "x-client-port": true, "x-forwarded-tlsversion": true,
}
