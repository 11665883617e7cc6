package compare

import (
	"slices"
	"strings"
	"testing"

	"tandem/capture/jsonval"
)

func TestChangesHaveNames(t *testing.T) {
	for _, tt := range []struct {
		name string // the reason, where the cause does not say it
		b, c string
		want string // one of the causes; the others may be there, too
	}{
		{"", `5`, `500`, "×100"},
		{"", `2.5`, `0.025`, "÷100"},
		{"", `1`, `1024`, "×1024"},
		{"", `90`, `1.5`, "÷60"},
		{"", `7`, `-7`, "the opposite sign"},
		{"", `7`, `0`, "0 for a number"},
		{"", `1700000000123`, `1700000000`, "seconds for milliseconds"},
		{"", `1700000000`, `1700000000000`, "milliseconds for seconds"},
		{"", `0.3`, `0.30000000000000004`, "rounded through binary floating point"},
		{"", `38.7149`, `38.71`, "rounded to 2 decimals"},
		{"a half goes up", `2.125`, `2.13`, "rounded half up"},
		{"a half goes to the even digit", `2.125`, `2.12`, "rounded half to even"},
		{"below zero, a half goes away from it", `-2.125`, `-2.13`, "rounded half up"},
		{"", `2.129`, `2.12`, "cut down, not rounded, to 2 decimals"},
		{"", `2.6`, `3`, "rounded to 0 decimals"},
		{"", `2.35`, `2.34`, "one apart in the last decimal"},
		{"no unit is 101 of another", `5`, `505`, anotherNumber},
		{"exponents are not taken apart", `1e400`, `2e400`, anotherNumber},

		{"", `1`, `"1"`, "a number written as a string"},
		{"", `"1"`, `1`, "a string written as a number"},
		{"", `true`, `"True"`, "a boolean written as a string"},
		{"", `"false"`, `false`, "a string written as a boolean"},
		{"", `true`, `1`, "0 or 1 for a boolean"},
		{"", `0`, `false`, "a boolean for 0 or 1"},
		{"", `true`, `0`, "a number for a boolean"},
		{"", `null`, `""`, `"" for null`},
		{"", `[]`, `null`, "null for []"},
		{"", `{}`, `[]`, "[] for {}"},
		{"", `{"a":1}`, `"{\"a\":1.0}"`, "JSON inside a string"},
		{"", `"{\"a\":1}"`, `{"a":1}`, "JSON taken out of its string"},
		{"", `"a"`, `"\"a\""`, "JSON inside a string"},
		{"", `{"a":1}`, `[{"a":1}]`, "wrapped in a list"},
		{"", `["x"]`, `"x"`, "taken out of its list"},

		{"", `"Ab c"`, `"ab c"`, "in lower case"},
		{"", `"Ab c"`, `"AB C"`, "in upper case"},
		{"", `"Ab"`, `"aB"`, "only the letter case differs"},
		{"", `"a+b"`, `"a b"`, "a space for a plus"},
		{"", `"a b"`, `"a+b"`, "a plus for a space"},
		{"", `"a b/c"`, `"a%20b%2Fc"`, "URL-encoded"},
		{"", `"a b/c"`, `"a+b%2fc"`, "URL-encoded"},
		{"", `"a%2Fc"`, `"a/c"`, "no longer URL-encoded"},
		{"", `"<b>&"`, `"&lt;b&gt;&amp;"`, "HTML-escaped"},
		{"", `"&#39;"`, `"'"`, "no longer HTML-escaped"},
		{"", `"hello"`, `"aGVsbG8="`, "base64 of it"},
		{"", `"aGVsbG8"`, `"hello"`, "no longer base64"},
		{"", `"a"`, `"a\n"`, "a line feed more at the end"},
		{"", `"a\r\n"`, `"a"`, "a line feed less at the end"},
		{"", `"a\nb"`, `"a\r\nb"`, "CRLF for LF"},
		{"", `" a"`, `"a "`, "only white space at the ends differs"},
		{"", `"a  b"`, `"a b"`, "only white space differs"},
		{"", `"007"`, `"7"`, "without its leading zeros"},
		{"", `"cafe\u0301"`, `"café"`, "composed (Unicode NFC)"},
		{"", `"café"`, `"cafe\u0301"`, "decomposed (Unicode NFD)"},
		{"", `"ﬁ"`, `"fi"`, "only the Unicode normalization differs"},
		{"", `"café"`, `"cafÃ©"`, "UTF-8 read as Latin-1"},
		{"", `"5 €"`, `"5 â‚¬"`, "UTF-8 read as Windows-1252"},
		{"", `"cafÃ©"`, `"café"`, "no longer UTF-8 read as Latin-1"},
		{"", `"café"`, `"caf?"`, "? for what is not ASCII"},
		{"", `"café"`, `"caf??"`, "? for what is not ASCII"},
		{"", `"abcdef"`, `"abc"`, "the end is cut off"},
		{"", `"abcdef"`, `"abc…"`, "the end is cut off"},
		{"", `"abcdef"`, `"def"`, "the start is cut off"},
		{"", `"abc"`, `"abcdef"`, "more text at the end"},
		{"", `"abc"`, `"x-abc"`, "more text at the start"},
		{"", `"abc"`, `""`, `"" for a text`},
		{"", `"abc"`, `"xyz"`, anotherValue},

		{"", `"2026-03-04"`, `"2026-04-03"`, "day and month swapped"},
		{"", `"04/03/2026 10:00"`, `"03/04/2026 10:00"`, "day and month swapped"},
		{"no month is 13", `"2026-13-14"`, `"2026-14-13"`, anotherValue},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T01:00:00+01:00"`, "the same instant in another zone"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.000Z"`, "the same instant written in another way"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00+01:00"`, "the same local time in another zone"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00"`, "a local time without its zone"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T01:00:00Z"`, "1 hour later"},
		{"", `"2026-01-01T00:00:00"`, `"2025-12-31T18:30:00"`, "5 h 30 min earlier"},
		{"", `"2026-01-01T00:00:00.123Z"`, `"2026-01-01T00:00:00Z"`, "cut down to the second"},
		{"", `"2026-01-01T00:00:00.123456Z"`, `"2026-01-01T00:00:00.123Z"`, "cut down to the millisecond"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01"`, "a date without its time"},
		{"", `"1970-01-01T00:01:00Z"`, `60`, "a Unix time for a timestamp"},
		{"", `60000`, `"1970-01-01T00:01:00Z"`, "a timestamp for a Unix time"},
		{"", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:07Z"`, anotherTime},

		{"", `["b","a","c"]`, `["a","b","c"]`, "sorted"},
		{"", `[1,10,9]`, `[1,9,10]`, "sorted"},
		{"", `["b","a","c"]`, `["c","a","b"]`, "reversed"},
		{"", `["a","b","c"]`, `["b","a","c"]`, "the same elements in another order"},
		{"", `["a","b","c"]`, `["a","b"]`, "the last element is lost"},
		{"", `["a","b","c"]`, `["a"]`, "the last elements are lost"},
		{"", `["a","b","c"]`, `["b","c"]`, "the first element is lost"},
		{"", `["a","b","c"]`, `[]`, "all elements are lost"},
		{"", `["a","b","a","b"]`, `["a","b"]`, "repeated elements are lost"},
		{"", `["a","b","c"]`, `["a","c"]`, "the candidate lacks it"},
		{"", `{"a":null}`, `{}`, "the candidate lacks it, which is null"},
		{"", `{}`, `{"a":[]}`, "only the candidate has it, which is []"},
	} {
		found := explain("/body/v", value(t, tt.b), value(t, tt.c))
		if len(found) == 0 {
			t.Errorf("%s: %s and %s are equal", tt.name, tt.b, tt.c)
			continue
		}
		if causes, _ := causesOfAll(found); !slices.Contains(causes, tt.want) {
			t.Errorf("%s: %s for %s is %q, want %q", tt.name, tt.c, tt.b, causes, tt.want)
		}
	}
}

func FuzzCauses(f *testing.F) {
	for _, s := range []string{`"a+b é"`, `"2026-03-04T00:00:00Z"`, `12.125`, `[1,[2]]`, `{"a":null}`, `true`, `1e99`, `"%zz"`} {
		f.Add(s, s)
		f.Add(s, strings.ToUpper(s))
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		b, errB := jsonval.Parse([]byte(one))
		c, errC := jsonval.Parse([]byte(two))
		if errB != nil || errC != nil {
			return
		}
		for _, d := range explain("/body", b, c) {
			causes, _ := causesOf(d)
			if len(causes) == 0 || slices.Contains(causes, "") {
				t.Errorf("%s for %s: %q", two, one, causes)
			}
			if s := invariantOf(d); !s.any {
				t.Errorf("%s for %s shows nothing", two, one)
			}
		}
	})
}
