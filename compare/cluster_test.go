package compare

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// clustersOf compares trials of one function, from pairs of outcomes, and describes the clusters: "trials kind path
// effect (cause) also".
func clustersOf(t *testing.T, rules []Rule, pairs ...string) (described []string) {
	t.Helper()
	var lines []string
	for i := 0; i < len(pairs); i += 2 {
		lines = append(lines, line(fmt.Sprintf("i%02d", i/2), "f", pairs[i], pairs[i+1]))
	}
	for _, c := range mustCompare(t, Options{Rules: rules}, lines...).Clusters {
		text := strings.TrimSpace(fmt.Sprintf("%d %s %s %s", c.Trials, c.Kind, c.Path, c.Effect))
		described = append(described, fmt.Sprintf("%s (%s) %s", text, c.Cause, strings.Join(c.Also, " ")))
	}
	return described
}

func TestClustersGatherOneCause(t *testing.T) {
	put := func(body string) string {
		return `{"kind":"object.put","resource":"r","key":"k","body":{"json":` + body + `}}`
	}
	msg := func(body string) string { return msgOf(body) }
	with := func(body string, effects ...string) string {
		return `{"status":"ok","http":{"status":200,"body":{"json":` + body + `}},"effects":[` + strings.Join(effects, ",") + `]}`
	}
	failed := `{"status":"function_error","effects":[]}`
	batch := func(a, b string, effects ...string) string {
		return `{"status":"ok","records":{"a":"` + a + `","b":"` + b + `"},"effects":[` + strings.Join(effects, ",") + `]}`
	}
	for _, tt := range []struct {
		name  string
		pairs []string
		want  []string
	}{
		{"one change in several places is one",
			[]string{with(`{"total":1}`, put(`{"total":1}`)), with(`{"total":2}`, put(`{"total":2}`))},
			[]string{"1 changed /body/total (another number) /effects/*/body/total"}},
		{"another change of the same name is not",
			[]string{with(`{"total":1}`, put(`{"total":1}`)), with(`{"total":2}`, put(`{"total":3}`))},
			[]string{"1 changed /body/total (another number) ", "1 changed /effects/*/body/total object.put r (another number) "}},
		{"a place that shows alone elsewhere joins",
			[]string{
				with(`{"total":1}`, put(`{"total":1}`)), with(`{"total":2}`, put(`{"total":2}`)),
				with(`{}`, put(`{"total":1}`)), with(`{}`, put(`{"total":2}`)),
			},
			[]string{"2 changed /body/total (another number) /effects/*/body/total"}},
		{"consequences of a failure",
			[]string{with(`{"total":1}`, put(`1`), msg(`1`)), failed},
			[]string{`1 changed /status ("function_error" for "ok") /body /effects/* /http`}},
		{"what a failure did otherwise is not a consequence",
			[]string{with(`{}`, put(`{"n":1}`)), `{"status":"function_error","effects":[` + put(`{"n":2}`) + `]}`},
			[]string{`1 changed /effects/*/body/n object.put r (another number) `, `1 changed /status ("function_error" for "ok") /body /http`}},
		{"messages that fared alike",
			[]string{batch("acked", "acked", put("1")), batch("retried", "retried")},
			[]string{`1 changed /records/* ("retried" for "acked") /effects/*`}},
		{"two directions of a fate are two",
			[]string{batch("acked", "retried"), batch("retried", "acked")},
			[]string{`1 changed /records/* ("acked" for "retried") `, `1 changed /records/* ("retried" for "acked") `}},
		{"two directions in two trials are two",
			[]string{batch("acked", "acked"), batch("retried", "acked"), batch("retried", "acked"), batch("acked", "acked")},
			[]string{`1 changed /records/* ("acked" for "retried") `, `1 changed /records/* ("retried" for "acked") `}},
		{"effects that are skipped together",
			[]string{with(`1`, put(`1`), msg(`1`)), with(`1`), with(`2`, put(`2`), msg(`2`)), with(`2`)},
			[]string{"2 missing /effects/* message.send q (the candidate lacks the effect message.send q) object.put r"}},
		{"effects that are not skipped together",
			[]string{with(`1`, put(`1`), msg(`1`)), with(`1`), with(`2`, put(`2`), msg(`2`)), with(`2`, msg(`2`))},
			[]string{
				"2 missing /effects/* object.put r (the candidate lacks the effect object.put r) ",
				"1 missing /effects/* message.send q (the candidate lacks the effect message.send q) ",
			}},
		{"names in another style",
			[]string{
				with(`{"orderId":1,"items":[{"unitPrice":1},{"unitPrice":2}]}`, put(`{"orderId":1}`)),
				with(`{"OrderId":1,"Items":[{"UnitPrice":1},{"UnitPrice":2}]}`, put(`{"OrderId":1}`)),
				with(`{"orderId":1,"note":"x"}`), with(`{"OrderId":1,"Note":"x"}`),
				with(`1`, put(`{"orderId":1}`)), with(`1`, put(`{"OrderId":1}`)),
			},
			[]string{"3 changed /body (the names are in PascalCase) /effects/*/body"}},
		{"names in another style, and a mistake below",
			[]string{with(`{"unitPrice":[{"netPrice":5,"id":"a"}]}`), with(`{"unit_price":[{"net_price":500,"id":"b"}]}`)},
			[]string{"1 changed /body (the names are in snake_case) ", "1 changed /body/unitPrice/*/netPrice (×100) "}},
		{"another name is another member", []string{with(`{"orderId":1}`), with(`{"orderNumber":1}`)},
			[]string{"1 missing /body/orderId (the candidate lacks it) ", "1 extra /body/orderNumber (only the candidate has it) "}},
		{"a status for a status", []string{`{"status":"ok","http":{"status":201}}`, `{"status":"ok","http":{"status":200}}`},
			[]string{"1 changed /http/status (200 for 201) "}},
		{"known causes",
			[]string{
				answer(`{"a":[],"b":0.3,"c":"Ab","d":"2026-01-01T00:00:00Z","e":"a+b","f":"abc","g":1,"h":"2026-01-01T00:00:00Z","i":"a b"}`),
				answer(`{"a":null,"b":0.30000000000000004,"c":"aB","d":"2026-01-01T01:00:00","e":"a b","f":"ab","g":"1","h":"2026-01-01T01:00:00+01:00","i":"a+b"}`),
			},
			[]string{
				"1 type /body/a (null for []) ", "1 changed /body/b (rounded through binary floating point) ",
				"1 changed /body/c (only the letter case differs) ", "1 changed /body/d (a local time without its zone) ",
				"1 changed /body/e (a space for a plus) ", "1 changed /body/f (the end is cut off) ",
				"1 type /body/g (a number written as a string) ", "1 changed /body/h (the same instant in another zone) ",
				"1 changed /body/i (a plus for a space) ",
			}},
	} {
		if got := clustersOf(t, nil, tt.pairs...); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestNumbersThatAllDifferAreOneCause(t *testing.T) {
	var pairs []string
	for i := range 50 {
		pairs = append(pairs, answer(fmt.Sprintf(`{"n":%d}`, i)), answer(fmt.Sprintf(`{"n":%d}`, 100+2*i)))
	}
	if got := clustersOf(t, nil, pairs...); !slices.Equal(got, []string{"50 changed /body/n (another number) "}) {
		t.Errorf("%q", got)
	}
}

func TestAJoinedClusterHasNoMoreTrialsThanDiffer(t *testing.T) {
	body := func(a, b, c int) string {
		return answer(fmt.Sprintf(`{"a":{"t":%d},"b":{"t":%d},"c":{"t":%d}}`, a, b, c))
	}
	got := clustersOf(t, nil, body(1, 1, 1), body(2, 2, 2), body(1, 1, 1), body(1, 2, 3))
	if want := []string{"2 changed /body/a/t (another number) /body/b/t /body/c/t"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestClustersKeepTheirIDs(t *testing.T) {
	one := mustCompare(t, Options{}, line("a", "f", answer(`1`), answer(`2`)))
	two := mustCompare(t, Options{}, line("b", "f", answer(`3`), answer(`4`)), line("c", "g", answer(`3`), answer(`4`)))
	if one.Clusters[0].ID != two.Clusters[0].ID || one.Clusters[0].ID == two.Clusters[1].ID {
		t.Errorf("%s, %s and %s", one.Clusters[0].ID, two.Clusters[0].ID, two.Clusters[1].ID)
	}
}

func TestExamplesShowWhatTheSidesHad(t *testing.T) {
	r := mustCompare(t, Options{Rules: []Rule{{At: "/body/id", Treat: Alias, Why: "w"}}},
		line("a", "f", answer(`{"id":"aaaa11","see":"/o/aaaa11?v=1"}`), answer(`{"id":"bbbb22","see":"/o/bbbb22?v=2"}`)))
	e := r.Clusters[0].Examples[0]
	if *e.Baseline != `"/o/aaaa11?v=1"` || *e.Candidate != `"/o/bbbb22?v=2"` {
		t.Errorf("%s and %s: the candidate's own ID is not shown", *e.Baseline, *e.Candidate)
	}
	long := strings.Repeat("é", 1000)
	r = mustCompare(t, Options{}, line("a", "f", answer(`"x"`), answer(`"`+long+`"`)))
	if got := *r.Clusters[0].Examples[0].Candidate; len(got) > maxShown+len("…") || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes of a long value are shown", len(got))
	}
}

// bodies makes n trials' pairs of outcomes from the number of the trial.
func bodies(n int, of func(i int) (b, c string)) (pairs []string) {
	for i := range n {
		b, c := of(i)
		pairs = append(pairs, answer(b), answer(c))
	}
	return pairs
}

func TestWhatIsAlwaysTheSameIsToldWithTheCause(t *testing.T) {
	for _, tt := range []struct {
		name, b, c string // of each trial, with {n} for its number, {2n} for twice that
		want       string
	}{
		{"a unit", `{n}`, `{n}00`, "always ×100"},
		{"any factor", `{n}`, `{2n}`, "always ×2"},
		{"an offset", `1{n}`, `2{n}`, "always 10 more"},
		{"an offset downwards", `2{n}`, `1{n}`, "always 10 less"},
		{"an hour", `"2026-01-01T10:0{n}:00Z"`, `"2026-01-01T11:0{n}:00Z"`, "always 1 hour later"},
		{"a clock", `"2026-01-01T10:0{n}:00Z"`, `"2026-01-01T10:0{n}:07Z"`, "always 7s later"},
		{"a constant for what varies", `"a{n}"`, `"x"`, `always the constant "x"`},
		{"one value for another", `"a"`, `"x"`, `always "x" for "a"`},
		{"a limit", `"abcdefg{n}{n}"`, `"abc"`, "the end is cut off, always at 3 characters"},
		{"any limit", `"abcdefg{n}{n}"`, `"abcdefg{n}"`, "the end is cut off, always at 8 characters"},
		{"nothing", `"a{n}"`, `"x{n}"`, anotherValue},
	} {
		with := func(s string, i int) string {
			return `{"v":` + strings.NewReplacer("{n}", fmt.Sprint(i), "{2n}", fmt.Sprint(2*i)).Replace(s) + `}`
		}
		got := clustersOf(t, nil, bodies(5, func(i int) (b, c string) { return with(tt.b, i+1), with(tt.c, i+1) })...)
		if len(got) != 1 || !strings.Contains(got[0], "("+tt.want+")") {
			t.Errorf("%s: %q, want %s", tt.name, got, tt.want)
		}
		if few := clustersOf(t, nil, bodies(2, func(i int) (b, c string) { return with(tt.b, i+1), with(tt.c, i+1) })...); strings.Contains(few[0], "always") {
			t.Errorf("%s: two trials say %q", tt.name, few)
		}
	}
}

func TestFrequentCausesAtOnePlaceAreSplit(t *testing.T) {
	pick := func(causes ...string) func(i int) (b, c string) {
		return func(i int) (b, c string) {
			number := fmt.Sprintf(`{"v":%d7}`, i+1)
			return number, strings.NewReplacer("{n}", fmt.Sprint(i+1), "{odd}", fmt.Sprint(1000+i*i*31)).Replace(causes[i%len(causes)])
		}
	}
	hundred, null, odd := `{"v":{n}700}`, `{"v":null}`, `{"v":{odd}}`
	for _, tt := range []struct {
		name string
		of   func(i int) (b, c string)
		want []string
	}{
		{"two types are two kinds as it is", pick(hundred, null),
			[]string{"20 changed /body/v (always ×100) ", "20 type /body/v (null for a number) "}},
		{"two changes", pick(hundred, `{"v":-{n}7}`),
			[]string{"20 changed /body/v (always ×100) ", "20 changed /body/v (the opposite sign) "}},
		{"two changes and others", pick(hundred, `{"v":-{n}7}`, hundred, `{"v":-{n}7}`, odd),
			[]string{"16 changed /body/v (always ×100) ", "16 changed /body/v (the opposite sign) ", "8 changed /body/v (another number) "}},
		{"one change among others", pick(hundred, odd, odd, odd),
			[]string{"40 changed /body/v (another number (75 %), ×100 (25 %)) "}},
		{"a rare one", pick(slices.Concat(slices.Repeat([]string{hundred}, 9), []string{`{"v":-{n}7}`})...),
			[]string{"40 changed /body/v (×100 (90 %), the opposite sign (10 %)) "}},
		{"a change that could be two", pick(hundred, `{"v":{n}700.0}`), []string{"40 changed /body/v (always ×100) "}},
	} {
		if got := clustersOf(t, nil, bodies(40, tt.of)...); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestOneOffCausesAreOneCluster(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	var pairs []string
	for range 200 {
		pairs = append(pairs, answer(`{"v":`+randomValue(random, 0)+`}`), answer(`{"v":`+randomValue(random, 0)+`}`))
	}
	for _, c := range clustersOf(t, nil, pairs...) {
		t.Log(c)
	}
	if got := clustersOf(t, nil, pairs...); len(got) > 3 {
		t.Errorf("%d clusters of noise: %q", len(got), got)
	}
}

func TestASplitClusterKeepsItsID(t *testing.T) {
	ids := func(n int) map[string]string {
		lines := []string{}
		for i, p := range bodies(n, func(i int) (b, c string) {
			return fmt.Sprintf(`{"v":%d}`, i+1), fmt.Sprintf([]string{`{"v":%d00}`, `{"v":-%d}`}[i%2], i+1)
		}) {
			if i%2 == 1 {
				lines[i/2] = line(fmt.Sprintf("%d-%d", n, i), "f", lines[i/2], p)
			} else {
				lines = append(lines, p)
			}
		}
		found := make(map[string]string)
		for _, c := range mustCompare(t, Options{}, lines...).Clusters {
			found[c.Cause] = c.ID
		}
		return found
	}
	if one, two := ids(10), ids(31); len(one) != 2 || !maps.Equal(one, two) {
		t.Errorf("%v and %v", one, two)
	}
}

// Whether a cause is alone at its place depends on the run; the ID of the place does not.
func TestWhatHappensAtOnePlaceHasItsIDWhetherSplitOrNot(t *testing.T) {
	hundred, sign, odd := `{"v":%d00}`, `{"v":-%d}`, `{"v":3%d7}`
	ids := func(candidates ...string) map[string]string {
		var lines []string
		for i := range 12 {
			b, c := fmt.Sprintf(`{"v":%d}`, i+1), fmt.Sprintf(candidates[i%len(candidates)], i+1)
			lines = append(lines, line(fmt.Sprint(i), "f", answer(b), answer(c)))
		}
		found := make(map[string]string)
		for _, c := range mustCompare(t, Options{}, lines...).Clusters {
			found[c.ID] = c.Cause
		}
		return found
	}
	alone, two, three := ids(hundred), ids(hundred, sign), ids(hundred, sign, odd)
	if len(alone) != 1 || len(two) != 2 || len(three) != 3 {
		t.Fatalf("%v, %v, %v", alone, two, three)
	}
	place := slices.Collect(maps.Keys(alone))[0]
	for _, split := range []map[string]string{two, three} {
		for id, cause := range split {
			rest := cause == "another number"
			if first, own, ok := strings.Cut(id, "-"); first != place || ok == rest || ok && len(own) != 6 {
				t.Errorf("%q is %s, at the place %s", cause, id, place)
			}
			if !rest && three[id] != cause {
				t.Errorf("%q is %s in one run alone: %v", cause, id, three)
			}
		}
	}
}

func TestClustersOfOtherFunctionsWithOneCauseAreAlike(t *testing.T) {
	var lines []string
	for i := range 6 {
		for _, f := range []string{"f", "g"} {
			lines = append(lines, line(fmt.Sprint(f, i), f, answer(fmt.Sprintf(`{"v":%d}`, i+1)), answer(fmt.Sprintf(`{"v":%d00}`, i+1))))
		}
		lines = append(lines, line(fmt.Sprint("h", i), "h", answer(`{"v":1}`), answer(`{"v":2}`)))
	}
	clusters := mustCompare(t, Options{}, lines...).Clusters
	if len(clusters) != 3 || !slices.Equal(clusters[0].Alike, []string{clusters[1].ID}) ||
		!slices.Equal(clusters[1].Alike, []string{clusters[0].ID}) || clusters[2].Alike != nil {
		t.Errorf("%+v", clusters)
	}
}

func TestTheSmallestExampleIsThatOfTheSmallestOutcomes(t *testing.T) {
	of := func(id, more string) string {
		return line(id, "f", answer(`{"v":1,"more":"`+more+`"}`), answer(`{"v":2,"more":"`+more+`"}`))
	}
	c := mustCompare(t, Options{}, of("a", "long"), of("b", "longer"), of("d", ""), of("c", ""), of("e", "longest")).Clusters[0]
	if c.Smallest == nil || c.Smallest.Invocation != "c" || len(c.Examples) != 3 || c.Examples[0].Invocation != "a" {
		t.Errorf("%+v", c)
	}
}
