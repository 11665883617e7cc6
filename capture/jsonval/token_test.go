package jsonval

import (
	"encoding/json"
	"strings"
	"testing"
)

// Strings are read eight bytes at once: each byte is put at each place among others, which are next to those that end
// a run or have their top bit set.
func TestSkipStringFindsEachByteAtEachPlace(t *testing.T) {
	for c := range 256 {
		for at := range 18 {
			for _, around := range []string{"a", "\x7f", "\x80", "\xff", "#", "!", "]", " "} {
				text := []byte(strings.Repeat(around, 17))
				text = append(append(text[:at:at], byte(c)), text[at:]...)
				checkString(t, text)
			}
		}
	}
}

func TestSkipStringReadsAnyLength(t *testing.T) {
	for n := range 300 {
		plain := strings.Repeat("x", n)
		for _, text := range []string{
			plain, plain + `\n`, plain + "\x1f", plain + `\`,
			plain + `\u00e9` + plain, plain + `\"` + plain, plain + "\xff" + plain,
		} {
			checkString(t, []byte(text))
		}
	}
}

// checkString puts text between quotes, and what follows a string behind it, near and far from the end.
func checkString(t *testing.T, text []byte) {
	t.Helper()
	for _, behind := range []string{"", `,"a":1`, `:"more than eight bytes of it, \" and more"`} {
		quoted := append(append([]byte{'"'}, text...), '"')
		size, ok := len(quoted), json.Valid(quoted)
		all := append(quoted, behind...)
		if !ok { // it may end before
			size, _, ok = firstValue(all)
		}
		if end := SkipString(all, 0); ok && end != size || !ok && end != bad {
			t.Fatalf("SkipString(%q) = %d, want %d, %v", all, end, size, ok)
		}
		if end := SkipString(append([]byte("[[["), all...), 3); ok && end != 3+size || !ok && end != bad {
			t.Fatalf("SkipString(%q) behind three bytes = %d, want %d, %v", all, end, 3+size, ok)
		}
		list := append(append([]byte{'['}, all[:max(size, 0)]...), ']')
		if end, _, valid := Skip(list); ok && (!valid || end != len(list)) {
			t.Fatalf("Skip(%q) = %d, %v", list, end, valid)
		}
	}
}

func TestSkipStringIsForStrings(t *testing.T) {
	for _, tt := range []struct {
		reason, in string
		i, want    int
	}{
		{"a number is none", `1`, 0, bad},
		{"nothing is none", ``, 0, bad},
		{"an index may be behind the text", `"a"`, 3, bad},
		{"a quote alone is not closed", `"`, 0, bad},
		{"white space is not left out", ` "a"`, 0, bad},
		{"it begins at the index", ` "a" `, 1, 4},
	} {
		if got := SkipString([]byte(tt.in), tt.i); got != tt.want {
			t.Errorf("%s: SkipString(%q, %d) = %d, want %d", tt.reason, tt.in, tt.i, got, tt.want)
		}
	}
}

func TestSkipSpaceLeavesOutWhatJSONCallsWhiteSpace(t *testing.T) {
	for c := range 256 {
		want := 0
		if json.Valid([]byte{byte(c), '1'}) && (c < '0' || c > '9') && c != '-' {
			want = 1
		}
		if got := SkipSpace([]byte{byte(c), '1'}, 0); got != want {
			t.Errorf("byte %#x: SkipSpace = %d, want %d", c, got, want)
		}
	}
}
