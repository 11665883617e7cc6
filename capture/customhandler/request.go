package customhandler

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Request is the payload of one invocation: the trigger's value in Data, under the name of its binding, and what
// else the host knows about the event in Metadata.
type Request struct {
	Data     map[string]json.RawMessage `json:"Data"`
	Metadata map[string]json.RawMessage `json:"Metadata"`
}

// ParseRequest reads the payload of an invocation.
func ParseRequest(payload []byte) (*Request, error) {
	var r Request
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, fmt.Errorf("custom handler request: %w", err)
	}
	if r.Data == nil {
		return nil, errors.New(`custom handler request: no "Data"`)
	}
	return &r, nil
}

// Text returns the text of the binding's value. It undoes the second JSON encoding when there is one, so it gives the
// same for hosts that do encode twice and those that do not; ok is false when the value is missing or not a string.
func (r *Request) Text(binding string) (text string, ok bool) {
	if json.Unmarshal(r.Data[binding], &text) != nil || r.Data[binding] == nil {
		return "", false
	}
	var inner string
	if json.Unmarshal([]byte(text), &inner) == nil && strings.HasPrefix(strings.TrimSpace(text), `"`) {
		return inner, true
	}
	return text, true
}

// HTTPValue is the value of an HTTP trigger's binding.
type HTTPValue struct {
	URL        string              `json:"Url"`
	Method     string              `json:"Method"`
	Query      map[string]string   `json:"Query"` // values of a repeated name are joined with commas
	Headers    map[string][]string `json:"Headers"`
	Params     map[string]string   `json:"Params"`
	Identities []json.RawMessage   `json:"Identities"`
	// Body is the body's text, or base64 where the media type is application/octet-stream or multipart. There is
	// none for an empty body.
	Body *string `json:"Body,omitempty"`
}

// An HTTPTrigger is an HTTP request that fires a function.
type HTTPTrigger struct {
	URL    string // whole, as the client wrote it
	Method string
	Header http.Header
	Params map[string]string // what the route template's parameters matched
	Body   []byte
}

// Request returns the payload that the host makes of t for the binding of that name. It fails only on a URL that
// cannot be parsed.
func (t HTTPTrigger) Request(binding string, sys Sys) (*Request, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	value := HTTPValue{
		URL: t.URL, Method: t.Method, Query: joinQuery(u.Query()),
		Headers: t.Header, Params: t.Params, Identities: []json.RawMessage{},
	}
	if value.Headers == nil {
		value.Headers = map[string][]string{}
	}
	if value.Params == nil {
		value.Params = map[string]string{}
	}
	if len(t.Body) > 0 {
		body := string(t.Body)
		if isBinary(t.Header.Get("Content-Type")) {
			body = base64.StdEncoding.EncodeToString(t.Body)
		}
		value.Body = &body
	}
	headers := make(map[string]string, len(t.Header))
	for name, values := range t.Header {
		headers[name] = strings.Join(values, ",")
	}
	return &Request{
		Data: map[string]json.RawMessage{binding: encode(value)},
		Metadata: map[string]json.RawMessage{
			"Query": encode(value.Query), "Headers": encode(headers), "sys": encode(sys),
		},
	}, nil
}

func joinQuery(q url.Values) map[string]string {
	joined := make(map[string]string, len(q))
	for name, values := range q {
		joined[name] = strings.Join(values, ",")
	}
	return joined
}

// isBinary tells the media types whose bodies the host does not take for text.
func isBinary(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/octet-stream" || strings.HasPrefix(media, "multipart/"))
}

// A QueueTrigger is a Storage Queue message that fires a function.
type QueueTrigger struct {
	Body         []byte // decoded: without the base64 that messages wear in the queue
	Binary       bool   // the binding's dataType is "binary"
	ID           string
	DequeueCount int // 1 for the first delivery
	Inserted     time.Time
	Expires      time.Time
	NextVisible  time.Time
	PopReceipt   string
}

// Request returns the payload that the host makes of t for the binding of that name.
func (t QueueTrigger) Request(binding string, sys Sys) *Request {
	return &Request{
		Data: map[string]json.RawMessage{binding: content(t.Body, t.Binary)},
		Metadata: map[string]json.RawMessage{
			"DequeueCount":    encode(strconv.Itoa(t.DequeueCount)),
			"ExpirationTime":  encodeTime(t.Expires),
			"Id":              nested(t.ID),
			"InsertionTime":   encodeTime(t.Inserted),
			"NextVisibleTime": encodeTime(t.NextVisible),
			"PopReceipt":      nested(t.PopReceipt),
			"sys":             encode(sys),
		},
	}
}

// A BlobTrigger is a blob whose writing fires a function.
type BlobTrigger struct {
	AccountURL  string // without a slash at the end, such as "https://acct.blob.core.windows.net"
	Container   string
	Name        string // as stored, not as URLs write it
	Body        []byte
	Binary      bool // the binding's dataType is "binary"
	ContentType string
	ETag        string
	Modified    time.Time
	Metadata    map[string]string
	Params      map[string]string // what the path's parameters matched: {"name": "a.csv"} for "catalog/{name}"
}

// blobProperties are those of the properties that handlers use; the host sends some thirty more.
type blobProperties struct {
	ContentLength int64
	ContentType   string
	ETag          string
	LastModified  string
}

// Request returns the payload that the host makes of t for the binding of that name.
func (t BlobTrigger) Request(binding string, sys Sys) *Request {
	metadata := t.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	r := &Request{
		Data: map[string]json.RawMessage{binding: content(t.Body, t.Binary)},
		Metadata: map[string]json.RawMessage{
			"Uri":      nested(t.uri()),
			"Metadata": encode(metadata),
			"Properties": encode(blobProperties{
				ContentLength: int64(len(t.Body)), ContentType: t.ContentType, ETag: t.ETag,
				LastModified: t.Modified.UTC().Format(dateTimeOffset),
			}),
			"sys": encode(sys),
		},
	}
	for name, value := range t.Params {
		r.Metadata[name] = nested(value)
	}
	return r
}

// uri is the blob's address. Slashes in names stay, everything else that a URL cannot hold is escaped, and so is "+",
// which storage does not take for a space.
func (t BlobTrigger) uri() string {
	segments := strings.Split(t.Name, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
	}
	return t.AccountURL + "/" + t.Container + "/" + strings.Join(segments, "/")
}

// TextRequest returns the payload for a trigger of any other kind whose value is a text.
func TextRequest(binding, text string, sys Sys) *Request {
	return &Request{
		Data:     map[string]json.RawMessage{binding: nested(text)},
		Metadata: map[string]json.RawMessage{"sys": encode(sys)},
	}
}

// Sys is the metadata that the host makes up for every invocation.
type Sys struct {
	MethodName string `json:"MethodName"` // the function's name
	UTCNow     string `json:"UtcNow"`
	RandGUID   string `json:"RandGuid"`
}

// NewSys returns the metadata for an invocation of function at now.
func NewSys(function string, now time.Time) Sys {
	return Sys{MethodName: function, UTCNow: now.UTC().Format(dateTime), RandGUID: NewInvocationID()}
}

// NewInvocationID returns a random ID in the form of the host's: a GUID in lower case.
func NewInvocationID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// The ways in which .NET writes times in JSON.
const (
	dateTime       = "2006-01-02T15:04:05.9999999Z07:00"
	dateTimeOffset = "2006-01-02T15:04:05-07:00"
)

func encodeTime(t time.Time) json.RawMessage { return encode(t.UTC().Format(dateTimeOffset)) }

// content is the value of a blob or a message: base64 for bytes, and JSON in JSON for text.
func content(body []byte, binary bool) json.RawMessage {
	if binary {
		return encode(base64.StdEncoding.EncodeToString(body))
	}
	return nested(string(body))
}

// nested returns text encoded as JSON twice.
func nested(text string) json.RawMessage { return encode(string(encode(text))) }

// encode returns v as JSON on one line, without the escapes that HTML needs: .NET does not write them.
func encode(v any) json.RawMessage {
	doc, err := tryEncode(v)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always encode
	}
	return doc
}

func tryEncode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
