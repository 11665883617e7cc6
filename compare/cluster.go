package compare

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"
)

const (
	maxAlso  = 8
	maxAlike = 16 // places with one field in one trial whose coming together is counted
)

// clusterKey is what differences of one likely cause have in common.
type clusterKey struct {
	function, path string
	kind           Kind
	effect         string
	// pair tells apart what happened where a value is one of a few: from which status or fate to which.
	pair string
}

func keyOf(function string, d Difference) clusterKey {
	key := clusterKey{function: function, path: pattern(d.Path), kind: d.Kind, effect: d.Effect}
	if isEnumeration(d.Path) {
		key.pair = showOr(d.Baseline) + " " + showOr(d.Candidate)
	}
	return key
}

func isEnumeration(path string) bool {
	return path == "/status" || path == "/http/status" || strings.HasPrefix(path, "/records/")
}

// fieldKey is what differences have in common that may be one mistake in several places.
type fieldKey struct {
	function, field string
	kind            Kind
}

func (k clusterKey) inField() fieldKey {
	return fieldKey{k.function, k.path[strings.LastIndexByte(k.path, '/')+1:], k.kind}
}

// gathering collects the differences of one place. It adds up in any order.
type gathering struct {
	trials   int64
	members  uint64           // the sum of the trials' hashes: equal for equal sets of trials
	parts    map[string]*part // by their causes
	beyond   *part            // those that are too many
	also     map[string]bool
	overlaps bool // other places were joined to it, in part of the same trials
}

// clusterer gathers the differences of many trials.
type clusterer struct {
	byKey map[clusterKey]*gathering
	// together counts the trials that two keys for one field have in common.
	together map[[2]clusterKey]int64
	looked   int // places that were left by bound
}

func newClusterer() *clusterer {
	return &clusterer{byKey: make(map[clusterKey]*gathering), together: make(map[[2]clusterKey]int64)}
}

// add takes the folded differences of one trial, whose outcomes have so many bytes. It returns what the trial is known
// by in a sample: one number for each part of a cluster that it is in.
func (c *clusterer) add(function, invocation string, size int, found []Difference) (ids []uint64) {
	byKey := make(map[clusterKey][]Difference, len(found))
	var keys []clusterKey
	for _, d := range found {
		key := keyOf(function, d)
		if byKey[key] == nil {
			keys = append(keys, key)
		}
		byKey[key] = append(byKey[key], d)
	}
	alike := make(map[fieldKey][]clusterKey)
	for _, key := range keys {
		field := key.inField()
		if len(alike[field]) < maxAlike {
			for _, other := range alike[field] {
				c.together[orderedPair(key, other)]++
			}
			alike[field] = append(alike[field], key)
		}
		g := c.byKey[key]
		if g == nil {
			g = &gathering{parts: make(map[string]*part), also: make(map[string]bool)}
			c.byKey[key] = g
		}
		ids = append(ids, g.add(key, invocation, size, byKey[key]))
	}
	c.boundSometimes()
	return ids
}

// add takes the differences that one trial has at a place.
func (g *gathering) add(key clusterKey, invocation string, size int, found []Difference) (id uint64) {
	g.trials++
	g.members += hash64(invocation)
	causes, named := causesOfAll(found)
	p := g.part(causes, named)
	p.trials++
	id = hash64(key.text() + "\x00" + strings.Join(causes, "\x00"))
	p.know(id)
	p.at(key.path)
	for _, d := range found {
		p.same.merge(invariantOf(d))
		p.samples.add(Example{
			Invocation: invocation, Path: d.Path, Key: d.Key,
			Baseline: shown(d, d.Baseline), Candidate: shown(d, d.Candidate),
		}, &d, size)
		for _, path := range d.Also {
			if p := pattern(path); p != key.path {
				g.also[p] = true
			}
		}
	}
	g.boundAlso(2 * maxAlsoKept)
	g.bound(2 * maxParts)
	return id
}

func (c *clusterer) merge(other *clusterer) {
	for key, o := range other.byKey {
		g := c.byKey[key]
		if g == nil {
			c.byKey[key] = o
			continue
		}
		g.trials += o.trials
		g.members += o.members
		g.absorb(o)
	}
	for pair, n := range other.together {
		c.together[pair] += n
	}
	c.boundSometimes()
}

// absorb takes over all of o but its counts.
func (g *gathering) absorb(o *gathering) {
	for name, p := range o.parts {
		if mine := g.parts[name]; mine != nil {
			mine.merge(p)
		} else {
			g.parts[name] = p
		}
	}
	if o.beyond != nil {
		g.forget(o.beyond)
	}
	g.overlaps = g.overlaps || o.overlaps
	for path := range o.also {
		g.also[path] = true
	}
	g.boundAlso(2 * maxAlsoKept)
	g.bound(2 * maxParts)
}

// gathered is a cluster, and what its trials are known by in a sample.
type gathered struct {
	Cluster
	ids map[uint64]bool
}

// clusters returns what was gathered, the most frequent first. Compared and differed have the trials compared and
// those that differ, by function.
func (c *clusterer) clusters(compared, differed map[string]int64) []gathered {
	c.bound()
	for key, g := range c.byKey {
		g.boundAlso(maxAlsoKept)
		g.trials = min(g.trials, max(differed[key.function], 1))
	}
	c.joinEffects()
	c.joinFamilies(differed)
	c.joinFields(differed)
	list := make([]gathered, 0, len(c.byKey))
	for key, g := range c.byKey {
		g.bound(maxParts)
		if g.beyond != nil {
			if len(g.beyond.causes) == 0 {
				g.beyond.causes, g.beyond.named = []string{anotherValue}, false
			}
			g.parts["\xff"] = g.beyond
		}
		for _, m := range g.mistakes() {
			smallest := m.samples.smallest
			key := key
			if m.path != several && strings.Contains(key.path, "*") { // it is at one of the places that were joined
				key.path = m.path
			}
			list = append(list, gathered{ids: m.ids, Cluster: Cluster{
				ID: key.id(m.own), Function: key.function, Path: key.path, Kind: key.kind, Effect: key.effect,
				Trials: m.trials, Share: float64(m.trials) / float64(max(compared[key.function], 1)),
				Cause: m.cause, Also: g.alsoList(), Examples: m.samples.first, Smallest: &smallest,
			}})
		}
	}
	slices.SortFunc(list, func(a, b gathered) int {
		return cmp.Or(cmp.Compare(b.Trials, a.Trials), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Cause, b.Cause),
			cmp.Compare(a.ID, b.ID))
	})
	nameAlike(list)
	return list
}

// nameAlike tells of each cluster those of other functions that have the same cause at the same place.
func nameAlike(list []gathered) {
	type likeness struct {
		path   string
		kind   Kind
		effect string
		cause  string
	}
	of := func(c *gathered) likeness { return likeness{c.Path, c.Kind, c.Effect, c.Cause} }
	byLikeness := make(map[likeness][]*gathered)
	for i := range list {
		byLikeness[of(&list[i])] = append(byLikeness[of(&list[i])], &list[i])
	}
	for i := range list {
		for _, other := range byLikeness[of(&list[i])] {
			if other.Function != list[i].Function {
				list[i].Alike = append(list[i].Alike, other.ID)
			}
		}
	}
}

// joinFields joins what happens to a field in one place with what happens to it in another when, in other trials,
// it happens in both: a wrong time that shows in the answer and in an object is the same mistake where the answer
// does not show it.
//
// How many trials more than two places have in common is not known. The trials of the joined cluster are then an
// upper bound, and never more than differ.
func (c *clusterer) joinFields(differed map[string]int64) {
	byField := make(map[fieldKey][]clusterKey)
	for _, key := range c.sortedKeys() {
		byField[key.inField()] = append(byField[key.inField()], key)
	}
	for _, keys := range byField {
		for _, key := range keys {
			if g := c.byKey[key]; g != nil && len(g.also) > 0 {
				c.joinField(key, g, keys)
				g.trials = min(g.trials, max(differed[key.function], 1))
			}
		}
	}
}

// joinField joins to g what happens in its other places too.
func (c *clusterer) joinField(key clusterKey, g *gathering, keys []clusterKey) {
	for _, other := range keys {
		o := c.byKey[other]
		if key == other || o == nil || !g.also[other.path] || isEffect(other.path) {
			continue
		}
		common := c.together[orderedPair(key, other)]
		g.trials += o.trials - common
		g.absorb(o)
		g.overlaps = g.overlaps || common > 0
		delete(g.also, key.path)
		delete(c.byKey, other)
	}
}

func (c *clusterer) sortedKeys() []clusterKey {
	keys := make([]clusterKey, 0, len(c.byKey))
	for key := range c.byKey {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b clusterKey) int {
	return cmp.Or(cmp.Compare(a.function, b.function), cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.effect, b.effect), cmp.Compare(a.pair, b.pair))
}

func orderedPair(a, b clusterKey) [2]clusterKey {
	if compareKeys(a, b) > 0 {
		a, b = b, a
	}
	return [2]clusterKey{a, b}
}

// joinEffects joins clusters of one function whose whole effects are missing in exactly the same trials, or are there
// in addition: a message that was not processed lacks all of its effects together.
func (c *clusterer) joinEffects() {
	type set struct {
		function string
		kind     Kind
		trials   int64
		members  uint64
	}
	first := make(map[set]clusterKey)
	for _, key := range c.sortedKeys() {
		if !isEffect(key.path) || (key.kind != Missing && key.kind != Extra) {
			continue
		}
		g := c.byKey[key]
		s := set{key.function, key.kind, g.trials, g.members}
		kept, ok := first[s]
		if !ok {
			first[s] = key
			continue
		}
		c.byKey[kept].also[key.effect] = true
		delete(c.byKey, key)
	}
}

func (g *gathering) alsoList() []string {
	list := sortedKeys(g.also)
	if len(list) > maxAlso {
		list = append(list[:maxAlso], "…")
	}
	return list
}

// id is the same for the same cluster in every run, so that people can refer to it. Own is the cause by which a cluster
// was split from others at its place, and is told behind the ID of the place: whether there are others depends on the run,
// and who has noted the ID of the place finds all that happens there.
func (k clusterKey) id(own string) string {
	place := sha256.Sum256([]byte(k.text()))
	id := hex.EncodeToString(place[:4])
	if own != "" {
		cause := sha256.Sum256([]byte(own))
		id += "-" + hex.EncodeToString(cause[:3])
	}
	return id
}

func (k clusterKey) text() string {
	return strings.Join([]string{k.function, k.path, string(k.kind), k.effect, k.pair}, "\x00")
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
