package eventhub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A pseudo is what was read of pseudo-JSON: the way in which some diagnostic logs are written, with single quotes in
// place of double ones. Those who write it do not agree on escapes: most put a text between quotes as it is, with its
// own apostrophes and backslashes, some write backslashes before both.
type pseudo struct {
	doc     []byte // JSON, with the texts as they are
	escaped []byte // the same with their escapes undone, nil where there are none
	// bare is true when an apostrophe in a text had no backslash: this writer does not escape.
	bare bool
}

var errPseudo = errors.New("not JSON with single quotes")

// parsePseudo reads an object in pseudo-JSON. An apostrophe ends a text when what follows is what can follow a text
// there: in an object a comma and the next name, or the end. Numbers, true, false, null, True, False and None stand
// without quotes. Texts may be in double quotes; these have JSON's escapes.
func parsePseudo(text []byte) (pseudo, error) {
	p := pseudoParser{text: text}
	p.space()
	if err := p.value(0, inDocument); err != nil {
		return pseudo{}, fmt.Errorf("%w: %w", errPseudo, err)
	}
	p.space()
	if p.at != len(text) || len(text) == 0 || p.out[0] != '{' {
		return pseudo{}, fmt.Errorf("%w: it does not end at %d", errPseudo, p.at)
	}
	if !p.hasEscapes {
		p.escaped = nil
	}
	return pseudo{doc: p.out, escaped: p.escaped, bare: p.bare}, nil
}

type pseudoParser struct {
	text       []byte
	at         int
	out        []byte
	escaped    []byte
	hasEscapes bool
	bare       bool
}

// A place is where a text stands, which says what may follow it.
type place byte

const (
	inDocument place = iota
	inName
	inObject
	inList
)

const maxPseudoDepth = 50

func (p *pseudoParser) value(depth int, where place) error {
	if p.at >= len(p.text) || depth > maxPseudoDepth {
		return fmt.Errorf("no value at %d", p.at)
	}
	switch c := p.text[p.at]; c {
	case '{':
		return p.members(depth, '}')
	case '[':
		return p.members(depth, ']')
	case '\'', '"':
		return p.quoted(depth, where)
	}
	start := p.at
	for p.at < len(p.text) && isWord(p.text[p.at]) {
		p.at++
	}
	word := p.text[start:p.at]
	switch string(word) {
	case "True":
		word = []byte("true")
	case "False":
		word = []byte("false")
	case "None":
		word = []byte("null")
	}
	if !json.Valid(word) {
		return fmt.Errorf("no value at %d", start)
	}
	p.write(word)
	return nil
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// members reads an object or a list, the end of which is given.
func (p *pseudoParser) members(depth int, end byte) error {
	p.write(p.text[p.at : p.at+1])
	p.at++
	for first := true; ; first = false {
		p.space()
		if first && p.next(end) {
			break
		}
		where := inList
		if end == '}' {
			where = inObject
			if c := p.peek(); c != '\'' && c != '"' {
				return fmt.Errorf("no name at %d", p.at)
			}
			if err := p.quoted(depth+1, inName); err != nil {
				return err
			}
			p.space()
			if !p.next(':') {
				return fmt.Errorf("no colon at %d", p.at)
			}
			p.write([]byte{':'})
			p.space()
		}
		if err := p.value(depth+1, where); err != nil {
			return err
		}
		p.space()
		if p.next(end) {
			break
		}
		if !p.next(',') {
			return fmt.Errorf("no comma at %d", p.at)
		}
		p.write([]byte{','})
	}
	p.write([]byte{end})
	return nil
}

// quoted reads a text and writes it as JSON.
func (p *pseudoParser) quoted(depth int, where place) error {
	quote := p.text[p.at]
	start := p.at + 1
	for p.at = start; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] != '\'' || quote == '"' || !p.ends(p.at+1, depth, where)):
			p.at++ // whatever it means, the next byte does not end the text
		case c == quote && p.ends(p.at, depth, where):
			p.writeText(p.text[start:p.at], quote)
			p.at++
			return nil
		case c == quote && quote == '\'':
			p.bare = true
		}
	}
	return fmt.Errorf("the text at %d does not end", start)
}

// ends reports whether a quote at i can be the end of a text there.
func (p *pseudoParser) ends(i, depth int, where place) bool {
	i = p.skip(i + 1)
	if i == len(p.text) {
		return where == inDocument
	}
	switch c := p.text[i]; where {
	case inName:
		return c == ':'
	case inObject:
		return c == '}' && p.closes(i, depth) || c == ',' && p.nameAt(p.skip(i+1))
	case inList:
		return c == ']' && p.closes(i, depth) || c == ',' && p.valueAt(p.skip(i+1))
	}
	return false
}

// closes reports whether a bracket at i can end an object or a list whose members are at that depth.
func (p *pseudoParser) closes(i, depth int) bool {
	i = p.skip(i + 1)
	if depth <= 1 {
		return i == len(p.text)
	}
	return i < len(p.text) && (p.text[i] == ',' || p.text[i] == '}' || p.text[i] == ']')
}

// nameAt reports whether a name and a colon begin at i. Names have no quotes in them.
func (p *pseudoParser) nameAt(i int) bool {
	if i >= len(p.text) || p.text[i] != '\'' && p.text[i] != '"' {
		return false
	}
	quote := p.text[i]
	for j := i + 1; j < len(p.text) && j-i < 200; j++ {
		if p.text[j] == quote {
			j = p.skip(j + 1)
			return j < len(p.text) && p.text[j] == ':'
		}
		if c := p.text[j]; c == '{' || c == '}' || c == ':' {
			return false
		}
	}
	return false
}

func (p *pseudoParser) valueAt(i int) bool {
	return i < len(p.text) && (p.text[i] == '\'' || p.text[i] == '"' || p.text[i] == '{' || p.text[i] == '[' ||
		isWord(p.text[i]))
}

func (p *pseudoParser) skip(i int) int {
	for i < len(p.text) && (p.text[i] == ' ' || p.text[i] == '\t' || p.text[i] == '\n' || p.text[i] == '\r') {
		i++
	}
	return i
}

func (p *pseudoParser) space() { p.at = p.skip(p.at) }

func (p *pseudoParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *pseudoParser) next(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *pseudoParser) write(b []byte) {
	p.out = append(p.out, b...)
	p.escaped = append(p.escaped, b...)
}

// writeText writes a text as it is and with its escapes undone. In double quotes escapes always are.
func (p *pseudoParser) writeText(raw []byte, quote byte) {
	undone := undoEscapes(raw)
	if quote == '"' {
		raw = undone
	}
	p.hasEscapes = p.hasEscapes || string(raw) != string(undone)
	p.out = appendText(p.out, raw)
	p.escaped = appendText(p.escaped, undone)
}

func appendText(dst, text []byte) []byte {
	doc, err := json.Marshal(string(text))
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(dst, doc...)
}

// undoEscapes undoes the escapes of JSON and Python. A backslash that begins none stays.
func undoEscapes(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case '\\', '\'', '"', '/':
			out = append(out, c)
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u', 'x':
			r, n := hexEscape(raw[i:])
			if n == 0 {
				out = append(out, '\\', c)
				continue
			}
			out = utf8.AppendRune(out, r)
			i += n
		default:
			out = append(out, '\\', c)
		}
	}
	return out
}

// hexEscape reads u and four digits, maybe with the other half of a surrogate pair, or x and two. N is how many bytes
// behind the letter belong to it, 0 if these are no escape.
func hexEscape(text []byte) (r rune, n int) {
	digits := 4
	if text[0] == 'x' {
		digits = 2
	}
	if len(text) < 1+digits {
		return 0, 0
	}
	v, err := strconv.ParseUint(string(text[1:1+digits]), 16, 32)
	if err != nil {
		return 0, 0
	}
	r, n = rune(v), digits
	if r >= 0xd800 && r < 0xdc00 && len(text) >= 11 && text[5] == '\\' && text[6] == 'u' {
		if low, err := strconv.ParseUint(string(text[7:11]), 16, 32); err == nil && low >= 0xdc00 && low < 0xe000 {
			return (r-0xd800)<<10 + rune(low) - 0xdc00 + 0x10000, 10
		}
	}
	return r, n
}
