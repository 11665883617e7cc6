package compare

import (
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// falseAlarms is the probability that a calibrated run of two sides that are alike is said to differ because of noise,
// in whichever of its fields. It is the level of the Benjamini-Hochberg procedure over all tests of a run, which, when
// no field differs, bounds the probability of finding any.
const falseAlarms = 0.0005

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

// suspicion is the level at which the turn is taken to matter.
const suspicion = 0.05

// tests appends the tests of one noisy field that could be significant.
func (f *fieldNoise) tests(key field, kind noiseKind, to []noiseTest) []noiseTest {
	add := func(says evidence, k, n int64, chance, sides float64) {
		t := noiseTest{field: key, says: says, k: k, n: n, chance: chance, sides: sides}
		if n > 0 && t.pOf(n) <= falseAlarms { // else it could not be significant whatever it showed
			t.p = t.pOf(k)
			to = append(to, t)
		}
	}
	const withB2 = firstSplit | baselineSplit | b2c1Split // the pairs of b1, c1 and b2
	own := f.count(func(s split) bool { return s&withB2 == firstSplit|b2c1Split })
	other := f.count(func(s split) bool { return s&withB2 == firstSplit|baselineSplit })
	add(between, own, own+other, 1./2, 1)

	inTurns := f.pairs(true).areTakenInTurns()
	for _, onePair := range []bool{false, true} {
		n := f.pairs(onePair)
		if onePair && n == f.pairs(false) {
			continue
		}
		if !inTurns {
			add(reproduced, n.bySide, n.all(), 1./3, 1)
		}
		if inTurns || n.followTurns() {
			add(reproduced, n.bySide, n.bySide+n.crossing, 1./2, 1)
		}
	}
	chance := 1. / 6
	if inTurns {
		chance = 1. / 4
	}
	for _, name := range sortedKeys(f.changes.of) {
		ofSeen := chance
		if name == onceMore { // which is not seen where it is the baseline's, as often as the candidate's
			ofSeen = chance / (1 - chance)
		}
		add(oneWay, f.changes.of[name].apart, f.changes.of[name].all, ofSeen, 1)
	}
	if f.pairs(true).followTurns() {
		for _, name := range sortedKeys(f.inTurn.of) {
			add(oneWay, f.inTurn.of[name].apart, f.inTurn.of[name].all, 1./2, 1)
		}
	}
	if kind == timeNoise { // a platform that takes longer for the first call than for the second tells later times then
		return to
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

// pairings counts trials in which two outcomes agree and the other two do so too, or do not with any: by whether the two
// are of one side, of one turn, or of neither.
type pairings struct{ bySide, byTurn, crossing int64 }

// pairs counts those with two pairs and, if one will do, with one.
func (f *fieldNoise) pairs(onePair bool) pairings {
	n := pairings{f.splits[apart], f.splits[inStep], f.splits[crosswise]}
	if onePair {
		only := func(pair split) int64 { return f.splits[(splits-1)&^pair] }
		n.bySide += only(baselineSplit) + only(candidateSplit)
		n.byTurn += only(firstSplit) + only(secondSplit)
		n.crossing += only(b1c2Split) + only(b2c1Split)
	}
	return n
}

func (n pairings) all() int64 { return n.bySide + n.byTurn + n.crossing }

// followTurns reports whether outcomes of one turn are alike. A fault of the candidate does not make them so.
func (n pairings) followTurns() bool { return upperTail(n.byTurn, n.all(), 1./3) < suspicion }

// areTakenInTurns reports whether outcomes of one turn agree less often than those of two: the sides then take them from
// one source, where each firing gets what the other does not.
func (n pairings) areTakenInTurns() bool {
	return upperTail(n.crossing, n.byTurn+n.crossing, 1./2) < suspicion
}

// upperTail returns the probability of k or more successes in n trials of the given chance.
func upperTail(k, n int64, chance float64) float64 {
	if k <= 0 {
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), chance)
}
