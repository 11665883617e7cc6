package httptrigger

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A request is what a client sent to a gateway, as far as the event that the gateway made of it tells.
type request struct {
	method string
	path   string // escaped
	query  string // escaped, without "?"
	header http.Header
	params map[string]string // path parameters, decoded
	body   []byte
}

// parseEvent reads an event of one of the four HTTP formats. Sources:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html,
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and
// https://docs.aws.amazon.com/lambda/latest/dg/services-alb.html.
func parseEvent(inv *capture.Invocation) (*request, error) {
	v, err := inv.Value()
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	e := &request{header: make(http.Header)}
	switch format := inv.Format; format {
	case capture.FormatAPIGatewayV2, capture.FormatFunctionURL:
		e.method = v.At("requestContext", "http", "method").Text
		e.path = withoutStage(v)
		e.query = escapeRaw(v.At("rawQueryString").Text, "#")
	case capture.FormatAPIGatewayV1, capture.FormatALB:
		e.method = v.At("httpMethod").Text
		e.path = v.At("path").Text
		e.query = joinQuery(v, format == capture.FormatAPIGatewayV1)
	default:
		return nil, fmt.Errorf("an event in the format %s is not an HTTP request", format)
	}
	if e.method == "" || !strings.HasPrefix(e.path, "/") {
		return nil, fmt.Errorf("the event has no method or path")
	}
	e.path = escapeRaw(e.path, "?#")
	params := v.At("pathParameters")
	if len(params.Names) > 0 {
		e.params = make(map[string]string, len(params.Names))
	}
	for i, name := range params.Names {
		e.params[name] = params.Elems[i].Text
	}
	if err := e.readHeader(v); err != nil {
		return nil, err
	}
	return e, e.readBody(v)
}

// withoutStage returns the path that the client asked for. On API Gateway's own domain names it begins with the
// stage, which is no part of the route.
func withoutStage(event jsonval.Value) string {
	path := event.At("rawPath").Text
	stage := event.At("requestContext", "stage").Text
	domain := event.At("requestContext", "domainName").Text
	if stage == "" || stage == "$default" || !strings.Contains(domain, ".execute-api.") {
		return path
	}
	rest, ok := strings.CutPrefix(path, "/"+stage)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return "/" + strings.TrimPrefix(rest, "/")
}

// joinQuery puts a query together again, in the event's order. API Gateway has decoded it, a load balancer has not.
func joinQuery(event jsonval.Value, decoded bool) string {
	query := event.At("multiValueQueryStringParameters")
	if query.Kind != jsonval.Object {
		query = event.At("queryStringParameters")
	}
	var b strings.Builder
	for i, name := range query.Names {
		for _, value := range values(query.Elems[i]) {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			if decoded {
				b.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(value))
			} else {
				b.WriteString(escapeRaw(name, "#") + "=" + escapeRaw(value, "#"))
			}
		}
	}
	return b.String()
}

// values returns the texts of a value that stands for one or for several.
func values(v jsonval.Value) []string {
	if v.Kind != jsonval.Array {
		return []string{v.Text}
	}
	texts := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		texts[i] = e.Text
	}
	return texts
}

// readHeader collects the headers that the client sent, in lower case, so that net/http sees no Idempotency-Key and
// sends nothing twice because of one. Values in multiValueHeaders win over those in headers, which has the last of
// several.
func (e *request) readHeader(event jsonval.Value) error {
	if err := e.addHeader(event.At("headers")); err != nil {
		return err
	}
	if several := event.At("multiValueHeaders"); len(several.Names) > 0 {
		once := e.header
		e.header = make(http.Header)
		if err := e.addHeader(several); err != nil {
			return err
		}
		for name, values := range once {
			if _, ok := e.header[name]; !ok {
				e.header[name] = values
			}
		}
	}
	cookies := values(event.At("cookies"))
	if cookie := strings.Join(cookies, "; "); cookie != "" {
		if !httpguts.ValidHeaderFieldValue(cookie) {
			return fmt.Errorf("the cookies cannot be sent")
		}
		e.header["cookie"] = []string{cookie}
	}
	return nil
}

func (e *request) addHeader(headers jsonval.Value) error {
	for i, name := range headers.Names {
		name = strings.ToLower(name)
		if isInfrastructure(name) {
			continue
		}
		for _, value := range values(headers.Elems[i]) {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("header %q has a name or a value that cannot be sent", name)
			}
			e.header[name] = append(e.header[name], value)
		}
	}
	return nil
}

// isInfrastructure tells the headers that belong to one connection or were added by AWS on the way, by their names in
// lower case.
func isInfrastructure(name string) bool {
	switch name {
	case "host", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length", "expect", "via", "forwarded", capture.MarkHeader:
		return true
	}
	for _, prefix := range []string{"x-forwarded-", "x-amzn-", "x-amz-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (e *request) readBody(event jsonval.Value) error {
	body := event.At("body").Text
	if event.At("isBase64Encoded").Text != "true" {
		e.body = []byte(body)
		return nil
	}
	var err error
	if e.body, err = base64.StdEncoding.DecodeString(body); err != nil {
		return fmt.Errorf("the event's body is not the base64 that it says: %w", err)
	}
	return nil
}

// escapeRaw escapes what a request line cannot hold, and the bytes in reserved. Escapes that are there stay as they
// are.
func escapeRaw(s, reserved string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		isEscape := c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if c <= ' ' || c >= 0x7f || c == '%' && !isEscape || strings.IndexByte(reserved, c) >= 0 {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// rawParam returns the path parameter of that name as the path has it, escapes and all; ok is false when the event
// has none. A parameter that is not found in the path is escaped anew, and keeps its slashes.
func (e *request) rawParam(name string) (raw string, ok bool) {
	value, ok := e.params[name]
	if !ok {
		return "", false
	}
	segments := strings.Split(e.path[1:], "/")
	for n := strings.Count(value, "/") + 1; n > 0; n-- { // fewer where a slash of the value is escaped
		for i := len(segments) - n; i >= 0; i-- {
			raw := strings.Join(segments[i:i+n], "/")
			if decoded, err := url.PathUnescape(raw); raw == value || err == nil && decoded == value {
				return raw, true
			}
		}
	}
	parts := strings.Split(value, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/"), true
}
