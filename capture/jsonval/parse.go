package jsonval

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest. It is what encoding/json allows.
const maxDepth = 10_000

// A SyntaxError says what is wrong with JSON text and where.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// Parse reads one JSON value that takes up all of data. Errors are of type [*SyntaxError]. The result does not alias
// data.
func Parse(data []byte) (Value, error) {
	p := parser{s: string(data)}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.i < len(p.s) {
		return Value{}, p.fail("text after the value")
	}
	return v, nil
}

// parser walks one string, of which the values that it returns are substrings wherever they can be.
type parser struct {
	s string
	i int
}

func (p *parser) fail(reason string) error { return &SyntaxError{Offset: p.i, Reason: reason} }

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (Value, error) {
	if p.i >= len(p.s) {
		return Value{}, p.fail("a value is missing")
	}
	if depth > maxDepth {
		return Value{}, p.fail("nested too deep")
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.str()
		return Value{Kind: String, Text: s}, err
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, literal := range [...]struct {
		text string
		kind Kind
	}{{"null", Null}, {"true", Bool}, {"false", Bool}} {
		if strings.HasPrefix(p.s[p.i:], literal.text) {
			p.i += len(literal.text)
			if literal.kind == Null {
				return Value{}, nil
			}
			return Value{Kind: Bool, Text: literal.text}, nil
		}
	}
	return Value{}, p.fail(fmt.Sprintf("%q does not start a value", p.s[p.i]))
}

func (p *parser) object(depth int) (Value, error) {
	v := Value{Kind: Object}
	p.i++
	p.space()
	if p.take('}') {
		return v, nil
	}
	for {
		if p.i >= len(p.s) || p.s[p.i] != '"' {
			return v, p.fail("a member name is missing")
		}
		name, err := p.str()
		if err != nil {
			return v, err
		}
		p.space()
		if !p.take(':') {
			return v, p.fail("a colon is missing")
		}
		p.space()
		member, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Add(name, member)
		p.space()
		if p.take('}') {
			return v, nil
		}
		if !p.take(',') {
			return v, p.fail("a comma or a closing brace is missing")
		}
		p.space()
	}
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{Kind: Array}
	p.i++
	p.space()
	if p.take(']') {
		return v, nil
	}
	for {
		elem, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Elems = append(v.Elems, elem)
		p.space()
		if p.take(']') {
			return v, nil
		}
		if !p.take(',') {
			return v, p.fail("a comma or a closing bracket is missing")
		}
		p.space()
	}
}

func (p *parser) take(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) number() (Value, error) {
	start := p.i
	p.take('-')
	if !p.take('0') && p.digits() == 0 {
		return Value{}, p.fail("a digit is missing")
	}
	if p.take('.') && p.digits() == 0 {
		return Value{}, p.fail("a digit is missing")
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if p.digits() == 0 {
			return Value{}, p.fail("a digit is missing")
		}
	}
	return Value{Kind: Number, Text: p.s[start:p.i]}, nil
}

func (p *parser) digits() int {
	start := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

// str reads a string, from its opening to its closing quote.
func (p *parser) str() (string, error) {
	start := p.i + 1
	for i := start; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.i = i + 1
			return p.s[start:i], nil
		case c == '\\':
			p.i = i
			return p.escaped(start)
		case c < 0x20:
			p.i = i
			return "", p.fail("a control character in a string must be escaped")
		}
	}
	p.i = len(p.s)
	return "", p.fail("a closing quote is missing")
}

// escaped reads on in a string that starts at start, from its first escape.
func (p *parser) escaped(start int) (string, error) {
	text := []byte(p.s[start:p.i])
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return string(text), nil
		case c < 0x20:
			return "", p.fail("a control character in a string must be escaped")
		case c != '\\':
			text = append(text, c)
			p.i++
		default:
			var err error
			if text, err = p.escape(text); err != nil {
				return "", err
			}
		}
	}
	return "", p.fail("a closing quote is missing")
}

func (p *parser) escape(text []byte) ([]byte, error) {
	if p.i+1 >= len(p.s) {
		return text, p.fail("an escape is cut off")
	}
	c := p.s[p.i+1]
	if c == 'u' {
		return p.unicode(text)
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return text, p.fail(fmt.Sprintf(`\%c is not an escape`, c))
	}
	p.i += 2
	return append(text, "\"\\/\b\f\n\r\t"[i]), nil
}

// unicode reads \uXXXX, or the two of them that make a surrogate pair.
func (p *parser) unicode(text []byte) ([]byte, error) {
	r, ok := p.hex4(p.i + 2)
	if !ok {
		return text, p.fail(`\u needs four hexadecimal digits`)
	}
	p.i += 6
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(text, r), nil
	}
	if strings.HasPrefix(p.s[p.i:], `\u`) {
		if low, ok := p.hex4(p.i + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.i += 6
				return utf8.AppendRune(text, pair), nil
			}
		}
	}
	return append(text, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f), nil
}

func (p *parser) hex4(i int) (rune, bool) {
	if i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[i:i+4], 16, 32)
	return rune(n), err == nil
}
