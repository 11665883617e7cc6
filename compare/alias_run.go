package compare

import (
	"context"
	"sync/atomic"

	"tandem/capture/keylog"
	"tandem/replay"
)

// runNotes are what is kept of each trial to learn what only the whole run shows: whether an invocation has two
// trials, and whether aliases pair one to one. IDs and values are kept as keyed hashes of 128 bits. They take 16 MiB
// of memory; what is more is on disk: 32 bytes for each trial, and 64 for each of its aliases.
type runNotes struct {
	hasher *keylog.Hasher
	ids    keylog.Duplicates
	pairs  keylog.Log
	memory int
}

func newRunNotes(memory int) *runNotes {
	n := &runNotes{hasher: keylog.NewHasher(), memory: memory}
	n.ids.Memory, n.pairs.Memory = memory, memory
	return n
}

// noted is what is kept of a trial.
type noted struct {
	id      keylog.Key
	aliases []pairKeys
}

// pairKeys stand for the two values of an alias, each under its rule.
type pairKeys struct{ baseline, candidate keylog.Key }

func (n *runNotes) pairKeys(p aliasPair) pairKeys {
	rule := uint64(p.rule.index) << 1
	return pairKeys{n.hasher.Key(rule, p.baseline), n.hasher.Key(rule|1, p.candidate)}
}

// keysOf returns what to note of a trial, and space with its aliases at the end. It is safe for concurrent use. There
// is nothing to note when n is nil.
func (n *runNotes) keysOf(t *replay.Trial, aliases []aliasPair, space []pairKeys) (noted, []pairKeys) {
	if n == nil {
		return noted{}, space
	}
	from := len(space)
	for i, p := range aliases {
		if !told(aliases[:i], p) {
			space = append(space, n.pairKeys(p))
		}
	}
	return noted{n.hasher.Key(uint64(t.Repeat), t.Invocation), space[from:]}, space
}

// told reports whether the last pairs of a trial have the values of p, which often stand in several places.
func told(pairs []aliasPair, p aliasPair) bool {
	const most = 16
	for _, q := range pairs[max(0, len(pairs)-most):] {
		if q.rule == p.rule && q.baseline == p.baseline && q.candidate == p.candidate {
			return true
		}
	}
	return false
}

// add notes the trial in a line, the lines in the order of the run.
func (n *runNotes) add(line uint64, t noted) error {
	if n == nil {
		return nil
	}
	for _, p := range t.aliases {
		if err := n.pairs.Add(keylog.Record{Key: p.baseline, Value: p.candidate.Hi, N: line}); err != nil {
			return err
		}
		if err := n.pairs.Add(keylog.Record{Key: p.candidate, Value: p.baseline.Hi, N: line}); err != nil {
			return err
		}
	}
	return n.ids.AddKey(t.id, line)
}

// close lets go of all. Nothing was to be kept, so nothing can be lost.
func (n *runNotes) close() {
	if n != nil {
		_ = n.ids.Close()
		_ = n.pairs.Close()
	}
}

// A pairing is what a value of one side was paired with.
type pairing struct {
	known         bool
	first, line   uint64
	others, lines bool // there are more than one
}

func (p *pairing) add(r keylog.Record) {
	if !p.known {
		p.known, p.first, p.line = true, r.Value, r.N
	}
	p.others = p.others || r.Value != p.first
	p.lines = p.lines || r.N != p.line
}

// contradictions returns the values that occur in several trials and were paired with more than one. They have to be
// closed.
func (n *runNotes) contradictions(ctx context.Context) (*contradictions, error) {
	found := &contradictions{hash: n.pairKeys, broken: keylog.Set{Memory: n.memory}}
	err := keylog.Fold(ctx, &n.pairs, (*pairing).add, func(k keylog.Key, p *pairing) error {
		if p.others && p.lines {
			return found.broken.Add(k)
		}
		return nil
	})
	if err == nil {
		err = found.broken.Seal()
	}
	if err != nil {
		found.close()
		return nil, err
	}
	return found, nil
}

// contradictions know which aliases do not hold over the run. They are safe for concurrent use.
type contradictions struct {
	hash   func(aliasPair) pairKeys
	broken keylog.Set
	failed atomic.Pointer[error]
}

func (c *contradictions) any() bool { return c.broken.Len() > 0 }

// why says why a pair is no alias, or "" when it is one, or when it cannot be told, which err then says.
func (c *contradictions) why(p aliasPair) string {
	if p.baseline == p.candidate {
		return ""
	}
	keys := c.hash(p)
	switch {
	case c.has(keys.candidate):
		return "the candidate repeats a value where the baseline has fresh ones"
	case c.has(keys.baseline):
		return "the candidate has fresh values where the baseline repeats one"
	default:
		return ""
	}
}

func (c *contradictions) has(k keylog.Key) bool {
	found, err := c.broken.Has(k)
	if err != nil {
		c.failed.Store(&err)
	}
	return found
}

func (c *contradictions) err() error {
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

func (c *contradictions) close() { _ = c.broken.Close() }
