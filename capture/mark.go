package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A Mark says which replay fired an invocation. It travels with every request that a replay sends, so that effects
// can be told apart and a recorder does not record what a replay fired.
type Mark struct {
	Run        string // the run's ID
	Invocation string // the invocation's ID
	Target     string // the target's name, such as "lambda"
	Repeat     int    // 0 for the first firing of the invocation at the target, 1 for the second, …
}

// MarkHeader is the header, in lower case, and the client-context key in which a Mark travels.
const MarkHeader = "tandem-trial"

// EventIDProperty is the application property in which an event that a replay puts into Event Hubs has its ID: the host
// gives properties to the function, in the metadata Properties or PropertiesArray. An event of Event Grid has its ID
// as "id". Whoever sees one arrive can tell by it which it was.
const EventIDProperty = "tandem-id"

// MarkMetadata is the name of the metadata of a blob in which a Mark travels: a C# identifier, as Azure wants it.
const MarkMetadata = "tandemtrial"

// String returns the one-line form of m, which is fit for an HTTP header.
func (m Mark) String() string {
	return url.PathEscape(m.Run) + "/" + url.PathEscape(m.Invocation) + "/" + url.PathEscape(m.Target) + "/" +
		strconv.Itoa(m.Repeat)
}

// ParseMark is the inverse of [Mark.String].
func ParseMark(s string) (Mark, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return Mark{}, fmt.Errorf("%q is not RUN/INVOCATION/TARGET/N", s)
	}
	n, err := strconv.Atoi(parts[3])
	if err != nil || n < 0 {
		return Mark{}, fmt.Errorf("%q does not end in a number", s)
	}
	for i := range parts[:3] {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return Mark{}, err
		}
	}
	return Mark{Run: parts[0], Invocation: parts[1], Target: parts[2], Repeat: n}, nil
}

// ClientContext returns m as the value of X-Amz-Client-Context: base64 over JSON with a "custom" object. Source:
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
func (m Mark) ClientContext() string {
	doc, err := json.Marshal(map[string]map[string]string{"custom": {MarkHeader: m.String()}})
	if err != nil {
		panic(err) // strings in a map always marshal
	}
	return base64.StdEncoding.EncodeToString(doc)
}

// MarkFromClientContext finds the mark in a client context, in the plain JSON form in which the Runtime API gives it
// to a function. ok is false when there is none.
func MarkFromClientContext(doc []byte) (m Mark, ok bool) {
	var cc struct {
		Custom map[string]json.RawMessage `json:"custom"`
	}
	if json.Unmarshal(doc, &cc) != nil {
		return Mark{}, false
	}
	var text string
	if json.Unmarshal(cc.Custom[MarkHeader], &text) != nil {
		return Mark{}, false
	}
	m, err := ParseMark(text)
	return m, err == nil
}

// MarkFromEvent finds the mark in the headers of an HTTP event, where a replay that fired it through a gateway has put
// it. ok is false when there is none.
func MarkFromEvent(event []byte) (m Mark, ok bool) {
	if !bytes.Contains(event, []byte(MarkHeader[1:7])) { // "andem-", in whatever case gateways write it
		return Mark{}, false
	}
	var doc struct {
		Headers    map[string]json.RawMessage `json:"headers"`
		MultiValue map[string]json.RawMessage `json:"multiValueHeaders"`
	}
	if json.Unmarshal(event, &doc) != nil {
		return Mark{}, false
	}
	var texts []string
	for name, value := range doc.Headers {
		var text string
		if strings.EqualFold(name, MarkHeader) && json.Unmarshal(value, &text) == nil {
			texts = append(texts, text)
		}
	}
	for name, value := range doc.MultiValue {
		var list []string
		if strings.EqualFold(name, MarkHeader) && json.Unmarshal(value, &list) == nil {
			texts = append(texts, list...)
		}
	}
	for _, text := range texts {
		if m, err := ParseMark(text); err == nil {
			return m, true
		}
	}
	return Mark{}, false
}
