package compare

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	// minSeparation is the precision and the recall that a condition needs in the sample.
	minSeparation = 0.98
	// conditionLevel is how likely, at most, a condition is found where there is none: the level of Fisher's exact test,
	// after Bonferroni's correction for all that were tried.
	conditionLevel = 0.01
	// minOutside is how many of a function's trials have to be outside of a cluster for a condition to be looked for.
	minOutside = 5
	// maxPartners is how many conditions are tried in pairs.
	maxPartners = 40
)

// A condition is something that some events have, and others have not.
type condition struct {
	text  string
	path  string
	cost  int // the simpler the lower
	holds bitset
}

// tellConditions looks for what the events of each cluster's trials have that those of the function's other trials have
// not, in a sample of its trials. The recording is read once.
func (c *comparison) tellConditions(ctx context.Context, f *findings, r *Report) error {
	if c.opts.Events == nil || len(f.clusters) == 0 {
		return nil
	}
	tables := make(map[string]*table)
	room := maxAllPaths
	for i := range f.clusters {
		if name := f.clusters[i].Function; tables[name] == nil {
			s := f.sum.samples[name]
			s.trim()
			tables[name] = newTable(s.trials, &room)
		}
	}
	if err := c.readEvents(ctx, tables); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.reason("no conditions on events are told: %v", err)
		return nil
	}
	conditions := make(map[string][]condition, len(tables))
	for name, t := range tables {
		conditions[name] = t.conditions()
	}
	for i := range f.clusters {
		cluster := &f.clusters[i]
		r.Clusters[i].Condition = tables[cluster.Function].separate(cluster, conditions[cluster.Function])
	}
	return nil
}

func (c *comparison) readEvents(ctx context.Context, tables map[string]*table) error {
	type place struct {
		table *table
		trial int
	}
	wanted := make(map[string][]place)
	for _, name := range sortedKeys(tables) {
		for i, t := range tables[name].trials {
			wanted[t.invocation] = append(wanted[t.invocation], place{tables[name], i})
		}
	}
	for inv, err := range c.opts.Events {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		places := wanted[inv.ID]
		if len(places) == 0 {
			continue
		}
		view, err := eventView(inv)
		if err != nil {
			continue // an event that is not JSON has nothing to tell
		}
		for _, p := range places {
			p.table.add(p.trial, view)
		}
	}
	return nil
}

// conditions returns those that hold for some of the events and not for others, but for limits, which depend on the
// cluster.
func (t *table) conditions() (all []condition) {
	add := func(path, text string, cost int, holds bitset) {
		if n := holds.count(); n > 0 && n < t.seen.count() {
			all = append(all, condition{text, path, cost + strings.Count(path, ".") + 8*strings.Count(path, "[]"), holds})
		}
	}
	for _, path := range sortedKeys(t.columns) {
		c := t.columns[path]
		if !strings.HasSuffix(path, "[]") { // whether there are elements is told by the list
			add(path, says(path, "is", "there"), 0, c.there)
			add(path, denies(path, "is", "there"), 5, t.seen.but(c.there))
		}
		for k, holds := range c.traits {
			if holds == nil {
				continue
			}
			add(path, says(path, traits[k].verb, traits[k].name), traits[k].cost, holds)
			if traits[k].name != oneElement { // two limits say that better
				add(path, denies(path, traits[k].verb, traits[k].name), traits[k].cost+5, c.there.but(holds))
			}
		}
		for _, v := range sortedKeys(c.values) {
			add(path, says(path, "is", v), 24, c.values[v])
			add(path, denies(path, "is", v), 29, c.there.but(c.values[v]))
		}
	}
	return all
}

// says and denies write a condition: of what is in a list it is that some, or none, of its elements are so.
func says(path, verb, what string) string {
	if strings.Contains(path, "[]") {
		return fmt.Sprintf("some %s %s %s", path, verb, what)
	}
	return fmt.Sprintf("%s %s %s", path, verb, what)
}

func denies(path, verb, what string) string {
	switch {
	case strings.Contains(path, "[]"):
		return fmt.Sprintf("no %s %s %s", path, verb, what)
	case what == "there":
		return path + " is missing"
	case verb == "has":
		return fmt.Sprintf("%s has not %s", path, what)
	}
	return fmt.Sprintf("%s is not %s", path, what)
}

// separate returns what tells the cluster's trials from the others, "" when nothing does.
func (t *table) separate(cluster *gathered, known []condition) string {
	in := newBitset(len(t.trials))
	for i, trial := range t.trials {
		if t.seen.has(i) && slices.ContainsFunc(trial.ids, func(id uint64) bool { return cluster.ids[id] }) {
			in.set(i)
		}
	}
	inside, all := in.count(), t.seen.count()
	if inside == 0 || all-inside < minOutside {
		return ""
	}
	limits, tried := t.limits(in)
	sets, possible := t.valueSets(in)
	list := slices.Concat(known, limits, sets)
	tried += len(known) + possible
	if best, ok := simplest(list, in, all, tried, cluster.Path); ok {
		return "only where " + best.text
	}
	pairs := pairsOf(list, in)
	if best, ok := simplest(pairs, in, all, tried*tried/2+tried, cluster.Path); ok {
		return "only where " + best.text
	}
	return ""
}

// simplest returns the condition with the fewest mistakes of those that separate, and of several the simplest one: of
// equally simple ones that about the place where the difference is.
func simplest(list []condition, in bitset, all, tried int, place string) (best condition, ok bool) {
	field := strings.ToLower(place[strings.LastIndexByte(place, '/')+1:])
	inside, fewest := in.count(), 0
	order := func(c condition) int {
		cost := 2 * c.cost
		if slices.Contains(strings.FieldsFunc(strings.ToLower(c.path), isSeparator), field) {
			cost -= 15
		}
		return cost
	}
	for _, c := range list {
		holds, hits := c.holds.count(), c.holds.and(in).count()
		mistakes := holds - hits + inside - hits
		if float64(hits) < minSeparation*float64(holds) || float64(hits) < minSeparation*float64(inside) {
			continue
		}
		if fisher(hits, holds, inside, all)*float64(tried) > conditionLevel {
			continue
		}
		before := cmp.Or(cmp.Compare(mistakes, fewest), cmp.Compare(order(c), order(best)), cmp.Compare(c.text, best.text))
		if !ok || before < 0 {
			best, fewest, ok = c, mistakes, true
		}
	}
	return best, ok
}

func isSeparator(r rune) bool { return strings.ContainsRune(".[] ", r) }

// pairsOf joins conditions that all of the cluster's trials have, the most telling of them.
func pairsOf(list []condition, in bitset) (pairs []condition) {
	inside := float64(in.count())
	type candidate struct {
		condition
		holds int
	}
	var necessary []candidate
	for _, c := range list {
		if float64(c.holds.and(in).count()) >= minSeparation*inside {
			necessary = append(necessary, candidate{c, c.holds.count()})
		}
	}
	slices.SortStableFunc(necessary, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.holds, b.holds), cmp.Compare(a.cost, b.cost), cmp.Compare(a.text, b.text))
	})
	necessary = necessary[:min(len(necessary), maxPartners)]
	for i, a := range necessary {
		for _, b := range necessary[:i] {
			if a.path == b.path {
				continue
			}
			pairs = append(pairs, condition{
				min(a.text, b.text) + " and " + max(a.text, b.text), a.path + " " + b.path, a.cost + b.cost,
				a.condition.holds.and(b.condition.holds),
			})
		}
	}
	return pairs
}

// fisher returns how likely it is that, of holds events drawn from all, hits or more are among the inside ones: the
// one-sided test of R. A. Fisher.
func fisher(hits, holds, inside, all int) float64 {
	p := 0.0
	for k := hits; k <= min(holds, inside); k++ {
		p += math.Exp(logChoose(inside, k) + logChoose(all-inside, holds-k) - logChoose(all, holds))
	}
	return min(p, 1)
}

func logChoose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
