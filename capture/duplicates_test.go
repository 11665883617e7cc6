package capture

import (
	"fmt"
	"testing"
)

func TestSeenNeverForgetsAndSeldomErrs(t *testing.T) {
	var s Seen
	wrong := 0
	const n = 200_000
	for i := range n {
		if s.Add(fmt.Appendf(nil, "key %d", i)) {
			wrong++
		}
	}
	if wrong > 2 { // one in a million, were it full of a million
		t.Errorf("%d of %d new keys are taken for old ones", wrong, n)
	}
	for i := range n {
		if !s.Add(fmt.Appendf(nil, "key %d", i)) {
			t.Fatalf("key %d is forgotten", i)
		}
	}
}

// findDuplicate returns the first duplicate that d finds in n keys of which some are equal, and the passes it took.
func findDuplicate(d *Duplicates, n int, key func(int) string) (found string, passes int) {
	for d.NextPass() {
		passes++
		for i := range n {
			if first, twice := d.Add([]byte(key(i)), Place{"file", i + 1}); twice {
				return fmt.Sprintf("%d and %d", first.Line-1, i), passes
			}
		}
	}
	return "", passes
}

func TestDuplicatesAreFoundExactly(t *testing.T) {
	number := func(i int) string { return fmt.Sprint(i) }
	equal := func(a, b int) func(int) string {
		return func(i int) string {
			if i == b {
				i = a
			}
			return number(i)
		}
	}
	tests := []struct {
		name string
		n    int
		key  func(int) string
		want string
	}{
		{"no keys", 0, number, ""},
		{"all different", 100_000, number, ""},
		{"side by side", 10, equal(4, 5), "4 and 5"},
		{"first and last", 50_000, equal(0, 49_999), "0 and 49999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Duplicates
			if got, _ := findDuplicate(&d, tt.n, tt.key); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFalseSuspectsOnlyCostPasses(t *testing.T) {
	// A filter that takes every key for an old one, as when far more keys came than it is made for.
	full := func() *Duplicates {
		d := new(Duplicates)
		d.seen.Add(nil)
		for i := range d.seen.bits {
			d.seen.bits[i] = ^uint64(0)
		}
		return d
	}
	n := 2*maxSuspects + 10
	got, passes := findDuplicate(full(), n, func(i int) string { return fmt.Sprint(i) })
	if got != "" || passes != 4 {
		t.Errorf("found %q in %d passes", got, passes)
	}
	for _, pair := range [][2]int{{1, 5}, {3, n - 1}, {maxSuspects - 1, maxSuspects}} {
		got, _ := findDuplicate(full(), n, func(i int) string {
			if i == pair[1] {
				i = pair[0]
			}
			return fmt.Sprint(i)
		})
		if want := fmt.Sprintf("%d and %d", pair[0], pair[1]); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}
