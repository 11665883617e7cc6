package compare

import (
	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

// A class says how a trial counts.
type class int

const (
	matched class = iota
	differed
	noisy        // it differs, or could have, in fields alone that disagree with themselves
	inconclusive // an outcome is not known
	unreplayable // the invocation could not be sent to one of the targets
)

// result is what comparing one trial found.
type result struct {
	class       class
	reason      string // for inconclusive and unreplayable trials
	differences []Difference
	aliases     []aliasPair
	halfWatched bool // effects are known of one side only, and were not compared
}

// A judge compares single trials. It is safe for concurrent use: what it counts goes to the tally of the caller.
type judge struct {
	baseline, candidate string
	rules               *ruleSet
	anyEffects          bool // a trial is compared although effects are known of one side only
	// contradicted says, once the whole run has been seen, of an alias why it is none: because one of its values
	// was paired with others elsewhere. It is nil before.
	contradicted func(aliasPair) (why string)
	// noise says, once the whole of a calibrated run has been seen, what the noise of each field amounts to.
	noise map[field]finding
}

// compareDrafts compares a trial whose documents may have been made before.
func (j *judge) compareDrafts(t *replay.Trial, made drafts, tally *tally) result {
	r := j.between(t, made, j.baseline, j.candidate, tally)
	if contradicted := j.contradictions(r.aliases); len(contradicted) > 0 && (r.class == matched || r.class == differed) {
		r.class = differed
		r.differences = append(r.differences, contradicted...)
	}
	return r
}

// between compares two of a trial's outcomes, given by their names.
func (j *judge) between(t *replay.Trial, made drafts, baseline, candidate string, tally *tally) result {
	b, c := t.Outcomes[baseline], t.Outcomes[candidate]
	if b == nil || c == nil {
		name := baseline
		if b != nil {
			name = candidate
		}
		return result{class: inconclusive, reason: "no outcome of " + name}
	}
	for _, o := range []struct {
		name    string
		outcome *capture.Outcome
	}{{baseline, b}, {candidate, c}} {
		switch o.outcome.Status {
		case capture.StatusUnreplayable:
			return result{class: unreplayable, reason: o.name + ": " + whyOf(o.outcome, "cannot be sent")}
		case capture.StatusThrottled, capture.StatusTransport, capture.StatusUnknown:
			return result{class: inconclusive, reason: o.name + ": " + string(o.outcome.Status)}
		case capture.StatusOK, capture.StatusFunctionError, capture.StatusTimeout:
		default:
			return result{class: inconclusive, reason: o.name + ": a status that is not known"}
		}
	}
	rules := j.rules.of(situationOf(t, b, c))
	docB, docC := made.of(b), made.of(c)
	halfWatched := (b.Effects == nil) != (c.Effects == nil)
	if halfWatched {
		docB.effects, docC.effects = nil, nil
	}
	r := j.documents(rules, &docB, &docC, tally)
	r.halfWatched = halfWatched
	if halfWatched && r.class == matched && !j.anyEffects {
		return result{class: inconclusive, reason: "effects were watched on one side only"}
	}
	return r
}

func whyOf(o *capture.Outcome, fallback string) string {
	if o.Error != nil && o.Error.Message != "" {
		return o.Error.Message
	}
	return fallback
}

func (j *judge) documents(rules *functionRules, b, c *document, tally *tally) result {
	for _, v := range append([]jsonval.Value{b.root}, b.effects...) {
		tally.leaves += int64(leaves(v))
	}
	dropBatchStatus(b, c)
	m := matcher{rules: rules, tally: tally, b: b, c: c}
	effects := m.align()
	r := result{aliases: m.pairs}
	walk := reconciler{tally: tally, names: &m.names, keys: rules.keys}
	walk.reconcile(rules.root, "", &b.root, &c.root)
	r.differences = append(explainer{keys: rules.keys}.explain("", b.root, c.root, surroundings{}), effects.explain(&walk)...)
	for i := range r.differences {
		if v := r.differences[i].Candidate; v != nil {
			restored := m.names.restore(*v)
			r.differences[i].Candidate = &restored
			if d := &r.differences[i]; d.Kind == Changed && jsonval.Equal(*d.Baseline, restored) {
				d.Note = "the same text stands for something else on each side"
			}
		}
	}
	if len(r.differences) > 0 {
		r.class = differed
	}
	return r
}

// dropBatchStatus drops the status of batches whose messages have fates. One side may take a batch in one invocation
// and the other in one a message, so only what became of each message can be compared. A batch that ran out of time
// keeps its status, and then so does the other.
func dropBatchStatus(b, c *document) {
	for _, d := range []*document{b, c} {
		status := capture.Status(d.root.At("status").Text)
		if _, fates := d.root.Get("records"); !fates || status == capture.StatusTimeout {
			return
		}
	}
	for _, d := range []*document{b, c} {
		d.root = without(&d.root, func(i int) bool { return d.root.Names[i] == "status" })
	}
}

// A matcher finds the aliases of two documents and puts their effects side by side. Each needs the other: an effect
// is known by an ID that the answer has, and an ID may be in effects alone.
type matcher struct {
	rules *functionRules
	tally *tally
	b, c  *document
	raw   *document // the candidate's as it was, once c is rewritten
	names renaming
	pairs []aliasPair
}

func (m *matcher) align() *aligner {
	if m.rules.aliases {
		m.know(m.search(outsideUnordered))
		if m.rules.unordered {
			m.know(m.search(insideUnordered))
		}
	}
	a := &aligner{place: m.rules.root.at("effects"), b: m.b.effects, c: m.c.effects}
	a.align(&reconciler{names: &m.names, wild: m.rules.aliases})
	if !m.rules.aliases {
		return a
	}
	if m.know(a.aliases(&m.names)) {
		a.c = m.c.effects
		a.align(&reconciler{names: &m.names, wild: true})
	}
	for _, p := range m.pairs {
		if p.baseline != p.candidate {
			m.tally.hits[p.rule.index]++
		}
	}
	return a
}

// search returns the aliases in the answers.
func (m *matcher) search(lists listScope) (found []aliasPair) {
	walk := reconciler{names: &m.names, wild: true, lists: lists, keys: m.rules.keys,
		found: func(p aliasPair) { found = append(found, p) }}
	walk.reconcile(m.rules.root, "", &m.b.root, &m.c.root)
	return found
}

// know takes over aliases, rewrites the candidate by them, and reports whether that changed anything.
func (m *matcher) know(found []aliasPair) (changed bool) {
	if len(found) == 0 {
		return false
	}
	for i := range found {
		found[i].candidate = rewrite(found[i].candidate, m.names.back)
		changed = changed || found[i].baseline != found[i].candidate
	}
	m.pairs = append(m.pairs, found...)
	m.names.add(m.pairs)
	if len(m.names.tokens.to) == 0 {
		return changed
	}
	if m.raw == nil {
		m.raw = &document{root: m.c.root, effects: m.c.effects}
	}
	m.c.root = m.names.apply(m.raw.root)
	m.c.effects = make([]jsonval.Value, len(m.raw.effects))
	for i, e := range m.raw.effects {
		m.c.effects[i] = m.names.apply(e)
	}
	return changed
}

// contradictions are the aliases of a trial that do not hold over the run.
func (j *judge) contradictions(pairs []aliasPair) []Difference {
	if j.contradicted == nil {
		return nil
	}
	var found []Difference
	for _, pair := range pairs {
		why := j.contradicted(pair)
		if why == "" {
			continue
		}
		b, c := jsonval.Text(pair.baseline), jsonval.Text(pair.candidate)
		found = append(found, Difference{Path: pair.path, Kind: Changed, Baseline: &b, Candidate: &c, Note: why, ofRun: true})
	}
	return found
}
