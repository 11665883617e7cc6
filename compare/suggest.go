package compare

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// A Proposal is a rule that would settle the noise of one field. Its Why is left to people: a proposal allows nothing.
type Proposal struct {
	// Rule has no treatment where only ignoring would do, and what a function did or whether it failed is at stake.
	Rule Rule `json:"rule"`
	// Effect is which effects were seen to differ in the field, "" for one of the answer. Rule is for all.
	Effect   string   `json:"effect,omitempty"`
	Evidence []string `json:"evidence"` // what speaks for it, in sentences
}

// maxProposals bounds the proposals of a report.
const maxProposals = 200

// proposals returns a rule for each field whose differences noise explains, but for those that have in them what an
// alias proposed for another field names.
func (n *noise) proposals(c Options, reports []NoiseReport) []Proposal {
	var list []Proposal
	for _, r := range reports {
		if r.Evidence != "" || len(list) == maxProposals || n.named(r, reports) || r.of == values && n.absent(r) {
			continue
		}
		rule := Rule{At: r.Path, On: []string{r.Function}}
		basis := n.samplesOf(r).propose(noiseKind(r.Kind), &rule)
		list = append(list, Proposal{rule, r.Effect, []string{
			fmt.Sprintf("of %s, %s disagrees with itself in %d, %s in %d, the two in %d",
				plural(int(r.Trials), "trial"), c.Baseline, r.Baseline, c.Candidate, r.Candidate, r.First),
			basis,
		}})
	}
	return list
}

func (n *noise) samplesOf(r NoiseReport) samples {
	return n.fields[field{function: r.Function, path: r.Path, effect: r.Effect, of: r.of}].samples
}

// absent reports whether a field is at times not there, either: what is proposed for that settles its values, too.
func (n *noise) absent(r NoiseReport) bool {
	f := n.fields[field{function: r.Function, path: r.Path, effect: r.Effect, of: presence}]
	return f != nil && f.isNoisy()
}

// named reports whether a field's noise is that of another one, an ID, which its values have in them.
func (n *noise) named(r NoiseReport, reports []NoiseReport) bool {
	own := n.samplesOf(r)
	for _, id := range reports {
		if kind := noiseKind(id.Kind); kind != uuidNoise && kind != idNoise && kind != hashNoise || id.Evidence != "" ||
			id.Function != r.Function || id.Path == r.Path && id.Effect == r.Effect {
			continue
		}
		if nameless := own.kind() != noiseKind(id.Kind) || len(id.Path) < len(r.Path); nameless && own.contain(n.samplesOf(id)) {
			return true
		}
	}
	return false
}

// contain reports whether the values of each trial have those of another field in them.
func (s samples) contain(ids samples) bool {
	byTrial := make(map[string]*sample, len(ids))
	for i := range ids {
		byTrial[ids[i].trial] = &ids[i]
	}
	common := 0
	for _, one := range s {
		id := byTrial[one.trial]
		for i, v := range one.values {
			if v == nil {
				continue
			}
			if id == nil || id.values[i] == nil || !strings.Contains(v.String(), id.values[i].Text) {
				return false
			}
			common++
		}
	}
	return common > 0
}

// propose fills in how the rule treats values like these, and returns what it goes by.
func (s samples) propose(kind noiseKind, rule *Rule) (basis string) {
	n := plural(len(s), "sampled trial")
	switch kind {
	case uuidNoise, idNoise, hashNoise:
		rule.Treat = Alias
		return fmt.Sprintf("all values of %s are fresh: %s", n, map[noiseKind]string{
			uuidNoise: "UUIDs", idNoise: "long identifiers", hashNoise: "as long as hashes, in hexadecimal digits",
		}[kind])
	case counterNoise:
		rule.Treat = Alias
		return "in " + n + " the second firing has the larger number on both sides, as of a counter"
	case timeNoise:
		return s.proposeTime(n, rule)
	case orderNoise:
		rule.Treat = Unordered
		return "in " + n + " the lists have the same elements in another order"
	case pickNoise:
		return s.proposePick(n, rule)
	case numberNoise:
		return s.proposeNumber(n, rule)
	case textNoise:
		return s.proposeText(n, rule)
	}
	if kept := isEnumeration(rule.At) || isEffect(rule.At); !kept {
		rule.Treat = Ignore
	}
	if kind == absentNoise {
		return "in " + n + " it is there at times and at times not, on one side or both"
	}
	return "the values of " + n + " have nothing in common that a narrower rule could go by"
}

var roundTimes = []time.Duration{
	100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
}

func (s samples) proposeTime(n string, rule *Rule) string {
	spread := s.spread()
	within := roundTimes[len(roundTimes)-1]
	for _, t := range slices.Backward(roundTimes) {
		if t >= 2*spread {
			within = t
		}
	}
	rule.Treat, rule.Within = Time, short(within)
	for _, v := range s.values() {
		if _, err := instant(v.Text); err != nil { // a number since 1970
			rule.Treat, rule.Within = Tolerance, fmt.Sprint(within.Milliseconds())
			if len(v.Text) == 10 {
				rule.Within = fmt.Sprint(max(int64(within/time.Second), 1))
			}
			if v.Kind != jsonval.Number {
				rule.Treat, rule.Within, rule.Matches = Pattern, "", fmt.Sprintf("^[0-9]{%d}$", len(v.Text))
			}
		}
	}
	return fmt.Sprintf("all values of %s are times, in one trial up to %s apart", n, spread.Round(time.Millisecond))
}

// short writes a duration without the units that it has none of.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

func (s samples) proposePick(n string, rule *Rule) string {
	var texts []string
	for _, v := range s.values() {
		if !leafKind(v) {
			rule.Treat = Type
			return "both sides have true and false in " + n
		}
		texts = append(texts, regexp.QuoteMeta(v.Text))
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	rule.Treat, rule.Matches = Pattern, "^("+strings.Join(texts, "|")+")$"
	return fmt.Sprintf("both sides have the same %d values in %s", len(texts), n)
}

// proposeNumber allows twice the distance that was seen, where that is little against the numbers.
func (s samples) proposeNumber(n string, rule *Rule) string {
	seen := s.widest()
	for _, percent := range []float64{0.01, 0.1, 0.5, 1, 2, 5, 10} {
		if 2*seen*100 <= percent {
			rule.Treat, rule.Within = Tolerance, fmt.Sprintf("%g%%", percent)
			return fmt.Sprintf("the numbers of %s are up to %.2g %% apart", n, 100*seen)
		}
	}
	rule.Treat = Type
	return fmt.Sprintf("all values of %s are numbers, up to %.0f %% apart", n, 100*seen)
}

func (s samples) proposeText(n string, rule *Rule) string {
	form := ""
	for i, v := range s.values() {
		if f := skeleton(v.Text); i == 0 {
			form = f
		} else if f != form {
			rule.Treat = Type
			return "all values of " + n + " are texts, of several forms"
		}
	}
	if len(form) > maxSample {
		rule.Treat = Type
		return "all values of " + n + " are long texts"
	}
	replace := strings.NewReplacer("9", "[0-9]+", "a", "[a-z]+", "A", "[A-Z]+")
	var expression strings.Builder
	for _, r := range form {
		if one := string(r); strings.ContainsAny(one, "9aA") {
			expression.WriteString(replace.Replace(one))
		} else {
			expression.WriteString(regexp.QuoteMeta(one))
		}
	}
	rule.Treat, rule.Matches = Pattern, "^"+expression.String()+"$"
	return "all values of " + n + " are texts of one form"
}

// values are all that are known.
func (s samples) values() []jsonval.Value {
	var list []jsonval.Value
	for _, one := range s {
		for _, v := range one.values {
			if v != nil {
				list = append(list, *v)
			}
		}
	}
	return list
}
