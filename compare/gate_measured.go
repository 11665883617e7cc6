package compare

import (
	"fmt"
	"math"
)

// unknownRecording is what is missing where coverage is required and nobody knows of what.
const unknownRecording = "the recording that was replayed"

func (j *gateJudge) perShape() {
	least := j.require.PerShape
	if least == 0 {
		return
	}
	q := RequirementReport{Name: "per-shape", Want: fmt.Sprintf("%s of each", plural(int(least), "trial")), Result: Unknown}
	if j.inventory == nil {
		q.Measured, q.Missing = "not measured", unknownRecording
		j.add(q)
		return
	}
	short, all := j.inventory.short(j.r.Functions, least)
	shapes := j.r.Coverage.Shapes.Seen
	q.Measured = fmt.Sprintf("%d of %s with as many", shapes-int64(len(short)), plural(int(shapes), "shape"))
	if !all {
		q.Measured += ", and there are more than can be told apart"
	}
	var names []string
	for _, s := range short {
		q.Trials += least - s.compared
		names = append(names, fmt.Sprintf("%d of %s %s", least-s.compared, s.function, s.shape))
	}
	switch {
	case len(short) > 0:
		q.Missing = fmt.Sprintf("%s: %s", plural(int(q.Trials), "more trial"), list(names))
	case all && shapes > 0:
		q.Result = Passed
	default:
		q.Missing = "a recording with fewer shapes, and more than none"
	}
	j.add(q)
}

func (j *gateJudge) coverage() {
	for _, c := range []struct {
		name, thing string
		least       float64
		of          func(*Coverage) Cover
	}{
		{"shapes", "shape", j.require.Coverage.Shapes, func(c *Coverage) Cover { return c.Shapes }},
		{"formats", "format", j.require.Coverage.Formats, func(c *Coverage) Cover { return c.Formats }},
		{"statuses", "status", j.require.Coverage.Statuses, func(c *Coverage) Cover { return c.Statuses }},
	} {
		if c.least == 0 {
			continue
		}
		q := RequirementReport{Name: "coverage." + c.name, Want: atLeast(c.least), Result: Unknown}
		if j.r.Coverage == nil {
			q.Measured, q.Missing = "not measured", unknownRecording
			j.add(q)
			continue
		}
		cover := c.of(j.r.Coverage)
		q.Measured = fmt.Sprintf("%s, %d of the %d %s recorded", percent(cover.Share), cover.Compared, cover.Seen, c.name)
		switch {
		case cover.Uncounted > 0:
			q.Missing = fmt.Sprintf("%s of kinds that are too many to be told apart", plural(int(cover.Uncounted), "invocation"))
		case cover.Seen == 0:
			q.Missing = "a recording that tells a " + c.thing
		case cover.Share >= c.least:
			q.Result = Passed
		default:
			q.Trials = int64(math.Ceil(c.least*float64(cover.Seen)-1e-9)) - cover.Compared
			q.Missing = plural(int(q.Trials), "more trial") + ", of as many of: " + missingNames(cover.Missing)
		}
		j.add(q)
	}
}

func missingNames(missing []MissingKind) string {
	var names []string
	for _, m := range missing {
		name := m.Name
		if name == "" {
			name = "without a name"
		}
		names = append(names, m.Function+" "+name)
	}
	return list(names)
}

func atLeast(share float64) string { return "at least " + percent(share) }

// warmFor is how many warm invocations of each side a percentile takes.
var warmFor = map[string]int64{"p50": 2, "p95": 20, "p99": 100}

func (j *gateJudge) latency() {
	for _, c := range []struct {
		percentile string
		most       float64
	}{{"p50", j.require.Latency.P50}, {"p95", j.require.Latency.P95}, {"p99", j.require.Latency.P99}} {
		if c.most == 0 {
			continue
		}
		for _, name := range sortedKeys(j.r.Latency) {
			q := latencyOf(j.r.Latency[name], c.percentile, c.most)
			q.Function = name
			j.add(q)
		}
	}
}

func latencyOf(l FunctionLatency, percentile string, most float64) RequirementReport {
	q := RequirementReport{Name: "latency." + percentile + "-ratio", Want: fmt.Sprintf("at most %g", most), Result: Unknown}
	warm := min(l.Baseline.Count, l.Candidate.Count)
	ratio, known := l.Ratio[percentile]
	if !known {
		q.Trials = max(warmFor[percentile]-warm, 1)
		q.Measured = fmt.Sprintf("%d and %d warm invocations with a duration", l.Baseline.Count, l.Candidate.Count)
		q.Missing = plural(int(q.Trials), "more warm trial")
		return q
	}
	low, high := ratio[0], ratio[1]
	q.Measured = fmt.Sprintf("%.3g to %.3g", low, high)
	switch {
	case high <= most:
		q.Result = Passed
	case low > most:
		q.Result = Failed
	default:
		// The interval is narrower by the root of the number of trials.
		q.Missing = "more trials"
		middle, width := math.Log(low*high)/2, math.Log(high/low)/2
		if distance := math.Abs(math.Log(most) - middle); distance > 0 && width > distance {
			if times := math.Pow(width/distance, 2); times < 1000 {
				q.Trials = int64(math.Ceil(float64(warm) * (times - 1)))
				q.Missing = fmt.Sprintf("about %s", plural(int(q.Trials), "more warm trial"))
			}
		}
	}
	return q
}

func (j *gateJudge) headroom() {
	for _, c := range []struct {
		name    string
		least   *float64
		left    func(*Usage) *float64
		missing string
	}{
		{"headroom.timeout", j.require.Headroom.Timeout, func(u *Usage) *float64 { return u.TimeoutHeadroom },
			"the timeout of %s in the config, and durations"},
		{"headroom.memory", j.require.Headroom.Memory, func(u *Usage) *float64 { return u.MemoryHeadroom },
			"the memory of %s in the config, and a platform that tells what was used"},
	} {
		if c.least == nil {
			continue
		}
		for _, name := range sortedKeys(j.r.Latency) {
			q := RequirementReport{Name: c.name, Function: name, Want: atLeast(*c.least), Result: Unknown, Measured: "not measured"}
			var left *float64
			if u := j.r.Latency[name].Usage.Candidate; u != nil {
				left = c.left(u)
			}
			switch {
			case left == nil:
				q.Missing = fmt.Sprintf(c.missing, j.r.Candidate)
			case *left >= *c.least:
				q.Result, q.Measured = Passed, percent(*left)
			default:
				q.Result, q.Measured = Failed, percent(*left)
			}
			j.add(q)
		}
	}
}

func (j *gateJudge) price() {
	most := j.require.PriceRatio
	if most == 0 {
		return
	}
	for _, name := range sortedKeys(j.r.Latency) {
		q := RequirementReport{Name: "price-ratio", Function: name, Want: fmt.Sprintf("at most %g", most), Result: Unknown,
			Measured: "not measured"}
		use := j.r.Latency[name].Usage
		if use.Baseline == nil || use.Candidate == nil ||
			use.Baseline.PricePerMillion == nil || use.Candidate.PricePerMillion == nil {
			q.Missing = fmt.Sprintf("prices and memory of %s and %s in the config, and durations", j.r.Baseline, j.r.Candidate)
			j.add(q)
			continue
		}
		b, c := *use.Baseline.PricePerMillion, *use.Candidate.PricePerMillion
		q.Measured = fmt.Sprintf("%.3g for %.3g a million", c, b)
		if q.Result = Failed; c <= most*b {
			q.Result = Passed
		}
		j.add(q)
	}
}
