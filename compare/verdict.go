package compare

import (
	"fmt"

	"gonum.org/v1/gonum/mathext"
)

// UpperBound95 returns the largest share of differing invocations that n trials of which k differ leave possible with
// 95 % confidence: the one-sided bound of Clopper and Pearson, which is exact. It is 1 for n = 0.
func UpperBound95(k, n int64) float64 {
	if k >= n {
		return 1
	}
	return mathext.InvRegIncBeta(float64(k+1), float64(n-k), 0.95)
}

// decide sets the report's verdict, bound and reasons from its counts. Unseen says what the run did not get to.
func (r *Report) decide(unseen []string) {
	compared := r.Trials.Matched + r.Trials.Differed
	r.MismatchUpperBound95 = UpperBound95(r.Trials.Differed, compared)
	switch {
	case r.Trials.Differed > 0:
		r.Verdict = Differs
		r.reason("%d of %d trials differ, in %s", r.Trials.Differed, compared, plural(len(r.Clusters), "cluster"))
	case r.Trials.Noisy > 0:
		r.Verdict = Inconclusive
		r.reason("%s nowhere but in fields that disagree with themselves: settle them by rules (--suggest)",
			plural(int(r.Trials.Noisy), "trial")+verb(r.Trials.Noisy, " differs", " differ"))
	case compared == 0:
		r.Verdict = Inconclusive
		r.reason("no trial could be compared")
	case r.Trials.Inconclusive > 0 || len(unseen) > 0:
		r.Verdict = Inconclusive
		r.reason("none of %d trials differs, but not all is known", compared)
	default:
		r.Verdict = Parity
		r.reason("none of %d trials differs; up to %.2g %% of invocations may still differ (95 %% confidence)",
			compared, 100*r.MismatchUpperBound95)
	}
	r.Reasons = append(r.Reasons, unseen...)
}

func (r *Report) reason(format string, args ...any) {
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func verb(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
