package effects

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/capture"
)

// Queue storage's REST API. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/queue-service-rest-api.

const (
	maxQueueMessage = 64 << 10      // bytes of the text in the XML
	maxQueueDelay   = 7 * 24 * 3600 // seconds
	queueLife       = 7 * 24 * 3600 // seconds, of a message that does not say otherwise
)

type queueCall struct {
	*call
	resource string
}

func (c *call) serveQueue() error {
	c.prepareAzure()
	account, queue, rest, err := azureNames(c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	q := queueCall{c, c.srv.directory.resource("azqueue://" + account + "/" + queue)}
	query := c.r.URL.Query()
	messages, id, _ := strings.Cut(rest, "/")
	switch {
	case queue == "":
		return q.unsupported("account")
	case rest == "":
		return q.serveQueueItself(query)
	case messages != "messages":
		return q.unsupported(rest)
	}
	if extra, ok := q.beyond("visibilitytimeout", "messagettl", "numofmessages", "peekonly", "popreceipt"); ok {
		return q.unsupported(rest + " with ?" + extra)
	}
	switch {
	case c.r.Method == http.MethodPost && id == "":
		return q.putMessage(query)
	case c.r.Method == http.MethodGet && id == "":
		return q.writeXML(http.StatusOK, queueMessages{})
	case c.r.Method == http.MethodDelete && id != "" && query.Has("popreceipt"):
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return q.unsupported(messages)
}

func (q queueCall) unsupported(what string) error {
	operation := "Queue " + q.r.Method + " " + what
	if comp := q.r.URL.Query().Get("comp"); comp != "" {
		operation += " comp=" + comp
	}
	return q.call.unsupported(operation)
}

// serveQueueItself serves Create Queue and Get Queue Properties.
func (q queueCall) serveQueueItself(query url.Values) error {
	if _, extra := q.beyond("comp"); extra {
		return q.unsupported("queue")
	}
	switch q.r.Method + " " + query.Get("comp") {
	case "PUT ":
		if _, err := q.body(); err != nil {
			return err
		}
		if q.srv.create(q.resource) {
			q.w.WriteHeader(http.StatusNoContent) // it is there with the same metadata
		} else {
			q.w.WriteHeader(http.StatusCreated)
		}
	case "GET metadata", "HEAD metadata":
		q.w.Header().Set("X-Ms-Approximate-Messages-Count", "0")
		q.w.WriteHeader(http.StatusOK)
	default:
		return q.unsupported("queue")
	}
	return nil
}

type queueMessages struct {
	XMLName  xml.Name `xml:"QueueMessagesList"`
	Messages []queuedMessage
}

type queuedMessage struct {
	XMLName                                                               xml.Name `xml:"QueueMessage"`
	MessageId, InsertionTime, ExpirationTime, PopReceipt, TimeNextVisible string
}

// putMessage is Put Message. Source: https://learn.microsoft.com/en-us/rest/api/storageservices/put-message.
func (q queueCall) putMessage(query url.Values) error {
	body, err := q.body()
	if err != nil {
		return err
	}
	text, err := parseQueueMessage(body)
	if err != nil {
		return invalidXML()
	}
	if len(text) > maxQueueMessage {
		return &fault{
			http.StatusRequestEntityTooLarge, "RequestBodyTooLarge",
			"The request body is too large and exceeds the maximum permissible limit.",
		}
	}
	delay, err := seconds(query.Get("visibilitytimeout"), 0)
	if err != nil || delay < 0 || delay > maxQueueDelay {
		return invalidQuery("visibilitytimeout")
	}
	life, err := seconds(query.Get("messagettl"), queueLife)
	if err != nil || life < -1 || life == 0 || life > 0 && delay >= life {
		return invalidQuery("messagettl")
	}
	q.srv.send(q.job, queueEffect(q.resource, text, delay))

	now := time.Now().UTC()
	sent := queuedMessage{
		MessageId: newID(), InsertionTime: now.Format(http.TimeFormat), PopReceipt: newID(),
		ExpirationTime:  now.Add(time.Duration(life) * time.Second).Format(http.TimeFormat),
		TimeNextVisible: now.Add(time.Duration(delay) * time.Second).Format(http.TimeFormat),
	}
	if life == -1 {
		sent.ExpirationTime = "Fri, 31 Dec 9999 23:59:59 GMT"
	}
	return q.writeXML(http.StatusCreated, queueMessages{Messages: []queuedMessage{sent}})
}

func seconds(text string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err
}

// parseQueueMessage returns the text in a QueueMessage document.
func parseQueueMessage(doc []byte) (string, error) {
	var m struct {
		XMLName     xml.Name `xml:"QueueMessage"`
		MessageText string
	}
	err := xml.Unmarshal(doc, &m)
	return m.MessageText, err
}

// withoutSpace drops the white space that the Functions host passes over in base64, as .NET does. Source:
// https://learn.microsoft.com/en-us/dotnet/api/system.convert.frombase64string.
func withoutSpace(r rune) rune {
	if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
		return -1
	}
	return r
}

// queueEffect is the effect of a message that was put with that text, delayed by so many seconds.
func queueEffect(resource, text string, delay int) capture.Effect {
	attributes := make(map[string]string)
	body, err := base64.StdEncoding.Strict().DecodeString(strings.Map(withoutSpace, text))
	if err != nil || !utf8.Valid(body) {
		body = []byte(text)
		attributes["encoding"] = "not base64"
	}
	if delay != 0 {
		attributes["delay-seconds"] = strconv.Itoa(delay)
	}
	if len(attributes) == 0 {
		attributes = nil
	}
	return capture.Effect{
		Kind: capture.MessageSend, Resource: resource, Body: capture.NewBody("", body), Attributes: attributes,
	}
}
