package jsonval

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, s string) Value {
	t.Helper()
	v, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("Parse(%s): %v", s, err)
	}
	return v
}

func TestParseKeepsWhatWasWritten(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Value
	}{
		{"the text of a number", `1.50`, Value{Kind: Number, Text: "1.50"}},
		{"an integer beyond float64", `9007199254740993`, Value{Kind: Number, Text: "9007199254740993"}},
		{"the order of names", `{"b":1,"a":2}`, Value{Kind: Object, Names: []string{"b", "a"}, Elems: []Value{Int(1), Int(2)}}},
		{"a repeated name", `{"a":1,"a":2}`, Value{Kind: Object, Names: []string{"a", "a"}, Elems: []Value{Int(1), Int(2)}}},
		{"a surrogate pair as one rune", `"\ud83d\ude00"`, Text("😀")},
		{"a lone surrogate", `"\ud83d!"`, Text("\xed\xa0\xbd!")},
		{"two high surrogates", `"\ud83d\ud83d"`, Text("\xed\xa0\xbd\xed\xa0\xbd")},
		{"invalid UTF-8", "\"\xff\"", Text("\xff")},
		{"escapes", `"a\"\\\/\b\f\n\r\té"`, Text("a\"\\/\b\f\n\r\té")},
		{"white space anywhere", " [ 1 , { } ]\r\n", List(Int(1), Value{Kind: Object})},
	} {
		if got := parse(t, tt.in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Parse(%s)\n%s", tt.name, tt.in, cmp.Diff(tt.want, got))
		}
	}
}

func TestParseErrorsSayWhere(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
		reason string
	}{
		{``, 0, "missing"},
		{`{"a" 1}`, 5, "colon"},
		{`{"a":1,}`, 7, "member name"},
		{`[1 2]`, 3, "comma"},
		{`[1,]`, 3, "start a value"},
		{`01`, 1, "after the value"},
		{`1.`, 2, "digit"},
		{`-`, 1, "digit"},
		{`1e+`, 3, "digit"},
		{`"a`, 2, "closing quote"},
		{`"a\x"`, 2, "not an escape"},
		{`"\u12g4"`, 1, "hexadecimal"},
		{"\"a\nb\"", 2, "control character"},
		{`nul`, 0, "start a value"},
		{strings.Repeat("[", maxDepth+2), maxDepth + 1, "too deep"},
	} {
		_, err := Parse([]byte(tt.in))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%.20s) = %v, want a SyntaxError", tt.in, err)
			continue
		}
		if syntax.Offset != tt.offset || !strings.Contains(syntax.Reason, tt.reason) {
			t.Errorf("Parse(%.20s) = %v, want %q at byte %d", tt.in, err, tt.reason, tt.offset)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       bool
	}{
		{"a number's trailing zeros mean nothing", `1.0`, `1`, true},
		{"nor does its exponent's form", `1e2`, `100`, true},
		{"nor does the place of its point", `0.12e3`, `120E+0`, true},
		{"zero has no sign", `-0`, `0.0`, true},
		{"2^53+1 is not 2^53", `9007199254740993`, `9007199254740992`, false},
		{"a float's rounding shows", `0.30000000000000004`, `0.3`, false},
		{"sign counts", `-1`, `1`, false},
		{"huge exponents are not worked out", `1e999999999999999999999`, `1e999999999999999999998`, false},
		{"names have no order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{"values go with their names", `{"a":1,"b":2}`, `{"b":1,"a":2}`, false},
		{"a repeated name is not a single one", `{"a":1,"a":1}`, `{"a":1,"b":1}`, false},
		{"the order of one name's values counts", `{"a":1,"a":2}`, `{"a":2,"a":1}`, false},
		{"elements have an order", `[1,2]`, `[2,1]`, false},
		{"null is not an empty list", `null`, `[]`, false},
		{"a number is not its text", `1`, `"1"`, false},
		{"an escape is what it stands for", `"\u0041"`, `"A"`, true},
	} {
		a, b := parse(t, tt.a), parse(t, tt.b)
		if got := Equal(a, b); got != tt.want {
			t.Errorf("%s: Equal(%s, %s) = %v", tt.name, tt.a, tt.b, got)
		}
		if got := Equal(b, a); got != tt.want {
			t.Errorf("%s: Equal(%s, %s) = %v", tt.name, tt.b, tt.a, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.50,"x\u00e9",null,true]}`, `"\ud800"`, `[[[]]]`, `-0.1e-7`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if valid := json.Valid(data); valid != (err == nil) {
			t.Fatalf("encoding/json says valid=%v, Parse says %v", valid, err)
		}
		if err != nil {
			return
		}
		again, err := Parse(v.AppendJSON(nil))
		if err != nil {
			t.Fatalf("Parse of its own output: %v", err)
		}
		if !Equal(v, again) {
			t.Fatalf("%s came back as %s", v, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	doc := []byte(`{"orderId":"ord_1","items":[` + strings.Repeat(`{"sku":"A-1","quantity":2,"unitPrice":"12.50","tags":["x","y"]},`, 20) + `{}],"total":30.30}`)
	b.Run("jsonval", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json-any", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := json.Unmarshal(doc, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A small event, as most are, is parsed with a handful of allocations.
func BenchmarkParseSmall(b *testing.B) {
	doc := []byte(`{"version":"2.0","routeKey":"$default","rawPath":"/orders","rawQueryString":"",` +
		`"headers":{"content-type":"application/json","user-agent":"shop/1.0"},` +
		`"requestContext":{"http":{"method":"POST","path":"/orders"},"requestId":"r1"},` +
		`"body":"{\"customer\":\"c-17\",\"lines\":[{\"sku\":\"A1\",\"quantity\":2}]}","isBase64Encoded":false}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}
