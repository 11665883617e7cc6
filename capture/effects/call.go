package effects

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A call is one request to a port, for the job that the port's environment was working on when it arrived.
type call struct {
	srv *Server
	w   http.ResponseWriter
	r   *http.Request
	job *job
}

// A fault is an error that the client gets, in the form of its service.
type fault struct {
	status  int
	code    string
	message string
}

func (f *fault) Error() string { return f.code + ": " + f.message }

// errCutOff means that the request's body did not arrive as a whole.
var errCutOff = errors.New("request was cut off")

// serve answers c. A request that was cut off gets no answer: the connection is aborted, since a client that still
// listens could take anything else for success.
func (s *Server) serve(c *call) {
	fail, err := c.dispatch()
	if err == nil {
		return
	}
	if errors.Is(err, errCutOff) || c.drain() != nil {
		panic(http.ErrAbortHandler)
	}
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	fail(c, f)
}

// dispatch lets the service answer that the request is for. If there is an error, fail answers in the service's form.
func (c *call) dispatch() (fail func(*call, *fault), err error) {
	if service, ok := c.azurePath(); ok {
		if service == "blob" {
			return failAzure, c.serveBlob()
		}
		return failAzure, c.serveQueue()
	}
	if target := c.r.Header.Get("X-Amz-Target"); target != "" {
		return failJSON, c.serveSQS(target)
	}
	service := c.signedService()
	switch {
	case c.r.Method == http.MethodPost && isForm(c.r.Header.Get("Content-Type")):
		return failQuery, c.queryOperation(service)
	case service != "" && service != "s3":
		return failJSON, c.unsupported(service + " " + c.r.Method + " " + c.r.URL.EscapedPath())
	default:
		return failS3, c.serveS3()
	}
}

// azurePath says which Azure service's path the request has. "blob" and "queue" are names that a bucket could have,
// and a request that has anything of AWS about it means the bucket.
func (c *call) azurePath() (service string, ok bool) {
	h, q := c.r.Header, c.r.URL.Query()
	if strings.HasPrefix(h.Get("Authorization"), "AWS4-") || h.Get("X-Amz-Date") != "" ||
		h.Get("X-Amz-Content-Sha256") != "" || h.Get("X-Amz-Target") != "" || q.Has("X-Amz-Algorithm") || q.Has("x-id") {
		return "", false
	}
	service, rest, ok := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	return service, ok && rest != "" && (service == "blob" || service == "queue")
}

var credentialScope = regexp.MustCompile(`Credential=[^/,]*/[^/,]*/[^/,]*/([a-z0-9-]+)/aws4_request`)

// signedService returns the service that the request was signed for, or "" if it is not signed. Source:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
func (c *call) signedService() string {
	text := c.r.Header.Get("Authorization")
	if text == "" {
		text = "Credential=" + c.r.URL.Query().Get("X-Amz-Credential")
	}
	if m := credentialScope.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func isForm(contentType string) bool {
	return strings.HasPrefix(contentType, "application/x-www-form-urlencoded")
}

// queryOperation refuses a call in the query protocol, which SNS, STS and old clients of SQS speak.
func (c *call) queryOperation(service string) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return &fault{http.StatusBadRequest, "MalformedQueryString", err.Error()}
	}
	if service == "" {
		service = "AWS"
	}
	return c.unsupported(service + " " + form.Get("Action") + " in the query protocol")
}

// body reads the whole request body. Once it has returned, the request counts as made.
func (c *call) body() ([]byte, error) {
	tooLarge := &fault{
		http.StatusRequestEntityTooLarge, "EntityTooLarge",
		fmt.Sprintf("the recording endpoint takes request bodies of up to %d bytes", c.srv.opts.MaxBody),
	}
	limit := c.srv.opts.MaxBody
	if c.r.ContentLength > limit && c.r.Header.Get("Expect") != "" {
		return nil, tooLarge // the client waits to be told whether it should send
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, limit+1))
	if err != nil {
		return nil, errCutOff
	}
	if int64(len(body)) > limit {
		return nil, tooLarge
	}
	return body, nil
}

// drain reads what is left of the body of a request that is refused, within reason: most clients look for an answer
// only after they have sent everything. One that waits to be asked for its body is not asked.
func (c *call) drain() error {
	if c.r.Header.Get("Expect") != "" {
		return nil
	}
	if _, err := io.CopyN(io.Discard, c.r.Body, 16*c.srv.opts.MaxBody); err != nil && !errors.Is(err, io.EOF) {
		return errCutOff
	}
	return nil
}

// unsupported counts an operation that is not implemented, and returns the fault that says so.
func (c *call) unsupported(operation string) error {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.srv.ledger.unsupported(operation)
	return &fault{
		http.StatusNotImplemented, "NotImplemented",
		"the recording endpoint of tandem does not implement " + operation,
	}
}

// beyond returns the first query parameter, in alphabetical order, that is not among known: one that asks for another
// operation, or for something that would be passed over. Parameters that only sign or trace a request do not count.
func (c *call) beyond(known ...string) (parameter string, ok bool) {
	var names []string
	q := c.r.URL.Query()
	sas := q.Has("sig")
	for name := range q {
		signs := strings.HasPrefix(name, "X-Amz-") || name == "x-id" || name == "timeout"
		if !signs && !slices.Contains(known, name) && !(sas && slices.Contains(sasParameters, name)) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", false
	}
	return slices.Min(names), true
}

// sasParameters sign a request in Azure. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas.
var sasParameters = []string{
	"sig", "sv", "st", "se", "sr", "sp", "sip", "spr", "si", "ss", "srt", "skoid", "sktid", "skt", "ske", "sks", "skv",
	"sdd", "ses", "saoid", "suoid", "scid",
}

func (c *call) writeXML(status int, doc any) error {
	text, err := xml.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, xml.Header) // a client that is gone has nobody to tell
	_, _ = c.w.Write(text)
	return nil
}

// newID returns a random identifier in the form of a UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
