package compare

import (
	"cmp"
	"slices"

	"tandem/replay"
)

// sampleSize is how many trials of each function conditions are looked for in.
const sampleSize = 5000

// A sampled is a trial of a sample.
type sampled struct {
	rank       uint64
	invocation string
	repeat     int
	ids        []uint64 // of the parts of clusters that it is in
}

func compareSampled(a, b sampled) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.invocation, b.invocation), cmp.Compare(a.repeat, b.repeat))
}

// An eventSample is the trials with the smallest hashes of their IDs: as good as drawn by lot, and the same ones in whatever
// order the trials come. It adds up in any order.
type eventSample struct {
	trials []sampled
	full   bool
	limit  sampled // once it is full, no trial beyond this one is of the sample
}

func (s *eventSample) add(t *replay.Trial, ids []uint64) {
	s.take(sampled{rank: scattered(hash64(t.Invocation)), invocation: t.Invocation, repeat: t.Repeat, ids: ids})
}

func (s *eventSample) take(t sampled) {
	if s.full && compareSampled(t, s.limit) > 0 {
		return
	}
	s.trials = append(s.trials, t)
	if len(s.trials) >= 2*sampleSize {
		s.trim()
	}
}

func (s *eventSample) merge(o *eventSample) {
	for _, t := range o.trials {
		s.take(t)
	}
}

// trim leaves the sample, in order.
func (s *eventSample) trim() {
	slices.SortFunc(s.trials, compareSampled)
	if len(s.trials) >= sampleSize {
		clear(s.trials[sampleSize:])
		s.trials = s.trials[:sampleSize]
		s.full, s.limit = true, s.trials[sampleSize-1]
	}
}

// scattered spreads what a hash says over all of its bits, as the finalizer of MurmurHash3 does: those of FNV have little
// of the last bytes in the upper ones.
func scattered(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
