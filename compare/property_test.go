package compare

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

// allTreatments has a rule of each treatment, at paths that random documents have.
func allTreatments() []Rule {
	rules := []Rule{
		{At: "/body/a", Treat: Tolerance, Within: "1"}, {At: "/**/b", Treat: Ignore}, {At: "/body/*/a", Treat: Type},
		{At: "/body/c", Treat: Unordered, By: "a"}, {At: "/**/c/*", Treat: Tolerance, Within: "50%"}, {At: "/**/d", Treat: JSON},
		{At: "/body/a/*", Treat: Lower}, {At: "/effects/*/body", Treat: Unordered}, {At: "/**/a", Treat: Pattern, Matches: "^[0-9]$"},
		{At: "/body/e", Treat: Unordered, HTTPStatus: []string{"4xx"}}, {At: "/body/*/e", Treat: Type, Status: []capture.Status{capture.StatusOK}},
		{At: "/**", Treat: Redacted},
	}
	for i := range rules {
		rules[i].Why = "w"
	}
	return rules
}

// randomValue makes small documents of few names and values, so that two of them often agree in part.
func randomValue(r *rand.Rand, depth int) string {
	kinds := 5
	if depth > 0 {
		kinds = 8
	}
	list := func(n int, item func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i)
		}
		return strings.Join(items, ",")
	}
	switch r.IntN(kinds) {
	case 0:
		return []string{"null", "true", "false"}[r.IntN(3)]
	case 1, 2:
		return []string{"1", "1.0", "2", "3", "10", "0"}[r.IntN(6)]
	case 3, 4:
		return []string{`"a"`, `"A"`, `"1"`, `"{\"a\":1}"`, `"{\"a\":1.0}"`, `""`}[r.IntN(6)]
	case 5:
		return "[" + list(r.IntN(4), func(int) string { return randomValue(r, depth-1) }) + "]"
	default:
		return "{" + list(r.IntN(4), func(int) string {
			return fmt.Sprintf("%q:%s", string(rune('a'+r.IntN(5))), randomValue(r, depth-1))
		}) + "}"
	}
}

func TestAgreeingIsBeingEqualOnceReconciled(t *testing.T) {
	set, err := newRuleSet(allTreatments())
	if err != nil {
		t.Fatal(err)
	}
	root := set.of(situation{function: "f"}).root.at("body")
	random := rand.New(rand.NewPCG(1, 1))
	agreed := 0
	for range 10_000 {
		x, y := randomValue(random, 3), randomValue(random, 3)
		b, c := value(t, x), value(t, y)
		walk := &reconciler{}
		agree := walk.agree(root, &b, &c)
		if !jsonval.Equal(b, value(t, x)) || !jsonval.Equal(c, value(t, y)) {
			t.Fatalf("agree changed %s or %s", x, y)
		}
		if agree && digest(root, &b) != digest(root, &c) {
			t.Fatalf("%s and %s agree, but their digests do not", x, y)
		}
		if back := walk.agree(root, &c, &b); back != agree {
			t.Fatalf("%s and %s: agree is %v, the other way round %v", x, y, agree, back)
		}
		walk.reconcile(root, "", &b, &c)
		if equal := jsonval.Equal(b, c); equal != agree {
			t.Fatalf("%s and %s: agree is %v, but reconciled they are %s and %s", x, y, agree, b, c)
		}
		if found := explain("", b, c); (len(found) == 0) != agree {
			t.Fatalf("%s and %s: agree is %v with the differences %v", x, y, agree, found)
		}
		if agree {
			agreed++
		}
	}
	if agreed < 300 {
		t.Errorf("only %d pairs agreed: the test shows little", agreed)
	}
}

// An alias is left out: it claims that values are one to one, so that it may contradict what other rules allowed.
func TestAddingARuleNeverMakesAMatchedTrialDiffer(t *testing.T) {
	all := allTreatments()
	random := rand.New(rand.NewPCG(2, 2))
	judgeWith := func(rules []Rule) judge {
		set, err := newRuleSet(rules)
		if err != nil {
			t.Fatal(err)
		}
		return judge{baseline: "lambda", candidate: "functions", rules: set}
	}
	outcome := func() string { // status and HTTP status are not among what is swapped
		var effects []string
		for range random.IntN(3) {
			effects = append(effects, msgOf(randomValue(random, 1)))
		}
		return fmt.Sprintf(`{"status":"ok","http":{"status":404,"body":{"json":%s}},"effects":[%s]}`,
			randomValue(random, 2), strings.Join(effects, ","))
	}
	swaps := [][]string{
		{":1", ":1.0", ":2", ":3", `:"a"`, `:"A"`, `:"1"`, ":null", ":[1,2]", ":[2,1]", ":[]"}, {`"a":`, `"b":`, `"c":`, `"d":`},
		{"[1", "[1.0", "[2", `["a"`, `["A"`}, {",1", ",2", ",3", ",10"},
	}
	matchedOnes := 0
	for range 500 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		n := random.IntN(len(all))
		few, more := judgeWith(all[:n]), judgeWith(all[:n+1])
		for range 10 {
			b := outcome()
			c := b
			for range 1 + random.IntN(3) {
				of := swaps[random.IntN(len(swaps))]
				c = strings.Replace(c, of[random.IntN(len(of))], of[random.IntN(len(of))], 1+random.IntN(2))
			}
			trial, err := replay.ParseTrial([]byte(line("i", "f", b, c)))
			if err != nil {
				continue // what was swapped was a part of something else
			}
			if few.compare(trial, newTally(n)).class != matched {
				continue
			}
			matchedOnes++
			if r := more.compare(trial, newTally(n+1)); r.class != matched {
				t.Fatalf("with the rule %+v there is %v in %s", all[n], r.differences, mustJSON(t, trial.Outcomes))
			}
		}
	}
	if matchedOnes < 100 {
		t.Errorf("only %d trials matched: the test shows little", matchedOnes)
	}
}

func msgOf(body string) string {
	return `{"kind":"message.send","resource":"q","body":{"json":` + body + `}}`
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

func TestEditsLeadFromOneListToTheOther(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	numbers := func(n, of int) []jsonval.Value {
		list := make([]jsonval.Value, n)
		for i := range list {
			list[i] = jsonval.Int(random.IntN(of))
		}
		return list
	}
	for range 2000 {
		of := 1 + random.IntN(6)
		b, c := numbers(random.IntN(12), of), numbers(random.IntN(12), of)
		checkEdits(t, b, c)
	}
	long, other := numbers(3000, 100_000), numbers(3000, 100_000)
	checkEdits(t, long, other)
	inserted := slices.Concat(long[:1000], numbers(3, 9), long[1000:2000], long[2001:])
	checkEdits(t, long, inserted)
	if n := len(edits(long, inserted)); n != 4 {
		t.Errorf("three insertions and a removal are %d edits", n)
	}
}

// checkEdits applies the edits to b and expects c.
func checkEdits(t *testing.T, b, c []jsonval.Value) {
	t.Helper()
	var built []jsonval.Value
	i := 0
	for _, e := range edits(b, c) {
		next := e.baseline
		if next < 0 {
			next = i + e.candidate - len(built)
		}
		for i < next {
			built = append(built, b[i])
			i++
		}
		if e.baseline >= 0 {
			i++
		}
		if e.candidate >= 0 {
			built = append(built, c[e.candidate])
		}
	}
	built = append(built, b[i:]...)
	if !slices.EqualFunc(built, c, jsonval.Equal) {
		t.Fatalf("the edits %v lead from %v to %v, not to %v", edits(b, c), b, built, c)
	}
}

// FuzzCompare looks for outcomes that make comparing panic, that differ from themselves, or that differ in one direction
// only.
func FuzzCompare(f *testing.F) {
	for _, list := range corpus(f) {
		for _, l := range list {
			f.Add([]byte(mustJSON(f, l.Baseline)), []byte(mustJSON(f, l.Candidate)))
		}
	}
	plain, err := newRuleSet(nil)
	if err != nil {
		f.Fatal(err)
	}
	rules := append(allTreatments(), Rule{At: "/**/id", Treat: Alias, Why: "w"}, Rule{At: "/http/headers/x-*", Treat: Lower, Why: "w"})
	ruled, err := newRuleSet(rules)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var b, c capture.Outcome
		if json.Unmarshal(one, &b) != nil || json.Unmarshal(two, &c) != nil {
			return
		}
		trial := func(b, c *capture.Outcome) *replay.Trial {
			return &replay.Trial{Invocation: "i", Function: "f", Outcomes: map[string]*capture.Outcome{"lambda": b, "functions": c}}
		}
		for _, set := range []*ruleSet{plain, ruled} {
			j := judge{baseline: "lambda", candidate: "functions", rules: set}
			r := j.compare(trial(&b, &c), newTally(len(rules)))
			if back := j.compare(trial(&c, &b), newTally(len(rules))); set == plain && back.class != r.class {
				t.Errorf("class %d, the other way round %d", r.class, back.class)
			}
			gather := newClusterer()
			gather.add("f", "i", 0, fold(r.differences))
			if n := len(gather.clusters(map[string]int64{"f": 1}, map[string]int64{"f": 1})); (n > 0) != (r.class == differed) {
				t.Errorf("class %d has %d clusters", r.class, n)
			}
			if doc, err := json.Marshal(&b); err == nil {
				var again capture.Outcome
				if json.Unmarshal(doc, &again) != nil {
					return // such as bodies that are no JSON
				}
				if r := j.compare(trial(&b, &again), newTally(len(rules))); set == plain && r.class == differed {
					t.Errorf("an outcome and itself: %v", r.differences)
				}
			}
		}
	})
}

// A longTrial has lists of n elements, effects or members, in the forms that invite time that grows with n².
type longTrial struct {
	name  string
	rules []Rule
	b, c  string
	want  class
}

func longTrials(n int) []longTrial {
	join := func(n int, item func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i)
		}
		return strings.Join(items, ",")
	}
	bodies := func(list func(i int) string) string { return answer("[" + join(n, list) + "]") }
	effects := func(of func(i int) string) string { return `{"status":"ok","effects":[` + join(n, of) + `]}` }
	put := func(key int, body string) string {
		return fmt.Sprintf(`{"kind":"object.put","resource":"r","key":"k%d","body":{"json":%s}}`, key, body)
	}
	members := func(of func(i int) string) string { return answer("{" + join(n, of) + "}") }
	unordered := Rule{At: "/body", Treat: Unordered, Why: "w"}
	tolerance := Rule{At: "/body/*/t", Treat: Tolerance, Within: "1", Why: "w"}
	return []longTrial{
		{"reversed list", nil, bodies(func(i int) string { return fmt.Sprint(i) }), bodies(func(i int) string { return fmt.Sprint(n - i) }), differed},
		{"reversed list without order", []Rule{unordered, tolerance},
			bodies(func(i int) string { return fmt.Sprintf(`{"id":%d,"t":%d}`, i, i) }),
			bodies(func(i int) string { return fmt.Sprintf(`{"id":%d,"t":%d}`, n-1-i, n-i) }), matched},
		{"every element another", nil, bodies(func(i int) string { return fmt.Sprint(i) }), bodies(func(i int) string { return fmt.Sprint(i, "e9") }), differed},
		{"nothing in common, without order", []Rule{unordered, tolerance},
			bodies(func(i int) string { return fmt.Sprintf(`{"t":%d}`, 10*i) }),
			bodies(func(i int) string { return fmt.Sprintf(`{"t":%d}`, 10*i+5) }), differed},
		{"effects reversed", nil, effects(func(i int) string { return put(i, `1`) }), effects(func(i int) string { return put(n-1-i, `1`) }), matched},
		{"effects under other keys", nil, effects(func(i int) string { return put(i, fmt.Sprint(i)) }), effects(func(i int) string { return put(n+i, fmt.Sprint(i)) }), differed},
		{"messages reversed", nil, effects(func(i int) string { return msgOf(fmt.Sprint(i)) }), effects(func(i int) string { return msgOf(fmt.Sprint(n - 1 - i)) }), matched},
		{"messages all changed", nil, effects(func(i int) string { return msgOf(fmt.Sprint(i)) }), effects(func(i int) string { return msgOf(fmt.Sprint(n + i)) }), differed},
		{"messages all twice", nil, `{"status":"ok","effects":[` + msgOf("1") + `]}`, effects(func(int) string { return msgOf("1") }), differed},
		{"members reversed", nil, members(func(i int) string { return fmt.Sprintf(`"m%d":1`, i) }), members(func(i int) string { return fmt.Sprintf(`"m%d":1`, n-1-i) }), matched},
		{"members all others", nil, members(func(i int) string { return fmt.Sprintf(`"m%d":1`, i) }), members(func(i int) string { return fmt.Sprintf(`"x%d":1`, i) }), differed},
		{"members all ignored", []Rule{{At: "/body/*", Treat: Ignore, Why: "w"}}, members(func(i int) string { return fmt.Sprintf(`"m%d":1`, i) }), members(func(i int) string { return fmt.Sprintf(`"x%d":1`, i) }), matched},
		{"deep", nil, answer(strings.Repeat("[", 5000) + "1" + strings.Repeat("]", 5000)), answer(strings.Repeat("[", 5000) + "2" + strings.Repeat("]", 5000)), differed},
		{"deep, different at each level", nil, answer(strings.Repeat("[1,", 5000) + "1" + strings.Repeat("]", 5000)),
			answer(strings.Repeat("[2,", 5000) + "1" + strings.Repeat("]", 5000)), differed},
		{"ids that begin alike", []Rule{{At: "/body/*/id", Treat: Alias, Why: "w"}},
			bodies(func(i int) string { return fmt.Sprintf(`{"id":"order-b-%05d","see":"/x/order-b-%05d"}`, i, i) }),
			bodies(func(i int) string { return fmt.Sprintf(`{"id":"order-c-%05d","see":"/x/order-c-%05d"}`, i, i) }), matched},
		{"ids everywhere", []Rule{{At: "/body/*/id", Treat: Alias, Why: "w"}},
			bodies(func(i int) string { return fmt.Sprintf(`{"id":"aaaa%05d","see":"/x/aaaa%05d"}`, i, i) }),
			bodies(func(i int) string { return fmt.Sprintf(`{"id":"bbbb%05d","see":"/x/bbbb%05d"}`, i, i) }), matched},
	}
}

func TestLongListsAreComparedAsShortOnes(t *testing.T) {
	for _, tt := range longTrials(300) {
		t.Run(tt.name, func(t *testing.T) {
			set, err := newRuleSet(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			j := judge{baseline: "lambda", candidate: "functions", rules: set}
			if r := j.compare(trialOf(tt.b, tt.c), newTally(len(tt.rules))); r.class != tt.want {
				t.Errorf("class %d, want %d: %v", r.class, tt.want, r.differences[:min(3, len(r.differences))])
			}
		})
	}
}

// BenchmarkLongLists has to stay near a second in the worst case.
func BenchmarkLongLists(b *testing.B) {
	for _, tt := range longTrials(10_000) {
		set, err := newRuleSet(tt.rules)
		if err != nil {
			b.Fatal(err)
		}
		j := judge{baseline: "lambda", candidate: "functions", rules: set}
		trial := trialOf(tt.b, tt.c)
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				gather := newClusterer()
				gather.add("f", "i", 0, fold(j.compare(trial, newTally(len(tt.rules))).differences))
				gather.clusters(nil, nil)
			}
		})
	}
}
