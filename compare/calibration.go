package compare

import (
	"math/bits"

	"tandem/capture/jsonval"
	"tandem/replay"
)

// second is the suffix of the outcomes that a calibrated run has of each target besides its first one.
const second = "#2"

// A split says which of a trial's four outcomes agree at one field: the baseline's two (b1, b2) and the candidate's two
// (c1, c2). It is a set of the pairs that do not.
type split uint8

const (
	baselineSplit  split = 1 << iota // b1 and b2 differ
	candidateSplit                   // c1 and c2 differ
	firstSplit                       // b1 and c1 differ
	secondSplit                      // b2 and c2 differ
	b1c2Split
	b2c1Split

	splits = 1 << iota // how many there are
)

// Splits that say more than others. Under the hypothesis that both sides draw from one distribution, the four outcomes
// of a trial are exchangeable, so that each of the first three is as likely as the others.
const (
	apart     = firstSplit | secondSplit | b1c2Split | b2c1Split          // b1 = b2, c1 = c2
	inStep    = baselineSplit | candidateSplit | b1c2Split | b2c1Split    // b1 = c1, b2 = c2
	crosswise = baselineSplit | candidateSplit | firstSplit | secondSplit // b1 = c2, b2 = c1
)

// disagreeing is how many of the six pairs differ.
func (s split) disagreeing() int { return bits.OnesCount8(uint8(s)) }

func (s split) has(t split) bool { return s&t != 0 }

// A field is a place in the outcomes of one function, with * for what varies from trial to trial.
type field struct {
	function, path, effect string
	form                   bool // it is not about the values there, but about their form
}

func fieldOf(function string, d *Difference) field {
	return field{function: function, path: pattern(d.Path), effect: d.Effect}
}

// A disagreement is what a calibrated trial shows of one field in which not all four outcomes agree.
type disagreement struct {
	split  split
	first  []*Difference     // of b1 and c1
	path   string            // one of the field
	values [4]*jsonval.Value // of b1, b2, c1 and c2 at one path of the field; nil where it is not known or not there
	shown  [4]*jsonval.Value // the values whose forms values has
	kind   Kind
	change [2]string // from the one to the other where the four fall into two pairs: its cause, and that of the way back
}

// A calibrated trial is one whose targets were all fired at twice, with four outcomes that can be compared.
type calibrated map[field]*disagreement

// The outcomes of each pair, as indexes into b1, b2, c1, c2, in the order of the bits of a split.
var pairsOfFour = [...][2]int{{0, 1}, {2, 3}, {0, 2}, {1, 3}, {0, 3}, {1, 2}}

// calibrate compares all pairs of a trial's four outcomes. First is what comparing the first two has found. It returns
// nil where the trial does not have four outcomes that can be compared.
func (j *judge) calibrate(t *replay.Trial, first *result) calibrated {
	names := [4]string{j.baseline, j.baseline + second, j.candidate, j.candidate + second}
	if t.Outcomes[names[1]] == nil || t.Outcomes[names[3]] == nil || first.class != matched && first.class != differed {
		return nil
	}
	found := make(calibrated)
	unused := newTally(len(j.rules.rules))
	for bit, pair := range pairsOfFour {
		differences := first.differences
		if split(1)<<bit != firstSplit {
			r := j.between(t, names[pair[0]], names[pair[1]], unused)
			if r.class != matched && r.class != differed {
				return nil
			}
			differences = r.differences
		}
		for i := range differences {
			if differences[i].Note != "" {
				continue // what is known from other trials is no matter of these four
			}
			found.note(t.Function, split(1)<<bit, pair, &differences[i])
		}
	}
	for f, d := range found {
		d.settleChange(d.values)
		if forms, ok := d.forms(); ok {
			f.form = true
			found[f] = forms
		}
	}
	return found
}

// forms is the disagreement of the forms of four texts or numbers. Ok is false where all forms agree, or not all four
// values are known.
func (d *disagreement) forms() (*disagreement, bool) {
	var forms [4]*jsonval.Value
	for i, v := range d.values {
		if v == nil || !leafKind(*v) {
			return nil, false
		}
		form := jsonval.Text(formOf(*v))
		forms[i] = &form
	}
	of := &disagreement{kind: Changed, path: d.path, values: forms, shown: d.values}
	for bit, pair := range pairsOfFour {
		if forms[pair[0]].Text != forms[pair[1]].Text {
			of.split |= split(1) << bit
		}
	}
	of.settleChange(forms)
	return of, of.split != 0
}

func (c calibrated) note(function string, bit split, pair [2]int, d *Difference) {
	f := fieldOf(function, d)
	at := c[f]
	if at == nil {
		at = &disagreement{kind: d.Kind, path: d.Path}
		c[f] = at
	}
	at.split |= bit
	if bit == firstSplit {
		at.first = append(at.first, d)
	}
	for i, v := range [2]*jsonval.Value{d.Baseline, d.Candidate} {
		if at.values[pair[i]] == nil {
			at.values[pair[i]] = v
		}
	}
}

// settleChange names the change between the two values of a trial whose outcomes agree in pairs.
func (d *disagreement) settleChange(values [4]*jsonval.Value) {
	from, to := 0, 0
	switch d.split {
	case apart:
		to = 2
	case inStep, crosswise:
		to = 1
	default:
		return
	}
	d.change = [2]string{changeOf(values[from], values[to]), changeOf(values[to], values[from])}
}

// changeOf says what a change looks like, with its direction.
func changeOf(b, c *jsonval.Value) string {
	switch {
	case b == nil && c == nil:
		return ""
	case b == nil:
		return "there"
	case c == nil:
		return "not there"
	}
	kind := Changed
	if b.Kind != c.Kind {
		kind = TypeOf
	}
	cause := coarseCauseOf(Difference{Kind: kind, Baseline: b, Candidate: c})
	if cause == anotherNumber && len(b.Text) < 30 && len(c.Text) < 30 {
		x, okX := rational(b.Text)
		y, okY := rational(c.Text)
		if okX && okY && x.Cmp(y) < 0 {
			return "a larger number"
		}
		return "a smaller number"
	}
	if cause == anotherValue && b.Kind == jsonval.String {
		if b.Text < c.Text {
			return "a text that sorts later"
		}
		return "a text that sorts earlier"
	}
	return cause
}
