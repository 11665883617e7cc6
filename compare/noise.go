package compare

import (
	"cmp"
	"slices"
)

// maxFields bounds the fields whose noise is counted. What comes beyond, in no order that could be relied upon, is not
// excused by any noise; a run with so many has other troubles.
const maxFields = 20_000

// maxChanges bounds the kinds of change that are told apart in one field.
const maxChanges = 100

// noise counts how the four outcomes of calibrated trials split at each field. It adds up in any order.
type noise struct {
	fields map[field]*fieldNoise
	trials map[string]int64 // calibrated ones, by function
}

// fieldNoise is what is known of one field.
type fieldNoise struct {
	splits  [splits]int64
	changes changeCounts
	inTurn  changeCounts // of values that one side has in a turn and the other has not
	samples samples
}

// A changeCount counts the trials in which two of the four outcomes have something that the other two have not. Apart: the
// candidate's two. All: any two.
type changeCount struct{ apart, all int64 }

// changeCounts counts changes by their names.
type changeCounts struct {
	of   map[string]*changeCount
	last string // in the alphabet
}

func newNoise() *noise { return &noise{make(map[field]*fieldNoise), make(map[string]int64)} }

// add takes a calibrated trial.
func (n *noise) add(function, id string, c calibrated) {
	n.trials[function]++
	for f, d := range c {
		of := n.fields[f]
		if of == nil {
			if len(n.fields) >= maxFields {
				continue
			}
			of = new(fieldNoise)
			n.fields[f] = of
		}
		of.splits[d.split]++
		for _, c := range d.changes {
			of.changes.add(c.name, changeCount{apart: btoi(c.apart), all: 1})
		}
		for _, c := range d.inTurn() {
			of.inTurn.add(c.name, changeCount{apart: btoi(c.apart), all: 1})
		}
		of.samples.add(sample{trial: id, values: d.values, kind: d.kind})
	}
}

// add counts changes of one name. Of too many names it keeps the first ones of the alphabet: a name that is among these
// in the end has been so all the time, so that its count does not depend on the order in which trials come.
func (c *changeCounts) add(name string, more changeCount) {
	one := c.of[name]
	if one == nil {
		if len(c.of) >= maxChanges {
			if name > c.last {
				return
			}
			delete(c.of, c.last)
		}
		if c.of == nil {
			c.of = make(map[string]*changeCount)
		}
		one = new(changeCount)
		c.of[name] = one
		c.last = ""
		for other := range c.of {
			c.last = max(c.last, other)
		}
	}
	one.apart += more.apart
	one.all += more.all
}

func (c *changeCounts) merge(o changeCounts) {
	for name, count := range o.of {
		c.add(name, *count)
	}
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (n *noise) merge(o *noise) {
	for function, trials := range o.trials {
		n.trials[function] += trials
	}
	for key, g := range o.fields {
		f := n.fields[key]
		if f == nil {
			n.fields[key] = g
			continue
		}
		for s, count := range g.splits {
			f.splits[s] += count
		}
		f.changes.merge(g.changes)
		f.inTurn.merge(g.inTurn)
		f.samples.merge(g.samples)
	}
}

// count adds up the trials whose split is as is says.
func (f *fieldNoise) count(is func(split) bool) (n int64) {
	for s, count := range f.splits {
		if count > 0 && is(split(s)) {
			n += count
		}
	}
	return n
}

// An evidence says why noise does not explain that a field disagrees.
type evidence string

const (
	noEvidence evidence = ""
	between    evidence = "the baseline sides with itself against the candidate more often than chance makes it so"
	reproduced evidence = "the two disagree while each agrees with itself, more often than chance makes it so"
	oneWay     evidence = "the two disagree one way, more often than chance makes it so"
	steady     evidence = "the candidate has one value where the baseline has two"
	restless   evidence = "the candidate disagrees with itself more often than the baseline does"
)

// A finding is what the noise of a field amounts to.
type finding struct {
	noisy    bool // it disagrees with itself, on either side
	kind     noiseKind
	stateful bool // the second firing of an invocation is answered in another way than the first, on both sides alike
	drifting bool // it is time, or a count that each side keeps for itself: what a second firing changes there is noise
	// reproducible says that there are trials in which each side agrees with itself and not with the other.
	reproducible bool
	evidence     evidence
	p            float64 // of the test that gave the evidence, or of the strongest one
}

// excused reports whether noise explains the field's differences.
func (f finding) excused() bool { return f.noisy && f.evidence == noEvidence }

// keepsState reports whether what a second firing changes in the field is no noise.
func (f finding) keepsState() bool { return f.stateful && !f.drifting }

// judge decides for every field whether it differs by more than noise.
//
// The hypothesis is that candidate and baseline behave alike: in one turn of a trial, both draw from one distribution.
// Turns need not be alike, as a second firing is later, and may find what the first has left. Then
//
//   - where one of b1 and c1 agrees with b2 and the other does not, it is as often c1 as b1;
//   - of the trials in which two outcomes agree and the other two do so too, or do not with any, the two are of one
//     side as often as of neither one side nor one turn, and no more often than of one turn, so in one of three at most
//     (see below);
//   - where two outcomes have something that the others have not, such as a value, or a number that is larger by so much, the
//     two are the candidate's in one of six at most; in one of five of what they have once more, because it is not known where
//     it is the baseline's two that do (see addsOnceMore);
//   - where outcomes of one turn are mostly alike, a value that just one of a turn's two has is as often the candidate's;
//   - each side disagrees with itself as often as the other (McNemar's test, exact, two-sided).
//
// Let p and q be the distributions of the two turns, a = Σp², b = Σq² and c = Σpq the chances that two outcomes of the
// first turn agree, two of the second, and two of both, and let firings of one turn know nothing of each other. Then
// two outcomes of one turn agree as above with a chance that is greater by (1-c)² - (1-a)(1-b) than that of two of one
// side, which is not negative because c² ≤ ab. Where the sides take from one source in turns, they do know of each
// other, and nothing is asked of one turn.
//
// Tests of one field rise and fall together, and fields may do so, too. All tests of a run together are held to
// [falseAlarms] by the procedure of Benjamini and Hochberg (Controlling the
// False Discovery Rate, J. R. Statist. Soc. B 57, 1995), with what each test can attain in place of the level (Heyse, A
// False Discovery Rate Procedure for Categorical Data, in: Recent Advances in Biostatistics, 2011): of few trials, it is
// far less.
func (n *noise) judge() map[field]finding {
	found := make(map[field]finding, len(n.fields))
	var tests []noiseTest
	for key, f := range n.fields {
		is := finding{noisy: f.isNoisy(), reproducible: f.splits[apart] > 0, p: 1}
		is.stateful = is.noisy && f.isStateful()
		if is.noisy && key.of != forms {
			is.kind = f.samples.kind()
			is.drifting = is.kind == timeNoise || is.kind == counterNoise && !f.keepsStep()
		}
		found[key] = is
		if is.noisy || key.of == forms { // of the forms of values that are noisy
			tests = f.tests(key, is.kind, tests)
		}
	}
	slices.SortFunc(tests, func(a, b noiseTest) int {
		return cmp.Or(cmp.Compare(a.p, b.p), compareFields(a.field, b.field), cmp.Compare(a.says, b.says),
			cmp.Compare(a.n, b.n))
	})
	far := significant(tests)
	for i, t := range tests {
		is := found[t.field]
		if is.p > t.p {
			is.p = t.p
		}
		if i < far && is.evidence == noEvidence {
			is.evidence = t.says
		}
		found[t.field] = is
	}
	return found
}

func compareFields(a, b field) int {
	return cmp.Or(cmp.Compare(a.function, b.function), cmp.Compare(a.path, b.path), cmp.Compare(a.effect, b.effect),
		cmp.Compare(a.of, b.of))
}

// isNoisy reports whether either side was seen to disagree with itself.
func (f *fieldNoise) isNoisy() bool {
	return f.count(func(s split) bool { return s.has(baselineSplit | candidateSplit) }) > 0
}

// stateTrials is how many trials it takes to call a field stateful in which some disagree in another way.
const stateTrials = 10

// isStateful reports whether the second firing finds another world than the first: outcomes then pair by their turn,
// always, or but for single ones. That is no noise: where they do so, the two sides agree. Noise in a field that the turn
// matters to, too, such as a time in a text, lets one side disagree with itself where the other does not.
func (f *fieldNoise) isStateful() bool {
	byTurn := f.splits[inStep]
	if byTurn > 0 && byTurn == f.count(func(split) bool { return true }) {
		return true
	}
	noise := f.count(func(s split) bool { return s == crosswise || s.has(baselineSplit) != s.has(candidateSplit) })
	return byTurn >= stateTrials && noise == 0
}

// keepsStep reports whether the sides have the same value in the first firing and in the second in most of the trials.
// Counts that do are counts of one thing. Others, such as sequence numbers, have been apart since something came in
// another order on one side, and are in step by chance, if for a while: for trials that follow each other are alike there.
func (f *fieldNoise) keepsStep() bool {
	return 2*f.splits[inStep] > f.count(func(split) bool { return true })
}

// maxNoiseReports bounds the fields that are told.
const maxNoiseReports = 1000

// report tells the fields that disagree with themselves, the most frequent first.
func (n *noise) report(found map[field]finding) []NoiseReport {
	var list []NoiseReport
	for key, f := range n.fields {
		is := found[key]
		if !is.noisy || key.of == forms && is.evidence == noEvidence {
			continue
		}
		r := NoiseReport{
			Function: key.function, Path: key.path, Effect: key.effect, Kind: string(is.kind), Trials: n.trials[key.function],
			Baseline:  f.count(func(s split) bool { return s.has(baselineSplit) }),
			Candidate: f.count(func(s split) bool { return s.has(candidateSplit) }),
			First:     f.count(func(s split) bool { return s.has(firstSplit) }),
			P:         is.p, Evidence: string(is.evidence), of: key.of,
		}
		if key.of == forms {
			r.Kind = "form"
		}
		if r.Evidence == "" && is.keepsState() {
			r.Evidence = "both sides answer a second firing in another way than the first, each alike"
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b NoiseReport) int {
		return cmp.Or(cmp.Compare(b.First+b.Baseline+b.Candidate, a.First+a.Baseline+a.Candidate),
			cmp.Compare(a.Function, b.Function), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Effect, b.Effect),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.of, b.of))
	})
	return list[:min(len(list), maxNoiseReports)]
}
