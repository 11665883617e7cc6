package compare

import (
	"fmt"
	"slices"
	"testing"
)

// TestThatSomethingIsThereTwiceIsToldFromThatItIsThere has a tag that is missing at times, on both sides alike: as often as
// the candidate has it and the baseline has not, the baseline has it and the candidate has not. A tag that the candidate
// has twice is nothing that noise does.
func TestThatSomethingIsThereTwiceIsToldFromThatItIsThere(t *testing.T) {
	answer := func(tags string) string {
		return fmt.Sprintf(`{"status":"ok","http":{"status":200,"body":{"json":{"tags":[%s]}}}}`, tags)
	}
	// trials has as many trials of each of the ways in which two of the four have the one tags, and two the other.
	trials := func(each int, two, others string) (lines [][4]string) {
		for _, pair := range pairsOfFour {
			four := [4]string{answer(others), answer(others), answer(others), answer(others)}
			four[pair[0]], four[pair[1]] = answer(two), answer(two)
			lines = append(lines, slices.Repeat([][4]string{four}, each)...)
		}
		return lines
	}
	missing := trials(6, ``, `"a"`)
	twice := [4]string{answer(`"a"`), answer(`"a"`), answer(`"a","a"`), answer(`"a","a"`)}
	tests := []struct {
		name   string
		trials [][4]string
		want   Verdict
	}{
		{"missing on both sides", missing, Inconclusive},
		{"twice on both sides", trials(600, `"a","a"`, `"a"`), Inconclusive},
		{"missing and twice on both sides", slices.Concat(missing, trials(8, `"a","a"`, `"a"`)), Inconclusive},
		{"of two tags, each twice on another side", trials(60, `"a","a","x","y","b"`, `"a","x","y","b","b"`), Inconclusive},
		{"twice on the candidate's", slices.Concat(missing, slices.Repeat([][4]string{twice}, 8)), Differs},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for i, four := range tt.trials {
				lines = append(lines, calibratedLine(i, four))
			}
			r := mustCompare(t, Options{}, lines...)
			if r.Verdict != tt.want {
				t.Errorf("%s: %+v %+v", r.Verdict, r.Trials, r.Noise)
			}
			again := func(c Cluster) bool { return c.Path == "/body/tags/*" && c.Kind == Duplicate && c.Trials == 8 }
			if tt.want == Differs && !slices.ContainsFunc(r.Clusters, again) {
				t.Errorf("found %+v", r.Clusters)
			}
		})
	}
}
