package importer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"time"

	"tandem/capture"
)

// har imports an HTTP archive, an entry at a time. Source of the format:
// http://www.softwareishard.com/blog/har-12-spec/; names that begin with "_" are Chrome's.
func (im *importer) har(from origin, in io.Reader) error {
	for raw, err := range harEntries(in) {
		if ctxErr := im.ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		from.entry++
		if err != nil {
			return im.endOfHAR(from, err)
		}
		im.result.Events++
		if from.function == "" {
			return fmt.Errorf("%s: %w", from, ErrNoFunction)
		}
		if err := im.harEntry(from, raw); err != nil {
			return err
		}
	}
	return nil
}

// harEntry imports one entry. An error ends the import.
func (im *importer) harEntry(from origin, raw json.RawMessage) error {
	if len(raw) > maxEvent {
		im.refuse(from, tooLarge)
		return nil
	}
	var e harEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		reason := "it is no entry of a HAR file"
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			kind, _, _ := strings.Cut(wrong.Value, " ") // a number comes with its digits
			reason = fmt.Sprintf("%s is a JSON %s", wrong.Field, kind)
		}
		im.refuse(from, reason)
		return nil
	}
	x := &exchange{request: e.Request.head(), record: raw, sent: from.modified}
	if !im.selects(x) {
		return nil
	}
	if t, err := time.Parse(time.RFC3339, e.Started); err == nil {
		x.sent = t
	}
	err := e.unsent()
	if err == nil {
		x.body, err = e.Request.body(x.request.Header)
	}
	if err != nil {
		im.refuse(from, err.Error())
		return nil
	}
	if !im.admit(from, x) {
		return nil
	}
	if n := e.Request.BodySize; n > 0 && int(n) != len(x.body) {
		im.note(from, Changed, fmt.Sprintf("the request's body has %d bytes here, and %.0f were sent", len(x.body), n))
	}
	x.answerHeader = harHeader(e.Response.Headers)
	if x.outcome, err = e.outcome(x.answerHeader); err != nil {
		im.note(from, Changed, "the answer was left out: "+err.Error())
	}
	return im.exchange(from, x)
}

// endOfHAR tells why an archive could not be read on. What came before is imported.
func (im *importer) endOfHAR(from origin, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errNotHAR):
		from.entry = 0
	case !errors.As(err, &syntax):
		return im.damaged(from, err)
	}
	im.result.Events++
	im.breakOff(from, fmt.Errorf("%s: %w", from, err))
	return nil
}

// isHAR tells an archive by its beginning: the first member is log, and the first member of that has a known name.
func isHAR(head []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(head))
	for _, want := range []json.Token{json.Delim('{'), "log", json.Delim('{')} {
		if token, err := dec.Token(); err != nil || token != want {
			return false
		}
	}
	token, _ := dec.Token()
	switch token {
	case "version", "creator", "browser", "pages", "entries", "comment":
		return true
	}
	return false
}

var errNotHAR = errors.New("this is not a HAR file")

// harEntries returns the elements of log.entries. It ends with the first error, which is one of reading, a
// [*json.SyntaxError] or errNotHAR.
func harEntries(in io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		w := harWalk{dec: json.NewDecoder(in), yield: yield}
		w.dec.UseNumber() // or one that is too large for a float64 would be an error
		err := w.document()
		var syntax *json.SyntaxError
		switch {
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		case errors.As(err, &syntax): // its own offset is not that of the file
			err = fmt.Errorf("after byte %d: %w", w.dec.InputOffset(), err)
		}
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	}
}

// errStopped ends a walk whose caller wants no more.
var errStopped = errors.New("stopped")

type harWalk struct {
	dec   *json.Decoder
	yield func(json.RawMessage, error) bool
	found bool // log.entries
}

func (w *harWalk) document() error {
	if err := w.members("log", func() error { return w.members("entries", w.entries) }); err != nil {
		return err
	}
	if !w.found {
		return fmt.Errorf("%w: it has no log.entries", errNotHAR)
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: there is more after its end", errNotHAR)
	}
	return nil
}

// members reads an object and calls visit for the value of a name; others are skipped.
func (w *harWalk) members(name string, visit func() error) error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return fmt.Errorf("%w: no object around %s", errNotHAR, name)
	}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err == nil && token == name {
			err = visit()
		} else if err == nil {
			err = w.skip()
		}
		if err != nil {
			return err
		}
	}
	_, err = w.dec.Token()
	return err
}

// skip reads a value without keeping it.
func (w *harWalk) skip() error {
	for depth := 0; ; {
		token, err := w.dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (w *harWalk) entries() error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return fmt.Errorf("%w: log.entries is not a list", errNotHAR)
	}
	w.found = true
	for w.dec.More() {
		var raw json.RawMessage
		if err := w.dec.Decode(&raw); err != nil {
			return err
		}
		if !w.yield(raw, nil) {
			return errStopped
		}
	}
	_, err = w.dec.Token()
	return err
}

type harEntry struct {
	Started      string          `json:"startedDateTime"`
	Time         float64         `json:"time"` // in milliseconds, with waiting for a connection
	Timings      harTimings      `json:"timings"`
	Request      harRequest      `json:"request"`
	Response     harResponse     `json:"response"`
	ResourceType string          `json:"_resourceType"`
	FromCache    json.RawMessage `json:"_fromCache"`
}

// harTimings are in milliseconds, -1 for what does not apply.
type harTimings struct {
	Send    *float64 `json:"send"`
	Wait    *float64 `json:"wait"`
	Receive *float64 `json:"receive"`
}

type harResponse struct {
	Status  float64    `json:"status"`
	Headers []harPair  `json:"headers"`
	Content harContent `json:"content"`
	Error   string     `json:"_error"`
}

// harContent is the body of an answer after its transfer and content encodings were undone.
type harContent struct {
	Size     *float64 `json:"size"`
	Text     *string  `json:"text"`
	Encoding string   `json:"encoding"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// outcome is what was answered. The header becomes what it is without the encodings that the archive has undone. An
// error says why the answer is not known.
func (e *harEntry) outcome(header http.Header) (*capture.Outcome, error) {
	status := int(e.Response.Status)
	content, err := e.Response.Content.read(e.Request.Method, status)
	if err != nil {
		return nil, err
	}
	if header.Get("Content-Encoding") != "" {
		header.Del("Content-Encoding")
		header.Del("Content-Length")
	}
	header.Del("Transfer-Encoding")
	return answered(status, header, content, e.took()), nil
}

// unsent returns why an entry is not an HTTP request that a server answered.
func (e *harEntry) unsent() error {
	scheme, host, _ := e.Request.split()
	cached := strings.Trim(string(e.FromCache), `"`)
	switch {
	case e.Request.URL == "":
		return errors.New("it has no URL")
	case scheme == "ws", scheme == "wss", e.ResourceType == "websocket", e.Response.Status == 101:
		return errors.New("it is a websocket")
	case scheme != "http" && scheme != "https":
		return errors.New("it is no HTTP request by its URL")
	case host == "":
		return errors.New("the URL has no host")
	case cached != "" && cached != "false" && cached != "null":
		return errors.New("the browser's cache answered")
	case e.Response.Status == 0 && netError.MatchString(e.Response.Error):
		return fmt.Errorf("it was not answered: %s", e.Response.Error)
	case e.Response.Status < 100 || e.Response.Status > 599:
		return fmt.Errorf("it was not answered: the status is %v", e.Response.Status)
	}
	return nil
}

// netError is how Chrome names errors. Other texts may have parts of the URL in them, which are not for messages.
var netError = regexp.MustCompile(`^net::ERR_[A-Z0-9_]{1,60}$`)

// took is the time from when the request was sent until its answer was read.
func (e *harEntry) took() time.Duration {
	t := e.Timings
	ms := e.Time
	if t.Send != nil && t.Wait != nil && t.Receive != nil && *t.Wait >= 0 {
		ms = max(*t.Send, 0) + *t.Wait + max(*t.Receive, 0)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// read returns the body of an answer. An error means that the file does not have it.
func (c *harContent) read(method string, status int) ([]byte, error) {
	if c.Text == nil {
		empty := c.Size != nil && *c.Size == 0 || method == http.MethodHead ||
			status == http.StatusNoContent || status == http.StatusNotModified
		if !empty {
			return nil, errors.New("the file does not have its body")
		}
		return nil, nil
	}
	return decoded(*c.Text, c.Encoding)
}

func decoded(text, encoding string) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "":
		return []byte(text), nil
	case "base64":
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("its body is not the base64 that the file says")
		}
		return content, nil
	}
	return nil, errors.New("its body is in an encoding other than base64")
}

// harHeader makes a header of a list, without the pseudo-headers of HTTP/2. Chrome writes several Set-Cookie lines as
// one value with line ends.
func harHeader(list []harPair) http.Header {
	header := make(http.Header, len(list))
	for _, h := range list {
		if h.Name == "" || h.Name[0] == ':' {
			continue
		}
		for value := range strings.SplitSeq(h.Value, "\n") {
			header.Add(h.Name, strings.TrimSpace(value))
		}
	}
	return header
}
