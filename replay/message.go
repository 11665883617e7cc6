package replay

import (
	"bytes"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// appendRequest appends req, whose body is content, as [http.Request.Write] writes it, byte for byte, in a fifth of its
// time. ok is false for requests of a kind that is left to that.
func appendRequest(dst []byte, req *http.Request, content []byte) (_ []byte, ok bool) {
	host, target, agent := req.Host, req.URL.RequestURI(), req.Header["User-Agent"]
	if host == "" {
		host = req.URL.Host
	}
	if req.Method == "" || len(agent) == 0 || !isPlainHost(host) || !isPlainText(target) {
		return dst, false
	}
	dst = append(append(append(append(dst, req.Method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, host...), "\r\n"...)
	if agent[0] != "" {
		if dst, ok = appendField(dst, "User-Agent", agent[0]); !ok {
			return dst, false
		}
	}
	if len(content) > 0 || req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(content)), 10)
		dst = append(dst, "\r\n"...)
	}
	var space [24]string
	names := space[:0]
	for name := range req.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return dst, false
		}
		for _, value := range req.Header[name] {
			if dst, ok = appendField(dst, name, value); !ok {
				return dst, false
			}
		}
	}
	return append(append(dst, "\r\n"...), content...), true
}

func appendField(dst []byte, name, value string) (_ []byte, ok bool) {
	if strings.ContainsAny(value, "\r\n") {
		return dst, false
	}
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, textproto.TrimString(value)...), "\r\n"...), true
}

// isPlainHost reports whether a host, with or without a port, is sent as it is.
func isPlainHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == ':', c == '_':
		default:
			return false
		}
	}
	return host != ""
}

// isPlainText reports whether s is ASCII without control characters.
func isPlainText[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// parseAnswer reads the header of an answer that data begins with, as [http.ReadResponse] does, in a third of its time,
// and returns its length. ok is false for what is left to that: a header that is not all there or is not as servers
// write it, interim answers, those without a body, and bodies of a length that the header does not tell.
func parseAnswer(data []byte, req *http.Request) (answer *http.Response, size int, ok bool) {
	const proto = "HTTP/1.1"
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 || !bytes.HasPrefix(data, []byte(proto+" ")) || req.Method == http.MethodHead {
		return nil, 0, false
	}
	head := string(data[:end])
	status, rest, _ := strings.Cut(head[len(proto)+1:], "\r\n")
	code, _, _ := strings.Cut(status, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 200 || n == http.StatusNoContent || n == http.StatusNotModified ||
		!isPlainText(status) || strings.HasSuffix(status, " ") {
		return nil, 0, false
	}
	answer = &http.Response{
		Status: status, StatusCode: n, Proto: proto, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
		Body: http.NoBody, Request: req,
	}
	if !parseFields(answer, rest) || answer.ContentLength < 0 {
		return nil, 0, false
	}
	return answer, end + len("\r\n\r\n"), true
}

// parseFields reads the lines of a header into answer.
func parseFields(answer *http.Response, lines string) (ok bool) {
	count := strings.Count(lines, "\r\n") + 1
	answer.Header = make(http.Header, count)
	values := make([]string, 0, count)
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " ")
		if !found || !httpguts.ValidHeaderFieldName(name) || !isPlainText(value) {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Content-Length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || answer.ContentLength >= 0 {
				return false
			}
			answer.ContentLength = int64(n)
		case "Transfer-Encoding", "Trailer", "Connection", "Pragma", "Upgrade":
			return false
		}
		if there, ok := answer.Header[name]; ok {
			answer.Header[name] = append(there, value)
			continue
		}
		values = append(values, value)
		answer.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return true
}
