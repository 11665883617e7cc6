package compare

import (
	"fmt"
	"sort"

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

// LowerBound returns the smallest share of differing invocations that n trials of which k differ leave possible, with
// the given chance that it is wrong: the other side of the same bound. It is 0 for k = 0.
func LowerBound(k, n int64, chance float64) float64 {
	if k <= 0 || n <= 0 {
		return 0
	}
	return mathext.InvRegIncBeta(float64(k), float64(n-k+1), chance)
}

// maxTrials is more than anybody fires.
const maxTrials = 1 << 40

// TrialsUntil returns how many more trials, none of which differs, bring the upper bound of n trials of which k differ
// down to at most share. It is 0 when it is there, and ok is false when no number of trials does that.
func TrialsUntil(k, n int64, share float64) (more int64, ok bool) {
	if UpperBound95(k, n) <= share {
		return 0, true
	}
	if !(share > 0) || UpperBound95(k, n+maxTrials) > share {
		return 0, false
	}
	enough := sort.Search(maxTrials, func(more int) bool { return UpperBound95(k, n+int64(more)) <= share })
	return int64(enough), true
}

// decide sets the report's verdict, bound and reasons from its counts. Unseen says what the run did not get to.
func (r *Report) decide(unseen []string) {
	compared := r.Trials.Matched + r.Trials.Differed
	r.MismatchUpperBound95 = r.invocations.bound()
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
