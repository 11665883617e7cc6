package compare

import (
	"fmt"
	"strings"

	"tandem/replay"
)

const (
	// maxShapes bounds how many shapes of one function are counted apart: the first so many in alphabetical order.
	maxShapes = 10_000
	// maxUnsent bounds how many reasons for unreplayable trials are told apart.
	maxUnsent = 1000
	others    = "others"
)

// summary adds up what comparing trials found. Summaries add up in any order, so that workers each have their own.
type summary struct {
	tally     *tally
	clusters  *clusterer
	samples   map[string]*eventSample // by function, where there are events
	noise     *noise
	functions map[string]*functionSummary
	reasons   map[string]int64 // of inconclusive trials
	unsent    *bounded         // reasons of unreplayable trials
	names     map[string]bool  // of outcomes
	halfKnown int64            // trials that were compared without effects, which one side alone knows
	twice     int64            // trials whose four outcomes, of firing twice, were compared
}

type functionSummary struct {
	counts    Counts
	repeats   int64    // of trials that were compared: those of invocations that have an earlier one
	kinds     *kinds   // of trials that were compared
	differed  *bounded // shapes of trials that differed
	stopwatch *stopwatch
}

func newSummary(rules int) *summary {
	return &summary{
		tally: newTally(rules), clusters: newClusterer(), noise: newNoise(),
		samples: make(map[string]*eventSample), functions: make(map[string]*functionSummary),
		reasons: make(map[string]int64), unsent: newBounded(maxUnsent), names: make(map[string]bool),
	}
}

func (s *summary) function(name string) *functionSummary {
	f := s.functions[name]
	if f == nil {
		f = &functionSummary{kinds: newKinds(), differed: newBounded(maxShapes), stopwatch: newStopwatch()}
		s.functions[name] = f
	}
	return f
}

func (s *summary) add(t *replay.Trial, opts Options, r result) {
	f := s.function(t.Function)
	f.counts.count(r.class)
	f.stopwatch.add(t, &opts)
	for name := range t.Outcomes {
		s.names[name] = true
	}
	switch r.class {
	case matched, differed:
		f.kinds.see(t, t.Outcomes[opts.Baseline])
		if r.halfWatched {
			s.halfKnown++
		}
		if t.Repeat > 0 {
			f.repeats++
		}
	case inconclusive:
		s.reasons[r.reason]++
	case unreplayable:
		s.unsent.see(r.reason, 1)
	}
	var ids []uint64
	if r.class == differed {
		f.differed.see(t.Shape, 1)
		ids = s.clusters.add(t.Function, t.Invocation, sizeOf(t, opts.Baseline, opts.Candidate), fold(r.differences))
	}
	if opts.Events != nil && (r.class == matched || r.class == differed) {
		s.sample(t.Function).add(t, ids)
	}
}

func (s *summary) sample(function string) *eventSample {
	if s.samples[function] == nil {
		s.samples[function] = &eventSample{}
	}
	return s.samples[function]
}

func (s *summary) merge(o *summary) {
	s.tally.add(o.tally)
	s.clusters.merge(o.clusters)
	s.noise.merge(o.noise)
	for name, sample := range o.samples {
		s.sample(name).merge(sample)
	}
	for name, g := range o.functions {
		f := s.function(name)
		f.counts.add(g.counts)
		f.repeats += g.repeats
		f.stopwatch.merge(g.stopwatch)
		f.kinds.merge(g.kinds)
		f.differed.merge(g.differed)
	}
	for reason, n := range o.reasons {
		s.reasons[reason] += n
	}
	s.unsent.merge(o.unsent)
	s.twice += o.twice
	s.halfKnown += o.halfKnown
	for name := range o.names {
		s.names[name] = true
	}
}

// bounded counts by name, with names beyond the first limit counted as others. It now and then forgets these. Those
// that it keeps it has never forgotten, so their counts are right, whatever the order in which names were seen.
type bounded struct {
	limit  int
	byName map[string]int64
}

func newBounded(limit int) *bounded { return &bounded{limit, make(map[string]int64)} }

func (b *bounded) see(name string, n int64) {
	b.byName[name] += n
	if len(b.byName) > 2*b.limit {
		b.forget()
	}
}

func (b *bounded) merge(o *bounded) {
	for name, n := range o.byName {
		b.see(name, n)
	}
}

// forget leaves the names that are to be told.
func (b *bounded) forget() map[string]int64 {
	beyond := b.byName[others]
	delete(b.byName, others)
	if len(b.byName) > b.limit {
		for _, name := range sortedKeys(b.byName)[b.limit:] {
			beyond += b.byName[name]
			delete(b.byName, name)
		}
	}
	if beyond > 0 {
		b.byName[others] = beyond
	}
	return b.byName
}

// namesKnown refuses a baseline or a candidate that no trial has an outcome of: it was misspelt.
func (s *summary) namesKnown(opts Options) error {
	if len(s.names) == 0 {
		return nil
	}
	for _, name := range []string{opts.Baseline, opts.Candidate} {
		if !s.names[name] {
			return noOutcome(name, s.names)
		}
	}
	return nil
}

func noOutcome(of string, names map[string]bool) error {
	return fmt.Errorf("no trial has an outcome of %q; the run has outcomes of %s", of, strings.Join(sortedKeys(names), ", "))
}
