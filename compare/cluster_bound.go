package compare

import (
	"slices"
	"strings"
)

const (
	// maxApart is how many names at one place are kept apart, the first so many in alphabetical order. The places that
	// are below others are taken for one, with * for the name.
	maxApart = 64
	// maxGathered is up to how many places are gathered before that is looked at.
	maxGathered = 2000
	// maxAlsoKept bounds the further places that a gathering knows.
	maxAlsoKept = 200
	// maxIDs bounds the numbers by which the sample knows a part.
	maxIDs = 1 << 16
)

// spread is a key in the course of [clusterer.bound].
type spread struct {
	from     clusterKey
	key      clusterKey // but for its path
	segments []string   // of its path
	gone     []string   // the names that became *
}

// bound takes places for one whose names are too many to be kept apart, now and then or in the end. Names that it keeps
// it has never forgotten, so that they are the same whatever the order in which trials come, and so is what became of
// others.
func (c *clusterer) bound() {
	all := make([]*spread, 0, len(c.byKey))
	for key := range c.byKey {
		all = append(all, &spread{from: key, key: key, segments: strings.Split(key.path, "/")})
	}
	for _, list := range groupsBy(all, func(s *spread) string { return s.key.function }) {
		byEffect := groupsBy(list, func(s *spread) string { return s.key.effect })
		for _, effect := range beyondApart(byEffect) {
			for _, s := range byEffect[effect] {
				s.key.effect = "*"
			}
			byEffect["*"] = append(byEffect["*"], byEffect[effect]...)
			delete(byEffect, effect)
		}
		for _, of := range byEffect {
			narrow(of, 1)
		}
	}
	c.move(all)
	c.looked = len(c.byKey)
}

// boundSometimes is bound where there are far more places than there were then.
func (c *clusterer) boundSometimes() {
	if len(c.byKey) > max(maxGathered, 2*c.looked) {
		c.bound()
	}
}

// narrow looks at the names that places whose paths begin alike have as their next segment, i.
func narrow(list []*spread, i int) {
	if len(list) <= maxApart {
		return
	}
	longer := slices.DeleteFunc(list, func(s *spread) bool { return i >= len(s.segments) })
	byName := groupsBy(longer, func(s *spread) string { return s.segments[i] })
	for _, name := range beyondApart(byName) {
		for _, s := range byName[name] {
			if i >= firstName(s.segments) {
				s.segments[i] = "*"
				s.gone = append(s.gone, name)
			}
		}
		byName["*"] = append(byName["*"], byName[name]...)
		delete(byName, name)
	}
	for _, below := range byName {
		narrow(below, i+1)
	}
}

func groupsBy(list []*spread, name func(*spread) string) map[string][]*spread {
	groups := make(map[string][]*spread)
	for _, s := range list {
		groups[name(s)] = append(groups[name(s)], s)
	}
	return groups
}

// beyondApart returns the names of groups that are not to be kept apart.
func beyondApart(groups map[string][]*spread) []string {
	names := slices.DeleteFunc(sortedKeys(groups), func(name string) bool { return name == "*" })
	return names[min(len(names), maxApart):]
}

// move gives the gatherings their new keys, and joins those of one key. A trial that is in several of them counts for
// each: where it is told, that is an upper bound.
func (c *clusterer) move(all []*spread) {
	moved := make(map[clusterKey]clusterKey)
	for _, s := range all {
		to := s.key
		to.path = strings.Join(s.segments, "/")
		from := s.from
		if to == from {
			continue
		}
		moved[from] = to
		g := c.byKey[from]
		delete(c.byKey, from)
		for _, name := range s.gone {
			g.also = starred(g.also, name, to.path)
		}
		if there := c.byKey[to]; there != nil {
			there.trials += g.trials
			there.members += g.members
			there.absorb(g)
		} else {
			c.byKey[to] = g
		}
	}
	if len(moved) == 0 {
		return
	}
	now := func(key clusterKey) clusterKey {
		if to, ok := moved[key]; ok {
			return to
		}
		return key
	}
	together := make(map[[2]clusterKey]int64, len(c.together))
	for pair, n := range c.together {
		if a, b := now(pair[0]), now(pair[1]); a != b {
			together[orderedPair(a, b)] += n
		}
	}
	c.together = together
}

// starred writes a name as * in the further places of a gathering at path.
func starred(also map[string]bool, name, path string) map[string]bool {
	written := make(map[string]bool, len(also))
	for at := range also {
		segments := strings.Split(at, "/")
		for i, s := range segments {
			if s == name && i >= firstName(segments) {
				segments[i] = "*"
			}
		}
		if at = strings.Join(segments, "/"); at != path {
			written[at] = true
		}
	}
	return written
}

// boundAlso forgets further places beyond the first so many.
func (g *gathering) boundAlso(most int) {
	if len(g.also) > most {
		for _, path := range sortedKeys(g.also)[maxAlsoKept:] {
			delete(g.also, path)
		}
	}
}

// know remembers a number by which the sample knows the part. Beyond so many it knows none: then it cannot be told which
// trials of the sample are in the part.
func (p *part) know(id uint64) {
	if p.unknowable {
		return
	}
	p.ids[id] = true
	if len(p.ids) > maxIDs {
		p.unknowable, p.ids = true, nil
	}
}
