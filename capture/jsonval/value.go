package jsonval

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A Kind is the type of a JSON value.
type Kind byte

const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the name that JSON gives to the kind.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return fmt.Sprintf("Kind(%d)", byte(k))
}

// A Value is one JSON value. The zero Value is null.
type Value struct {
	Kind Kind
	// Form tells apart values that were made of something else than JSON, which else may look like any other. It is 0
	// for JSON; what others stand for is up to who makes them.
	Form byte
	// Text is "true" or "false", a number's text as it was written, or a string's contents.
	Text string
	// Elems are an array's elements or an object's values.
	Elems []Value
	// Names are an object's member names, one for each of Elems, in the order in which they were written. A name
	// may be there more than once.
	Names []string
}

// Text returns a string value.
func Text(s string) Value { return Value{Kind: String, Text: s} }

// Int returns a number value.
func Int(n int) Value { return Value{Kind: Number, Text: strconv.Itoa(n)} }

// List returns an array value that holds elems.
func List(elems ...Value) Value { return Value{Kind: Array, Elems: elems} }

// Get returns the last member of an object that has this name, as most decoders do. ok is false when there is none
// or v is not an object.
func (v Value) Get(name string) (member Value, ok bool) {
	if m := v.member(name); m != nil {
		return *m, true
	}
	return Value{}, false
}

func (v *Value) member(name string) *Value {
	for i := len(v.Names) - 1; i >= 0; i-- {
		if v.Names[i] == name {
			return &v.Elems[i]
		}
	}
	return nil
}

// At follows names down through objects and returns the zero Value when one of them is missing.
func (v Value) At(names ...string) Value {
	at := &v
	for _, name := range names {
		if at = at.member(name); at == nil {
			return Value{}
		}
	}
	return *at
}

// Add appends a member to an object.
func (v *Value) Add(name string, member Value) {
	v.Names = append(v.Names, name)
	v.Elems = append(v.Elems, member)
}

// AppendJSON appends v as compact JSON. Strings that are not valid Unicode are written with the bytes they have.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, v.Text...)
	case String:
		return appendString(dst, v.Text)
	case Array:
		dst = append(dst, '[')
		for i, e := range v.Elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	default:
		dst = append(dst, '{')
		for i, e := range v.Elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, v.Names[i])
			dst = append(dst, ':')
			dst = e.AppendJSON(dst)
		}
		return append(dst, '}')
	}
}

// String returns v as compact JSON.
func (v Value) String() string { return string(v.AppendJSON(nil)) }

// AppendQuoted appends a string as encoding/json writes it: with escapes for what HTML has a meaning for, and with
// U+FFFD for what is not Unicode.
func AppendQuoted(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			doc, err := json.Marshal(s)
			if err != nil {
				panic(err) // strings always marshal
			}
			return append(dst, doc...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			_, size := utf8.DecodeRuneInString(s[i:])
			dst = append(dst, s[i:i+size]...)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}
