package distill

import "slices"

// parts deals invocations out to so many recordings that those that share a lane stay together. Only lanes that occur
// together, in one batch, are kept in memory. The zero value is not usable.
type parts struct {
	seed   uint64
	dealt  []int64           // to each part
	parent map[string]string // a lane that was tied to others, and one that is closer to the name of all of them
}

func newParts(n int, seed uint64) *parts {
	return &parts{seed: seed, dealt: make([]int64, n), parent: make(map[string]string)}
}

// tie notes that these lanes belong together. All must be tied before the first invocation is dealt.
func (p *parts) tie(lanes []string) {
	if len(lanes) < 2 {
		return
	}
	roots := make([]string, len(lanes))
	for i, lane := range lanes {
		roots[i] = p.root(lane)
	}
	// The least name wins, so that what a lane is called does not depend on the order in which they were tied.
	least := slices.Min(roots)
	for _, root := range roots {
		p.parent[root] = least
	}
}

// root returns the name of everything that is tied to lane.
func (p *parts) root(lane string) string {
	root := lane
	for {
		parent, tied := p.parent[root]
		if !tied || parent == root {
			break
		}
		root = parent
	}
	for lane != root { // shorten the way for the next time
		lane, p.parent[lane] = p.parent[lane], root
	}
	return root
}

// deal returns the number, from 0, of the part that an invocation with these lanes is in: one that has none goes
// where there are fewest.
func (p *parts) deal(lanes []string) int {
	n := 0
	if len(lanes) > 0 {
		n = int(hash(p.seed, p.root(lanes[0])) % uint64(len(p.dealt)))
	} else {
		for i := range p.dealt {
			if p.dealt[i] < p.dealt[n] {
				n = i
			}
		}
	}
	p.dealt[n]++
	return n
}
