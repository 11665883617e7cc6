package compare

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"tandem/capture"
	"tandem/replay"
)

// checkShortcut compares two outcomes in both ways, and reports whether they match and whether the shortcut says so.
func checkShortcut(t *testing.T, rules []Rule, b, c *capture.Outcome) (matches, taken bool) {
	t.Helper()
	line, err := (&replay.Trial{
		Invocation: "i", Function: "f", Outcomes: map[string]*capture.Outcome{"lambda": b, "functions": c},
	}).AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return checkShortcutOf(t, rules, line)
}

// checkShortcutOf is checkShortcut for a line of a run.
func checkShortcutOf(t *testing.T, rules []Rule, line []byte) (matches, taken bool) {
	t.Helper()
	return newShortcutChecker(t, rules).check(t, line)
}

// A shortcutChecker compares one line after the other in both ways.
type shortcutChecker struct {
	comparison
	*worker
	rules int
}

func newShortcutChecker(t *testing.T, rules []Rule) *shortcutChecker {
	t.Helper()
	set, err := newRuleSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	c := comparison{opts: Options{}.withDefaults(), judge: judge{baseline: "lambda", candidate: "functions", rules: set}}
	return &shortcutChecker{c, &worker{summary: newSummary(len(rules)), text: replay.NewTrialText()}, len(rules)}
}

// obviously is a line that says the same, which the shortcut leaves to encoding/json and to the obvious way.
func obviously(line []byte) []byte {
	if len(line) == 0 || line[0] != '{' {
		return line
	}
	return append([]byte(`{"obvious":null,`), line[1:]...)
}

func (c *shortcutChecker) check(t *testing.T, line []byte) (matches, taken bool) {
	t.Helper()
	tally := newTally(c.rules)
	var want result
	trial, err := replay.ParseTrial(obviously(line))
	if err == nil {
		want = c.judge.compare(trial, tally)
	}
	_, aliases, taken := c.glance(line, c.worker)
	if !taken {
		return err == nil && want.class == matched, false
	}
	if err != nil {
		t.Fatalf("the shortcut takes as a trial, though it is none: %v\n%s", err, line)
	}
	if want.class != matched {
		t.Fatalf("the shortcut takes as equal: %v\n%s", want, line)
	}
	if len(aliases)+len(want.aliases) > 0 && !reflect.DeepEqual(aliases, want.aliases) {
		t.Fatalf("the shortcut has the aliases %v, want %v\n%s", aliases, want.aliases, line)
	}
	if !reflect.DeepEqual(c.way.tally, tally) {
		t.Fatalf("the shortcut counts %+v, want %+v\n%s", c.way.tally, tally, line)
	}
	return true, true
}

// aliasRules are for IDs of all lengths, within lists without order and in effects.
func aliasRules() []Rule {
	return []Rule{
		{At: "/body/id", Treat: Alias, Why: "w"}, {At: "/**/e", Treat: Alias, Why: "w"}, {At: "/effects/*/body/id", Treat: Alias, Why: "w"},
		{At: "/effects/*/key", Treat: Lower, Why: "w"}, {At: "/http/headers/x-*", Treat: Ignore, Why: "w"}, {At: "/records/*", Treat: Type, Why: "w"},
	}
}

// placeRules are for all parts of outcomes, and what stands in the way of a shortcut.
func placeRules() []Rule {
	rules := []Rule{
		{At: "/status", Treat: Type}, {At: "/http/status", Treat: Tolerance, Within: "1"}, {At: "/http/status", Treat: Alias},
		{At: "/http/headers/*", Treat: Ignore}, {At: "/http/headers/content-type", Treat: Ignore}, {At: "/http/headers/vary", Treat: Lower},
		{At: "/http/headers/x-*", Treat: Alias}, {At: "/http/headers/x-a", Treat: Pattern, Matches: "^.$"}, {At: "/http/headers", Treat: Ignore},
		{At: "/http/cookies/*", Treat: Ignore}, {At: "/http/cookies/*/value", Treat: Alias}, {At: "/http/cookies/**", Treat: Lower},
		{At: "/body", Treat: JSON}, {At: "/body", Treat: Unordered}, {At: "/body/**", Treat: Type}, {At: "/body/c/1*", Treat: Alias},
		{At: "/**/0", Treat: Ignore}, {At: "/body/**/id", Treat: Alias}, {At: "/**/a/**/b", Treat: Lower}, {At: "/**/c", Treat: Unordered},
		{At: "/body/i*", Treat: Ignore}, {At: "/body/~0~1", Treat: Map, From: "a", To: "A"}, {At: "/**/e", Treat: Time, Within: "1s"},
		{At: "/records/*", Treat: Ignore}, {At: "/records/m", Treat: Alias}, {At: "/records", Treat: Ignore}, {At: "/result/**", Treat: Redacted},
		{At: "/effects", Treat: Ignore}, {At: "/effects/0", Treat: Ignore}, {At: "/effects/*/key", Treat: Alias}, {At: "/effects/*/resource", Treat: Lower},
		{At: "/effects/*/attributes/*", Treat: Ignore}, {At: "/effects/*/attributes/a", Treat: Alias}, {At: "/effects/*/attributes", Treat: Type},
		{At: "/effects/1/body/**", Treat: Tolerance, Within: "10%"}, {At: "/effects/*/body/c", Treat: Unordered, By: "d"},
		{At: "/body/*", Treat: Ignore, Trigger: []capture.Trigger{capture.TriggerSQS}}, {At: "/body/a", Treat: Ignore, HTTPStatus: []string{"2xx"}},
		{At: "/body/b", Treat: Alias, On: []string{"f"}}, {At: "/body/d", Treat: Type, Against: []Against{AgainstLambda}},
		{At: "/body/d", Treat: Ignore, Against: []Against{AgainstRecording}}, {At: "/**/d", Treat: Alias},
	}
	for i := range rules {
		rules[i].Why = "w"
	}
	return rules
}

// rulesOf picks some of all rules, in some order. Those for IDs are among them more often.
func rulesOf(seed uint32) (rules []Rule) {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	in := 6 + random.IntN(100)
	for _, r := range slices.Concat(allTreatments(), aliasRules(), placeRules()) {
		if random.IntN(in) == 0 || r.Treat == Alias && random.IntN(8) == 0 {
			rules = append(rules, r)
		}
	}
	if random.IntN(4) == 0 { // IDs in lists without order
		rules = append(rules, Rule{At: "/**/id", Treat: Alias, Why: "w"}, Rule{At: "/body/c", Treat: Unordered, Why: "w"},
			Rule{At: "/body/*/a", Treat: Unordered, Why: "w"})
	}
	random.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
	return rules
}

func TestTheShortcutJudgesTheCorpusAsTheObviousWay(t *testing.T) {
	matches, taken := 0, 0
	for theme, list := range corpus(t) {
		for _, l := range list {
			t.Run(filepath.Base(theme)+"/"+l.Name, func(t *testing.T) {
				for _, rules := range [][]Rule{l.Rules, append(allTreatments(), l.Rules...), append(aliasRules(), l.Rules...)} {
					m, s := checkShortcut(t, rules, l.Baseline, l.Candidate)
					if m {
						matches++
					}
					if s {
						taken++
					}
				}
			})
		}
	}
	if taken*2 < matches {
		t.Errorf("%d pairs match, and the shortcut was taken for %d of them", matches, taken)
	}
}

// FuzzShortcut looks for lines and rules of which the shortcut says something else than the obvious way. It reads each
// line twice, behind another one whose memory it uses again.
func FuzzShortcut(f *testing.F) {
	for _, list := range corpus(f) {
		for i, l := range list {
			f.Add([]byte(line("i", "f", mustJSON(f, l.Baseline), mustJSON(f, l.Candidate))), uint32(i))
		}
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		f.Add([]byte(randomLine(random, "i")), random.Uint32())
	}
	former := []byte(randomLine(rand.New(rand.NewPCG(7, 12)), "former"))
	sum := newSummary(0)
	f.Fuzz(func(t *testing.T, line []byte, which uint32) {
		rules := rulesOf(which)
		sum.tally = newTally(len(rules))
		c := newShortcutChecker(t, rules)
		c.summary = sum
		for _, line := range [][]byte{former, line, line} {
			c.check(t, line)
		}
	})
}
