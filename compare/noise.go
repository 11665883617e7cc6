package compare

import (
	"cmp"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// falseAlarms is the probability that a calibrated run of two sides that are alike is said to differ because of noise,
// in whichever of its fields. It is the level of the Benjamini-Hochberg procedure over all tests of a run, which, when
// no field differs, bounds the probability of finding any.
const falseAlarms = 0.001

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
	changes map[string]*changeCount
	// lastChange is the last name in the alphabet.
	lastChange string
	samples    samples
}

// A changeCount counts the trials in which two of the four outcomes have something that the other two have not. Apart: the
// candidate's two. All: any two.
type changeCount struct{ apart, all int64 }

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
			of = &fieldNoise{changes: make(map[string]*changeCount)}
			n.fields[f] = of
		}
		of.splits[d.split]++
		for _, c := range d.changes {
			of.change(c.name, changeCount{apart: btoi(c.apart), all: 1})
		}
		of.samples.add(sample{trial: id, values: d.values, kind: d.kind})
	}
}

// change counts changes of one name. Of too many names it keeps the first ones of the alphabet: a name that is among
// these in the end has been so all the time, so that its count does not depend on the order in which trials come.
func (f *fieldNoise) change(name string, more changeCount) {
	c := f.changes[name]
	if c == nil {
		if len(f.changes) >= maxChanges {
			if name > f.lastChange {
				return
			}
			delete(f.changes, f.lastChange)
		}
		c = new(changeCount)
		f.changes[name] = c
		f.lastChange = ""
		for other := range f.changes {
			f.lastChange = max(f.lastChange, other)
		}
	}
	c.apart += more.apart
	c.all += more.all
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
		for name, c := range g.changes {
			f.change(name, *c)
		}
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
	between    evidence = "the candidate disagrees with the baseline more often than the baseline with itself"
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
func (f finding) excused() bool {
	return f.noisy && f.evidence == noEvidence && (!f.stateful || f.drifting)
}

// A noiseTest is one exact test of the hypothesis that the two sides draw a field from one distribution: that of n
// trials no more than by chance are the k that it looks for.
type noiseTest struct {
	field  field
	says   evidence
	k, n   int64
	chance float64
	sides  float64
	p      float64
}

func (t *noiseTest) pOf(k int64) float64 { return min(t.sides*upperTail(k, t.n, t.chance), 1) }

// attains is the chance that the test's p is level or less. It is less than level, because p takes but a few values.
func (t *noiseTest) attains(level float64) float64 {
	k := sort.Search(int(t.n)+1, func(k int) bool { return t.pOf(int64(k)) <= level })
	if k > int(t.n) {
		return 0
	}
	return t.pOf(int64(k))
}

// significant is how many of the tests, which are sorted by p, are: those up to the last one at whose p no more than its
// share of all would be expected by chance.
func significant(tests []noiseTest) int {
	last := sort.Search(len(tests), func(i int) bool { return tests[i].p > falseAlarms })
	for i := last - 1; i >= 0; i-- {
		allowed := falseAlarms * float64(i+1)
		if tests[i].p*float64(len(tests)) <= allowed {
			return i + 1
		}
		if i >= maxAttained {
			continue
		}
		expected := 0.
		for j := range tests {
			if expected += tests[j].attains(tests[i].p); expected > allowed {
				break
			}
		}
		if expected <= allowed {
			return i + 1
		}
	}
	return 0
}

// maxAttained bounds the tests for which is reckoned what all others attain, as that takes time for each pair of them.
const maxAttained = 200

// judge decides for every field whether it differs by more than noise.
//
// Under the hypothesis that candidate and baseline behave alike, the four outcomes of a trial are exchangeable. Then
//
//   - the candidate disagrees with the baseline where the baseline agrees with itself as often as the other way round
//     (McNemar's test, exact);
//   - of the trials in which two outcomes agree and the other two do so too, or do not with any, the two are of one
//     side in one of three;
//   - where two outcomes have something that the others have not, the two are the candidate's in one of six;
//   - each side disagrees with itself as often as the other (McNemar's test, exact, two-sided).
//
// All tests of a run together are held to [falseAlarms] by the procedure of Benjamini and Hochberg (Controlling the
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
			tests = f.tests(key, tests)
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

// isStateful reports whether the second firing finds another world than the first: outcomes then pair by their turn,
// always, or at least not as often crosswise. That is no noise, and excuses nothing.
func (f *fieldNoise) isStateful() bool {
	byTurn, crossing := f.splits[inStep], f.splits[crosswise]
	if others := f.count(func(s split) bool { return s != inStep }); byTurn > 0 && others == 0 {
		return true
	}
	return upperTail(byTurn, byTurn+crossing, 0.5) < falseAlarms
}

// keepsStep reports whether the sides have the same value in the first firing and in the second in most of the trials.
// Counts that do are counts of one thing. Others, such as sequence numbers, have been apart since something came in
// another order on one side, and are in step by chance, if for a while: for trials that follow each other are alike there.
func (f *fieldNoise) keepsStep() bool {
	return 2*f.splits[inStep] > f.count(func(split) bool { return true })
}

// tests appends the tests of one noisy field that could be significant.
func (f *fieldNoise) tests(key field, to []noiseTest) []noiseTest {
	add := func(says evidence, k, n int64, chance, sides float64) {
		t := noiseTest{field: key, says: says, k: k, n: n, chance: chance, sides: sides}
		if n > 0 && t.pOf(n) <= falseAlarms { // else it could not be significant whatever it showed
			t.p = t.pOf(k)
			to = append(to, t)
		}
	}
	across := f.count(func(s split) bool { return s.has(firstSplit) && !s.has(baselineSplit) })
	within := f.count(func(s split) bool { return !s.has(firstSplit) && s.has(baselineSplit) })
	add(between, across, across+within, 1./2, 1)

	pairs := f.splits[apart] + f.splits[inStep] + f.splits[crosswise]
	add(reproduced, f.splits[apart], pairs, 1./3, 1)
	onePair := f.count(func(s split) bool { return s.disagreeing() == 5 })
	own := f.count(func(s split) bool {
		return s.disagreeing() == 5 && !(s.has(baselineSplit) && s.has(candidateSplit))
	})
	if onePair > 0 {
		add(reproduced, f.splits[apart]+own, pairs+onePair, 1./3, 1)
	}
	for _, name := range sortedKeys(f.changes) {
		add(oneWay, f.changes[name].apart, f.changes[name].all, 1./6, 1)
	}
	onlyB := f.count(func(s split) bool { return s.has(baselineSplit) && !s.has(candidateSplit) })
	onlyC := f.count(func(s split) bool { return s.has(candidateSplit) && !s.has(baselineSplit) })
	if onlyB >= onlyC {
		add(steady, onlyB, onlyB+onlyC, 1./2, 2)
	} else {
		add(restless, onlyC, onlyB+onlyC, 1./2, 2)
	}
	return to
}

// upperTail returns the probability of k or more successes in n trials of the given chance.
func upperTail(k, n int64, chance float64) float64 {
	if k <= 0 {
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), chance)
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
		if r.Evidence == "" && !is.excused() {
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
