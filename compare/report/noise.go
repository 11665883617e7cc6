package report

import (
	"fmt"

	"tandem/compare"
)

// maxNoise is how many fields that disagree with themselves Text tells.
const maxNoise = 20

// noise tells how fields of a calibrated run disagree with themselves.
func (t *text) noise() {
	if len(t.r.Noise) == 0 {
		return
	}
	t.printf("\nnoise, in %% of trials fired twice%18s %8s %8s\n", cut(t.r.Baseline, 8), cut(t.r.Candidate, 8), "the two")
	for i, n := range t.r.Noise {
		if i == maxNoise {
			t.printf("  and %d more fields: --json has them all\n", len(t.r.Noise)-i)
			break
		}
		what := n.Function + " " + n.Path
		if n.Effect != "" {
			what += " of " + n.Effect
		}
		t.printf("  %s %8s %8s %8s  %s\n", pad(what, 40), share(n.Baseline, n), share(n.Candidate, n), share(n.First, n), n.Kind)
		if n.Evidence != "" {
			t.wrapped("    ", "    ", "is no noise: "+n.Evidence+p(n.P))
		}
	}
}

func share(of int64, n compare.NoiseReport) string {
	return fmt.Sprintf("%.1f", 100*float64(of)/float64(max(n.Trials, 1)))
}

// p writes a p-value where it says something.
func p(value float64) string {
	if value > 0.05 {
		return ""
	}
	return fmt.Sprintf(" (p = %.2g)", value)
}
