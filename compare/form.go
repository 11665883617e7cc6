package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// formFields reads application/x-www-form-urlencoded (https://url.spec.whatwg.org/#urlencoded-parsing) as an object.
// A name may be repeated; its values are compared in their order, and names in any. It fails on a broken escape,
// which servers read in different ways.
func formFields(text string) (jsonval.Value, error) {
	fields := jsonval.Value{Kind: jsonval.Object}
	for field := range strings.SplitSeq(text, "&") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		decodedName, err := url.QueryUnescape(name)
		if err != nil {
			return fields, fmt.Errorf("reading a form: %w", err)
		}
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			return fields, fmt.Errorf("reading a form: %w", err)
		}
		fields.Add(decodedName, jsonval.Text(decoded))
	}
	return fields, nil
}

const maxFormParts = 10_000

var (
	errBoundary = errors.New("a multipart body without boundary")
	errParts    = errors.New("a multipart body with too many parts, or in too many others")
)

// partsValue reads a multipart body as a list of its parts, each {name, headers, body}. The boundary, and what stands
// before the first part and after the last, mean nothing (RFC 2046, section 5.1.1).
func partsValue(boundary string, raw []byte, depth int) (jsonval.Value, error) {
	list := jsonval.Value{Kind: jsonval.Array}
	if boundary == "" {
		return list, errBoundary
	}
	if depth >= maxNesting {
		return list, errParts
	}
	r := multipart.NewReader(bytes.NewReader(raw), boundary)
	for {
		part, err := r.NextPart()
		if err == io.EOF && len(list.Elems) > 0 { // not wrapped, which would say that the body is cut off
			return list, nil
		}
		if err != nil {
			return list, fmt.Errorf("reading a multipart body: %w", err)
		}
		if len(list.Elems) == maxFormParts {
			return list, errParts
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return list, fmt.Errorf("reading a part: %w", err)
		}
		list.Elems = append(list.Elems, partValue(part, body, depth))
	}
}

func partValue(part *multipart.Part, body []byte, depth int) jsonval.Value {
	headers := make(map[string][]string, len(part.Header))
	for name, values := range part.Header {
		headers[strings.ToLower(name)] = values
	}
	media := http.Header(part.Header).Get("Content-Type")
	content := content{body: capture.NewBody(media, body), media: media}.nested(depth + 1)
	v := object(3)
	if name := part.FormName(); name != "" {
		v.Add("name", jsonval.Text(name))
	}
	v.Add("headers", headersValue(headers, &content))
	v.Add("body", content)
	return v
}
