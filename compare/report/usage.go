package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/compare"
)

// usage tells cold starts, and what invocations used of what their deployments have, where that is known.
func (t *text) usage() {
	titled := false
	say := func(function, side, what string) {
		if !titled {
			t.printf("\ncold starts, limits and price\n")
			titled = true
		}
		t.wrapped("  ", "    ", fmt.Sprintf("%s %s\t%s", function, side, what))
	}
	for _, name := range slices.Sorted(maps.Keys(t.r.Latency)) {
		l := t.r.Latency[name]
		var cold compare.ColdLatency
		if l.ColdStarts != nil {
			cold = *l.ColdStarts
		}
		for _, side := range []struct {
			name  string
			used  *compare.Usage
			colds compare.Percentiles
		}{{t.r.Baseline, l.Usage.Baseline, cold.Baseline}, {t.r.Candidate, l.Usage.Candidate, cold.Candidate}} {
			if what := append(coldStarts(side.colds), used(side.used)...); len(what) > 0 {
				say(name, side.name, strings.Join(what, ", "))
			}
		}
	}
}

func coldStarts(p compare.Percentiles) []string {
	if p.Count == 0 {
		return nil
	}
	if p.Count == 1 {
		return []string{fmt.Sprintf("1 cold start of %.0f ms", p.P50)}
	}
	return []string{fmt.Sprintf("%d cold starts, half within %.0f ms", p.Count, p.P50)}
}

// used says what is known against a limit, and the price.
func used(u *compare.Usage) (what []string) {
	if u == nil {
		return nil
	}
	if u.TimeoutMS > 0 {
		what = append(what, fmt.Sprintf("the longest %.0f of %.0f ms", u.LongestMS, u.TimeoutMS))
	}
	if u.MemoryHeadroom != nil {
		what = append(what, fmt.Sprintf("at most %.0f of %.0f MB", u.MemoryMB, u.MemoryLimitMB))
	}
	if u.PricePerMillion != nil {
		what = append(what, fmt.Sprintf("%.2f a million", *u.PricePerMillion))
	}
	return what
}
