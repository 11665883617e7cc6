package jsonval

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
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
	p := parser{s: string(data), stack: stacks.Get().(*stack)}
	defer p.stack.free()
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

	stack *stack
	elems []Value // free
	names []string
}

// A stack has the members of the objects and lists that are open. When one is closed, they are copied to where they
// stay, in memory that several values share: most have a few members, and an allocation for each of them would take as
// long as the rest.
type stack struct {
	elems []Value
	names []string
}

var stacks = sync.Pool{New: func() any { return new(stack) }}

// free has the stack used again, unless it has grown large.
func (s *stack) free() {
	if cap(s.elems) <= 1<<12 && cap(s.names) <= 1<<12 {
		s.cut(0, 0)
		stacks.Put(s)
	}
}

// cut takes what is above off the stack, which does not keep it from being freed.
func (s *stack) cut(elems, names int) {
	clear(s.elems[elems:])
	clear(s.names[names:])
	s.elems, s.names = s.elems[:elems], s.names[:names]
}

// close takes the elements from elem on and the names from name on off the stack.
func (p *parser) close(elem, name int) (elems []Value, names []string) {
	n, m := len(p.stack.elems)-elem, len(p.stack.names)-name
	if len(p.elems) < n {
		p.elems = make([]Value, p.room(n))
	}
	if len(p.names) < m {
		p.names = make([]string, p.room(m))
	}
	copy(p.elems, p.stack.elems[elem:])
	copy(p.names, p.stack.names[name:])
	elems, names = p.elems[:n:n], p.names[:m:m]
	p.elems, p.names = p.elems[n:], p.names[m:]
	p.stack.cut(elem, name)
	return elems, names
}

// room is for how many members memory is asked for when n need it: for more where there is more to come.
func (p *parser) room(n int) int {
	const most, memberSize = 16, 24
	return max(n, min(most, len(p.stack.elems)+(len(p.s)-p.i)/memberSize))
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
	elem, first := len(p.stack.elems), len(p.stack.names)
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
		p.stack.names, p.stack.elems = append(p.stack.names, name), append(p.stack.elems, member)
		p.space()
		if p.take('}') {
			v.Elems, v.Names = p.close(elem, first)
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
	first := len(p.stack.elems)
	for {
		elem, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		p.stack.elems = append(p.stack.elems, elem)
		p.space()
		if p.take(']') {
			v.Elems, _ = p.close(first, len(p.stack.names))
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
	var text strings.Builder
	text.Grow(p.i - start + p.left())
	text.WriteString(p.s[start:p.i])
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return text.String(), nil
		case c < 0x20:
			return "", p.fail("a control character in a string must be escaped")
		case c != '\\':
			text.WriteByte(c)
			p.i++
		default:
			if err := p.escape(&text); err != nil {
				return "", err
			}
		}
	}
	return "", p.fail("a closing quote is missing")
}

// left is how long what is left of a string is, without its closing quote, and with escapes.
func (p *parser) left() int {
	for i := p.i; i < len(p.s); i++ {
		switch p.s[i] {
		case '"':
			return i - p.i
		case '\\':
			i++
		}
	}
	return len(p.s) - p.i
}

func (p *parser) escape(text *strings.Builder) error {
	if p.i+1 >= len(p.s) {
		return p.fail("an escape is cut off")
	}
	c := p.s[p.i+1]
	if c == 'u' {
		return p.unicode(text)
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return p.fail(fmt.Sprintf(`\%c is not an escape`, c))
	}
	p.i += 2
	text.WriteByte("\"\\/\b\f\n\r\t"[i])
	return nil
}

// unicode reads \uXXXX, or the two of them that make a surrogate pair.
func (p *parser) unicode(text *strings.Builder) error {
	r, ok := p.hex4(p.i + 2)
	if !ok {
		return p.fail(`\u needs four hexadecimal digits`)
	}
	p.i += 6
	if !utf16.IsSurrogate(r) {
		text.WriteRune(r)
		return nil
	}
	if strings.HasPrefix(p.s[p.i:], `\u`) {
		if low, ok := p.hex4(p.i + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.i += 6
				text.WriteRune(pair)
				return nil
			}
		}
	}
	text.Write([]byte{0xe0 | byte(r>>12), 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f})
	return nil
}

func (p *parser) hex4(i int) (rune, bool) {
	if i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[i:i+4], 16, 32)
	return rune(n), err == nil
}
