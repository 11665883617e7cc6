package importer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

type harRequest struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	HTTPVersion string    `json:"httpVersion"`
	Headers     []harPair `json:"headers"`
	Cookies     []harPair `json:"cookies"`
	Query       []harPair `json:"queryString"`
	PostData    *harPost  `json:"postData"`
	BodySize    float64   `json:"bodySize"` // in bytes, -1 when it is not known
}

type harPost struct {
	MimeType string    `json:"mimeType"`
	Text     string    `json:"text"`
	Params   []harPair `json:"params"`
	Encoding string    `json:"encoding"` // proposed for HAR 1.3, and written by some for 1.2
}

// split takes the URL apart as it is written. The scheme is in lower case; a URL that is not of a server has no host.
func (q *harRequest) split() (scheme, host, target string) {
	scheme, rest, _ := strings.Cut(q.URL, ":")
	scheme = strings.ToLower(scheme)
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return scheme, "", ""
	}
	host = rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, target = rest[:i], rest[i:]
	}
	return scheme, host[strings.LastIndexByte(host, '@')+1:], target
}

// head makes the request as a server got it, without its body.
func (q *harRequest) head() *http.Request {
	scheme, host, target := q.split()
	header := q.header()
	if name := header.Get("Host"); name != "" {
		host = name
	}
	r := &http.Request{
		Method: q.Method, RequestURI: q.target(target), URL: new(url.URL), Host: host, Header: header, Proto: q.proto(),
	}
	if scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	return r
}

// target is the path and the query as a request line has them, of what follows the host in the URL.
func (q *harRequest) target(s string) string {
	s, _, _ = strings.Cut(s, "#")
	if !strings.HasPrefix(s, "/") {
		s = "/" + s
	}
	if !strings.Contains(s, "?") && len(q.Query) > 0 {
		s += "?" + joinForm(q.Query)
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f { // no browser sends them so
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// joinForm writes names and values, which are not escaped, as a query has them.
func joinForm(pairs []harPair) string {
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value))
	}
	return b.String()
}

func (q *harRequest) header() http.Header {
	header := harHeader(q.Headers)
	if header.Get("Cookie") == "" && len(q.Cookies) > 0 {
		cookies := make([]string, len(q.Cookies))
		for i, c := range q.Cookies {
			cookies[i] = c.Name + "=" + c.Value
		}
		header.Set("Cookie", strings.Join(cookies, "; "))
	}
	if q.PostData != nil && q.PostData.MimeType != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", q.PostData.MimeType)
	}
	return header
}

// body returns the bytes that were sent. Text wins over params, which browsers write beside it.
func (q *harRequest) body(header http.Header) ([]byte, error) {
	post := q.PostData
	switch {
	case post != nil && post.Text != "":
		return decoded(post.Text, post.Encoding)
	case post != nil && len(post.Params) > 0:
		return post.form()
	case q.BodySize > 0:
		return nil, fmt.Errorf("its body of %.0f bytes is not in the file", q.BodySize)
	}
	if n := header.Get("Content-Length"); n != "" && n != "0" {
		if _, err := strconv.Atoi(n); err != nil {
			n = "some" // it is not for messages
		}
		return nil, fmt.Errorf("its body of %s bytes is not in the file", n)
	}
	return nil, nil
}

func (p *harPost) form() ([]byte, error) {
	media, _, err := mime.ParseMediaType(p.MimeType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errors.New("its body is in the file only in parts, and they are not those of a simple form")
	}
	return []byte(joinForm(p.Params)), nil
}

// proto is the protocol as gateways name it. Browsers write h2 and http/2.0 as well.
func (q *harRequest) proto() string {
	switch version := strings.ToLower(q.HTTPVersion); {
	case version == "http/1.0":
		return "HTTP/1.0"
	case version == "h2" || strings.HasPrefix(version, "http/2"):
		return "HTTP/2.0"
	case version == "h3" || strings.HasPrefix(version, "http/3"):
		return "HTTP/3.0"
	}
	return "HTTP/1.1"
}
