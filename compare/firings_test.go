package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// firingLine is a trial of an invocation that was fired so often before.
func firingLine(id, function string, repeat int, b, c string) string {
	return strings.Replace(line(id, function, b, c), `"invocation"`, fmt.Sprintf(`"repeat":%d,"invocation"`, repeat), 1)
}

const lost = `{"status":"transport_error"}`

// An invocation was compared if any of its firings was, and differs if any does.
func TestTheBoundIsOfInvocationsComparedAtLeastOnce(t *testing.T) {
	same, other := answer("1"), answer("2")
	for _, tt := range []struct {
		name        string
		lines       func(i int) []string // of one of 100 invocations
		n, k        int64                // of the bound
		fired, most int64                // of the gate's, which counts what is not known as different
	}{
		{"the first firing is lost", func(i int) []string {
			id := fmt.Sprint("i", i)
			return []string{firingLine(id, "f", 0, same, lost), firingLine(id, "f", 1, same, same)}
		}, 100, 0, 100, 100},
		{"the first firing is not in the run", func(i int) []string {
			id := fmt.Sprint("i", i)
			return []string{firingLine(id, "f", 1, same, same), firingLine(id, "f", 2, same, same)}
		}, 100, 0, 100, 0},
		{"all firings are lost", func(i int) []string {
			id := fmt.Sprint("i", i)
			return []string{firingLine(id, "f", 0, same, lost), firingLine(id, "f", 1, lost, same)}
		}, 0, 0, 100, 100},
		{"a later firing of each differs", func(i int) []string {
			id := fmt.Sprint("i", i)
			return []string{firingLine(id, "f", 0, same, same), firingLine(id, "f", 1, same, same), firingLine(id, "f", 2, same, other)}
		}, 100, 100, 100, 100},
		{"all firings of one differ, none of the others", func(i int) []string {
			id, c := fmt.Sprint("i", i), same
			if i == 7 {
				c = other
			}
			return []string{firingLine(id, "f", 0, same, c), firingLine(id, "f", 1, same, c), firingLine(id, "f", 2, same, c)}
		}, 100, 1, 100, 1},
		{"every other one was fired once", func(i int) []string {
			id := fmt.Sprint("i", i)
			if i%2 == 0 {
				return []string{firingLine(id, "f", 0, same, lost)}
			}
			return []string{firingLine(id, "f", 0, same, same), firingLine(id, "f", 1, same, lost)}
		}, 50, 0, 100, 100},
	} {
		var lines []string
		for i := range 100 {
			lines = append(lines, tt.lines(i)...)
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for _, memory := range []int{0, 1} { // all in memory, and all but one trial on disk
			r := mustCompare(t, Options{Workers: 3, noteMemory: memory, Gate: &Gate{Require: Requirements{MismatchUpperBound: share(.0001)}}}, lines...)
			want := UpperBound95(tt.k, tt.n)
			if r.MismatchUpperBound95 != want || r.Functions["f"].MismatchUpperBound95 != want {
				t.Errorf("%s: %v and %v, want %v", tt.name, r.MismatchUpperBound95, r.Functions["f"].MismatchUpperBound95, want)
			}
			q := requirementOf(t, r, "mismatch-upper-bound", "")
			if want := percent(UpperBound95(tt.most, tt.fired)) + ","; !strings.HasPrefix(q.Measured, want) {
				t.Errorf("%s: the gate has %s, want %s", tt.name, q.Measured, want)
			}
		}
	}
}

func TestInvocationsOfFunctionsAreCountedApart(t *testing.T) {
	var lines []string
	for i := range 30 {
		for k := range 3 {
			lines = append(lines, firingLine(fmt.Sprint("a", i), "a", k, answer("1"), answer("1")))
		}
		lines = append(lines, firingLine(fmt.Sprint("b", i), "b", 0, answer("1"), answer(fmt.Sprint(i%2))))
	}
	slices.Reverse(lines)
	r := mustCompare(t, Options{}, lines...)
	if got, want := r.Functions["a"].MismatchUpperBound95, UpperBound95(0, 30); got != want {
		t.Errorf("a: %v, want %v", got, want)
	}
	if got, want := r.Functions["b"].MismatchUpperBound95, UpperBound95(15, 30); got != want {
		t.Errorf("b: %v, want %v", got, want)
	}
	if got, want := r.MismatchUpperBound95, UpperBound95(15, 60); got != want {
		t.Errorf("all: %v, want %v", got, want)
	}
}
