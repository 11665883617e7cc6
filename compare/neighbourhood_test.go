package compare

import (
	"strings"
	"testing"

	"tandem/capture/jsonval"
)

func TestTheNeighbourhoodOfADifferenceIsShown(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name, b, c string
		want       []string // of the first difference
	}{
		{"a member", `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}`, `{"a":1,"b":2,"c":3,"d":9,"e":5,"f":6}`,
			[]string{`  "b": 2`, `  "c": 3`, `- "d": 4`, `+ "d": 9`, `  "e": 5`, `  "f": 6`}},
		{"a missing element", `[1,2,3]`, `[1,3]`, []string{`  1`, `- 2`, `  3`}},
		{"an inserted element", `[1,3]`, `[1,2,3]`, []string{`  1`, `+ 2`, `  3`}},
		{"an element at the end", `[1]`, `[1,2]`, []string{`  1`, `+ 2`}},
		{"another order", `[1,2,3,4,5,6]`, `[1,2,3,5,4,6]`, []string{`  …`, `  2`, `  3`, `- 4`, `  5`, `+ 4`, `  6`}},
		{"one line of a text", `"a\nb\nc\nd\ne\nf\n"`, `"a\nb\nc\nD\ne\nf\n"`,
			[]string{`  …`, `  b`, `  c`, `- d`, `+ D`, `  e`, `  f`}},
		{"an inserted line", `"a\nb\n"`, `"a\nx\nb\n"`, []string{`  a`, `+ x`, `  b`}},
		{"a last line without its end", `"a\nb\n"`, `"a\nb"`, []string{`  a`, `- b`, `+ b`}},
		{"two places", `"a\nb\nc\nd\ne\nf\ng\nh\n"`, `"A\nb\nc\nd\ne\nf\ng\nH\n"`,
			[]string{`- a`, `+ A`, `  b`, `  c`, `  …`, `  f`, `  g`, `- h`, `+ H`}},
		{"far into a long text", `{"t":"` + long + `1"}`, `{"t":"` + long + `2"}`,
			[]string{`- "t": …` + long[:30] + `1"`, `+ "t": …` + long[:30] + `2"`}},
		{"line ends in a value", `{"t":"a","u":"x\ny"}`, `{"t":"b","u":"x\ny"}`,
			[]string{`- "t": "a"`, `+ "t": "b"`, `  "u": "x\ny"`}},
		{"a value by itself", `1`, `2`, nil},
	} {
		found := explain("", value(t, tt.b), value(t, tt.c))
		if len(found) == 0 {
			t.Fatalf("%s: no difference", tt.name)
		}
		if got, want := strings.Join(neighbourhood(&found[0]), "\n"), strings.Join(tt.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, want)
		}
	}
}

func TestANeighbourhoodIsBounded(t *testing.T) {
	var b, c strings.Builder
	for i := range 2000 {
		b.WriteString(strings.Repeat("x", i%300) + "\n")
		c.WriteString(strings.Repeat("y", i%300) + "\n")
	}
	x, y := jsonval.Text(b.String()), jsonval.Text(c.String())
	found := explain("", x, y)
	got := neighbourhood(&found[0])
	if len(got) > maxDiffLines || len(strings.Join(got, "")) > maxDiffLines*(maxDiffLine+4) {
		t.Errorf("%d lines: %q", len(got), got)
	}
}
