package compare

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A Treatment says in what way a rule takes two values as equal.
type Treatment string

const (
	Ignore    Treatment = "ignore"    // whatever they are
	Alias     Treatment = "alias"     // when they pair one to one over the whole run
	Tolerance Treatment = "tolerance" // when they are numbers no further apart than Within
	Unordered Treatment = "unordered" // when they are lists with the same elements
	Pattern   Treatment = "pattern"   // when both match Matches
	Time      Treatment = "time"      // when they are instants no further apart than Within
	Type      Treatment = "type"      // when they are of one JSON type
	JSON      Treatment = "json"      // when the texts hold equal JSON; rules below the path apply to it
	Lower     Treatment = "lower"     // when they are texts that differ in case alone
	Map       Treatment = "map"       // when they are equal once From is To in the baseline's texts
	Redacted  Treatment = "redacted"  // when the baseline's has tokens of redaction, and the candidate's could be with secrets
)

// A Rule is a declared, reasoned exception. It takes two values at one path as equal where they are not.
type Rule struct {
	At    string    `yaml:"at" json:"at"` // JSON pointer; * is one segment, ** any number, abc* a segment that starts so
	Treat Treatment `yaml:"treat" json:"treat"`
	On    []string  `yaml:"on,omitempty" json:"on,omitempty"` // functions; none means all
	// Trigger, Status and HTTPStatus narrow the rule down further: to what caused the invocation, and to trials in
	// which both outcomes have one of these. None means all.
	Trigger    []capture.Trigger `yaml:"trigger,omitempty" json:"trigger,omitempty"`
	Status     []capture.Status  `yaml:"status,omitempty" json:"status,omitempty"`
	HTTPStatus []string          `yaml:"http-status,omitempty" json:"httpStatus,omitempty"` // like 404 or 4xx

	// Against has the baselines that the rule is for, as [Against] names them; none means all.
	Against []Against `yaml:"against,omitempty" json:"against,omitempty"`

	Why   string `yaml:"why" json:"why,omitempty"` // required, but for presets
	Owner string `yaml:"owner,omitempty" json:"owner,omitempty"`
	Until string `yaml:"until,omitempty" json:"until,omitempty"` // a date; the rule has expired the day after

	Within  string `yaml:"within,omitempty" json:"within,omitempty"`   // tolerance: 0.5 or 1%; time: 2s
	Matches string `yaml:"matches,omitempty" json:"matches,omitempty"` // pattern: an RE2 expression
	From    string `yaml:"from,omitempty" json:"from,omitempty"`       // map
	To      string `yaml:"to,omitempty" json:"to,omitempty"`           // map
	By      string `yaml:"by,omitempty" json:"by,omitempty"`           // unordered: the member that names an element

	// Preset names the preset that the rule came with, if it did.
	Preset string `yaml:"-" json:"preset,omitempty"`
}

// Validate says what is wrong with the rule, if anything.
func (r Rule) Validate() error {
	_, err := compileRule(r)
	return err
}

// rule is a Rule with its parameters read.
type rule struct {
	Rule
	index   int  // its place among all rules of a comparison
	out     bool // it is not for the comparison's baseline
	path    []string
	matches *regexp.Regexp
	within  time.Duration
	margin  margin
	until   time.Time // zero for no end
}

func compileRule(r Rule) (*rule, error) {
	c := &rule{Rule: r}
	var err error
	if c.path, err = jsonval.SplitPattern(r.At); err != nil {
		return nil, fmt.Errorf("at: %w", err)
	}
	if strings.TrimSpace(r.Why) == "" {
		return nil, errors.New("why: a rule needs a reason")
	}
	if r.Until != "" {
		if c.until, err = time.Parse(time.DateOnly, r.Until); err != nil {
			return nil, fmt.Errorf("until: %q is not a date like 2027-03-01", r.Until)
		}
	}
	if err := c.scope(); err != nil {
		return nil, err
	}
	if err := c.parameters(); err != nil {
		return nil, err
	}
	return c, c.unusedParameters()
}

func (c *rule) parameters() (err error) {
	switch c.Treat {
	case Ignore, Alias, Unordered, Type, JSON, Lower, Redacted:
	case Tolerance:
		if c.margin, err = parseMargin(c.Within); err != nil {
			return fmt.Errorf("within: %w", err)
		}
	case Time:
		if c.within, err = time.ParseDuration(c.Within); err != nil || c.within < 0 {
			return fmt.Errorf("within: time needs a duration like 2s, not %q", c.Within)
		}
	case Pattern:
		if c.Matches == "" {
			return errors.New("matches: pattern needs a regular expression")
		}
		if c.matches, err = regexp.Compile(c.Matches); err != nil {
			return fmt.Errorf("matches: %w", err)
		}
	case Map:
		if c.From == "" {
			return errors.New("from: map needs the text to replace")
		}
	case "":
		return errors.New("treat: say how to treat the values: " + treatments)
	default:
		return fmt.Errorf("treat: %q is none of %s", c.Treat, treatments)
	}
	return nil
}

const treatments = "ignore, alias, tolerance, unordered, pattern, time, type, json, lower, map, redacted"

// unusedParameters refuses a parameter that the treatment would not look at: whoever wrote it expects it to matter.
func (c *rule) unusedParameters() error {
	for _, p := range []struct {
		name, value string
		used        bool
	}{
		{"within", c.Within, c.Treat == Tolerance || c.Treat == Time},
		{"matches", c.Matches, c.Treat == Pattern},
		{"from", c.From, c.Treat == Map},
		{"to", c.To, c.Treat == Map},
		{"by", c.By, c.Treat == Unordered},
	} {
		if p.value != "" && !p.used {
			return fmt.Errorf("%s: treat %s does not take it", p.name, c.Treat)
		}
	}
	return nil
}

func (c *rule) expired(now time.Time) bool {
	return !c.until.IsZero() && !now.Before(c.until.AddDate(0, 0, 1))
}
