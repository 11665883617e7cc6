package compare

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/capture/jsonval"
	"tandem/replay"
)

// A rule for all lists of a document is asked about everything in it, and has a say in lists alone.
func TestListsWithoutOrderAreMatchedWhateverTheirSize(t *testing.T) {
	set, err := newRuleSet([]Rule{{At: "/**", Treat: Unordered, Why: "w"}})
	if err != nil {
		t.Fatal(err)
	}
	j := judge{baseline: "lambda", candidate: "functions", rules: set}
	random := rand.New(rand.NewPCG(1, 1))
	numbers := make([]string, 5000)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i)
	}
	for _, tt := range []struct {
		name string
		make func() string
	}{
		{"numbers", func() string { return inAnyOrder(random, numbers) }},
		{"objects", func() string {
			list := make([]string, len(numbers))
			for i := range list {
				list[i] = fmt.Sprintf(`{"a":%d,"b":%s}`, i, inAnyOrder(random, []string{"1", "2", "3"}))
			}
			return inAnyOrder(random, list)
		}},
		{"lists in lists", func() string { return nested(random, 3, 12, "") }},
		{"lists of one in lists of one", func() string {
			return strings.Repeat("[", 40) + inAnyOrder(random, numbers[:9]) + strings.Repeat("]", 40)
		}},
	} {
		body := func(text string) string {
			return `{"status":"ok","http":{"status":200,"body":{"json":` + text + `}}}`
		}
		trial, err := replay.ParseTrial([]byte(line("i", "f", body(tt.make()), body(tt.make()))))
		if err != nil {
			t.Fatal(err)
		}
		if found := j.compare(trial, newTally(1)).differences; len(found) > 0 {
			t.Errorf("%s: %d differences, the first at %s", tt.name, len(found), found[0].Path)
		}
	}
}

func inAnyOrder(random *rand.Rand, items []string) string {
	order := make([]string, len(items))
	for i, j := range random.Perm(len(items)) {
		order[i] = items[j]
	}
	return "[" + strings.Join(order, ",") + "]"
}

// nested makes lists in lists of the same leaves, each time in another order.
func nested(random *rand.Rand, depth, n int, name string) string {
	if depth == 0 {
		return fmt.Sprintf("%q", name)
	}
	items := make([]string, n)
	for i := range items {
		items[i] = nested(random, depth-1, n, fmt.Sprintf("%s.%d", name, i))
	}
	return inAnyOrder(random, items)
}

// What only the candidate has may be what the baseline has elsewhere, which takes no comparing of each with each.
func TestManyExtraElementsAreToldAtOnce(t *testing.T) {
	const n = 60_000
	b, c := make([]jsonval.Value, n), make([]jsonval.Value, 2*n)
	for i := range c {
		c[i] = jsonval.Int(i + n)
		if i < n {
			b[i] = jsonval.Int(i)
		}
	}
	c[2*n-1] = jsonval.Int(7)
	found := explain("", jsonval.List(b...), jsonval.List(c...))
	kinds := make(map[Kind]int)
	for _, d := range found {
		kinds[d.Kind]++
	}
	if kinds[Changed] != n || kinds[Extra] != n-1 || kinds[Duplicate] != 1 {
		t.Errorf("found %v", kinds)
	}
}

// Long numbers that are one and the same as floats are looked up, too, not searched for.
func TestLongNumbersAreToldApartByTheirDigests(t *testing.T) {
	seen := make(map[uint64]string)
	for i := range 1000 {
		v := jsonval.Value{Kind: jsonval.Number, Text: fmt.Sprintf("1%040d", i)}
		if other, twice := seen[digest(nil, &v)]; twice {
			t.Fatalf("%s and %s have one digest", other, v)
		}
		seen[digest(nil, &v)] = v.Text
	}
	for _, same := range [][]string{
		{"1000", "1e3", "1000.0", "0.1E+4"}, {"0", "-0", "0.0", "0e999999999999999999999"}, {"-1.50", "-15e-1"},
		{"1e999999999", "10e999999998"},
	} {
		first := jsonval.Value{Kind: jsonval.Number, Text: same[0]}
		for _, text := range same {
			if v := (jsonval.Value{Kind: jsonval.Number, Text: text}); digest(nil, &v) != digest(nil, &first) {
				t.Errorf("%s and %s have two digests", text, first)
			}
		}
	}
}
