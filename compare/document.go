package compare

import (
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
		var body jsonval.Value
		if len(o.HTTP.Body.Bytes()) > 0 {
			body = content{
				o.HTTP.Body, headerOf(o.HTTP, "content-type"), headerOf(o.HTTP, "content-encoding"),
			}.value()
		}
		root.Add("http", httpValue(o.HTTP, &body))
		if len(o.HTTP.Body.Bytes()) > 0 {
			root.Add("body", body)
		}
	}
	if answered := o.Status == capture.StatusOK; answered && o.Result != nil {
		root.Add("result", content{body: o.Result}.value())
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

func httpValue(a *capture.HTTPAnswer, body *jsonval.Value) jsonval.Value {
	v := object(3)
	v.Add("status", jsonval.Int(a.Status))
	v.Add("headers", headersValue(a.Headers, body))
	v.Add("cookies", cookiesValue(a.Cookies))
	return v
}

// headerOf returns the lines of a header as one (RFC 9110, section 5.3).
func headerOf(a *capture.HTTPAnswer, name string) string {
	values, ok := a.Headers[name]
	if !ok {
		for other, lines := range a.Headers { // whose names are in lower case, if captures made them
			if len(other) == len(name) && strings.EqualFold(other, name) {
				values = lines
			}
		}
	}
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ", ")
}

func effectValue(e *capture.Effect) jsonval.Value {
	v := object(5)
	v.Add("key", jsonval.Text(e.Key))
	v.Add("kind", jsonval.Text(string(e.Kind)))
	v.Add("resource", jsonval.Text(e.Resource))
	var body jsonval.Value
	if len(e.Body.Bytes()) > 0 {
		body = content{e.Body, e.Attributes["content-type"], e.Attributes["content-encoding"]}.value()
		v.Add("body", body)
	}
	if len(e.Attributes) > 0 {
		v.Add("attributes", attributesValue(e.Attributes, &body))
	}
	return v
}

// attributesValue has an effect's attributes. Its media type is compared as a header is; all else is text.
func attributesValue(attributes map[string]string, body *jsonval.Value) jsonval.Value {
	v := textObject(attributes)
	for i, name := range v.Names {
		if name == "content-type" {
			v.Elems[i].Text = mediaType(v.Elems[i].Text, body.Form == partsForm)
		}
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

// show writes a value for a report: a text as it is where it is printable, anything else as JSON, behind its form.
func show(v jsonval.Value) string {
	if v.Kind == jsonval.String && utf8.ValidString(v.Text) {
		return strconv.Quote(v.Text)
	}
	return formLabel(v) + v.String()
}

// formLabel says of a value that is not of JSON what it is of, so that it does not read like one that is.
func formLabel(v jsonval.Value) string {
	if v.Form == 0 {
		return ""
	}
	return formWords[v.Form] + ": "
}
