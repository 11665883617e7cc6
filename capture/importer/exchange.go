package importer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"tandem/capture"
	"tandem/capture/httpproxy"
)

// An exchange is one HTTP request that a file has, and its answer.
type exchange struct {
	request *http.Request // as a server got it, but for its body
	body    []byte
	record  []byte // all that the file says of the request; only admit needs it
	sent    time.Time
	match   httpproxy.Match
	id      string // a request ID, made of record

	answerHeader http.Header
	outcome      *capture.Outcome // nil when it is not known
}

// selects says whether an exchange is one that the import is for, and counts it if it is not.
func (im *importer) selects(x *exchange) bool {
	trimStage(x.request, im.opts.Stage)
	matched := false
	x.match, matched = im.router.MatchRequest(x.request)
	if matched && im.wantsHost(x.request.Host) && x.request.Header.Get(capture.MarkHeader) == "" {
		return true
	}
	im.result.Excluded++
	return false
}

// admit decides whether an exchange that is selected is imported, and counts it if it is not.
func (im *importer) admit(from origin, x *exchange) bool {
	if reason := unfit(x.request, im.opts.Format); reason != "" {
		im.refuse(from, reason)
		return false
	}
	sum := sha256.Sum256(x.record)
	x.record = nil
	if im.again(from, string(sum[:])) {
		im.note(from, Duplicate, "the same request was imported already")
		return false
	}
	x.id = base64.StdEncoding.EncodeToString(sum[:11]) // it looks like those of HTTP APIs
	return true
}

// wantsHost compares without the port, unless the wanted host has one.
func (im *importer) wantsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	for _, want := range im.opts.Hosts {
		if strings.EqualFold(want, name) || strings.EqualFold(want, host) {
			return true
		}
	}
	return len(im.opts.Hosts) == 0
}

// unfit returns why no function gets such a request, or "".
func unfit(r *http.Request, format capture.Format) string {
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default: // load balancers pass others, too
		if r.Method == "CONNECT" || format != capture.FormatALB {
			return "its method is none that such an API takes"
		}
	}
	if r.Header.Get("Upgrade") != "" && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		return "it asks for another protocol, such as a websocket"
	}
	for name, values := range r.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return "a header has a name or a value that cannot be sent"
			}
		}
	}
	return ""
}

// trimStage takes the stage off the front of the path, where API Gateway's own domain names have it.
func trimStage(r *http.Request, stage string) {
	rest, ok := strings.CutPrefix(r.RequestURI, "/"+stage)
	switch {
	case !ok || stage == httpproxy.DefaultRoute:
	case rest == "" || rest[0] == '?':
		r.RequestURI = "/" + rest
	case rest[0] == '/':
		r.RequestURI = rest
	}
}

// exchange imports an exchange that was admitted.
func (im *importer) exchange(from origin, x *exchange) error {
	id := x.id
	for _, name := range []string{"Apigw-Requestid", "X-Amzn-Requestid"} {
		if v := x.answerHeader.Get(name); v != "" {
			id = v
			break
		}
	}
	event, err := httpproxy.NewEvent(im.opts.Format, asReceived(x.request), x.body, httpproxy.Arrival{
		Match: x.match, Stage: im.opts.Stage, RequestID: id, Time: x.sent,
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", from, err)
	}
	err = im.write(from, x.sent, &capture.Invocation{
		Trigger: capture.TriggerHTTP, Format: im.opts.Format, Event: event, Outcome: x.outcome,
		Context: capture.Context{TraceID: x.request.Header.Get("X-Amzn-Trace-Id")},
	})
	if err == nil && x.outcome == nil {
		im.result.Unanswered++
	}
	return err
}

// answered is the outcome of a request that got an answer.
func answered(status int, header http.Header, body []byte, took time.Duration) *capture.Outcome {
	return &capture.Outcome{
		Status: capture.StatusOK, HTTP: capture.NewHTTPAnswer(status, header, body),
		DurationMS: float64(max(took, 0)) / float64(time.Millisecond), Attempts: 1,
	}
}

// unknownClient stands for the address of a client that a file does not tell.
const unknownClient = "127.0.0.1"

// asReceived gives a request what a server knows of its connection, as far as the headers tell it that proxies add.
// Gateways write these headers anew, and so they come out of the event as they went in.
func asReceived(r *http.Request) *http.Request {
	ctx := r.Context()
	if port := localPort(r); port > 0 {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4zero, Port: port})
	}
	r = r.Clone(ctx)
	others, client := "", strings.Join(r.Header.Values("X-Forwarded-For"), ", ")
	if i := strings.LastIndexByte(client, ','); i >= 0 {
		others, client = client[:i], strings.TrimSpace(client[i+1:])
	}
	if r.Header.Del("X-Forwarded-For"); others != "" {
		r.Header.Set("X-Forwarded-For", others)
	}
	if client == "" {
		client = unknownClient
	}
	r.RemoteAddr = net.JoinHostPort(client, "0")
	if r.TLS == nil && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		r.TLS = new(tls.ConnectionState)
	}
	return r
}

// localPort returns the port that a request was sent to, 0 when it is not known.
func localPort(r *http.Request) int {
	port := r.Header.Get("X-Forwarded-Port")
	if port == "" {
		_, port, _ = net.SplitHostPort(r.Host) // an error is a host without a port
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}
