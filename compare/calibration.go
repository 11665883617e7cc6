package compare

import (
	"fmt"
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

// A field is a place in the outcomes of one function, with * for what varies from trial to trial, in one respect. What is
// there at times and at times not has noise in that, and none in its values if these are always the same.
type field struct {
	function, path, effect string
	of                     respect
}

// A respect is what a field is about.
type respect byte

const (
	values   respect = iota // the values there, of outcomes that have one
	presence                // whether something is there, and how often
	forms                   // the forms of the values
)

func (f field) in(r respect) field {
	f.of = r
	return f
}

func fieldOf(function string, d *Difference) field {
	f := field{function: function, path: pattern(d.Path), effect: d.Effect}
	if d.Kind == Missing || d.Kind == Extra || d.Kind == Duplicate {
		f.of = presence
	}
	return f
}

// A disagreement is what a calibrated trial shows of one field in which not all four outcomes agree.
type disagreement struct {
	split   split
	repeats split             // the pairs of which the second has once more what the first has, too
	lacks   split             // those of which one has what the other has not, or has less often
	first   []*Difference     // of b1 and c1
	path    string            // one of the field
	values  [4]*jsonval.Value // of b1, b2, c1 and c2 at one path of the field; nil where it is not known or not there
	shown   [4]*jsonval.Value // the values whose forms values has
	kind    Kind
	changes []changeOfPair
	places  map[string]*placeOfFour // by path, until the values are settled
}

// A placeOfFour is what comparing b1 with the others tells of one path of a field. That of others with each other may
// count effects or elements in another way, and renames IDs to those of another.
type placeOfFour struct {
	values [4]*jsonval.Value
	told   [4]bool
}

// A calibrated trial is one whose targets were all fired at twice, with four outcomes that can be compared.
type calibrated map[field]*disagreement

// The outcomes of each pair, as indexes into b1, b2, c1, c2, in the order of the bits of a split.
var pairsOfFour = [...][2]int{{0, 1}, {2, 3}, {0, 2}, {1, 3}, {0, 3}, {1, 2}}

// ofFour names a trial's outcomes: b1, b2, c1 and c2.
func (j *judge) ofFour() [4]string {
	return [4]string{j.baseline, j.baseline + second, j.candidate, j.candidate + second}
}

// calibrate compares all pairs of a trial's four outcomes. First is what comparing the first two has found. It returns
// nil where the trial does not have four outcomes that can be compared.
func (j *judge) calibrate(t *replay.Trial, made drafts, first *result) calibrated {
	if made == nil || first.class != matched && first.class != differed {
		return nil
	}
	names := j.ofFour()
	like := made.alike(t, names)
	found := make(calibrated)
	unused := newTally(len(j.rules.rules))
	known := map[[2]int]*result{{like[0], like[2]}: first}
	for bit, pair := range pairsOfFour {
		if like[pair[0]] == like[pair[1]] && split(1)<<bit != firstSplit {
			continue // x against x is parity
		}
		key := [2]int{like[pair[0]], like[pair[1]]}
		r := known[key]
		if r == nil {
			of := j.between(t, made, names[pair[0]], names[pair[1]], unused)
			r, known[key] = &of, &of
		}
		if r.class != matched && r.class != differed {
			return nil
		}
		for i := range r.differences {
			if !r.differences[i].ofRun {
				found.note(t.Function, split(1)<<bit, pair, &r.differences[i])
			}
		}
	}
	found.settle()
	return found
}

// settle names the changes, and adds what the forms of values show.
func (c calibrated) settle() {
	for _, f := range c.sorted() { // a copy, so that no forms are taken of forms
		d := c[f]
		d.settleValues()
		d.settleChanges()
		if shapes, ok := d.forms(); ok && f.of == values {
			f.of = forms
			c[f] = shapes
		}
	}
}

// forms is the disagreement of the forms of four texts or numbers. Two that agree have one form, whatever the IDs in them:
// these are renamed where both have them elsewhere, too. Ok is false where all forms agree, or not all four
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
		if d.split.has(split(1)<<bit) && forms[pair[0]].Text != forms[pair[1]].Text {
			of.split |= split(1) << bit
		}
	}
	of.settleChanges()
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
	switch d.Kind {
	case Duplicate:
		at.repeats |= bit
	case Missing, Extra:
		at.lacks |= bit
	}
	if bit == firstSplit {
		at.first = append(at.first, d)
	}
	for i, v := range [2]*jsonval.Value{d.Baseline, d.Candidate} {
		if at.values[pair[i]] == nil {
			at.values[pair[i]] = v
		}
	}
	if pair[0] == 0 {
		at.place(d.Path).tell(pair[1], d)
	}
}

func (d *disagreement) place(path string) *placeOfFour {
	if d.places == nil {
		d.places = make(map[string]*placeOfFour)
	}
	if d.places[path] == nil {
		d.places[path] = new(placeOfFour)
	}
	return d.places[path]
}

// tell takes a difference between b1 and another one of the four.
func (p *placeOfFour) tell(other int, d *Difference) {
	if p.told[other] {
		return
	}
	p.told[other] = true
	p.values[other] = d.Candidate
	if p.values[0] == nil {
		p.values[0] = d.Baseline
	}
}

// settleValues leaves the values of one path, the first one of those at which b1 disagrees with any other: so that which
// values are set beside each other does not depend on who disagrees with whom. One that has a value and does not disagree
// with b1 there has that of b1.
func (d *disagreement) settleValues() {
	if len(d.places) == 0 { // rules let b1 agree with all others, while these disagree
		return
	}
	path := ""
	for at := range d.places {
		if path == "" || at < path {
			path = at
		}
	}
	one := d.places[path]
	for i := range one.values {
		if !one.told[i] && d.values[i] != nil {
			one.values[i] = one.values[0]
		}
	}
	d.path, d.values, d.places = path, one.values, nil
}

// pairs tells one outcome of each pair where the four fall into two.
func (d *disagreement) pairs() (from, to int, ok bool) {
	switch d.split {
	case apart:
		return 0, 2, true
	case inStep, crosswise:
		return 0, 1, true
	}
	return 0, 0, false
}

// A changeOfPair is something that two of the four have and the other two have not: a value, or that it came of theirs by
// a change that can be named.
type changeOfPair struct {
	name  string
	apart bool // the two are the candidate's
}

// settleChanges names what two of the four have.
func (d *disagreement) settleChanges() {
	for i, v := range d.values {
		if v == nil || len(v.Elems) > 0 || len(v.Text) > maxSample {
			continue
		}
		var like []int
		for k, w := range d.values {
			if w != nil && identical(*v, *w) {
				like = append(like, k)
			}
		}
		if len(like) == 2 && like[0] == i {
			d.changes = append(d.changes, changeOfPair{"to " + v.String(), i == 2})
		}
	}
	from, to, ok := d.pairs()
	if !ok {
		return
	}
	if d.addsOnceMore() {
		d.changes = append(d.changes, changeOfPair{onceMore, d.split == apart})
	}
	there, back := changeOf(d.values[from], d.values[to]), changeOf(d.values[to], d.values[from])
	if there == back { // it has no direction
		return
	}
	d.changes = append(d.changes, changeOfPair{there, d.split == apart}, changeOfPair{back, false})
	if there == largerNumber || there == smallerNumber {
		size := sizeOfChange(d.values[from], d.values[to])
		d.changes = append(d.changes, changeOfPair{there + size, d.split == apart}, changeOfPair{back + size, false})
	}
}

// sizeOfChange says how far apart two numbers are, in powers of ten of the share that they differ by, in the same words
// whichever of the two a change starts from. Noise mostly has few sizes, and a fault may have another one: a cent, where
// noise is of whole units. Changes of that size are then the fault's alone. Among all to larger numbers they would be lost.
func sizeOfChange(a, b *jsonval.Value) string {
	percent := 100 * distance(a.Text, b.Text)
	for _, limit := range []float64{10, 1, .1, .01, .001} {
		if percent >= limit {
			return fmt.Sprintf(" by %g %% or more", limit)
		}
	}
	return " by less"
}

// inTurn names the values that one side has more often than the other in the two turns. Apart: the candidate.
func (d *disagreement) inTurn() (list []changeOfPair) {
	for i, v := range d.values {
		if v == nil || len(v.Elems) > 0 || len(v.Text) > maxSample {
			continue
		}
		more, first := 0, true // of the candidate's
		for k, w := range d.values {
			if w == nil || !identical(*v, *w) {
				continue
			}
			first = first && k >= i
			if k >= 2 {
				more++
			} else {
				more--
			}
		}
		if first && more != 0 {
			list = append(list, changeOfPair{v.String(), more > 0})
		}
	}
	return list
}

// onceMore is the change to more of what is there anyway.
const onceMore = "once more"

// addsOnceMore reports whether two of the four are seen to have once more what the other two have, too. Differences tell of
// that where the second outcome of a pair has more, so that of the six ways in which two can have more all can be seen
// but that of the baseline's two. Each is looked for in one pair, of one side or of none but never of one turn: noise in
// what is there then hides the candidate's as often as the others, or more often.
func (d *disagreement) addsOnceMore() bool {
	more := d.repeats &^ d.lacks // in several elements, each may have more of one
	switch d.split {
	case apart:
		return more.has(b1c2Split)
	case inStep:
		return more.has(baselineSplit | b2c1Split) // as the first turn has less, or the second one
	case crosswise:
		return more.has(baselineSplit | candidateSplit)
	}
	return false
}

// Changes of a number that have no other name.
const (
	largerNumber  = "a larger number"
	smallerNumber = "a smaller number"
)

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
	if !sameType(*b, *c) {
		kind = TypeOf
	}
	cause := coarseCauseOf(Difference{Kind: kind, Baseline: b, Candidate: c})
	if cause == anotherNumber && len(b.Text) < 30 && len(c.Text) < 30 {
		x, okX := rational(b.Text)
		y, okY := rational(c.Text)
		if okX && okY && x.Cmp(y) < 0 {
			return largerNumber
		}
		return smallerNumber
	}
	if cause == anotherValue && b.Kind == jsonval.String {
		if b.Text < c.Text {
			return "a text that sorts later"
		}
		return "a text that sorts earlier"
	}
	return cause
}
