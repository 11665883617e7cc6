package compare

import (
	"fmt"
	"strings"
	"testing"
)

// calibratedLine is a trial whose four outcomes are JSON.
func calibratedLine(i int, four [4]string) string {
	return fmt.Sprintf(`{"invocation":"i%02d","function":"f","outcomes":{"lambda":%s,"lambda#2":%s,"functions":%s,"functions#2":%s}}`,
		i, four[0], four[1], four[2], four[3])
}

// swapped has the candidate's outcomes for the baseline's, in every other trial: so that both sides are alike.
func swapped(i int, four [4]string) [4]string {
	if i%2 == 1 {
		return [4]string{four[2], four[3], four[0], four[1]}
	}
	return four
}

// TestNoiseInAFieldThatTurnsMatterToIsNoState has a time with a random suffix: outcomes of one turn are mostly alike, because
// they are of one second, and of two turns are not. Where the suffixes are others, neither side is at fault.
func TestNoiseInAFieldThatTurnsMatterToIsNoState(t *testing.T) {
	answer := func(at string) string {
		return fmt.Sprintf(`{"status":"ok","http":{"status":200,"body":{"json":{"at":"2026-03-01T12:00:%sZ%s"}}}}`, at[:2], at[2:])
	}
	var lines []string
	for i := range 30 {
		four := [4]string{answer("10-a"), answer("11-a"), answer("10-a"), answer("11-a")}
		if i < 6 {
			four[0] = answer("10-b")
		} else if i < 10 {
			four[0] = answer("10")
			four[1] = answer("11") // which the rule lets agree with the other
		}
		lines = append(lines, calibratedLine(i, swapped(i, four)))
	}
	r := mustCompare(t, Options{Rules: []Rule{{At: "/body/at", Treat: Time, Within: "1m", Why: "the time of the call"}}}, lines...)
	if r.Verdict != Inconclusive || r.Trials.Differed != 0 {
		t.Errorf("%s: %+v %+v", r.Verdict, r.Trials, r.Noise)
	}
}

// TestValuesOfDifferentElementsAreNotSetBesideEachOther has two effects, of which one disagrees on one side and the other
// on the other side. Their names have other forms, as names of different things do.
func TestValuesOfDifferentElementsAreNotSetBesideEachOther(t *testing.T) {
	outcome := func(names ...string) string {
		var effects []string
		for i, name := range names {
			effects = append(effects, fmt.Sprintf(`{"kind":"object.put","resource":"r","key":"k%d","body":{"json":{"name":%q}}}`, i, name))
		}
		return `{"status":"ok","effects":[` + strings.Join(effects, ",") + `]}`
	}
	var lines []string
	for i := range 40 {
		lines = append(lines, calibratedLine(i, swapped(i, [4]string{
			outcome("kettle", "急須"), outcome("teapot", "急須"), outcome("kettle", "急須-a"), outcome("kettle", "急須-b"),
		})))
	}
	r := mustCompare(t, Options{}, lines...)
	if r.Verdict != Inconclusive || r.Trials.Differed != 0 {
		t.Errorf("%s: %+v %+v", r.Verdict, r.Trials, r.Noise)
	}
}
