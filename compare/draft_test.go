package compare

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/replay"
)

// calibratePlainly is calibrate without what saves it work: all pairs are compared, from the outcomes.
func (j *judge) calibratePlainly(t *replay.Trial, first *result) calibrated {
	if first.class != matched && first.class != differed {
		return nil
	}
	names, found := j.ofFour(), make(calibrated)
	for bit, pair := range pairsOfFour {
		r := j.between(t, nil, names[pair[0]], names[pair[1]], newTally(len(j.rules.rules)))
		if r.class != matched && r.class != differed {
			return nil
		}
		for i := range r.differences {
			found.note(t.Function, split(1)<<bit, pair, &r.differences[i])
		}
	}
	found.settle()
	return found
}

func checkCalibration(t *testing.T, rules *ruleSet, trial *replay.Trial) {
	t.Helper()
	j := judge{baseline: "lambda", candidate: "functions", rules: rules}
	plainly, sparingly := newTally(len(rules.rules)), newTally(len(rules.rules))
	made := j.drafts(trial)
	want, got := j.compare(trial, plainly), j.compareDrafts(trial, made, sparingly)
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(plainly, sparingly) {
		t.Fatalf("from drafts: %+v, else %+v", got, want)
	}
	four, all := j.calibrate(trial, made, &got), j.calibratePlainly(trial, &want)
	if !reflect.DeepEqual(four, all) {
		t.Fatalf("%s\nsparingly %s\nplainly %s", trial.Invocation, shownFour(four), shownFour(all))
	}
}

func shownFour(c calibrated) string {
	var b strings.Builder
	for _, f := range c.sorted() {
		fmt.Fprintf(&b, "%+v: %b %s %s %v %v %v; ", f, c[f].split, c[f].kind, c[f].path, c[f].changes, c[f].values, c[f].shown)
	}
	return b.String()
}

func TestWhatCalibrationSavesDoesNotChangeWhatItFinds(t *testing.T) {
	for theme, list := range corpus(t) {
		for _, l := range list {
			rules, err := newRuleSet(l.Rules)
			if err != nil {
				t.Fatal(err)
			}
			for mix := range 16 { // which of the two each of the four is
				outcomes := make(map[string]*capture.Outcome)
				for i, name := range []string{"lambda", "lambda#2", "functions", "functions#2"} {
					from := l.Baseline
					if mix>>i&1 == 1 {
						from = l.Candidate
					}
					one := *from
					outcomes[name] = &one
				}
				checkCalibration(t, rules, &replay.Trial{
					Invocation: fmt.Sprintf("%s %s %d", theme, l.Name, mix), Function: "f", Outcomes: outcomes,
				})
			}
		}
	}
	rules, err := newRuleSet([]Rule{{At: "/body/id", Treat: Alias, Why: "w"}, {At: "/body/list", Treat: Unordered, Why: "w"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range calibratedRun(9, 100, noiseOfAllKinds) {
		trial, err := replay.ParseTrial([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		checkCalibration(t, rules, trial)
	}
}
