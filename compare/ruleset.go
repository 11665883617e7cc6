package compare

import (
	"fmt"
	"time"
)

// ruleSet holds all rules of a comparison, compiled for each function that rules name.
type ruleSet struct {
	rules  []*rule
	named  map[string]*functionRules // for functions that a rule is on
	others *functionRules            // for all other functions
}

// functionRules are the rules that apply to one function.
type functionRules struct {
	root               *place
	aliases, unordered bool // whether there are rules that treat so
}

func newFunctionRules(rules []*rule) *functionRules {
	f := &functionRules{root: compilePlaces(rules)}
	for _, r := range rules {
		f.aliases = f.aliases || r.Treat == Alias
		f.unordered = f.unordered || r.Treat == Unordered
	}
	return f
}

func newRuleSet(rules []Rule) (*ruleSet, error) {
	set := &ruleSet{named: make(map[string]*functionRules)}
	for i, r := range rules {
		c, err := compileRule(r)
		if err != nil {
			return nil, fmt.Errorf("rule %d (%s): %w", i+1, r.At, err)
		}
		c.index = i
		set.rules = append(set.rules, c)
	}
	for _, r := range set.rules {
		for _, f := range r.On {
			if _, ok := set.named[f]; !ok {
				set.named[f] = newFunctionRules(set.on(f))
			}
		}
	}
	set.others = newFunctionRules(set.on(""))
	return set, nil
}

func (s *ruleSet) on(function string) []*rule {
	var on []*rule
	for _, r := range s.rules {
		if r.appliesTo(function) {
			on = append(on, r)
		}
	}
	return on
}

// of returns the rules of a function.
func (s *ruleSet) of(function string) *functionRules {
	if p, ok := s.named[function]; ok {
		return p
	}
	return s.others
}

// report says what each rule did. Now decides which have expired.
func (s *ruleSet) report(t *tally, now time.Time) []RuleReport {
	list := make([]RuleReport, 0, len(s.rules))
	for i, r := range s.rules {
		list = append(list, RuleReport{Rule: r.Rule, Applied: t.applied[i], Hits: t.hits[i], Expired: r.expired(now)})
	}
	return list
}
