package compare

import (
	"fmt"
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
