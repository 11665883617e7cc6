package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Form is how a value looks, wherever it is.
type Form string

const (
	Email Form = "email"
	Card  Form = "card"  // a card number with a valid check digit
	Phone Form = "phone" // with + or with 0 and something between the digits
	IBAN  Form = "iban"  // with valid check digits
	IP    Form = "ip"    // an address of version 4 or 6
)

// Forms are all forms that rules can name.
var Forms = []Form{Email, Card, Phone, IBAN, IP}

// A formSet has a bit for each of Forms.
type formSet uint8

func (s formSet) has(f Form) bool { return s&(1<<slices.Index(Forms, f)) != 0 }

// A Rule says what else has to be replaced, or that something must not be. Exactly one of At, Name and Form is set.
type Rule struct {
	// At is a JSON pointer into the lines of a recording, such as /event/body/customer/*: * is one segment, ** any
	// number of them. It leads through JSON that is in strings. All strings and numbers at and below it are replaced.
	At string `yaml:"at"`
	// Name is that of a member, header, parameter or cookie. Case, and the characters "-_. ", make no difference.
	Name string `yaml:"name"`
	// Form is how values look. It is searched for in all text.
	Form Form `yaml:"form"`
	// Keep exempts what At or Name say from what would be replaced otherwise, and all below it.
	Keep bool `yaml:"keep"`
}

// ParseRules reads a list of rules, in YAML or JSON, as the redact of a config has it.
func ParseRules(text []byte) (rules []Rule, err error) {
	defer func() {
		if p := recover(); p != nil { // the package panics on some malformed documents, which fuzzing found
			rules, err = nil, fmt.Errorf("redaction rules: this is not YAML that can be read: %v", p)
		}
	}()
	if err := yaml.UnmarshalWithOptions(text, &rules, yaml.Strict()); err != nil {
		if y := yaml.Error(nil); errors.As(err, &y) {
			err = errors.New(y.GetMessage()) // its own text has many lines
		}
		return nil, fmt.Errorf("redaction rules: %w", err)
	}
	for i, rule := range rules {
		if err := rule.Validate(); err != nil {
			return nil, fmt.Errorf("redaction rule %d: %w", i+1, err)
		}
	}
	return rules, nil
}

// Validate reports what is wrong with the rule. The error begins with the key that it is about.
func (r Rule) Validate() error {
	set := 0
	for _, s := range []string{r.At, r.Name, string(r.Form)} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("an entry has exactly one of at, name and form")
	case r.At != "":
		return validatePointer(r.At)
	case r.Name != "" && normalized([]byte(r.Name)) == "":
		return fmt.Errorf("name: %q has no letters", r.Name)
	case r.Form != "" && !slices.Contains(Forms, r.Form):
		return fmt.Errorf("form: %q is none of email, card, phone, iban and ip", r.Form)
	case r.Form != "" && r.Keep:
		return errors.New("keep: a form cannot be kept: it is replaced only if a rule says so")
	}
	return nil
}

func validatePointer(at string) error {
	if at[0] != '/' {
		return fmt.Errorf("at: %q is not a JSON pointer: it has to begin with /", at)
	}
	for i := range len(at) {
		if at[i] == '~' && (i+1 == len(at) || at[i+1] != '0' && at[i+1] != '1') {
			return fmt.Errorf("at: %q: write ~0 for ~ and ~1 for /", at)
		}
	}
	first, _, _ := strings.Cut(at[1:], "/")
	if !slices.Contains([]string{"event", "context", "outcome", "objects", "source", "*", "**"}, first) {
		return fmt.Errorf("at: %q begins with none of /event, /context, /outcome, /objects, /source and /**", at)
	}
	return nil
}

// A pointer is the At of a rule.
type pointer struct {
	segments []string // unescaped, but for * and **
	place    place
}

func newPointer(r Rule) pointer {
	p := pointer{place: place{role: secret, kind: "at:" + r.At, deep: true}}
	if r.Keep {
		p.place = place{role: kept}
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for s := range strings.SplitSeq(r.At[1:], "/") {
		p.segments = append(p.segments, unescape.Replace(s))
	}
	return p
}

// matches reports whether pattern leads to path. It takes no longer than the product of their lengths: ** takes as
// little as will do, but for the last one, which takes all but what the segments behind it need.
func matches(pattern []string, path []segment) bool {
	last := len(pattern) - 1
	for last >= 0 && pattern[last] != "**" {
		last--
	}
	tail := pattern[last+1:]
	if len(path) < len(tail) || last < 0 && len(path) > len(tail) || !begins(path[len(path)-len(tail):], tail) {
		return false
	}
	if last < 0 {
		return true
	}
	path, pattern = path[:len(path)-len(tail)], pattern[:last]
	for first := true; len(pattern) > 0; first = false {
		next := slices.Index(pattern, "**")
		if next < 0 {
			next = len(pattern)
		}
		for !begins(path, pattern[:next]) {
			if first || len(path) == 0 {
				return false
			}
			path = path[1:]
		}
		path, pattern = path[next:], pattern[min(next+1, len(pattern)):]
	}
	return true
}

// begins reports whether path begins with what pattern, which has no **, leads to.
func begins(path []segment, pattern []string) bool {
	if len(path) < len(pattern) {
		return false
	}
	for i, s := range pattern {
		if s != "*" && s != path[i].String() {
			return false
		}
	}
	return true
}
