package httpproxy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/capture"
)

// An Arrival is what an event says about a request beside the request itself. The zero value of each field stands
// for what its comment says.
type Arrival struct {
	Match     Match     // $default
	Host      string    // the host that the function sees; the request's
	Stage     string    // "$default"; an HTTP API's paths start with any other stage
	RequestID string    // none
	Time      time.Time // the year 1
	// MultiValue is for ALB alone: the target group has multi-value headers on.
	MultiValue bool
}

// NewEvent makes the event that a function behind a source of the given format gets for a request and its body. The
// request must be one that a server got and has its whole body in body. It fails for a format that is not HTTP.
func NewEvent(format capture.Format, r *http.Request, body []byte, a Arrival) ([]byte, error) {
	switch format {
	case capture.FormatAPIGatewayV2:
		return EventV2(r, body, a)
	case capture.FormatFunctionURL:
		return EventFunctionURL(r, body, a)
	case capture.FormatAPIGatewayV1:
		return EventV1(r, body, a)
	case capture.FormatALB:
		return EventALB(r, body, a)
	}
	return nil, fmt.Errorf("no HTTP request makes an event of format %q", format)
}

type eventV2 struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext contextV2         `json:"requestContext"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	Body           *string           `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type contextV2 struct {
	AccountID    string `json:"accountId"`
	APIID        string `json:"apiId"`
	DomainName   string `json:"domainName"`
	DomainPrefix string `json:"domainPrefix"`
	HTTP         httpV2 `json:"http"`
	RequestID    string `json:"requestId"`
	RouteKey     string `json:"routeKey"`
	Stage        string `json:"stage"`
	Time         string `json:"time"`
	TimeEpoch    int64  `json:"timeEpoch"` // in milliseconds
}

type httpV2 struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// accountID stands in events for the AWS account, which a request does not tell.
const accountID = "000000000000"

// clfTime is the layout of times in request contexts.
const clfTime = "02/Jan/2006:15:04:05 -0700"

// EventV2 makes an event of payload format 2.0, as an HTTP API sends it. rawPath is the path as it came, still
// encoded; path parameters and query values are decoded, repeated headers and query parameters are joined by commas,
// and Cookie headers become cookies. A body is text when its media type is text/*, application/json,
// application/javascript or application/xml, and base64 otherwise, also without a media type. A body that claims to
// be text and is not UTF-8 is base64 too, so that its bytes are kept. Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
//
// An HTTP API in fact hands a function a decoded rawPath, which cannot be sent again as it was. The encoded one says
// more, and is what Function URLs, REST APIs and ALBs hand out.
func EventV2(r *http.Request, body []byte, a Arrival) ([]byte, error) {
	e := newEventV2(r, body, a)
	e.Headers["content-length"] = strconv.Itoa(len(body))
	if stage := e.RequestContext.Stage; stage != DefaultRoute {
		e.RawPath = "/" + stage + e.RawPath
		e.RequestContext.HTTP.Path = e.RawPath
	}
	e.RouteKey = a.Match.Key()
	e.RequestContext.RouteKey = e.RouteKey
	for name, value := range a.Match.Params {
		if e.PathParameters == nil {
			e.PathParameters = make(map[string]string)
		}
		e.PathParameters[name] = unescapePath(value)
	}
	return marshal(e)
}

// EventFunctionURL makes the event that a Function URL sends: payload format 2.0 without routes, path parameters and
// stages. Where the host is not that of a Function URL, the request context has one, because that is how such events
// are told from an HTTP API's. Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
func EventFunctionURL(r *http.Request, body []byte, a Arrival) ([]byte, error) {
	a.Stage = DefaultRoute
	e := newEventV2(r, body, a)
	e.RouteKey, e.RequestContext.RouteKey = DefaultRoute, DefaultRoute
	e.RequestContext.AccountID = "anonymous"
	if !strings.Contains(e.RequestContext.DomainName, ".lambda-url.") {
		e.RequestContext.DomainPrefix = "tandem"
		e.RequestContext.DomainName = "tandem.lambda-url.us-east-1.on.aws"
	}
	e.RequestContext.APIID = e.RequestContext.DomainPrefix
	return marshal(e)
}

func newEventV2(r *http.Request, body []byte, a Arrival) *eventV2 {
	path, query := rawTarget(r)
	header := eventHeader(r, body, a)
	cookies := splitCookies(header)
	delete(header, "Cookie")
	stage := a.Stage
	if stage == "" {
		stage = DefaultRoute
	}
	domain, prefix := domainOf(header.Get("Host"))
	text, base64 := encodeBody(body, isText(header.Get("Content-Type")))
	e := &eventV2{
		Version: "2.0", RawPath: path, RawQuery: query, Cookies: cookies,
		Headers: make(map[string]string, len(header)),
		RequestContext: contextV2{
			AccountID: accountID, APIID: prefix, DomainName: domain, DomainPrefix: prefix,
			HTTP: httpV2{
				Method: r.Method, Path: path, Protocol: r.Proto, SourceIP: sourceIP(r), UserAgent: r.UserAgent(),
			},
			RequestID: a.RequestID, Stage: stage,
			Time: a.Time.UTC().Format(clfTime), TimeEpoch: a.Time.UnixMilli(),
		},
		Body: text, Base64: base64,
	}
	for name, values := range header {
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	for name, values := range decodedQuery(query) {
		if e.Query == nil {
			e.Query = make(map[string]string)
		}
		e.Query[name] = strings.Join(values, ",")
	}
	return e
}

// rawTarget returns the path and the query of a request as they came. What is not UTF-8 in them is percent-encoded,
// because JSON cannot hold it.
func rawTarget(r *http.Request) (path, query string) {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") { // absolute form, "*", or a request that no server got
		target = r.URL.EscapedPath()
		if target == "" {
			target = "/"
		}
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return escapeInvalid(path), escapeInvalid(query)
}

func escapeInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, c := range s { // c is RuneError for each byte that is not part of a rune
		if _, size := utf8.DecodeRuneInString(s[i:]); c == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", s[i])
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// hopByHop are the headers that end at the source, whatever it is.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	http.CanonicalHeaderKey(capture.MarkHeader),
}

// eventHeader returns the headers that a function sees: those of the request, without the ones that concern only the
// connection or tandem, and with what each source adds.
func eventHeader(r *http.Request, body []byte, a Arrival) http.Header {
	header := r.Header.Clone()
	for _, name := range hopByHop {
		header.Del(name)
	}
	for _, values := range header {
		for i, v := range values {
			values[i] = latin1(v)
		}
	}
	host := a.Host
	if host == "" {
		host = r.Host
	}
	header.Set("Host", host)
	if len(body) > 0 || header.Get("Content-Length") != "" {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	via := append(header.Values("X-Forwarded-For"), sourceIP(r))
	header.Set("X-Forwarded-For", strings.Join(via, ", "))
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if ap, err := netip.ParseAddrPort(addr.String()); err == nil {
			port = strconv.Itoa(int(ap.Port()))
		}
	}
	header.Set("X-Forwarded-Proto", proto)
	header.Set("X-Forwarded-Port", port)
	return header
}

// latin1 keeps the bytes of a header value that is not UTF-8, each as one character.
func latin1(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// trimOWS takes off what HTTP calls optional white space. A cookie may end in other spaces.
func trimOWS(s string) string { return strings.Trim(s, " \t") }

func splitCookies(header http.Header) []string {
	var cookies []string
	for _, line := range header.Values("Cookie") {
		for _, c := range strings.Split(line, ";") {
			if c = trimOWS(c); c != "" {
				cookies = append(cookies, c)
			}
		}
	}
	return cookies
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// domainOf returns a host without its port, and its first label.
func domainOf(host string) (domain, prefix string) {
	domain = host
	if h, _, err := net.SplitHostPort(host); err == nil {
		domain = h
	}
	prefix, _, _ = strings.Cut(domain, ".")
	return domain, prefix
}

// isText says whether a gateway takes content of this media type for text. The rule is API Gateway's for payload
// format 2.0 and also ALB's:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html.
func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	switch media {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(media, "text/")
}

// encodeBody returns the body as an event has it, nil when there is none.
func encodeBody(body []byte, asText bool) (text *string, isBase64 bool) {
	if len(body) == 0 {
		return nil, false
	}
	s := string(body)
	if !asText || !utf8.Valid(body) {
		s, isBase64 = base64.StdEncoding.EncodeToString(body), true
	}
	return &s, isBase64
}

// rawPairs calls yield for each name and value of a query, as they are written, in order.
func rawPairs(query string, yield func(name, value string)) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			yield(name, value)
		}
	}
}

// decodedQuery returns the values of each parameter in order. What is not properly encoded stays as it is.
func decodedQuery(query string) map[string][]string {
	values := make(map[string][]string)
	rawPairs(query, func(name, value string) {
		name = unescapeQuery(name)
		values[name] = append(values[name], unescapeQuery(value))
	})
	return values
}

func unescapeQuery(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func unescapePath(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// marshal is json.Marshal without the escapes for HTML, which no AWS service writes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("make an event: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
