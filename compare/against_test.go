package compare

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fired is a trial with an outcome of each name, of which "functions" alone has another body.
func fired(names ...string) string {
	outcomes := `"functions":` + answer(`2`)
	for _, name := range names {
		outcomes += fmt.Sprintf(`,%q:%s`, name, answer(`1`))
	}
	return `{"invocation":"i","function":"f","shape":"s","outcomes":{` + outcomes + `}}`
}

func TestARuleIsForTheBaselinesThatItNames(t *testing.T) {
	const notAny Against = ""
	for _, tt := range []struct {
		baseline, other string // the baseline, of another run where that is said
		want            Against
	}{
		{"lambda", "", AgainstLambda},
		{"recording", "", AgainstRecording},
		{"lambda#2", "", AgainstLambda},
		{"mine", "", notAny},
		{"run", "", notAny}, // an outcome that somebody has called so
		{"", "lambda", AgainstRun},
		{"", "mine", AgainstRun},
		{"", "recording", AgainstRecording},
	} {
		for _, a := range append(slices.Clone(baselines), notAny) {
			rule := Rule{At: "/body", Treat: Ignore, Why: "w", Until: "2025-12-31"}
			if a != notAny {
				rule.Against = []Against{a}
			}
			trial := fired("lambda", "lambda#2", "recording", "mine", "run")
			var r *Report
			if tt.other == "" {
				r = mustCompare(t, Options{Baseline: tt.baseline, Rules: []Rule{rule}}, trial)
			} else {
				var err error
				r, err = Runs(t.Context(), runOf(t, trial), Other{Run: runOf(t, trial), Name: "old.run", Outcome: tt.other},
					Options{Rules: []Rule{rule}, Now: now})
				if err != nil {
					t.Fatal(err)
				}
			}
			asked := a == notAny || a == tt.want
			got := r.Rules[0]
			if (r.Verdict == Parity) != asked || (got.Hits == 1) != asked || got.OutOfScope == asked || got.Expired != asked {
				t.Errorf("against %q%s, a rule for %q: %s, %+v", tt.baseline, tt.other, a, r.Verdict, got)
			}
		}
	}
}

// What noise is, is found by comparing a side with itself; that is still the same comparison.
func TestTheScopeIsOfTheComparisonAndNotOfThePair(t *testing.T) {
	body := func(n int) string { return answer(fmt.Sprintf(`{"id":"aaaa%04d"}`, n)) }
	var lines []string
	for i := range 4 {
		lines = append(lines, fmt.Sprintf(`{"invocation":"%d","function":"f","shape":"s","outcomes":{`+
			`"lambda":%s,"lambda#2":%s,"functions":%s,"functions#2":%s}}`, i, body(i), body(100+i), body(200+i), body(300+i)))
	}
	for against, want := range map[Against]Verdict{AgainstLambda: Parity, AgainstFunctions: Inconclusive} {
		rule := Rule{At: "/body/id", Treat: Alias, Why: "w", Against: []Against{against}}
		if r := mustCompare(t, Options{Rules: []Rule{rule}}, lines...); r.Verdict != want || r.Calibrated != 4 {
			t.Errorf("against %s: %s, %v", against, r.Verdict, r.Reasons)
		}
	}
}

func TestARuleThatIsOutOfScopeChangesNothing(t *testing.T) {
	var lines []string
	for i := range 6 {
		lines = append(lines, line(fmt.Sprint(i), fmt.Sprint("f", i%2), answer(fmt.Sprintf(`{"a":[1,2],"id":"aaaaaa%d"}`, i)),
			answer(fmt.Sprintf(`{"a":[2,1],"id":"bbbbbb%d"}`, i%5))))
	}
	kept := []Rule{{At: "/body/a", Treat: Unordered, Why: "w"}}
	out := kept
	for _, r := range []Rule{
		{At: "/body/id", Treat: Alias}, {At: "/body/*", Treat: Ignore, On: []string{"f0"}}, {At: "/body", Treat: Ignore, HTTPStatus: []string{"2xx"}},
	} {
		r.Why, r.Against = "w", []Against{AgainstRecording, AgainstRun}
		out = append(out, r)
	}
	var docs []string
	for _, rules := range [][]Rule{kept, out} {
		r := mustCompare(t, Options{Rules: rules}, lines...)
		if r.Verdict != Differs {
			t.Errorf("%d rules: %s", len(rules), r.Verdict)
		}
		r.Rules, r.RulesHash = nil, ""
		doc, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(doc))
	}
	if docs[0] != docs[1] {
		t.Errorf("with the rules that are out of scope it is another report:\n%s\n%s", docs[0], docs[1])
	}
}

func TestARuleThatIsOutOfScopeExpiresNoGate(t *testing.T) {
	for against, want := range map[Against]Result{AgainstRecording: Passed, AgainstLambda: Failed} {
		rule := Rule{At: "/body", Treat: Ignore, Why: "w", Until: "2025-12-31", Against: []Against{against}}
		r := mustCompare(t, Options{Rules: []Rule{rule}, Gate: &Gate{}}, agreeing("f", "s", 0, 3, 0)...)
		if q := requirementOf(t, r, "expired-rules", ""); q.Result != want {
			t.Errorf("against %s: %+v", against, q)
		}
	}
}

func TestReportsSayByWhichRulesTheyWereJudged(t *testing.T) {
	hash := func(rules ...Rule) string {
		r := mustCompare(t, Options{Rules: rules}, fired("lambda"))
		if len(r.RulesHash) != 32 {
			t.Errorf("the hash is %q", r.RulesHash)
		}
		return r.RulesHash
	}
	one, two := Rule{At: "/body/a", Treat: Ignore, Why: "w"}, Rule{At: "/body/b", Treat: Ignore, Why: "w"}
	narrow, until := one, one
	narrow.Against, until.Until = []Against{AgainstRun}, "2099-12-31"
	seen := make(map[string]int)
	for i, rules := range [][]Rule{{}, {one}, {two}, {one, two}, {two, one}, {narrow}, {until}} {
		h := hash(rules...)
		if first, ok := seen[h]; ok || h != hash(rules...) {
			t.Errorf("rules %d have the hash of rules %d, or none that stays", i, first)
		}
		seen[h] = i
	}
}

func TestWhatRedactionReplacedIsNoDifferenceAndAllElseIs(t *testing.T) {
	const token = "redacted-0123456789abcdef"
	outcome := func(cookie, body string) string {
		return `{"status":"ok","http":{"status":200,"cookies":[{"name":"sid","value":"` + cookie +
			`","attributes":{"path":"/"}}],"body":{"json":` + body + `}}}`
	}
	was := outcome(token, `{"token":"`+token+`","items":[{"id":"a","key":"`+token+`"},{"id":"b","n":1}],"n":1}`)
	is := `{"token":"t0p","items":[{"id":"a","key":"k3y"},{"id":"b","n":1}],"n":1}`
	rules, err := Preset(Recorded)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, candidate string
		want            []string // paths that differ
	}{
		{"secrets for tokens", outcome("s1d", is), nil},
		{"the tokens themselves", was, nil},
		{"no cookie value", outcome("", is), []string{"/http/cookies/sid/value"}},
		{"another path of the cookie", strings.Replace(outcome("s1d", is), `"/"`, `"/x"`, 1), []string{"/http/cookies/sid/path"}},
		{"a secret that is null", outcome("s1d", strings.Replace(is, `"t0p"`, `null`, 1)), []string{"/body/token"}},
		{"a secret that is not there", outcome("s1d", strings.Replace(is, `"token":"t0p",`, ``, 1)), []string{"/body/token"}},
		{"another value beside", outcome("s1d", strings.Replace(is, `"n":1}]`, `"n":2}]`, 1)), []string{"/body/items/*/n"}},
		{"an element more", outcome("s1d", strings.Replace(is, `[`, `[{"id":"c"},`, 1)), []string{"/body/items/*"}},
	} {
		trial := `{"invocation":"i","function":"f","shape":"s","outcomes":{"recording":` + was + `,"functions":` + tt.candidate + `}}`
		r := mustCompare(t, Options{Baseline: "recording", Rules: rules}, trial)
		var paths []string
		for _, c := range r.Clusters {
			paths = append(paths, c.Path)
		}
		if !slices.Equal(paths, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, paths, tt.want)
		}
		if tt.want == nil && (r.Unchecked.Ignored != 3 || r.Rules[0].Applied != 3 || r.Rules[0].Leaves != 3) {
			t.Errorf("%s: %+v and %+v, want the three tokens", tt.name, r.Unchecked, r.Rules[0])
		}
		lambda := strings.Replace(trial, `"recording"`, `"lambda"`, 1)
		if r := mustCompare(t, Options{Rules: rules}, lambda); r.Verdict == Parity != (tt.candidate == was) {
			t.Errorf("%s: against lambda it is %s", tt.name, r.Verdict)
		}
	}
}
