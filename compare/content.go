package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A content is a body with what its sender says of it. Bodies are compared by what they contain: once their codings
// are undone, JSON by value, lines of JSON line by line, XML, forms and multipart bodies by structure, other text as
// text, and the rest as bytes. What cannot be read as what it is said to be is compared as it is.
//
// What each form becomes depends on one side alone, so that a body always equals itself. The forms that are not JSON
// of their own are objects with one member, which names the form in paths, and are marked, so that they equal no JSON
// that looks alike.
type content struct {
	body   *capture.Body
	media  string // Content-Type
	coding string // Content-Encoding
}

// Forms of content that are not JSON of their own, which values are marked with: JSON may look like any of them.
const (
	linesForm byte = 1 + iota // of JSON, a list
	xmlForm                   // the root element
	formForm                  // names and values
	partsForm                 // a list
	bytesForm                 // their length and hash
)

// formNames are the members that name a form.
var formNames = map[byte]string{linesForm: "lines", xmlForm: "xml", formForm: "form", partsForm: "parts"}

// formWords say what the value of a form is.
var formWords = map[byte]string{
	linesForm: "lines of JSON", xmlForm: "XML", formForm: "form fields", partsForm: "a multipart body", bytesForm: "bytes",
}

// maxNesting is how deep multipart bodies may be in one another.
const maxNesting = 8

// value returns the content as it is compared.
func (c content) value() jsonval.Value { return c.nested(0) }

func (c content) nested(depth int) jsonval.Value {
	if c.coding == "" && c.body != nil && c.body.JSON != nil {
		return jsonBody(c.body.JSON)
	}
	raw := c.body.Bytes()
	plain, known, err := undoCodings(c.coding, raw)
	switch {
	case err != nil:
		return bytesValue(raw)
	case known:
		c.body = capture.NewBody(c.media, plain)
	}
	switch {
	case c.body == nil:
		return jsonval.Value{}
	case c.body.JSON != nil:
		return jsonBody(c.body.JSON)
	}
	return formValue(c.media, c.body.Bytes(), depth)
}

// jsonBody is JSON by its contents. JSON that is a bare string keeps its quotes, which tell it from text.
func jsonBody(text []byte) jsonval.Value {
	v, err := jsonval.Parse(text)
	switch {
	case err != nil:
		return jsonval.Text(string(text))
	case v.Kind == jsonval.String:
		return jsonval.Text(v.String())
	}
	return v
}

// textOrBytes is text as a string, and bytes as their length and hash.
func textOrBytes(raw []byte) jsonval.Value {
	if utf8.Valid(raw) {
		return jsonval.Text(string(raw))
	}
	return bytesValue(raw)
}

func bytesValue(raw []byte) jsonval.Value {
	sum := sha256.Sum256(raw)
	v := object(2)
	v.Add("bytes", jsonval.Int(len(raw)))
	v.Add("sha256", jsonval.Text(hex.EncodeToString(sum[:])))
	v.Form = bytesForm
	return v
}

// formValue reads content that [capture.NewBody] does not take for JSON as what its media type says. Content whose
// type says nothing is looked at.
func formValue(contentType string, raw []byte, depth int) jsonval.Value {
	if contentType == "" {
		return silentValue(raw)
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return textOrBytes(raw)
	}
	switch {
	case media == "application/octet-stream" || media == "binary/octet-stream": // the latter is what S3 says
		return silentValue(raw)
	case media == "application/x-ndjson", media == "application/ndjson", media == "application/jsonl",
		media == "application/x-jsonlines", media == "application/jsonlines":
		if v, err := linesValue(raw); err == nil {
			return wrapped(linesForm, v)
		}
	case media == "application/x-www-form-urlencoded":
		if v, err := formFields(string(raw)); err == nil {
			return wrapped(formForm, v)
		}
	case strings.HasPrefix(media, "multipart/"):
		if v, err := partsValue(params["boundary"], raw, depth); err == nil {
			return wrapped(partsForm, v)
		}
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"):
		// Here it is not UTF-8. RFC 8259 knows no other charset, so it is kept as it is.
		if v, err := jsonval.Parse(raw); err == nil && v.Kind != jsonval.String {
			return v
		}
	case strings.HasSuffix(media, "/xml") || strings.HasSuffix(media, "+xml"):
		text, err := decodeXML(params["charset"], raw)
		if err != nil {
			return bytesValue(raw)
		}
		return xmlOrText(text)
	default:
		text, err := decodeCharset(params["charset"], raw)
		if err != nil {
			return bytesValue(raw)
		}
		return textOrBytes(text)
	}
	return textOrBytes(raw)
}

// silentValue looks at content whose sender does not say what it is: at least two lines of JSON lists or objects, or
// XML that begins by saying so.
func silentValue(raw []byte) jsonval.Value {
	switch start := bytes.TrimLeft(raw, " \t\r\n"); {
	case bytes.HasPrefix(start, []byte("{")), bytes.HasPrefix(start, []byte("[")):
		v, err := linesValue(raw)
		if err == nil && len(v.Elems) > 1 && onlyContainers(v) {
			return wrapped(linesForm, v)
		}
	case bytes.HasPrefix(start, []byte("<?xml ")):
		if text, err := decodeXML("", raw); err == nil {
			return xmlOrText(text)
		}
		return bytesValue(raw)
	}
	return textOrBytes(raw)
}

func onlyContainers(list jsonval.Value) bool {
	for _, e := range list.Elems {
		if e.Kind != jsonval.Object && e.Kind != jsonval.Array {
			return false
		}
	}
	return true
}

func xmlOrText(text []byte) jsonval.Value {
	if v, err := parseXML(text); err == nil {
		return wrapped(xmlForm, v)
	}
	return textOrBytes(text)
}

var errBlankLine = errors.New("a blank line between lines of JSON")

// linesValue reads one JSON value a line. The last line may lack its end.
func linesValue(raw []byte) (jsonval.Value, error) {
	list := jsonval.Value{Kind: jsonval.Array}
	for line := range bytes.Lines(raw) {
		if len(bytes.TrimSpace(line)) == 0 {
			return list, errBlankLine
		}
		v, err := jsonval.Parse(line)
		if err != nil {
			return list, err
		}
		list.Elems = append(list.Elems, v)
	}
	return list, nil
}

func wrapped(form byte, v jsonval.Value) jsonval.Value {
	w := object(1)
	w.Add(formNames[form], v)
	w.Form = form
	return w
}

// sameType reports whether two values are of one type: of JSON, or of one other form.
func sameType(b, c jsonval.Value) bool { return b.Kind == c.Kind && b.Form == c.Form }
