package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"sort"
	"strings"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

// A Status says how an invocation ended on one target.
type Status string

const (
	StatusOK            Status = "ok"              // the function answered
	StatusFunctionError Status = "function_error"  // the function failed: it threw, crashed or answered nonsense
	StatusTimeout       Status = "timeout"         // the platform stopped the function at its deadline
	StatusThrottled     Status = "throttled"       // the platform did not run the function, for want of capacity
	StatusTransport     Status = "transport_error" // the target could not be reached or the answer was cut off
	StatusUnreplayable  Status = "unreplayable"    // the invocation cannot be sent to this target
	StatusUnknown       Status = "unknown"         // it was sent, and what became of it is not known
)

// A Fate says what became of one message of a batch.
type Fate string

const (
	Acked        Fate = "acked"         // deleted from its queue
	Retried      Fate = "retried"       // returned to its queue
	DeadLettered Fate = "dead-lettered" // moved to a dead-letter or poison queue
)

// An Outcome is what one target did with one invocation, in a form that belongs to neither cloud.
type Outcome struct {
	Status Status `json:"status"`
	// HTTP is the answer to an HTTP invocation.
	HTTP *HTTPAnswer `json:"http,omitempty"`
	// Result is what the function returned to any other invocation whose platform keeps the result. Queues and
	// buckets do not.
	Result *Body `json:"result,omitempty"`
	// Records has the fate of each message of a batch by message ID, and of each record of a stream by sequence number.
	Records map[string]Fate `json:"records,omitempty"`
	Error   *Error          `json:"error,omitempty"`

	DurationMS float64 `json:"durationMs,omitempty"` // from when the request was sent until its answer was read
	PlatformMS float64 `json:"platformMs,omitempty"` // the duration that the platform itself reports
	InitMS     float64 `json:"initMs,omitempty"`     // the initialization that a cold start added
	BilledMS   float64 `json:"billedMs,omitempty"`
	MemoryMB   float64 `json:"memoryMb,omitempty"` // the most memory used
	Attempts   int     `json:"attempts,omitempty"` // requests sent, with retries
	Tries      []Try   `json:"tries,omitempty"`    // the attempts before the last

	// Effects are in the order in which the function caused them. Nil means that nobody watched; a list without
	// elements means that there were none.
	Effects []Effect `json:"effects"`
}

// A Try is one attempt that was followed by another.
type Try struct {
	Status     Status  `json:"status"` // throttled, or transport_error where that is safe to send again
	Error      *Error  `json:"error,omitempty"`
	DurationMS float64 `json:"durationMs,omitempty"`
	WaitMS     float64 `json:"waitMs,omitempty"` // until the next attempt
}

// An Error is a failure as the function or its platform reported it.
type Error struct {
	Type    string `json:"type,omitempty"`
	Message string `json:"message,omitempty"`
}

// An HTTPAnswer is an HTTP response. Header names are in lower case, and Set-Cookie is never among them.
type HTTPAnswer struct {
	Status  int                 `json:"status"`
	Headers map[string][]string `json:"headers,omitempty"`
	Cookies []Cookie            `json:"cookies,omitempty"`
	Body    *Body               `json:"body,omitempty"`
}

// A Cookie is one Set-Cookie line. Attribute names are in lower case; one without a value, such as HttpOnly, has "".
type Cookie struct {
	Name       string            `json:"name"`
	Value      string            `json:"value"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// ParseCookie reads the value of a Set-Cookie header. Unlike net/http it keeps what it does not know.
func ParseCookie(line string) Cookie {
	parts := strings.Split(line, ";")
	name, value, _ := strings.Cut(parts[0], "=")
	c := Cookie{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
			continue
		}
		if c.Attributes == nil {
			c.Attributes = make(map[string]string)
		}
		c.Attributes[name] = strings.TrimSpace(value)
	}
	return c
}

// String formats the cookie as a Set-Cookie header has it, with its attributes in alphabetical order.
func (c Cookie) String() string {
	var b strings.Builder
	b.WriteString(c.Name + "=" + c.Value)
	names := make([]string, 0, len(c.Attributes))
	for name := range c.Attributes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		b.WriteString("; " + textproto.CanonicalMIMEHeaderKey(name))
		if v := c.Attributes[name]; v != "" {
			b.WriteString("=" + v)
		}
	}
	return b.String()
}

// NewHTTPAnswer makes the neutral form of an HTTP response. It does not keep body.
func NewHTTPAnswer(status int, header http.Header, body []byte) *HTTPAnswer {
	a := &HTTPAnswer{Status: status, Body: NewBody(header.Get("Content-Type"), body)}
	single := make([]string, 0, len(header)) // the values of most names
	for name, values := range header {
		if strings.EqualFold(name, "Set-Cookie") {
			for _, v := range values {
				a.Cookies = append(a.Cookies, ParseCookie(inUTF8(v)))
			}
			continue
		}
		if a.Headers == nil {
			a.Headers = make(map[string][]string, len(header))
		}
		name = lowerName(name)
		if there, ok := a.Headers[name]; ok || len(values) != 1 {
			for _, v := range values {
				there = append(there, inUTF8(v))
			}
			a.Headers[name] = there
			continue
		}
		single = append(single, inUTF8(values[0]))
		a.Headers[name] = single[len(single)-1 : len(single) : len(single)]
	}
	return a
}

// inUTF8 writes bytes that are no UTF-8 as \xfc, because JSON has no way to write them, and two of them are not the same.
// What they mean is not guessed.
func inUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// lowerName is a header's name in lower case. Those that most answers have need no memory of their own.
func lowerName(name string) string {
	switch name {
	case "Cache-Control":
		return "cache-control"
	case "Content-Length":
		return "content-length"
	case "Content-Type":
		return "content-type"
	case "Date":
		return "date"
	case "Etag":
		return "etag"
	case "Last-Modified":
		return "last-modified"
	case "Location":
		return "location"
	case "Request-Context":
		return "request-context"
	case "Server":
		return "server"
	case "Vary":
		return "vary"
	}
	return strings.ToLower(name)
}

// A Body is content: exactly one of its fields is set.
type Body struct {
	JSON   json.RawMessage `json:"json,omitempty"` // compact
	Text   *string         `json:"text,omitempty"`
	Base64 []byte          `json:"base64,omitempty"`
}

// NewBody tells what content is: JSON when its media type says so, or, without a media type that says otherwise,
// when it is a JSON object or list; else text when it is UTF-8; else bytes. It returns nil for no content. The
// result does not alias content.
func NewBody(contentType string, content []byte) *Body {
	if len(content) == 0 {
		return nil
	}
	if !utf8.Valid(content) {
		return &Body{Base64: bytes.Clone(content)}
	}
	if mayBeJSON(contentType, content) {
		if compact, ok := jsonval.AppendCompact(make([]byte, 0, len(content)), content); ok {
			if nestsIn(compact, maxBodyNesting) {
				return &Body{JSON: compact}
			}
		}
	}
	text := string(content)
	return &Body{Text: &text}
}

// maxBodyNesting is how deep the JSON of a body may be nested: a little less than the 10,000 that encoding/json reads, for
// a body stands some levels deep in a line. Deeper JSON is text.
const maxBodyNesting = 9_900

// nestsIn reports whether JSON is nested no deeper than most.
func nestsIn(doc []byte, most int) bool {
	if bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) <= most {
		return true
	}
	depth, quoted := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

func mayBeJSON(contentType string, content []byte) bool {
	if contentType == "application/json" { // which most are, and need not be taken apart
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")) {
		return true
	}
	if err == nil && media != "application/octet-stream" {
		return false
	}
	content = bytes.TrimLeft(content, " \t\r\n")
	return len(content) > 0 && (content[0] == '{' || content[0] == '[')
}

// Bytes returns the content. JSON comes back compact, as it is kept.
func (b *Body) Bytes() []byte {
	switch {
	case b == nil:
		return nil
	case b.JSON != nil:
		return b.JSON
	case b.Text != nil:
		return []byte(*b.Text)
	default:
		return b.Base64
	}
}
