package compare

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
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

// rulesOf picks some of all rules, by the bits of which.
func rulesOf(which uint32) (rules []Rule) {
	for i, r := range append(allTreatments(), aliasRules()...) {
		if which&(1<<i) != 0 {
			rules = append(rules, r)
		}
	}
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

// A scribe writes random outcomes, and others that mean the same, or almost.
type scribe struct {
	*rand.Rand
	order *rand.Rand  // of the members of what the candidate says
	ids   [][2]string // of the two sides
	other bool        // it writes what the candidate says
}

func (s *scribe) value(depth int) string {
	if s.IntN(4) == 0 && len(s.ids) > 0 {
		id := s.id()
		return []string{`"` + id + `"`, `"/x/` + id + `"`, `{"` + id + `":1}`, `{"id":"` + id + `"}`}[s.IntN(4)]
	}
	switch s.IntN(3 + depth) {
	case 0:
		return s.pick("1", "1.0", "10e-1", "0.1e1")
	case 1:
		return s.pick(`"a"`, `"\u0061"`, `"A"`)
	case 2:
		return s.pick("null", "true", "[]", "{}", `"{\"a\":1}"`, `"{\"a\":1.0}"`)
	case 3:
		items := make([]string, s.IntN(4))
		for i := range items {
			items[i] = s.value(depth - 1)
		}
		return s.pick("[", "[ ") + strings.Join(items, s.pick(",", " , ")) + "]"
	default:
		return s.object(depth)
	}
}

func (s *scribe) object(depth int) string {
	names := []string{`"a"`, `"b"`, `"c"`, `"d"`, `"e"`, `"id"`, `"\u0061"`, `"~/"`}
	members := make([]string, s.IntN(5))
	for i := range members {
		members[i] = names[s.IntN(len(names))] + s.pick(":", ": ") + s.value(depth-1)
	}
	if s.other && s.order.IntN(4) == 0 {
		s.order.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (s *scribe) id() string {
	pair := s.ids[s.IntN(len(s.ids))]
	if s.other {
		return pair[1]
	}
	return pair[0]
}

// pick returns the first form; the candidate's may be another one.
func (s *scribe) pick(forms ...string) string {
	n := s.IntN(12)
	if s.other && n < len(forms) {
		return forms[n]
	}
	return forms[0]
}

func (s *scribe) outcome() string {
	effects := make([]string, s.IntN(3))
	for i := range effects {
		key := s.pick("k", "K")
		if len(s.ids) > 0 && s.IntN(2) == 0 {
			key = s.id()
		}
		effects[i] = fmt.Sprintf(`{"kind":%q,"resource":%q,"key":%q,"body":{"json":%s},"attributes":{"a":"b"}}`,
			[]string{"object.put", "message.send"}[s.IntN(2)], []string{"r", "q"}[s.IntN(2)], key, s.object(2))
	}
	headers := `"x-a":["` + s.pick("1", "2") + `"]`
	if len(s.ids) > 0 {
		headers += `,"location":["/x/` + s.id() + `"]`
	}
	if s.IntN(8) == 0 {
		return fmt.Sprintf(`{"status":"ok","result":{"json":%s},"records":{"m":"acked"},"effects":[%s]}`, s.value(3), strings.Join(effects, ","))
	}
	return fmt.Sprintf(`{"status":"ok","http":{"status":200,"headers":{%s},"body":{"json":%s}},"effects":[%s]}`,
		headers, s.object(4), strings.Join(effects, ","))
}

func TestTheShortcutAndTheObviousWayAgree(t *testing.T) {
	seeds := rand.New(rand.NewPCG(5, 6))
	ids := [][2]string{{"ord_AAAA1", "new_BBBB1"}, {"ord_AAAA2", "new_BBBB2"}, {"17", "18"}, {"same_id", "same_id"}, {"1234567", "7654321"}}
	matches, taken := 0, 0
	for range 3000 {
		seed := seeds.Uint64()
		known := ids[:seeds.IntN(len(ids)+1)]
		write := func(other bool) *capture.Outcome {
			s := &scribe{Rand: rand.New(rand.NewPCG(seed, 1)), order: seeds, ids: known, other: other}
			var o capture.Outcome
			if err := json.Unmarshal([]byte(s.outcome()), &o); err != nil {
				t.Fatal(err)
			}
			return &o
		}
		m, s := checkShortcut(t, rulesOf(seeds.Uint32()&seeds.Uint32()), write(false), write(true))
		if m {
			matches++
		}
		if s {
			taken++
		}
	}
	if matches < 200 || taken < matches*9/10 {
		t.Errorf("%d pairs match, and the shortcut was taken for %d of them: the test shows little", matches, taken)
	}
}

// FuzzShortcut looks for outcomes and rules of which the shortcut says something else than the obvious way.
func FuzzShortcut(f *testing.F) {
	for _, list := range corpus(f) {
		for i, l := range list {
			f.Add([]byte(mustJSON(f, l.Baseline)), []byte(mustJSON(f, l.Candidate)), uint32(i)*2654435761)
		}
	}
	s := &scribe{Rand: rand.New(rand.NewPCG(7, 8)), ids: [][2]string{{"ord_AAAA1", "new_BBBB1"}, {"17", "18"}}}
	for range 50 {
		o := s.outcome()
		f.Add([]byte(o), []byte(strings.NewReplacer("ord_AAAA1", "new_BBBB1", `"17"`, `"18"`).Replace(o)), s.Uint32())
	}
	f.Fuzz(func(t *testing.T, one, two []byte, which uint32) {
		checkShortcutOf(t, rulesOf(which), fmt.Appendf(nil,
			`{"invocation":"i","function":"f","lane":"","outcomes":{"lambda":%s,"functions":%s}}`, one, two))
	})
}
