package compare

import (
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rule  Rule
		wrong string // "" for nothing
	}{
		{"the least", Rule{At: "/a", Treat: Ignore, Why: "w"}, ""},
		{"no reason", Rule{At: "/a", Treat: Ignore, Why: " "}, "needs a reason"},
		{"no treatment", Rule{At: "/a", Why: "w"}, "say how"},
		{"a treatment that there is not", Rule{At: "/a", Treat: "skip", Why: "w"}, "none of ignore"},
		{"a bad pointer", Rule{At: "a", Treat: Ignore, Why: "w"}, "at: "},
		{"a bad date", Rule{At: "/a", Treat: Ignore, Why: "w", Until: "soon"}, "not a date"},
		{"tolerance without a limit", Rule{At: "/a", Treat: Tolerance, Why: "w"}, "within: "},
		{"tolerance below zero", Rule{At: "/a", Treat: Tolerance, Why: "w", Within: "-1"}, "within: "},
		{"tolerance in seconds", Rule{At: "/a", Treat: Tolerance, Why: "w", Within: "2s"}, "within: "},
		{"tolerance of a share", Rule{At: "/a", Treat: Tolerance, Why: "w", Within: "0.5%"}, ""},
		{"time without a limit", Rule{At: "/a", Treat: Time, Why: "w"}, "within: "},
		{"time before", Rule{At: "/a", Treat: Time, Why: "w", Within: "-2s"}, "within: "},
		{"time", Rule{At: "/a", Treat: Time, Why: "w", Within: "2s"}, ""},
		{"pattern without one", Rule{At: "/a", Treat: Pattern, Why: "w"}, "matches: "},
		{"a broken pattern", Rule{At: "/a", Treat: Pattern, Why: "w", Matches: "("}, "matches: "},
		{"map from nothing", Rule{At: "/a", Treat: Map, Why: "w", To: "x"}, "from: "},
		{"map to nothing", Rule{At: "/a", Treat: Map, Why: "w", From: "x"}, ""},
		{"a limit that nobody looks at", Rule{At: "/a", Treat: Ignore, Why: "w", Within: "1"}, "does not take it"},
		{"a pattern that nobody looks at", Rule{At: "/a", Treat: Type, Why: "w", Matches: "x"}, "does not take it"},
		{"a member that nobody looks at", Rule{At: "/a", Treat: Ignore, Why: "w", By: "id"}, "does not take it"},
		{"a set by a member", Rule{At: "/a", Treat: Unordered, Why: "w", By: "id"}, ""},
		{"triggers", Rule{At: "/a", Treat: Ignore, Why: "w", Trigger: []capture.Trigger{"http", "sqs", "s3", "other"}}, ""},
		{"a trigger that there is not", Rule{At: "/a", Treat: Ignore, Why: "w", Trigger: []capture.Trigger{"HTTP"}}, "none of http, sqs"},
		{"statuses", Rule{At: "/a", Treat: Ignore, Why: "w", Status: []capture.Status{"ok", "function_error", "timeout"}}, ""},
		{"a status that is never compared", Rule{At: "/a", Treat: Ignore, Why: "w", Status: []capture.Status{"unknown"}}, "none of ok"},
		{"HTTP statuses", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"200", "4xx", "599"}}, ""},
		{"half a class", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"40x"}}, "http-status: "},
		{"a class that there is not", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"6xx"}}, "http-status: "},
		{"a class of the wrong end", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"xx4"}}, "http-status: "},
		{"a status that is a word", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"ok"}}, "http-status: "},
		{"a status of signs", Rule{At: "/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"+40"}}, "http-status: "},
		{"a text that nobody looks at", Rule{At: "/a", Treat: Lower, Why: "w", To: "x"}, "does not take it"},
	} {
		err := tt.rule.Validate()
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		}
	}
}

func TestPresetsAreValidAndKnown(t *testing.T) {
	rules, err := Preset(LambdaToFunctions)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if err := r.Validate(); err != nil || r.Preset != LambdaToFunctions {
			t.Errorf("%s: %v, preset %q", r.At, err, r.Preset)
		}
		for _, kept := range []string{"/http/status", "/body", "/http/headers/location", "/http/cookies/sid", "/effects/0", "/status"} {
			if matches(mustPath(t, r.At), strings.Split(kept, "/")[1:]) {
				t.Errorf("the preset drops %s", kept)
			}
		}
	}
	fates, err := compileRule(rules[len(rules)-1])
	if err != nil || fates.At != "/records/*" {
		t.Fatalf("the last rule is at %s, %v", fates.At, err)
	}
	for _, pair := range []struct {
		lambda, functions capture.Fate
		equal             bool
	}{
		{capture.Retried, capture.DeadLettered, true}, {capture.DeadLettered, capture.Retried, true},
		{capture.Acked, capture.DeadLettered, false}, {capture.Acked, capture.Retried, false},
		{capture.Retried, capture.Acked, false}, {capture.DeadLettered, capture.Acked, false},
	} {
		b, c := jsonval.Text(string(pair.lambda)), jsonval.Text(string(pair.functions))
		if fates.allows(b, c) != pair.equal {
			t.Errorf("%s and %s: want equal %v", pair.lambda, pair.functions, pair.equal)
		}
	}
	recorded, err := Preset(Recorded)
	if err != nil || len(recorded) != 1 || recorded[0].Validate() != nil || recorded[0].Preset != Recorded ||
		!slices.Equal(recorded[0].Against, []Against{AgainstRecording}) {
		t.Errorf("the preset for recordings is %+v, %v", recorded, err)
	}
	if _, err := Preset("nonsense"); err == nil {
		t.Error("there is a preset called nonsense")
	}
}

func mustPath(t *testing.T, at string) []string {
	t.Helper()
	path, err := jsonval.SplitPattern(at)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARuleExpiresTheDayAfter(t *testing.T) {
	c, err := compileRule(Rule{At: "/a", Treat: Ignore, Why: "w", Until: "2027-03-01"})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2027-02-28T00:00:00Z": false, "2027-03-01T23:59:59Z": false, "2027-03-02T00:00:00Z": true,
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.expired(now); got != want {
			t.Errorf("at %s: expired = %v", at, got)
		}
	}
}

func TestTreatments(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		b, c string
		want bool
	}{
		{"zero tolerance is of the value", Rule{Treat: Tolerance, Within: "0"}, `1.0`, `1`, true},
		{"zero tolerance", Rule{Treat: Tolerance, Within: "0"}, `1`, `1.0000000000000000001`, false},
		{"a share of zero", Rule{Treat: Tolerance, Within: "1%"}, `0`, `0.0001`, false},
		{"a share across zero", Rule{Treat: Tolerance, Within: "100%"}, `-1`, `1`, false},
		{"a share of negative numbers", Rule{Treat: Tolerance, Within: "1%"}, `-100`, `-99`, true},
		{"numbers in texts", Rule{Treat: Tolerance, Within: "0.5"}, `"12.50"`, `"12.6"`, true},
		{"words are no numbers", Rule{Treat: Tolerance, Within: "9"}, `"a"`, `"b"`, false},
		{"infinities are no numbers", Rule{Treat: Tolerance, Within: "9"}, `"Inf"`, `"Infinity"`, false},
		{"fractions are no numbers", Rule{Treat: Tolerance, Within: "9"}, `"1/2"`, `"1/3"`, false},
		{"exponents that would fill the memory", Rule{Treat: Tolerance, Within: "1%"}, `1e999999999`, `2e999999999`, false},
		{"null has no distance", Rule{Treat: Tolerance, Within: "9"}, `null`, `0`, false},
		{"time across formats", Rule{Treat: Time, Within: "0s"}, `"2026-01-01T00:00:00Z"`, `"Thu, 01 Jan 2026 00:00:00 GMT"`, true},
		{"times in numbers are none", Rule{Treat: Time, Within: "2s"}, `1767225600`, `1767225601`, false},
		{"time at the limit", Rule{Treat: Time, Within: "2s"}, `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:02Z"`, true},
		{"pattern of numbers", Rule{Treat: Pattern, Matches: "^[0-9]+$"}, `1`, `2`, true},
		{"pattern of lists", Rule{Treat: Pattern, Matches: ""}, `[1]`, `[2]`, false},
		{"type of lists", Rule{Treat: Type}, `[1]`, `[2,3]`, true},
		{"type of null", Rule{Treat: Type}, `null`, `[]`, false},
		{"lower of numbers", Rule{Treat: Lower}, `1e2`, `1E3`, false},
		{"map of nothing", Rule{Treat: Map, From: "x", To: ""}, `"axb"`, `"ab"`, true},
		{"map everywhere", Rule{Treat: Map, From: "x", To: "y"}, `"xx"`, `"yy"`, true},
		{"map half", Rule{Treat: Map, From: "x", To: "y"}, `"xx"`, `"yx"`, false},
		{"a secret for a token", Rule{Treat: Redacted}, `"redacted-0123456789abcdef"`, `"hunter2"`, true},
		{"nothing for a token", Rule{Treat: Redacted}, `"redacted-0123456789abcdef"`, `""`, false},
		{"null for a token", Rule{Treat: Redacted}, `"redacted-0123456789abcdef"`, `null`, false},
		{"a token for a secret", Rule{Treat: Redacted}, `"hunter2"`, `"redacted-0123456789abcdef"`, false},
		{"two secrets", Rule{Treat: Redacted}, `"hunter2"`, `"hunter3"`, false},
		{"what is around a token", Rule{Treat: Redacted}, `"/a?sig=redacted-0123456789abcdef&v=1"`, `"/a?sig=x&v=2"`, false},
		{"a word that begins like a token", Rule{Treat: Redacted}, `"redactedCustomerFields"`, `"redactedCustomerField"`, false},
		{"a token of digits may be a number", Rule{Treat: Redacted}, `99991`, `12345`, false},
	} {
		tt.rule.At, tt.rule.Why = "/a", "w"
		c, err := compileRule(tt.rule)
		if err != nil && tt.rule.Treat != Pattern {
			t.Fatalf("%s: %v", tt.name, err)
		} else if err != nil {
			continue // an empty pattern is refused
		}
		b, v := value(t, tt.b), value(t, tt.c)
		if got := c.allows(b, v); got != tt.want {
			t.Errorf("%s: allows(%s, %s) = %v", tt.name, tt.b, tt.c, got)
		}
	}
}

func value(t testing.TB, doc string) jsonval.Value {
	t.Helper()
	v, err := jsonval.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRulesAreCounted(t *testing.T) {
	rules := []Rule{
		{At: "/body/a", Treat: Ignore, Why: "w"}, {At: "/body/b", Treat: Type, Why: "w"}, {At: "/body/c", Treat: Lower, Why: "w"},
		{At: "/body/x", Treat: Ignore, Why: "w"}, {At: "/body/never", Treat: Ignore, Why: "w"}, {At: "/body/id", Treat: Alias, Why: "w"},
	}
	set, err := newRuleSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	count := newTally(len(rules))
	j := judge{baseline: "lambda", candidate: "functions", rules: set}
	r := j.compare(trialOf(
		`{"status":"ok","http":{"status":200,"body":{"json":{"a":[1,2],"b":"s","c":"K","id":"aaaa11"}}}}`,
		`{"status":"ok","http":{"status":200,"body":{"json":{"a":[1,3],"b":"t","c":"k","id":"bbbb22","x":[1,2,3]}}}}`), count)
	if r.class != matched {
		t.Fatalf("differences: %v", r.differences)
	}
	for i, want := range [][2]int64{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {1, 1}} {
		if got := [2]int64{count.applied[i], count.hits[i]}; got != want {
			t.Errorf("%s: applied and hits are %v, want %v", rules[i].At, got, want)
		}
	}
	if want := []int64{2, 1, 1, 0, 0, 1}; !slices.Equal(count.under, want) {
		t.Errorf("under the rules are %v leaves, want %v", count.under, want)
	}
	// status, http/status, headers {}, cookies {}, a (2), b, c, id
	if count.leaves != 9 || count.ignored != 3 {
		t.Errorf("%d of %d leaves are ignored, want 3 of 9", count.ignored, count.leaves)
	}
}

func FuzzShortNumbersAreWithinWhatLongOnesAre(f *testing.F) {
	for _, s := range [][3]string{{"10", "10.5", "0.5"}, {"0.1", "0.3", "0.2"}, {"99", "100", "1%"}, {"-1", "1", "2"}, {"-0.0", "0", "0"},
		{"99999999999.999999", "-99999999999.999999", "150%"}, {"1.", "1", "1"}, {"0.0000001", "0", "0"}, {"+1", "1", "0.333333333333"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, a, b, within string) {
		m, err := parseMargin(within)
		if err != nil {
			return
		}
		x, okX := rational(a)
		y, okY := rational(b)
		allowed, ok := m.allowsShort(a, b)
		if !ok {
			return
		}
		if !okX || !okY {
			t.Fatalf("%q and %q are no numbers", a, b)
		}
		distance, limit := new(big.Rat).Sub(x, y), m.limit
		if m.relative {
			larger := x.Abs(x)
			if y.Abs(y).Cmp(larger) > 0 {
				larger = y
			}
			limit = new(big.Rat).Mul(limit, larger)
		}
		if want := distance.Abs(distance).Cmp(limit) <= 0; allowed != want {
			t.Errorf("%s and %s within %s: %t, want %t", a, b, within, allowed, want)
		}
	})
}

// Once IDs are paired, equal texts may differ. The report says why.
func TestEqualTextsThatStandForDifferentThingsAreExplained(t *testing.T) {
	set, err := newRuleSet([]Rule{{At: "/body/id", Treat: Alias, Why: "w"}})
	if err != nil {
		t.Fatal(err)
	}
	j := judge{baseline: "lambda", candidate: "functions", rules: set}
	trial, err := replay.ParseTrial([]byte(line("i", "f",
		`{"status":"ok","http":{"status":200,"body":{"json":{"id":"AAAAAA","self":"AAAAAA"}}}}`,
		`{"status":"ok","http":{"status":200,"body":{"json":{"id":"BBBBBB","self":"AAAAAA"}}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	found := j.compare(trial, newTally(1)).differences
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	if causes, _ := causesOf(found[0]); found[0].String() != `/body/self changed: "AAAAAA" → "AAAAAA"` ||
		causes[0] != "the same text stands for something else on each side" {
		t.Errorf("%s: %s", found[0], causes)
	}
}
