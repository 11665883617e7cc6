package compare

import (
	"fmt"
	"slices"
	"testing"
)

// Objects may be keyed by what is another in each trial, and does not look like an ID.
func TestNamesThatVaryFromTrialToTrialAreOnePlace(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(i int) (b, c string)
		want []string
	}{
		{"one name a trial", func(i int) (b, c string) {
			return fmt.Sprintf(`{"by":{"c-%d":{"n":%d}}}`, i, i+7), fmt.Sprintf(`{"by":{"c-%d":{"n":%d}}}`, i, 100*(i+7))
		}, []string{"40 changed /body/by/*/n (always ×100) "}},
		{"several names a trial", func(i int) (b, c string) {
			return fmt.Sprintf(`{"a%d@x":1,"b%d@x":1}`, i, i), fmt.Sprintf(`{"a%d@x":"1","b%d@x":"1"}`, i, i)
		}, []string{"40 type /body/* (a number written as a string) "}},
		{"two causes", func(i int) (b, c string) {
			value := []string{`"` + fmt.Sprint(i+10) + `"`, "null"}[i%2]
			return fmt.Sprintf(`{"c-%d":%d}`, i, i+10), fmt.Sprintf(`{"c-%d":%s}`, i, value)
		}, []string{"20 type /body/* (a number written as a string) ", "20 type /body/* (null for a number) "}},
		{"no cause that has a name", func(i int) (b, c string) {
			return fmt.Sprintf(`{"c-%d":"a%d"}`, i, i), fmt.Sprintf(`{"c-%d":"%dzz"}`, i, 77*i)
		}, []string{"40 changed /body/* (another value) "}},
		{"names that are in all trials", func(int) (b, c string) {
			return `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`,
				`{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1","h":"1","i":"1"}`
		}, []string{
			"40 type /body/a (a number written as a string) ", "40 type /body/b (a number written as a string) ",
			"40 type /body/c (a number written as a string) ", "40 type /body/d (a number written as a string) ",
			"40 type /body/e (a number written as a string) ", "40 type /body/f (a number written as a string) ",
			"40 type /body/g (a number written as a string) ", "40 type /body/h (a number written as a string) ",
			"40 type /body/i (a number written as a string) ",
		}},
	} {
		var pairs []string
		for i := range 40 {
			b, c := tt.of(i)
			pairs = append(pairs, answer(b), answer(c))
		}
		if got := clustersOf(t, nil, pairs...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func TestADecimalThatIsCutDownInAListIsOneCause(t *testing.T) {
	var pairs []string
	for i := range 30 {
		pairs = append(pairs, answer(fmt.Sprintf(`[1.%d, 2.%d]`, i%9+1, (i+4)%9+1)), answer(`[1, 2]`))
	}
	got := clustersOf(t, nil, pairs...)
	if want := []string{"30 changed /body/* (cut down, not rounded, to 0 decimals) "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
