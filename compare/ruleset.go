package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ruleSet holds all rules of a comparison, compiled for each combination of them that applies somewhere. It is safe
// for concurrent use.
type ruleSet struct {
	rules    []*rule
	compiled map[string]*functionRules // by function, where no more than that decides
	narrow   bool                      // whether more than the function decides

	mu       sync.Mutex
	together map[string]*functionRules // by which of the rules apply, where more decides
}

// functionRules are the rules that apply to the trials of one function, or to some of them.
type functionRules struct {
	root               *place
	aliases, unordered bool     // whether there are rules that treat so
	keys               []string // members that name an element of a list
}

func newFunctionRules(rules []*rule) *functionRules {
	f := &functionRules{root: compilePlaces(rules)}
	for _, r := range rules {
		f.aliases = f.aliases || r.Treat == Alias
		f.unordered = f.unordered || r.Treat == Unordered
		if r.By != "" && !slices.Contains(f.keys, r.By) {
			f.keys = append(f.keys, r.By)
		}
	}
	f.keys = append(f.keys, keyNames...)
	return f
}

func newRuleSet(rules []Rule) (*ruleSet, error) {
	set := new(ruleSet)
	for i, r := range rules {
		c, err := compileRule(r)
		if err != nil {
			return nil, fmt.Errorf("rule %d (%s): %w", i+1, r.At, err)
		}
		c.index = i
		set.rules = append(set.rules, c)
	}
	set.compareWith("")
	return set, nil
}

// compareWith puts rules that are for other baselines than this one out of scope: until it is called, all that name
// any. It is not to be called once trials are compared.
func (s *ruleSet) compareWith(baseline Against) {
	s.compiled, s.together = make(map[string]*functionRules), make(map[string]*functionRules)
	s.narrow = false
	for _, r := range s.rules {
		r.out = len(r.Against) > 0 && !slices.Contains(r.Against, baseline)
		s.narrow = s.narrow || r.narrow()
	}
	if s.narrow {
		return
	}
	for _, r := range s.rules {
		for _, f := range r.On {
			if _, ok := s.compiled[f]; !ok {
				s.compiled[f] = newFunctionRules(s.in(situation{function: f}))
			}
		}
	}
	s.compiled[""] = newFunctionRules(s.in(situation{}))
}

func (s *ruleSet) in(at situation) []*rule {
	var rules []*rule
	for _, r := range s.rules {
		if r.appliesIn(at) {
			rules = append(rules, r)
		}
	}
	return rules
}

// of returns the rules that apply in a situation.
func (s *ruleSet) of(at situation) *functionRules {
	if s.narrow {
		return s.narrowed(at)
	}
	if f, ok := s.compiled[at.function]; ok {
		return f
	}
	return s.compiled[""]
}

// narrowed compiles a combination of rules when it is first met. There are no more of them than situations that the
// rules tell apart.
func (s *ruleSet) narrowed(at situation) *functionRules {
	applies := make([]byte, len(s.rules))
	for i, r := range s.rules {
		if r.appliesIn(at) {
			applies[i] = 1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.together[string(applies)]
	if !ok {
		f = newFunctionRules(s.in(at))
		s.together[string(applies)] = f
	}
	return f
}

// hash is [Report].RulesHash.
func (s *ruleSet) hash() string {
	declared := make([]Rule, len(s.rules))
	for i, r := range s.rules {
		declared[i] = r.Rule
	}
	doc, err := json.Marshal(declared)
	if err != nil {
		panic(fmt.Sprintf("compare: rules cannot be written: %v", err)) // they are texts and lists of texts
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:16])
}

// report says what each rule did. Now decides which have expired.
func (s *ruleSet) report(t *tally, now time.Time) []RuleReport {
	list := make([]RuleReport, 0, len(s.rules))
	for i, r := range s.rules {
		list = append(list, RuleReport{
			Rule: r.Rule, Applied: t.applied[i], Hits: t.hits[i], Leaves: t.under[i],
			Expired: !r.out && r.expired(now), OutOfScope: r.out,
		})
	}
	return list
}
