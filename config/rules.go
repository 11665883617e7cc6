package config

import (
	"errors"
	"fmt"
	"strings"

	"tandem/compare"
)

// ruleEntry is one entry of rules: a rule, or the use of a preset.
type ruleEntry struct {
	Use          string `yaml:"use"`
	compare.Rule `yaml:",inline"`
}

// readRules makes c.Rules of the entries, with presets in their places.
func (l *loader) readRules(c *Config) error {
	if c.RuleEntries != nil {
		c.Rules = []compare.Rule{}
	}
	for i, entry := range c.RuleEntries {
		rules, err := entry.rules()
		if err != nil {
			key, _, _ := strings.Cut(err.Error(), ":")
			return l.fail(err, "rules", i, key)
		}
		for _, function := range entry.On {
			if _, ok := c.Functions[function]; !ok && len(c.Functions) > 0 {
				return l.fail(fmt.Errorf("on: there is no function %q under functions", function), "rules", i, "on")
			}
		}
		c.Rules = append(c.Rules, rules...)
	}
	c.RuleEntries = nil
	return nil
}

// rules returns the rules that an entry stands for. An error begins with the key.
func (e *ruleEntry) rules() ([]compare.Rule, error) {
	if e.Use == "" {
		return []compare.Rule{e.Rule}, e.Validate()
	}
	if e.At != "" || e.Treat != "" {
		return nil, errors.New("use: an entry is either the use of a preset or a rule of its own")
	}
	rules, err := compare.Preset(e.Use)
	if err != nil {
		return nil, fmt.Errorf("use: %w", err)
	}
	for _, p := range []struct{ key, value string }{
		{"until", e.Until}, {"within", e.Within}, {"matches", e.Matches}, {"from", e.From}, {"to", e.To}, {"by", e.By},
	} {
		if p.value != "" {
			return nil, fmt.Errorf("%s: a preset does not take it", p.key)
		}
	}
	for i := range rules {
		r := &rules[i]
		if r.Against != nil && e.Against != nil {
			return nil, fmt.Errorf("against: the preset %s says itself what it is for", e.Use)
		}
		if e.Against != nil {
			r.Against = e.Against
		}
		r.On, r.Trigger, r.Status, r.HTTPStatus = e.On, e.Trigger, e.Status, e.HTTPStatus
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	return rules, nil
}
