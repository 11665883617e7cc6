package rewrite

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"tandem/capture/jsonval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const run = "01M83D5FHHCR0WM9423PBH8K3Y"

func text(s string) *string { return &s }

func rewriter(t testing.TB, rules ...Change) *Rewriter {
	t.Helper()
	r, err := New(rules, Options{Run: run, Shift: 36 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRulesChangeWhatTheyNameAndNothingElse(t *testing.T) {
	for _, tt := range []struct {
		name        string
		rule        Change
		event, want string
		values      int64
	}{
		{"a text", Change{At: "/a/b", Set: text("x")}, `{ "a" : {"b":"y", "c":"y"} }`, `{ "a" : {"b":"x", "c":"y"} }`, 1},
		{"a text that needs escapes", Change{At: "/a", Set: text("\"\n")}, `{"a":"y"}`, `{"a":"\"\n"}`, 1},
		{"a text that it is", Change{At: "/a", Set: text("é/")}, `{"a":"\u00e9\/"}`, `{"a":"\u00e9\/"}`, 1},
		{"a number", Change{At: "/a", Set: text("7")}, `{"a":1e3,"b":1}`, `{"a":7,"b":1}`, 1},
		{"a number by a text", Change{At: "/a", Set: text("x")}, `{"a":1}`, `{"a":1}`, 0},
		{"null by false", Change{At: "/a", Set: text("false")}, `{"a":null}`, `{"a":false}`, 1},
		{"an object", Change{At: "/a", Set: text("x")}, `{"a":{"b":1}}`, `{"a":{"b":1}}`, 0},
		{"the document", Change{At: "/**", Set: text("x")}, `"a"`, `"x"`, 1},
		{"nothing there", Change{At: "/a/c", Set: text("x")}, `{"a":{"b":"y"}}`, `{"a":{"b":"y"}}`, 0},
		{"all of a list", Change{At: "/*/b", From: "a", To: text("b")}, `[{"b":"a-a"},{"b":"c"},{"b":"a"}]`,
			`[{"b":"b-b"},{"b":"c"},{"b":"b"}]`, 2},
		{"one of a list", Change{At: "/1", Set: text("x")}, `["a","b"]`, `["a","x"]`, 1},
		{"at any depth", Change{At: "/**/id", Set: text("x")}, `{"id":"a","b":[{"id":"c"}]}`, `{"id":"x","b":[{"id":"x"}]}`, 2},
		{"a prefix", Change{At: "/x-*", Set: text("x")}, `{"x-a":"1","y":"1"}`, `{"x-a":"x","y":"1"}`, 1},
		{"an escaped name", Change{At: "/a~1b", Set: text("x")}, `{"a\/b":"y"}`, `{"a\/b":"x"}`, 1},
		{"a name that is there twice", Change{At: "/a", Set: text("x")}, `{"a":"y","a":"z"}`, `{"a":"x","a":"x"}`, 2},
		{"JSON in a text", Change{At: "/body/id", Set: text(`q"`)}, `{"body":"{ \"id\": \"a\", \"n\":\"\\u00e9\\/\" }"}`,
			`{"body":"{ \"id\": \"q\\\"\", \"n\":\"\\u00e9\\/\" }"}`, 1},
		{"JSON in JSON in a text", Change{At: "/Records/*/body/Message/id", Set: text("x")},
			`{"Records":[{"body":"{\"Message\":\"{\\\"id\\\":\\\"a\\\"}\"}"}]}`,
			`{"Records":[{"body":"{\"Message\":\"{\\\"id\\\":\\\"x\\\"}\"}"}]}`, 1},
		{"a text that looks like JSON", Change{At: "/body/id", Set: text("x")}, `{"body":"{\"id\":"}`, `{"body":"{\"id\":"}`, 0},
		{"part of an escaped text", Change{At: "/a", From: "old", To: text("né\t")}, `{"a":"\u00e9old\/"}`, `{"a":"\u00e9né\t\/"}`, 1},
		{"a bucket's ARN", Change{At: "/arn", From: ":orders", To: text(":stg")}, `{"arn":"arn:aws:s3:::orders"}`,
			`{"arn":"arn:aws:s3:::stg"}`, 1},
		{"a header", Change{Header: "authorization", Set: text("Bearer t")},
			`{"headers":{"Authorization":"x","b":"x"},"multiValueHeaders":{"AUTHORIZATION":["x","y"]},"body":"x"}`,
			`{"headers":{"Authorization":"Bearer t","b":"x"},"multiValueHeaders":{"AUTHORIZATION":["Bearer t","Bearer t"]},"body":"x"}`, 3},
		{"a UUID in capitals", Change{At: "/a", Namespace: true}, `{"a":"6F9619FF-8B86-D011-B42D-00C04FC964FF"}`,
			`{"a":"8F679BAC-2C8E-4104-B5C4-3C9B094343B7"}`, 1},
		{"another ID", Change{At: "/a", Namespace: true}, `{"a":"ord_7","b":7,"c":""}`, `{"a":"ord_7-3pbh8k3y","b":7,"c":""}`, 1},
		{"a number as an ID", Change{At: "/a", Namespace: true}, `{"a":7}`, `{"a":7}`, 0},
		{"times", Change{At: "/*", ShiftTime: true},
			`{"a":"2026-01-30T20:00:00.120Z","b":1769803200,"c":"1769803200123","d":"2026-01-30T20:00:00+01:00","e":1769803200.5,"f":"30/Jan/2026:20:00:00 +0000","g":"Fri, 30 Jan 2026 20:00:00 GMT"}`,
			`{"a":"2026-02-01T08:00:00.120Z","b":1769932800,"c":"1769932800123","d":"2026-02-01T08:00:00+01:00","e":1769932800.5,"f":"01/Feb/2026:08:00:00 +0000","g":"Sun, 01 Feb 2026 08:00:00 GMT"}`, 7},
		{"what is no time", Change{At: "/*", ShiftTime: true}, `{"a":"2026-13-30T20:00:00Z","b":17,"c":"soon","d":null,"e":-1769803200}`,
			`{"a":"2026-13-30T20:00:00Z","b":17,"c":"soon","d":null,"e":-1769803200}`, 0},
	} {
		got, counts, err := rewriter(t, tt.rule).Event([]byte(tt.event))
		if err != nil || string(got) != tt.want || counts[0] != tt.values {
			t.Errorf("%s: %d values of\n %s, %v; want %d of\n %s", tt.name, counts[0], got, err, tt.values, tt.want)
		}
	}
}

func TestTheFirstRuleThatCanChangesAValue(t *testing.T) {
	r := rewriter(t, Change{At: "/a", From: "x", To: text("1")}, Change{At: "/**", From: "x", To: text("2")},
		Change{At: "/a", Set: text("3")})
	for event, want := range map[string]string{`{"a":"x","b":"x"}`: `{"a":"1","b":"2"}`, `{"a":"y","b":"y"}`: `{"a":"3","b":"y"}`} {
		if got, _, _ := r.Event([]byte(event)); string(got) != want {
			t.Errorf("%s became %s, want %s", event, got, want)
		}
	}
}

func TestEqualIDsStayEqualInARunAndOthersDiffer(t *testing.T) {
	const event = `["a","b","a","6f9619ff-8b86-d011-b42d-00c04fc964ff","6f9619ff-8b86-d011-b42d-00c04fc964fe","6f9619ff-8b86-d011-b42d-00c04fc964ff"]`
	ids := func(run string) (ids []string) {
		r, err := New([]Change{{At: "/*", Namespace: true}}, Options{Run: run})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := r.Event([]byte(event))
		if err == nil {
			err = json.Unmarshal(out, &ids)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	one, again, other := ids(run), ids(run), ids("01M83D5FHHCR0WM9423PBH8K3Z")
	for i := range one {
		if one[i] != again[i] || one[i] == other[i] {
			t.Errorf("%s became %s and %s in one run, and %s in another", event, one[i], again[i], other[i])
		}
	}
	if one[0] != one[2] || one[3] != one[5] || one[0] == one[1] || one[3] == one[4] || !uuid.MatchString(one[3]) {
		t.Errorf("%s became %v", event, one)
	}
}

func TestRulesThatAreNone(t *testing.T) {
	for want, rule := range map[string]Change{
		"at: a rule has either":     {Set: text("x")},
		"at: a rule has either at,": {At: "/a", Header: "b", Set: text("x")},
		"at: a rule has one of set": {At: "/a"},
		"at: a rule has one of":     {At: "/a", Set: text("x"), Namespace: true},
		"from: from and to":         {At: "/a", From: "x"},
		"from: from and to go":      {At: "/a", To: text("x")},
		"it starts with a slash":    {At: "a", Set: text("x")},
		"write ~0 for ~":            {At: "/~2", Set: text("x")},
		"* only at its end":         {At: "/a*b", Set: text("x")},
	} {
		if _, err := New([]Change{rule}, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", rule, err, want)
		}
	}
}

func FuzzEvent(f *testing.F) {
	for _, event := range []string{`{"a":"x","body":"{\"a\":\"\\u00e9\\/x\"}"}`, `[1769803200,"\ud800x"]`, ` {"b" : [ null , "xx" ]} `} {
		f.Add([]byte(event), "/**", "x", `"y\`)
	}
	f.Add([]byte(`{"headers":{"A":["x"]}}`), "/headers/a*/*", "x", "")
	f.Fuzz(func(t *testing.T, event []byte, at, from, to string) {
		fromTo, err := New([]Change{{At: at, From: from, To: &to}}, Options{})
		if err != nil || from == "" || !utf8.ValidString(from+to) { // as the YAML of a config is
			return
		}
		for _, r := range []*Rewriter{fromTo, rewriter(t, Change{At: at, Set: &to}), rewriter(t, Change{At: at, Namespace: true}),
			rewriter(t, Change{At: at, ShiftTime: true})} {
			got, counts, err := r.Event(event)
			if (err == nil) != json.Valid(event) || !json.Valid(got) && err == nil {
				t.Fatalf("%q became %q, %v", event, got, err)
			}
			if counts[0] == 0 && !bytes.Equal(got, event) {
				t.Fatalf("%q became %q although no value was taken", event, got)
			}
		}
		// A value that is put in for itself is the same value.
		same, _, _ := rewriter(t, Change{At: at, From: from, To: &from}).Event(event)
		if !equal(t, same, event) {
			t.Fatalf("%q became %q by putting %q for itself", event, same, from)
		}
		checkEdits(t, rewriter(t, Change{At: at, Set: &to}), event)
	})
}

// checkEdits checks that edits are in order, apart, and of what strings and scalars hold: all else is left.
func checkEdits(t *testing.T, r *Rewriter, event []byte) {
	t.Helper()
	if !json.Valid(event) {
		return
	}
	w := walker{Rewriter: r, src: event, counts: make([]int64, len(r.rules))}
	w.space()
	w.value(r.start)
	at := 0
	for _, e := range w.edits {
		if e.Start < at || e.End < e.Start || e.End > len(event) {
			t.Fatalf("edits %+v of %q", w.edits, event)
		}
		at = e.End
		if bytes.IndexByte([]byte(`{}[]`), event[max(0, e.Start-1)]) >= 0 && event[e.Start] == '"' {
			t.Fatalf("edit %+v of %q takes a quote", e, event)
		}
	}
	if w.i != len(bytes.TrimRight(event, " \t\r\n")) {
		t.Fatalf("the walk over %q ended at %d", event, w.i)
	}
}

func equal(t *testing.T, a, b []byte) bool {
	if !json.Valid(a) || !json.Valid(b) {
		return bytes.Equal(a, b)
	}
	x, err := jsonval.Parse(a)
	if err != nil {
		return true // deeper than it reads
	}
	y, err := jsonval.Parse(b)
	return err == nil && jsonval.Equal(x, y)
}
