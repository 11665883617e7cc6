package stepfunctions

import (
	"fmt"
	"strconv"
	"strings"

	"tandem/capture/jsonval"
)

// A Pointer is a JSON pointer (RFC 6901) that also leads into JSON that stands in strings. The zero value leads to the
// whole document.
type Pointer struct {
	text  string
	names []string
}

// ParsePointer reads a pointer: "" or /name/0/….
func ParsePointer(text string) (Pointer, error) {
	if text == "" {
		return Pointer{}, nil
	}
	if text[0] != '/' {
		return Pointer{}, fmt.Errorf("%q is not a JSON pointer: it has to begin with /", text)
	}
	names := strings.Split(text[1:], "/")
	for i, name := range names {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(name), "~") {
			return Pointer{}, fmt.Errorf("%q is not a JSON pointer: ~ is written ~0", text)
		}
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return Pointer{text, names}, nil
}

// String returns the pointer as it is written.
func (p Pointer) String() string { return p.text }

// Find returns what the pointer leads to in doc. A string that holds a JSON object or list is that.
func (p Pointer) Find(doc jsonval.Value) (v jsonval.Value, ok bool) {
	v = entered(doc)
	for _, name := range p.names {
		switch v.Kind {
		case jsonval.Object:
			if v, ok = v.Get(name); !ok {
				return jsonval.Value{}, false
			}
		case jsonval.Array:
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n >= len(v.Elems) || strconv.Itoa(n) != name {
				return jsonval.Value{}, false
			}
			v = v.Elems[n]
		default:
			return jsonval.Value{}, false
		}
		v = entered(v)
	}
	return v, true
}

// entered returns the object or list that stands in a string, or v itself.
func entered(v jsonval.Value) jsonval.Value {
	if v.Kind != jsonval.String {
		return v
	}
	inner, err := jsonval.Parse([]byte(v.Text))
	if err != nil || inner.Kind != jsonval.Object && inner.Kind != jsonval.Array {
		return v
	}
	return inner
}
