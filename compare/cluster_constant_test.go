package compare

import (
	"fmt"
	"slices"
	"testing"
)

// What is the same in all that another mistake leaves over is a mistake of its own.
func TestAConstantBesideAnotherCauseIsAClusterOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(i int) (b, c string)
		want []string
	}{
		{"a factor and an addend", func(i int) (b, c string) {
			n := 7 + 3*i
			if i%2 == 0 {
				return fmt.Sprint(n), fmt.Sprint(100 * n)
			}
			return fmt.Sprint(n), fmt.Sprint(n + 5)
		}, []string{"20 changed /body/v (always 5 more) ", "20 changed /body/v (always ×100) "}},
		{"an addend that looks like a factor at times", func(i int) (b, c string) {
			switch {
			case i == 1:
				return "0.5", "5.0"
			case i%2 == 0:
				return fmt.Sprint(7 + i), fmt.Sprint(100 * (7 + i))
			}
			return fmt.Sprint(7.25 + float64(i)), fmt.Sprint(11.75 + float64(i))
		}, []string{"20 changed /body/v (always 4.5 more) ", "20 changed /body/v (always ×100) "}},
		{"letter case and a constant", func(i int) (b, c string) {
			if i%2 == 0 {
				return fmt.Sprintf(`"order-%d"`, i), fmt.Sprintf(`"ORDER-%d"`, i)
			}
			return fmt.Sprintf(`"order-%d"`, i), `"none"`
		}, []string{`20 changed /body/v (always the constant "none") `, "20 changed /body/v (in upper case) "}},
		{"a zone and a delay", func(i int) (b, c string) {
			if i%2 == 0 {
				return fmt.Sprintf(`"2026-01-01T00:00:%02dZ"`, i), fmt.Sprintf(`"2026-01-01T01:00:%02dZ"`, i)
			}
			return fmt.Sprintf(`"2026-01-01T00:00:%02dZ"`, i), fmt.Sprintf(`"2026-01-01T00:00:%02dZ"`, i+7)
		}, []string{"20 changed /body/v (always 1 hour later) ", "20 changed /body/v (always 7s later) "}},
		{"a factor and numbers without anything in common", func(i int) (b, c string) {
			if i%2 == 0 {
				return fmt.Sprint(7 + i), fmt.Sprint(100 * (7 + i))
			}
			return fmt.Sprint(7 + i), fmt.Sprint(1000 + i*i*i)
		}, []string{"40 changed /body/v (another number (50 %), ×100 (50 %)) "}},
		{"few of one constant", func(i int) (b, c string) {
			if i > 1 {
				return fmt.Sprint(7 + i), fmt.Sprint(100 * (7 + i))
			}
			return fmt.Sprint(7 + i), fmt.Sprint(12 + i)
		}, []string{"40 changed /body/v (×100 (95 %), another number (5 %)) "}},
	} {
		var pairs []string
		for i := range 40 {
			b, c := tt.of(i)
			pairs = append(pairs, answer(`{"v":`+b+`}`), answer(`{"v":`+c+`}`))
		}
		if got := clustersOf(t, nil, pairs...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
