package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// manyNames are trials with names of their own, at one level and below another, that have several causes, and one mistake beside.
func manyNames(n int) (lines []string) {
	for i := range n {
		b, c := fmt.Sprintf(`{"n-%d":1,"zz":5,"by":{"a-%d":{"o":7}}}`, i, i), ""
		switch i % 3 {
		case 0:
			c = fmt.Sprintf(`{"n-%d":"1","zz":500,"by":{"a-%d":{"o":7}}}`, i, i)
		case 1:
			c = fmt.Sprintf(`{"n-%d":null,"zz":5,"by":{"a-%d":{"o":"7"}}}`, i, i)
		default:
			c = fmt.Sprintf(`{"zz":5,"by":{"a-%d":{"o":%d}}}`, i, 13*i+8)
		}
		lines = append(lines, line(fmt.Sprintf("i%06d", i), "f", answer(b), answer(c)))
	}
	return lines
}

func TestPlacesWithNamesOfTheirOwnAreBounded(t *testing.T) {
	for _, n := range []int{6000} {
		c := newClusterer()
		most := 0
		for i := range n {
			path := []string{fmt.Sprintf("/body/n-%d", i), fmt.Sprintf("/body/by/a-%d/o-%d", i%400, i)}
			one, two := value(t, `1`), value(t, fmt.Sprint(i+2))
			c.add("f", fmt.Sprint(i), 1, []Difference{
				{Path: path[0], Kind: Changed, Baseline: &one, Candidate: &two, Also: []string{fmt.Sprintf("/body/also-%d", i)}},
				{Path: path[1], Kind: Missing, Baseline: &one},
				{Path: fmt.Sprintf("/effects/0/body/n-%d", i), Kind: Extra, Candidate: &two, Effect: fmt.Sprintf("message.send q%d", i)},
			})
			most = max(most, len(c.byKey))
		}
		if most > 6*maxApart*maxApart {
			t.Errorf("%d places of %d trials are kept apart", most, n)
		}
		for key, g := range c.byKey {
			if len(g.also) > 2*maxAlsoKept {
				t.Errorf("%s has %d places beside it", key.path, len(g.also))
			}
		}
	}
}

func TestManyNamesAreToldAsOnePlaceWhateverTheirOrder(t *testing.T) {
	lines := manyNames(3000)
	random := rand.New(rand.NewPCG(5, 6))
	var want []byte
	for _, workers := range []int{1, 2, 5} {
		r := mustCompare(t, Options{Workers: workers}, lines...)
		got, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
			var told []string
			for _, c := range r.Clusters {
				told = append(told, fmt.Sprintf("%d %s %s (%s)", c.Trials, c.Kind, c.Path, c.Cause))
			}
			slices.Sort(told)
			if expected := []string{
				"1000 changed /body/by/*/o (another number)",
				"1000 changed /body/zz (always ×100)",
				"1000 missing /body/* (the candidate lacks it)",
				"1000 type /body/* (a number written as a string)",
				"1000 type /body/* (null for a number)",
				"1000 type /body/by/*/o (a number written as a string)",
			}; !slices.Equal(told, expected) {
				t.Errorf("%d clusters: %q", len(told), told[:min(len(told), 20)])
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("with %d workers the report is another", workers)
		}
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
}

// The name of what is lost is a part of the cause where there is one name.
func TestManyLostHeadersAreOneLine(t *testing.T) {
	header := func(names ...int) string {
		text := ""
		for _, n := range names {
			text += fmt.Sprintf(`,"x-%d":["1"]`, n)
		}
		return `{"status":"ok","http":{"status":200,"headers":{"a":["1"]` + text + `}}}`
	}
	var each, one, same, all []string
	for i := range 2500 {
		all = append(all, "")
		each = append(each, line(fmt.Sprint(i), "f", header(i), header()))
		same = append(same, line(fmt.Sprint(i), "f", header(7), header()))
	}
	var names []int
	for i := range all {
		names = append(names, i)
	}
	one = []string{line("i", "f", header(names...), header())}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one a trial", each, "2500 /http/headers/* (the candidate lacks a header)"},
		{"all in one trial", one, "1 /http/headers/* (the candidate lacks a header)"},
		{"one and the same", same, "2500 /http/headers/x-7 (the candidate lacks the header x-7)"},
	} {
		var got []string
		for _, c := range mustCompare(t, Options{}, tt.lines...).Clusters {
			got = append(got, fmt.Sprintf("%d %s (%s)", c.Trials, c.Path, c.Cause))
		}
		if !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %d clusters, %q", tt.name, len(got), got[:min(len(got), 3)])
		}
	}
}
