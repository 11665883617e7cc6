package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// document is an outcome as it is compared: a tree whose places have the JSON pointers that rules and reports use.
// Effects are kept beside it, because they are aligned by their own rules.
type document struct {
	root    jsonval.Value
	effects []jsonval.Value // each an object {kind, resource, key, body, attributes}
}

func newDocument(o *capture.Outcome) document {
	root := object(5)
	root.Add("status", jsonval.Text(string(o.Status)))
	// What a failed invocation is answered with is the platform's, not the function's.
	if answered := o.Status == capture.StatusOK; answered && o.HTTP != nil {
		root.Add("http", httpValue(o.HTTP))
		if len(o.HTTP.Body.Bytes()) > 0 {
			root.Add("body", bodyValue(o.HTTP.Body))
		}
	}
	if answered := o.Status == capture.StatusOK; answered && o.Result != nil {
		root.Add("result", bodyValue(o.Result))
	}
	if len(o.Records) > 0 {
		records := jsonval.Value{Kind: jsonval.Object}
		for _, id := range sortedKeys(o.Records) {
			records.Add(id, jsonval.Text(string(o.Records[id])))
		}
		root.Add("records", records)
	}
	if o.Error != nil {
		root.Add("error", textObject(map[string]string{"type": o.Error.Type, "message": o.Error.Message}))
	}
	doc := document{root: root, effects: make([]jsonval.Value, 0, len(o.Effects))}
	for i := range o.Effects {
		doc.effects = append(doc.effects, effectValue(&o.Effects[i]))
	}
	return doc
}

func httpValue(a *capture.HTTPAnswer) jsonval.Value {
	v := object(3)
	v.Add("status", jsonval.Int(a.Status))
	headers := object(len(a.Headers))
	for _, name := range sortedKeys(a.Headers) {
		if values := a.Headers[name]; len(values) > 0 {
			headers.Add(strings.ToLower(name), jsonval.Text(headerText(name, values)))
		}
	}
	v.Add("headers", headers)
	cookies := object(len(a.Cookies))
	for _, c := range a.Cookies { // a name may be set more than once
		cookies.Add(c.Name, cookieValue(c))
	}
	v.Add("cookies", cookies)
	return v
}

// cookieValue has a cookie's attributes, whose names have no case, and neither has the value of SameSite (RFC
// 6265bis, section 5.6.7).
func cookieValue(c capture.Cookie) jsonval.Value {
	attributes := make(map[string]string, len(c.Attributes))
	for name, value := range c.Attributes {
		if name = strings.ToLower(name); name == "samesite" {
			value = strings.ToLower(value)
		}
		attributes[name] = value
	}
	v := textObject(attributes)
	v.Add("value", jsonval.Text(c.Value))
	return v
}

// headerText joins the lines of one header, which RFC 9110, section 5.3, makes equal to one line with commas. A media
// type is written in one way.
func headerText(name string, values []string) string {
	text := strings.Join(values, ", ")
	if text == "application/json" { // by far the most common one needs no parsing
		return text
	}
	if !strings.EqualFold(name, "Content-Type") {
		return text
	}
	media, params, err := mime.ParseMediaType(text)
	if err != nil {
		return text
	}
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
	}
	if formatted := mime.FormatMediaType(media, params); formatted != "" {
		return formatted
	}
	return text
}

// bodyValue is JSON by its contents, text as a string, and bytes as their length and hash. JSON that is a bare
// string keeps its quotes, which tell it from text.
func bodyValue(b *capture.Body) jsonval.Value {
	switch {
	case b == nil:
		return jsonval.Value{}
	case b.JSON != nil:
		v, err := jsonval.Parse(b.JSON)
		switch {
		case err != nil:
			return jsonval.Text(string(b.JSON))
		case v.Kind == jsonval.String:
			return jsonval.Text(v.String())
		}
		return v
	case b.Text != nil:
		return jsonval.Text(*b.Text)
	case utf8.Valid(b.Base64):
		return jsonval.Text(string(b.Base64))
	}
	sum := sha256.Sum256(b.Base64)
	v := jsonval.Value{Kind: jsonval.Object}
	v.Add("bytes", jsonval.Int(len(b.Base64)))
	v.Add("sha256", jsonval.Text(hex.EncodeToString(sum[:])))
	return v
}

func effectValue(e *capture.Effect) jsonval.Value {
	v := object(5)
	v.Add("key", jsonval.Text(e.Key))
	v.Add("kind", jsonval.Text(string(e.Kind)))
	v.Add("resource", jsonval.Text(e.Resource))
	if len(e.Body.Bytes()) > 0 {
		v.Add("body", bodyValue(e.Body))
	}
	if len(e.Attributes) > 0 {
		v.Add("attributes", textObject(e.Attributes))
	}
	return v
}

// object returns an object with room for so many members.
func object(members int) jsonval.Value {
	return jsonval.Value{
		Kind: jsonval.Object, Names: make([]string, 0, members), Elems: make([]jsonval.Value, 0, members),
	}
}

// textObject makes an object of texts, in the order of their names.
func textObject(m map[string]string) jsonval.Value {
	v := object(len(m) + 1)
	for _, name := range sortedKeys(m) {
		v.Add(name, jsonval.Text(m[name]))
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// leaves counts the values below v that are neither lists nor objects with something in them.
func leaves(v jsonval.Value) int {
	if len(v.Elems) == 0 {
		return 1
	}
	n := 0
	for _, e := range v.Elems {
		n += leaves(e)
	}
	return n
}

// show writes a value for a report: a text as it is where it is printable, anything else as JSON.
func show(v jsonval.Value) string {
	if v.Kind == jsonval.String && utf8.ValidString(v.Text) {
		return strconv.Quote(v.Text)
	}
	return v.String()
}
