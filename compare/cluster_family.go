package compare

import (
	"maps"
	"slices"
	"strings"
)

// Places whose paths differ in the name of one member are taken for one place from minRelatives sets of trials on that
// they are in, if one cause that has a name explains them all, and from minStrangers on, if the cause has none.
const (
	minRelatives = 8
	minStrangers = 20
	minCrowd     = 50 // places that one cause explains are one place, in whatever trials
	maxNames     = 32 // segments of a path that are looked at
	maxCauses    = 16 // causes of a family that are tried
)

// A family is places that differ in the name of one member.
type family struct {
	key     clusterKey // with * for the name
	segment int        // of the path, which is the name
}

// joinFamilies joins what happens at members whose names vary from trial to trial, as where objects are keyed by
// customers, and which one cause explains. Names that are IDs by their looks have * in paths anyway.
//
// How many trials the places have in common is not known. The trials of the joined cluster are then an upper bound, and
// never more than differ.
func (c *clusterer) joinFamilies(differed map[string]int64) {
	var order []family
	members := make(map[family][]clusterKey)
	for _, key := range c.sortedKeys() {
		segments := strings.Split(key.path, "/")
		for i := firstName(segments); i < min(len(segments), maxNames); i++ {
			name := segments[i]
			segments[i] = "*"
			f := family{key, i}
			f.key.path = strings.Join(segments, "/")
			segments[i] = name
			if name == "*" {
				continue
			}
			if members[f] == nil {
				order = append(order, f)
			}
			members[f] = append(members[f], key)
		}
	}
	for _, f := range order {
		keys := slices.DeleteFunc(members[f], func(key clusterKey) bool { return c.byKey[key] == nil })
		for range maxCauses {
			if len(keys) < minRelatives {
				break
			}
			related, rest := c.related(keys)
			if c.varies(related, differed[f.key.function]) {
				rest = c.asRare(&related, rest)
				c.joinFamily(f, related, differed)
			}
			keys = rest
		}
	}
}

// all returns the parts of a gathering, with those that are too many as one.
func (g *gathering) all() []*part {
	list := slices.Collect(maps.Values(g.parts))
	if g.beyond != nil {
		list = append(list, g.beyond)
	}
	return list
}

// firstName is the first segment of a path that is the name of a member of a body, a header or a cookie.
func firstName(segments []string) int {
	switch {
	case len(segments) < 3:
	case segments[1] == "body" || segments[1] == "result":
		return 2
	case segments[1] == "http":
		return 3
	case segments[1] == "effects" && len(segments) > 4 && segments[3] == "body":
		return 4
	}
	return len(segments)
}

// related returns those of the places that the cause explains which explains the most trials of all, and the rest.
func (c *clusterer) related(keys []clusterKey) (related, rest []clusterKey) {
	trials, rank := make(map[string]int64), make(map[string]int)
	all := make([]map[string]bool, len(keys))
	for k, key := range keys {
		g := c.byKey[key]
		all[k] = make(map[string]bool)
		first := true
		for _, p := range g.all() {
			mine := make(map[string]bool, len(p.causes))
			for i, cause := range p.causes {
				if first || all[k][cause] {
					mine[cause] = true
				}
				if r, ok := rank[cause]; !ok || i < r {
					rank[cause] = i
				}
			}
			all[k], first = mine, false
		}
		for cause := range all[k] {
			trials[cause] += g.trials
		}
	}
	best := ""
	for _, cause := range sortedKeys(trials) {
		if best == "" || trials[cause] > trials[best] || trials[cause] == trials[best] && rank[cause] < rank[best] {
			best = cause
		}
	}
	for k, key := range keys {
		if best != "" && all[k][best] {
			related = append(related, key)
		} else {
			rest = append(rest, key)
		}
	}
	if best == "" {
		return nil, nil
	}
	return related, rest
}

// asRare adds those of the rest to the related places that are in no more trials than one of these: where names vary, so
// do theirs, whatever their cause. It returns what is left.
func (c *clusterer) asRare(related *[]clusterKey, rest []clusterKey) (left []clusterKey) {
	most := int64(0)
	for _, key := range *related {
		most = max(most, c.byKey[key].trials)
	}
	for _, key := range rest {
		if c.byKey[key].trials <= most {
			*related = append(*related, key)
		} else {
			left = append(left, key)
		}
	}
	return left
}

// joinFamily joins places.
func (c *clusterer) joinFamily(f family, keys []clusterKey, differed map[string]int64) {
	joined := &gathering{parts: make(map[string]*part), also: make(map[string]bool)}
	if there := c.byKey[f.key]; there != nil {
		joined = there
	}
	for _, key := range keys {
		g := c.byKey[key]
		delete(c.byKey, key)
		name := strings.Split(key.path, "/")[f.segment]
		joined.trials += g.trials
		joined.members += g.members
		also := g.also
		g.also = nil
		joined.absorb(g)
		for path := range starred(also, name, f.key.path) {
			joined.also[path] = true
		}
	}
	joined.trials = min(joined.trials, max(differed[f.key.function], 1))
	c.byKey[f.key] = joined
}

// varies reports whether the places are in enough different sets of trials, and each in few of those that differ, or are
// more than anybody reads.
func (c *clusterer) varies(keys []clusterKey, differed int64) bool {
	const few = 5 // at most one trial in so many, in the mean
	named := true
	trials := int64(0)
	sets := make(map[uint64]bool, len(keys))
	for _, key := range keys {
		g := c.byKey[key]
		trials += g.trials
		sets[g.members] = true
		for _, p := range g.all() {
			named = named && p.named
		}
	}
	if named && len(keys) >= minCrowd {
		return true
	}
	if few*trials > differed*int64(len(keys)) {
		return false
	}
	return named && len(sets) >= minRelatives || len(sets) >= minStrangers
}
