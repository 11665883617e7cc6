package eventhub

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/translate"
)

// An exchange is an HTTP request, or a response to one, as a gateway has logged it.
type exchange struct {
	id       string
	function string
	at       time.Time
	method   string
	url      string
	header   http.Header
	body     []byte
	status   int // of a response
}

func (x *exchange) translate() translate.Request {
	return translate.Request{Method: x.method, URL: x.url, Header: x.header, Body: x.body, Time: x.at}
}

// outcome is what a response says.
func (x *exchange) outcome() *capture.Outcome {
	return translate.HTTPOutcome(x.status, x.header, x.body)
}

// checkLength fails on a body that is shorter than the header says: it was cut off on its way here. Bodies that were
// sent compressed come out of a gateway longer.
func (x *exchange) checkLength() error {
	length, err := strconv.ParseInt(x.header.Get("Content-Length"), 10, 64)
	if err == nil && int64(len(x.body)) < length {
		return fmt.Errorf("%w: %d of %d bytes", errCut, len(x.body), length)
	}
	return nil
}

// headers are an object of texts or lists of texts, in any case, or such an object as a text.
type headers http.Header

func (h *headers) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		if text == "" {
			return nil
		}
		data = []byte(text)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return hint("the headers are no object")
	}
	*h = make(headers, len(values))
	for name, value := range values {
		var list []looseText
		if json.Unmarshal(value, &list) != nil {
			var one looseText
			if err := json.Unmarshal(value, &one); err != nil {
				return err
			}
			list = []looseText{one}
		}
		for _, v := range list {
			http.Header(*h).Add(name, string(v))
		}
	}
	return nil
}

// exchangeLine is a request, with its response where it is known, in the JSON that a log-to-eventhub policy makes.
type exchangeLine struct {
	ID       string `json:"id"`
	Function string `json:"function"`
	Time     string `json:"time"`
	Method   string `json:"method"`
	URL      string `json:"url"`
	messageLine
	Response *struct {
		Status int `json:"status"`
		messageLine
	} `json:"response"`
}

// messageLine is what requests and responses have.
type messageLine struct {
	Headers headers `json:"headers"`
	Body    *string `json:"body"`       // as text
	Base64  []byte  `json:"bodyBase64"` // in place of Body
}

func (m *messageLine) body() []byte {
	if m.Body != nil {
		return []byte(*m.Body)
	}
	return m.Base64
}

// parseExchange reads a request in JSON.
func parseExchange(doc []byte) (*exchange, error) {
	x, _, err := parseExchangeLine(doc)
	return x, err
}

func parseExchangeLine(doc []byte) (request, response *exchange, err error) {
	var l exchangeLine
	if err := json.Unmarshal(doc, &l); err != nil {
		return nil, nil, fmt.Errorf("a request: %w", err)
	}
	request = &exchange{
		id: l.ID, function: l.Function, at: parseTime(l.Time), method: l.Method, url: l.URL,
		header: orEmpty(l.Headers), body: l.body(),
	}
	if err := request.checkLength(); err != nil {
		return nil, nil, err
	}
	if l.Response != nil && l.Response.Status > 0 {
		response = &exchange{status: l.Response.Status, header: orEmpty(l.Response.Headers), body: l.Response.body()}
	}
	return request, response, nil
}

func orEmpty(h headers) http.Header {
	if h == nil {
		return http.Header{}
	}
	return http.Header(h)
}

// request takes a request in JSON.
func (r *reader) request(e *event, id string, doc []byte) finding {
	request, response, err := parseExchangeLine(doc)
	if err != nil {
		return finding{kind: KindHTTP, left: reasonOf(err), err: err}
	}
	request.at = cmp.Or(request.at, e.at)
	return whole(KindHTTP)(r.make.exchanged(cmp.Or(request.id, id), request, response, r.opts.name(request.function)))
}

// exchanged makes the invocation for a request and its response, which may be nil.
func (m *maker) exchanged(id string, request, response *exchange, function string) (*capture.Invocation, error) {
	inv, err := m.request(identity(request.at, "http\x00"+id), function, request.translate())
	if err != nil {
		return nil, err
	}
	if response != nil {
		if err := response.checkLength(); err != nil && request.method != http.MethodHead {
			inv.Outcome = &capture.Outcome{Status: capture.StatusUnknown}
		} else {
			inv.Outcome = response.outcome()
		}
	}
	return inv, nil
}

// gatewayLog is what GatewayLogs say in their properties. Headers and bodies are there when the API's diagnostic
// setting logs them, bodies up to 8,192 bytes. Source:
// https://learn.microsoft.com/azure/api-management/gateway-log-schema-reference.
type gatewayLog struct {
	Method          string
	URL             string
	APIID           string `json:"apiId"`
	OperationID     string `json:"operationId"`
	ResponseCode    looseText
	RequestHeaders  headers
	RequestBody     string
	ResponseHeaders headers
	ResponseBody    string
}

const maxGatewayBody = 8192

// gateway takes a record of an API Management gateway.
func (r *reader) gateway(id string, rec *record) finding {
	f := finding{kind: KindGateway}
	p, err := rec.properties()
	if err != nil {
		return finding{left: leftUnknown, err: err}
	}
	var l gatewayLog
	if err := json.Unmarshal(p.doc, &l); err != nil || l.Method == "" || l.URL == "" {
		return finding{left: leftUnknown, err: hint("a record of GatewayLogs without method and URL")}
	}
	if l.RequestHeaders == nil {
		f.left, f.err = leftCut, hint("the API's diagnostic setting logs no request headers")
		return f
	}
	request := &exchange{at: rec.at(), method: l.Method, url: l.URL, header: orEmpty(l.RequestHeaders),
		body: []byte(l.RequestBody)}
	if err := checkGatewayBody(request); err != nil {
		f.left, f.err = leftCut, err
		return f
	}
	status, _ := strconv.Atoi(string(l.ResponseCode))
	var response *exchange
	if status > 0 && l.ResponseHeaders != nil {
		response = &exchange{status: status, header: orEmpty(l.ResponseHeaders), body: []byte(l.ResponseBody)}
		if checkGatewayBody(response) != nil && request.method != http.MethodHead {
			response = nil
		}
	}
	return whole(KindGateway)(r.make.exchanged(cmp.Or(rec.CorrelationID, id), request, response,
		r.opts.nameOr(l.APIID, l.OperationID, l.APIID)))
}

// checkGatewayBody fails on a body that may not be all of what was sent: none, although there may have been one, or
// as much as the log keeps.
func checkGatewayBody(x *exchange) error {
	if err := x.checkLength(); err != nil {
		return err
	}
	unsure := len(x.body) == 0 && x.header.Get("Content-Length") == "" && (x.header.Get("Transfer-Encoding") != "" ||
		x.method == http.MethodPost || x.method == http.MethodPut || x.method == http.MethodPatch)
	if unsure || len(x.body) >= maxGatewayBody {
		return errCut
	}
	return nil
}

// parseHTTPMessage reads an event that is a request or a response as HTTP has it: with "request:ID" or "response:ID"
// in a line of its own before it, as the sample policy writes it, or with a content type that says which it is. See
// https://learn.microsoft.com/azure/api-management/api-management-log-to-eventhub-sample.
func parseHTTPMessage(e *event) (*part, bool) {
	id, kind, body := e.messageID, "", e.body
	media, params, err := mime.ParseMediaType(e.contentType)
	switch head, rest, found := bytes.Cut(e.body, []byte("\n")); {
	case err == nil && media == "application/http" && params["msgtype"] != "":
		kind = params["msgtype"]
	case found && (bytes.HasPrefix(head, []byte("request:")) || bytes.HasPrefix(head, []byte("response:"))):
		var name string
		kind, name, _ = strings.Cut(string(bytes.TrimSpace(head)), ":")
		id, body = cmp.Or(strings.TrimSpace(name), id), rest
	}
	p := &part{key: "http:" + id, at: e.at, size: len(body)}
	switch {
	case id == "":
		return nil, false
	case kind == "request":
		p.request = parseRequestText(body)
	case kind == "response":
		p.response = parseResponseText(body)
	}
	if p.request == nil && p.response == nil {
		return nil, false
	}
	return p, true
}

// parseRequestText reads a request as HTTP has it. Its body is the rest, whatever the header says of it.
func parseRequestText(text []byte) *exchange {
	buffered := bufio.NewReader(bytes.NewReader(text))
	req, err := http.ReadRequest(buffered)
	if err != nil {
		return nil
	}
	header := req.Header
	if req.Host != "" {
		header.Set("Host", req.Host)
	}
	if req.ContentLength > 0 {
		header.Set("Content-Length", strconv.FormatInt(req.ContentLength, 10))
	}
	return &exchange{method: req.Method, url: req.RequestURI, header: header, body: bodyOf(text)}
}

// parseResponseText reads a response as HTTP has it.
func parseResponseText(text []byte) *exchange {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return nil
	}
	io.Copy(io.Discard, resp.Body) //nolint:errcheck // the body is taken from the text
	resp.Body.Close()
	return &exchange{status: resp.StatusCode, header: resp.Header, body: bodyOf(text)}
}

// bodyOf is what stands behind the header.
func bodyOf(text []byte) []byte {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if _, body, ok := bytes.Cut(text, []byte(end)); ok {
			return body
		}
	}
	return nil
}

// queueLine is a Storage Queue message, forwarded as JSON.
type queueLine struct {
	Queue        string    `json:"queue"`
	MessageID    string    `json:"messageId"`
	InsertedOn   string    `json:"insertionTime"`
	DequeueCount looseText `json:"dequeueCount"`
	PopReceipt   string    `json:"popReceipt"`
	Function     string    `json:"function"`
	Text         *string   `json:"messageText"` // as text
	Base64       string    `json:"bodyBase64"`  // in place of Text
}

// queueMessage takes a forwarded queue message.
func (r *reader) queueMessage(e *event, doc []byte) finding {
	var l queueLine
	if err := json.Unmarshal(doc, &l); err != nil {
		return finding{left: leftUnknown, err: fmt.Errorf("a queue message: %w", err)}
	}
	var body []byte
	if l.Text != nil {
		body = []byte(*l.Text)
	} else if decoded, err := base64.StdEncoding.DecodeString(l.Base64); err == nil && l.Base64 != "" {
		body = decoded
	} else {
		return finding{kind: KindQueue, left: leftCut, err: hint("a queue message without its text")}
	}
	count, _ := strconv.Atoi(string(l.DequeueCount))
	inserted := parseTime(l.InsertedOn)
	function := r.opts.name(l.Function)
	if l.Function == "" {
		function = r.opts.nameOr(l.Queue, l.Queue)
	}
	id := identity(cmp.Or(inserted, e.at), fmt.Sprintf("queue\x00%s\x00%s\x00%d", l.Queue, l.MessageID, count))
	return whole(KindQueue)(r.make.message(id, function, l.Queue, translate.QueueMessage{
		ID: l.MessageID, Body: body, Inserted: cmp.Or(inserted, e.at), DequeueCount: count, PopReceipt: l.PopReceipt,
	}))
}
