package report

import (
	"fmt"
	"slices"
	"strings"

	"tandem/compare"
)

// maxRequirements is how many requirements of one result Text tells, and maxMissing how many kinds of invocations.
const (
	maxRequirements = 30
	maxMissing      = 3
)

// results are how requirements come out, the worst first, with the words for people.
var results = []struct {
	result compare.Result
	words  string
}{{compare.Failed, "not passed"}, {compare.Unknown, "not known"}, {compare.Passed, "passed"}}

// gate tells of each requirement what was measured, and what is missing to know.
func (t *text) gate() {
	g := t.r.Gate
	if g == nil {
		return
	}
	t.printf("\ngate %s\n", cut(g.Name, width-5))
	for _, of := range results {
		n := 0
		for i := range g.Requirements {
			if g.Requirements[i].Result != of.result {
				continue
			}
			if n++; n <= maxRequirements {
				t.requirement(of.words, &g.Requirements[i])
			}
		}
		if n > maxRequirements {
			t.printf("  %-11s and %d more: --json has them all\n", of.words, n-maxRequirements)
		}
	}
}

func (t *text) requirement(words string, q *compare.RequirementReport) {
	const indent = "              "
	first := fmt.Sprintf("  %-12s", words)
	t.wrapped(first, indent, fmt.Sprintf("%s (%s): %s", titleOf(q), q.Want, q.Measured))
	if q.Missing != "" {
		t.wrapped(indent, indent, "it takes "+q.Missing)
	}
}

func titleOf(q *compare.RequirementReport) string {
	if q.Function == "" {
		return q.Name
	}
	return q.Name + " of " + q.Function
}

// coverage tells how much of the recording was compared.
func (t *text) coverage() {
	c := t.r.Coverage
	if c == nil {
		return
	}
	t.printf("\ncoverage of %s\n", cut(c.Recording, width-12))
	for _, of := range []struct {
		name  string
		cover compare.Cover
	}{{"shapes", c.Shapes}, {"formats", c.Formats}, {"statuses", c.Statuses}} {
		t.printf("  %-10s %d of %d\n", of.name, of.cover.Compared, of.cover.Seen)
		var names []string
		for i, m := range of.cover.Missing {
			if i == maxMissing {
				names = append(names, fmt.Sprintf("and %d more", of.cover.Seen-of.cover.Compared-maxMissing))
				break
			}
			names = append(names, fmt.Sprintf("%s %s (%d recorded)", m.Function, m.Name, m.Invocations))
		}
		if len(names) > 0 {
			t.wrapped("             without ", "             ", strings.Join(names, ", "))
		}
	}
}

// sortedRequirements has the worst results first, else in their order.
func sortedRequirements(g *compare.GateReport) []compare.RequirementReport {
	rank := func(q compare.RequirementReport) int {
		for i, of := range results {
			if of.result == q.Result {
				return i
			}
		}
		return len(results)
	}
	all := slices.Clone(g.Requirements)
	slices.SortStableFunc(all, func(a, b compare.RequirementReport) int { return rank(a) - rank(b) })
	return all
}
