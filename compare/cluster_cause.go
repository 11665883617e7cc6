package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	// minSplit and splitShare are how many trials, and which share of them, each of several causes at one place needs
	// to be told in a cluster of its own. One-off causes stay together, however many there are.
	minSplit   = 3
	splitShare = 0.2
	// minTold is the share of trials from which on a second cause is told.
	minTold = 0.05
	// maxParts bounds how many parts of a cluster are kept apart: the first so many in alphabetical order.
	maxParts = 64
)

// A part is those trials of a cluster whose differences look alike: by all the causes that they may have.
type part struct {
	causes  []string // the most specific first
	named   bool     // whether they tell of a mistake
	trials  int64
	same    invariant
	path    string // that all have; several where they have more than one
	samples examples
	ids     map[uint64]bool // by which the sample knows the part, and those that were joined to it
	// unknowable says that these are too many to be kept.
	unknowable bool
}

// several stands for paths that are not the same. It is none.
const several = "*"

func (p *part) at(path string) {
	switch p.path {
	case "":
		p.path = path
	case path:
	default:
		p.path = several
	}
}

func (p *part) merge(o *part) {
	if o.path != "" {
		p.at(o.path)
	}
	p.trials += o.trials
	p.same.merge(o.same)
	p.samples.merge(&o.samples)
	if o.unknowable {
		p.unknowable, p.ids = true, nil
	}
	for id := range o.ids {
		p.know(id)
	}
}

// causesOfAll returns the causes that all differences of one trial at one place may have, or, where there are none, what
// two of them are.
func causesOfAll(list []Difference) (causes []string, named bool) {
	causes, named = causesOf(list[0])
	for _, d := range list[1:] {
		others, _ := causesOf(d)
		both := slices.DeleteFunc(slices.Clone(causes), func(c string) bool { return !slices.Contains(others, c) })
		if len(both) == 0 {
			two := []string{causes[0], others[0]}
			slices.Sort(two)
			return []string{two[0] + ", and " + two[1]}, false
		}
		causes = both
	}
	return causes, named
}

// A group is the parts of a cluster that one cause explains.
type group struct {
	cause string
	part
}

// groups explains the parts by as few causes as can be: again and again by the one that explains the most trials, of
// several the most specific one. So 1 for 100 is a hundredth beside 7 for 700, and 99 less beside 1 for 100 alone.
func (g *gathering) groups() []group {
	left := sortedKeys(g.parts)
	var found []group
	for len(left) > 0 {
		cause := g.widest(left)
		one := group{cause: cause, part: part{named: true, ids: make(map[uint64]bool)}}
		left = slices.DeleteFunc(left, func(name string) bool {
			p := g.parts[name]
			if !slices.Contains(p.causes, cause) {
				return false
			}
			one.named = one.named && p.named
			one.merge(p)
			return true
		})
		found = append(found, one)
	}
	return found
}

// widest returns the cause that most trials of the parts have.
func (g *gathering) widest(parts []string) string {
	trials, rank := make(map[string]int64), make(map[string]int)
	for _, name := range parts {
		p := g.parts[name]
		for i, cause := range p.causes {
			trials[cause] += p.trials
			if r, ok := rank[cause]; !ok || i < r {
				rank[cause] = i
			}
		}
	}
	return slices.MinFunc(sortedKeys(trials), func(a, b string) int {
		return cmp.Or(cmp.Compare(trials[b], trials[a]), cmp.Compare(rank[a], rank[b]), cmp.Compare(a, b))
	})
}

// A mistake is a cluster in the making: all of a gathering, or one of several causes that it has.
type mistake struct {
	cause   string
	own     string // the cause by which it was split from others; "" for all or the rest
	path    string // as in [part]
	trials  int64
	samples examples
	ids     map[uint64]bool
}

// name says what all trials of the group have in common.
func (one *group) name() string { return one.same.name(one.cause, one.named, one.trials) }

// isConstant reports whether the group has no cause that has a name, but something that is the same in all of its trials:
// what is always 5 more has a name, too.
func (one *group) isConstant() bool { return !one.named && one.name() != one.cause }

// withChance adds to a group of one constant those that have it, too, and by chance a cause with a name in few trials: 5
// more is ten times as much where it was 0.5 before. It returns all groups.
func withChance(groups []group, frequent func(group) bool) []group {
	at := slices.IndexFunc(groups, func(one group) bool { return one.isConstant() && frequent(one) })
	if at < 0 {
		return groups
	}
	constant := groups[at]
	var kept []group
	for i, one := range groups {
		both := constant.same
		both.merge(one.same)
		switch {
		case i == at:
		case !frequent(one) && both.name(constant.cause, false, constant.trials) == constant.name():
			constant.merge(&one.part)
		default:
			kept = append(kept, one)
		}
	}
	return slices.Insert(kept, min(at, len(kept)), constant)
}

// mistakes splits a gathering where several causes are frequent. What is left is one more.
func (g *gathering) mistakes() []mistake {
	groups := g.groups()
	total := int64(0)
	for _, one := range groups {
		total += one.trials
	}
	frequent := func(one group) bool {
		return (one.named || one.isConstant()) && one.trials >= minSplit &&
			float64(one.trials) >= splitShare*float64(total)
	}
	groups = withChance(groups, frequent)
	apart := 0
	for _, one := range groups {
		if frequent(one) {
			apart++
		}
	}
	if apart < 2 || g.overlaps {
		whole := together(groups)
		whole.trials = g.trials
		return []mistake{whole}
	}
	var found []mistake
	var rest []group
	for _, one := range groups {
		if !frequent(one) {
			rest = append(rest, one)
			continue
		}
		m := together([]group{one})
		m.own, m.trials = one.cause, min(m.trials, g.trials)
		if one.isConstant() {
			m.own = m.cause
		}
		found = append(found, m)
	}
	if len(rest) > 0 {
		m := together(rest)
		m.trials = min(m.trials, g.trials)
		found = append(found, m)
	}
	return found
}

// together makes one mistake of groups, the most frequent first, and names it by one or two of them.
func together(groups []group) mistake {
	var all part
	all.ids = make(map[uint64]bool)
	for i := range groups {
		all.merge(&groups[i].part)
	}
	first := groups[0]
	m := mistake{path: all.path, trials: all.trials, samples: all.samples, ids: all.ids, cause: first.cause}
	share := func(one group) float64 { return float64(one.trials) / float64(max(all.trials, 1)) }
	switch {
	case len(groups) == 1:
		m.cause = first.name()
	case share(groups[1]) < minTold:
		m.cause += ", and others"
	default:
		second := groups[1]
		m.cause = fmt.Sprintf("%s (%.0f %%), %s (%.0f %%)", first.cause, 100*share(first), second.cause, 100*share(second))
		if len(groups) > 2 {
			m.cause += ", and others"
		}
	}
	return m
}

// part returns the part of trials with these causes.
func (g *gathering) part(causes []string, named bool) *part {
	name := strings.Join(causes, "\x00")
	p := g.parts[name]
	if p == nil {
		p = &part{causes: causes, named: named, ids: make(map[uint64]bool)}
		g.parts[name] = p
	}
	return p
}

// bound forgets parts beyond the first so many, now and then or in the end. Those that it keeps it has never forgotten,
// so they are the same whatever the order in which they came.
func (g *gathering) bound(most int) {
	if len(g.parts) <= most {
		return
	}
	for _, name := range sortedKeys(g.parts)[maxParts:] {
		g.forget(g.parts[name])
		delete(g.parts, name)
	}
}

// forget counts a part among those that are too many. They keep the causes that all of them have.
func (g *gathering) forget(p *part) {
	if g.beyond == nil {
		p.causes = slices.Sorted(slices.Values(p.causes)) // whichever was the first one
		g.beyond = p
		return
	}
	g.beyond.causes = slices.DeleteFunc(g.beyond.causes, func(c string) bool { return !slices.Contains(p.causes, c) })
	g.beyond.named = g.beyond.named && p.named
	g.beyond.merge(p)
}
