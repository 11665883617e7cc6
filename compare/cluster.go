package compare

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

const (
	maxExamples = 3
	maxAlso     = 8
	maxAlike    = 16 // places with one field in one trial whose coming together is counted
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

// gathering collects the differences of one cluster. It adds up in any order.
type gathering struct {
	trials   int64
	members  uint64 // the sum of the trials' hashes: equal for equal sets of trials
	causes   map[string]int64
	also     map[string]bool
	examples []Example
}

// clusterer gathers the differences of many trials.
type clusterer struct {
	byKey map[clusterKey]*gathering
	// together counts the trials that two keys for one field have in common.
	together map[[2]clusterKey]int64
}

func newClusterer() *clusterer {
	return &clusterer{make(map[clusterKey]*gathering), make(map[[2]clusterKey]int64)}
}

// add takes the folded differences of one trial.
func (c *clusterer) add(function, invocation string, found []Difference) {
	counted := make(map[clusterKey]bool, len(found))
	alike := make(map[fieldKey][]clusterKey)
	for _, d := range found {
		key := keyOf(function, d)
		g := c.byKey[key]
		if g == nil {
			g = &gathering{causes: make(map[string]int64), also: make(map[string]bool)}
			c.byKey[key] = g
		}
		if !counted[key] {
			field := key.inField()
			if len(alike[field]) < maxAlike {
				for _, other := range alike[field] {
					c.together[orderedPair(key, other)]++
				}
				alike[field] = append(alike[field], key)
			}
			counted[key] = true
			g.trials++
			g.members += hash64(invocation)
		}
		g.causes[causeOf(d)]++
		for _, path := range d.Also {
			if p := pattern(path); p != key.path {
				g.also[p] = true
			}
		}
		e := Example{
			Invocation: invocation, Path: d.Path, Key: d.Key,
			Baseline: shown(d, d.Baseline), Candidate: shown(d, d.Candidate),
		}
		if g.wants(e) {
			e.Diff = neighbourhood(&d)
			g.example(e)
		}
	}
}

// wants reports whether e is an example to keep: those with the smallest invocation IDs are, one a trial.
func (g *gathering) wants(e Example) bool {
	if i := g.exampleOf(e.Invocation); i >= 0 {
		return compareExamples(e, g.examples[i]) < 0
	}
	return len(g.examples) < maxExamples || compareExamples(e, g.examples[maxExamples-1]) < 0
}

// example keeps an example that is wanted.
func (g *gathering) example(e Example) {
	if !g.wants(e) {
		return
	}
	if i := g.exampleOf(e.Invocation); i >= 0 {
		g.examples[i] = e
		return
	}
	i, _ := slices.BinarySearchFunc(g.examples, e, compareExamples)
	g.examples = slices.Insert(g.examples, i, e)
	g.examples = g.examples[:min(len(g.examples), maxExamples)]
}

func (g *gathering) exampleOf(invocation string) int {
	return slices.IndexFunc(g.examples, func(e Example) bool { return e.Invocation == invocation })
}

func compareExamples(a, b Example) int {
	return cmp.Or(cmp.Compare(a.Invocation, b.Invocation), cmp.Compare(a.Path, b.Path))
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
}

// absorb takes over all of o but its counts.
func (g *gathering) absorb(o *gathering) {
	for cause, n := range o.causes {
		g.causes[cause] += n
	}
	for path := range o.also {
		g.also[path] = true
	}
	for _, e := range o.examples {
		g.example(e)
	}
}

// clusters returns what was gathered, the most frequent first. Compared and differed have the trials compared and
// those that differ, by function.
func (c *clusterer) clusters(compared, differed map[string]int64) []Cluster {
	c.joinEffects()
	c.joinFields(differed)
	list := make([]Cluster, 0, len(c.byKey))
	for key, g := range c.byKey {
		list = append(list, Cluster{
			ID: key.id(), Function: key.function, Path: key.path, Kind: key.kind, Effect: key.effect,
			Trials: g.trials, Share: float64(g.trials) / float64(max(compared[key.function], 1)),
			Cause: g.cause(), Also: g.alsoList(), Examples: g.examples,
		})
	}
	slices.SortFunc(list, func(a, b Cluster) int {
		return cmp.Or(cmp.Compare(b.Trials, a.Trials), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Cause, b.Cause))
	})
	return list
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
		g.trials += o.trials - c.together[orderedPair(key, other)]
		g.absorb(o)
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

// cause names the cluster: by what its differences have in common, else by the most frequent.
func (g *gathering) cause() string {
	causes := make([]string, 0, len(g.causes))
	for cause := range g.causes {
		causes = append(causes, cause)
	}
	slices.SortFunc(causes, func(a, b string) int {
		return cmp.Or(cmp.Compare(g.causes[b], g.causes[a]), cmp.Compare(a, b))
	})
	if len(causes) == 1 {
		return causes[0]
	}
	return causes[0] + ", and others"
}

func (g *gathering) alsoList() []string {
	list := sortedKeys(g.also)
	if len(list) > maxAlso {
		list = append(list[:maxAlso], "…")
	}
	return list
}

// id is the same for the same cluster in every run, so that people can refer to it.
func (k clusterKey) id() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{k.function, k.path, string(k.kind), k.effect, k.pair}, "\x00")))
	return hex.EncodeToString(sum[:4])
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// maxShown is how much of a value an example shows, in bytes.
const maxShown = 400

// shown writes one side of a difference for an example: nil for nothing. Of an effect it leaves out what the cluster
// says.
func shown(d Difference, v *jsonval.Value) *string {
	if v == nil {
		return nil
	}
	if isEffect(d.Path) {
		kept := jsonval.Value{Kind: jsonval.Object}
		for i, name := range v.Names {
			if name != "kind" && name != "resource" && v.Elems[i].Text+v.Elems[i].String() != `""` {
				kept.Add(name, v.Elems[i])
			}
		}
		v = &kept
	}
	text := show(*v)
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return &text
}
