package compare

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/replay"
)

// A labelled is one pair of outcomes of the corpus, with the differences that are right: "kind path", or alone
// "inconclusive" or "unreplayable".
type labelled struct {
	Name, Reason        string
	Trigger             capture.Trigger
	Baseline, Candidate *capture.Outcome
	Rules               []Rule
	Want                []string
}

// corpus reads the cases of testdata/corpus, one file a theme.
func corpus(t testing.TB) map[string][]labelled {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	themes := make(map[string][]labelled)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		dec := json.NewDecoder(bufio.NewReader(f))
		dec.DisallowUnknownFields()
		for {
			var l labelled
			if err := dec.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s, after %d cases: %v", name, len(themes[name]), err)
			}
			themes[name] = append(themes[name], l)
		}
	}
	return themes
}

// judged compares two outcomes and says what was found as the corpus does.
func judged(t testing.TB, l labelled, b, c *capture.Outcome) (found []string) {
	t.Helper()
	rules := l.Rules
	set, err := newRuleSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	j := judge{baseline: "lambda", candidate: "functions", rules: set}
	trial := &replay.Trial{Invocation: "i", Function: "f", Trigger: l.Trigger,
		Outcomes: map[string]*capture.Outcome{"lambda": b, "functions": c}}
	r := j.compare(trial, newTally(len(rules)))
	switch r.class {
	case inconclusive:
		return []string{"inconclusive"}
	case unreplayable:
		return []string{"unreplayable"}
	}
	for _, d := range r.differences {
		found = append(found, fmt.Sprintf("%s %s", d.Kind, d.Path))
	}
	if (r.class == differed) != (len(found) > 0) {
		t.Errorf("class %d with the differences %v", r.class, found)
	}
	return found
}

// compare compares a trial of which no documents were made.
func (j *judge) compare(t *replay.Trial, tally *tally) result { return j.compareDrafts(t, nil, tally) }

func TestTheCorpusIsJudgedAsLabelled(t *testing.T) {
	cases := 0
	names := make(map[string]bool)
	for theme, list := range corpus(t) {
		for _, l := range list {
			cases++
			if names[theme+l.Name] {
				t.Errorf("%s: two cases are called %q", theme, l.Name)
			}
			names[theme+l.Name] = true
			t.Run(filepath.Base(theme)+"/"+l.Name, func(t *testing.T) {
				got := judged(t, l, l.Baseline, l.Candidate)
				slices.Sort(got)
				slices.Sort(l.Want)
				if !slices.Equal(got, l.Want) {
					t.Errorf("%s: got %q, want %q", l.Reason, got, l.Want)
				}
			})
		}
	}
	if cases < 390 {
		t.Errorf("the corpus has %d cases", cases)
	}
}

var mirrored = map[Kind]Kind{Missing: Extra, Extra: Missing, Duplicate: Missing, Changed: Changed, TypeOf: TypeOf, Order: Order}

// kindsOf counts differences by kind. A duplicate is something extra.
func kindsOf(found []string, mirror bool) map[Kind]int {
	kinds := make(map[Kind]int)
	for _, f := range found {
		kind, _, _ := strings.Cut(f, " ")
		switch k := Kind(kind); {
		case mirrored[k] == "": // not compared
			kinds[k]++
		case mirror:
			kinds[mirrored[k]]++
		case k == Duplicate:
			kinds[Extra]++
		default:
			kinds[k]++
		}
	}
	return kinds
}

func TestSwappedSidesMirrorTheCorpus(t *testing.T) {
	for theme, list := range corpus(t) {
		for _, l := range list {
			if slices.ContainsFunc(l.Rules, func(r Rule) bool { return r.Treat == Map }) {
				continue // a map has a direction
			}
			there, back := judged(t, l, l.Baseline, l.Candidate), judged(t, l, l.Candidate, l.Baseline)
			if !maps.Equal(kindsOf(there, true), kindsOf(back, false)) {
				t.Errorf("%s: %s: %q, but swapped %q", theme, l.Name, there, back)
			}
		}
	}
}

func TestAnOutcomeIsLikeItselfReadAgain(t *testing.T) {
	for theme, list := range corpus(t) {
		for _, l := range list {
			for _, o := range []*capture.Outcome{l.Baseline, l.Candidate} {
				got := judged(t, l, o, reread(t, o))
				if len(got) > 0 && got[0] != "inconclusive" && got[0] != "unreplayable" {
					t.Errorf("%s: %s: an outcome and itself: %q", theme, l.Name, got)
				}
			}
		}
	}
}

func reread(t testing.TB, o *capture.Outcome) *capture.Outcome {
	t.Helper()
	doc, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var again capture.Outcome
	if err := json.Unmarshal(doc, &again); err != nil {
		t.Fatal(err)
	}
	return &again
}
