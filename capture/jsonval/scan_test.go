package jsonval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const whiteSpace = " \t\r\n"

// checkScan has encoding/json say what the scanner must say of data.
func checkScan(t *testing.T, data []byte) {
	t.Helper()
	valid := json.Valid(data)
	if got := Valid(data); got != valid {
		t.Fatalf("encoding/json says valid=%v of %q, Valid says %v", valid, data, got)
	}
	var want bytes.Buffer
	want.WriteString("before")
	err := json.Compact(&want, data)
	got, ok := AppendCompact([]byte("before"), data)
	if ok != (err == nil) || ok && !bytes.Equal(got, want.Bytes()) || !ok && string(got) != "before" {
		t.Fatalf("encoding/json compacts %q to %q, %v; AppendCompact to %q, %v", data, want.Bytes(), err, got, ok)
	}
	text := bytes.TrimLeft(data, whiteSpace)
	start := len(data) - len(text)
	size, leaves, begins := firstValue(text)
	if end, ok := End(data); ok != begins || ok && end != start+size {
		t.Fatalf("encoding/json ends the value of %q at %d, %v; End at %d, %v", data, start+size, begins, end, ok)
	}
	begins = begins && depthOf(text[:size]) <= maxSkip
	if end, n, ok := Skip(text); ok != begins || ok && (end != size || n != leaves) {
		t.Fatalf("Skip(%q) = %d, %d, %v; want %d, %d, %v", text, end, n, ok, size, leaves, begins)
	}
	if begins && text[0] == '{' {
		if end, n, ok := SkipMembers(text[1:]); !ok || end+1 != size || n != leaves {
			t.Fatalf("SkipMembers(%q) = %d, %d, %v; want %d, %d", text[1:], end, n, ok, size-1, leaves)
		}
	}
	if _, _, ok := Skip(data); ok && start > 0 {
		t.Fatalf("Skip(%q) takes white space for a part of the value", data)
	}
}

// firstValue has encoding/json read the value that text begins with.
func firstValue(text []byte) (size, leaves int, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	var raw json.RawMessage
	if d.Decode(&raw) != nil {
		return 0, 0, false
	}
	size = len(raw)
	if last := raw[size-1]; size < len(text) && '0' <= last && last <= '9' && '0' <= text[size] && text[size] <= '9' {
		return 0, 0, false // 01, which it reads as two
	}
	return size, leavesOf(raw), true
}

// leavesOf counts the leaves of a value from its tokens.
func leavesOf(raw []byte) int {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	leaves := 0
	var value func() bool
	value = func() bool { // reports whether there was one
		token, err := d.Token()
		if err != nil {
			panic(err)
		}
		switch token {
		case json.Delim('}'), json.Delim(']'):
			return false
		case json.Delim('{'), json.Delim('['):
			empty := true
			for ; d.More(); empty = false {
				if token == json.Delim('{') {
					if _, err := d.Token(); err != nil { // its name
						panic(err)
					}
				}
				value()
			}
			value()
			if !empty {
				return true
			}
		}
		leaves++
		return true
	}
	value()
	return leaves
}

func depthOf(raw []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}

// scanned are texts with all of JSON's grammar in them.
var scanned = []string{
	`{"a":[1,2.50,"x\u00e9\"\\ and more than eight bytes",null,true,false,{}]}`,
	" [ 1 , { \"a\" : [ ] , \"b\"\t:\r{ } } , \"\" ]\r\n",
	`["\ud800","\b\f\n\r\t\/\\\"\u12aF","seven b","eight by","nine byte"]`,
	`[0,-0,10,-1.5,1e5,1E+05,0.0e-0,123456789,0.123456789e123456789]`,
	`{"":{"":[[],[{}],{"a":{"b":[]}}]}}`,
	"\"\xff\xfe \u2028 ö\x7f\"",
	`true`, `false`, `null`, `0`, `-0.1e-7`, `""`,
	`1e+`, `01`, `-01`, `00`, `-`, `1.`, `.5`, `+1`, `1.e1`, `1e`, `0x1`, `--1`, `NaN`,
	"\"\x01\"", "\"1234567\x01\"", "\"a\x00\"", `"\x"`, `"\u12g4"`, `"\u123`, `1234567\`, `'a'`, `"a" "b"`,
	`nul`, `nulL`, `truefalse`, "\v1", "", " ", "\ufeff1", "\x00", "[\x00]",
	`{"a":1,}`, `{"a"}`, `{"a" 1}`, `{1:2}`, `{,}`, `{a:1}`, `{]`, `{"a":1]`, `{}}`, `{"a":}`, `{"a":1 "b":2}`,
	`[1 2]`, `[,]`, `[1,]`, `[}`, `[1}`, `[1]]`,
}

func FuzzScan(f *testing.F) {
	for _, s := range scanned {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.Repeat("[", maxSkip) + strings.Repeat("]", maxSkip)))
	f.Add([]byte(nested(`[{"a":`, "1", "}]", levels)))
	f.Fuzz(checkScan)
}

// Each text is cut off at each byte, and has each byte replaced and others put before it.
func TestScanSaysOfBrokenTextsWhatEncodingJSONSays(t *testing.T) {
	const put = "\x00\x1f !\"'+,-./019:E[\\]aefnu{}\x7f\x80\xa2\xdc\xff\n"
	for _, s := range scanned {
		for i := range len(s) + 1 {
			checkScan(t, []byte(s[:i]))
			for _, c := range []byte(put) {
				checkScan(t, []byte(s[:i]+string([]byte{c})+s[i:]))
				if i < len(s) {
					checkScan(t, []byte(s[:i]+string([]byte{c})+s[i+1:]))
				}
			}
		}
	}
}

func TestScanSaysOfRandomTextsWhatEncodingJSONSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		checkScan(t, randomJSON(nil, r, 0))
	}
}

// randomJSON appends a value, with white space anywhere.
func randomJSON(dst []byte, r *rand.Rand, depth int) []byte {
	space := func() {
		for r.IntN(4) == 0 {
			dst = append(dst, whiteSpace[r.IntN(len(whiteSpace))])
		}
	}
	text := func() {
		dst = append(dst, '"')
		for range r.IntN(30) {
			parts := []string{
				"a", "ö", "bcd", `\"`, `\\`, `\/`, `\u00aF`, `\ud83d`,
				"\xff", "{", "]", ",", ":", " ", "\x7f", "\u2029",
			}
			dst = append(dst, parts[r.IntN(len(parts))]...)
		}
		dst = append(dst, '"')
	}
	space()
	switch k := r.IntN(8); {
	case k < 2 && depth < 6:
		open := "{["[k]
		dst = append(dst, open)
		space()
		for i := range r.IntN(5) {
			if i > 0 {
				dst = append(dst, ',')
				space()
			}
			if open == '{' {
				text()
				space()
				dst = append(dst, ':')
			}
			dst = randomJSON(dst, r, depth+1)
		}
		dst = append(dst, open+2)
	case k < 4:
		text()
	case k < 6:
		dst = fmt.Appendf(dst, []string{"%.0f", "%.3f", "%g", "%e", "%E"}[r.IntN(5)], r.NormFloat64()*1e6)
	default:
		dst = append(dst, []string{"true", "false", "null", "[]", "{}"}[r.IntN(5)]...)
	}
	space()
	return dst
}

func nested(open, inner, end string, n int) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
}

// A scan has bits for some levels, and another scan reads what is deeper.
func TestScanNestsAsDeepAsItSays(t *testing.T) {
	for _, around := range []int{levels, 2 * levels, maxSkip, maxDepth} {
		for depth := around - 2; depth <= around+2; depth++ {
			for _, s := range []string{
				nested("[", "", "]", depth),
				nested("[", "{}", "]", depth-1),
				nested(`{"a":`, "1", "}", depth),
				nested("[1 , ", `"x"`, ", 2 ]", depth),
				nested(`[{"a":[],"b":`, "1", `,"c":[1,2]},[]]`, depth/2),
				nested("[", "", "]", depth-1) + "}",
				nested("[", "", "]", depth-1) + "]",
				nested("[", "", "]", depth) + "]",
				nested("[", "}", "]", depth-1),
			} {
				checkScan(t, []byte(s))
			}
		}
	}
}

func TestSkipSaysWhereAValueEndsAndWhatIsInIt(t *testing.T) {
	for _, tt := range []struct {
		reason, in  string
		end, leaves int
		ok          bool
	}{
		{"what is behind a value is not looked at", `[1,2]]x`, 5, 2, true},
		{"a number ends where it cannot go on", `1.5.5`, 3, 1, true},
		{"a name is no leaf", `{"a":{"b":1}}`, 13, 1, true},
		{"an empty list is one, and so is an empty object", `[[],{},1]`, 9, 3, true},
		{"white space is no value", "[ ]", 3, 1, true},
		{"commas in texts are not counted", `[",,,",1]`, 9, 2, true},
		{"white space before is not a part", ` 1`, 0, 0, false},
		{"a zero does not begin a longer number", `01`, 0, 0, false},
		{"nothing is no value", ``, 0, 0, false},
		{"a member name has to be a text", `{1:2}`, 0, 0, false},
		{"a list is not closed by a brace", `[1}`, 0, 0, false},
		{"500 levels are skipped", nested("[", "", "]", 500), 1000, 1, true},
		{"callers leave what is deeper to others", nested("[", "", "]", 501), 0, 0, false},
	} {
		end, leaves, ok := Skip([]byte(tt.in))
		if ok != tt.ok || ok && (end != tt.end || leaves != tt.leaves) {
			t.Errorf("%s: Skip(%.20s) = %d, %d, %v", tt.reason, tt.in, end, leaves, ok)
		}
	}
}

func TestSkipMembersGoesOnInAnObject(t *testing.T) {
	for _, tt := range []struct {
		reason, in  string
		end, leaves int
		ok          bool
	}{
		{"from a name on", ` "a":1,"b":[]},"c":2}`, 14, 2, true},
		{"from the brace on there is one leaf", " }}", 2, 1, true},
		{"a comma is not where members begin", `,"a":1}`, 0, 0, false},
		{"a bracket does not end an object", `"a":1]`, 0, 0, false},
		{"the object is one of the levels", `"a":` + nested("[", "", "]", maxSkip-1) + "}", 2*maxSkip + 3, 1, true},
		{"and its value may not be as deep as Skip goes", `"a":` + nested("[", "", "]", maxSkip) + "}", 0, 0, false},
		{"nothing is no end", ``, 0, 0, false},
	} {
		end, leaves, ok := SkipMembers([]byte(tt.in))
		if ok != tt.ok || ok && (end != tt.end || leaves != tt.leaves) {
			t.Errorf("%s: SkipMembers(%.20s) = %d, %d, %v", tt.reason, tt.in, end, leaves, ok)
		}
	}
}

func TestScanTakesNoMemory(t *testing.T) {
	deep := []byte(nested(`[{"a":`, `"b"`, "}, 1]", 200))
	for _, bt := range append(benchTexts(), benchText{"deep", deep}) {
		dst := make([]byte, 0, len(bt.text))
		if n := testing.AllocsPerRun(3, func() {
			Skip(bt.text)
			Valid(bt.text)
			End(bt.text)
			AppendCompact(dst, bt.text)
		}); n != 0 {
			t.Errorf("%s: %v allocations", bt.name, n)
		}
	}
}
