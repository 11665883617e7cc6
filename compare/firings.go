package compare

import (
	"context"

	"tandem/capture/keylog"
	"tandem/replay"
)

// invocations count those of the recording that a run has trials of, each once however often it was fired: firings of
// one invocation are not independent.
type invocations struct {
	compared int64 // at least once
	differed int64 // of these, those with a firing that differs
	fired    int64 // compared, or not known, at least once
	doubtful int64 // of these, those with a firing that differs or is not known
}

func (n *invocations) add(o invocations) {
	n.compared += o.compared
	n.differed += o.differed
	n.fired += o.fired
	n.doubtful += o.doubtful
}

// bound is the share of invocations that may still differ.
func (n *invocations) bound() float64 { return UpperBound95(n.differed, n.compared) }

// invocationsOf counts the invocations of a function none of which was fired again.
func invocationsOf(c Counts) invocations {
	compared, differed, unknown := countsOf(c)
	return invocations{compared, differed, compared + unknown, differed + unknown}
}

// firings are what is kept of each trial to count invocations: 32 bytes, on disk where that is more
// than 8 MiB.
type firings struct {
	log       keylog.Log
	functions map[string]uint64
	names     []string
	again     bool // an invocation was fired again
}

func newFirings(memory int) *firings {
	return &firings{log: keylog.Log{Memory: memory}, functions: make(map[string]uint64)}
}

// A firing is what is kept of a trial.
type firing struct {
	invocation keylog.Key
	function   string
	again      bool
	class      class
}

// Marks of a firing, which its record's value has behind the number of its function.
const (
	comparedMark = 1 << iota
	differedMark
	unknownMark

	markBits = 3
)

func (c class) marks() uint64 {
	switch c {
	case matched:
		return comparedMark
	case differed:
		return comparedMark | differedMark
	case noisy, inconclusive:
		return unknownMark
	}
	return 0
}

// firingOf returns what to keep of a trial.
func firingOf(h *keylog.Hasher, t *replay.Trial, c class) firing {
	return firing{h.Key(0, t.Invocation), t.Function, t.Repeat > 0, c}
}

// add takes the next trial of the run.
func (f *firings) add(t firing) error {
	if f == nil {
		return nil
	}
	f.again = f.again || t.again
	n, ok := f.functions[t.function]
	if !ok {
		n = uint64(len(f.names))
		f.functions[t.function] = n
		f.names = append(f.names, t.function)
	}
	return f.log.Add(keylog.Record{Key: t.invocation, Value: n<<markBits | t.class.marks()})
}

// knownFirings are what is known of those of one invocation.
type knownFirings struct {
	known    bool
	function uint64
	marks    uint64
}

func (i *knownFirings) add(r keylog.Record) {
	if !i.known {
		i.known, i.function = true, r.Value>>markBits
	}
	i.marks |= r.Value & (1<<markBits - 1)
}

// count returns the invocations by function, or nil where none was fired again.
func (f *firings) count(ctx context.Context) (map[string]invocations, error) {
	if f == nil || !f.again {
		return nil, nil
	}
	all := make([]invocations, len(f.names))
	err := keylog.Fold(ctx, &f.log, (*knownFirings).add, func(_ keylog.Key, i *knownFirings) error {
		n := &all[i.function]
		n.compared += int64(i.marks & comparedMark / comparedMark)
		n.differed += int64(i.marks & differedMark / differedMark)
		if i.marks != 0 {
			n.fired++
		}
		if i.marks&(differedMark|unknownMark) != 0 {
			n.doubtful++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	byFunction := make(map[string]invocations, len(all))
	for i, name := range f.names {
		byFunction[name] = all[i]
	}
	return byFunction, nil
}

// close lets go of all. Nothing was to be kept, so nothing can be lost.
func (f *firings) close() {
	if f != nil {
		_ = f.log.Close()
	}
}
