package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Change is a rule that changes the values at one place of events. Exactly one of At and Header says where, and
// exactly one of Set, From with To, Namespace and ShiftTime how.
type Change struct {
	// At is a JSON pointer (RFC 6901) into the event. A segment may be "*", for any, "**", for any number of them, or
	// end in "*". It goes on into strings that hold a JSON object or array, as the body of an HTTP event may.
	At string `yaml:"at" json:"at,omitempty"`
	// Header is the name of a header of an HTTP event, in whatever case.
	Header string `yaml:"header" json:"header,omitempty"`

	// Set takes the place of strings, and of numbers, true, false and null where it is one of these, too.
	Set *string `yaml:"set" json:"set,omitempty"`
	// From is replaced by To wherever it stands in strings.
	From string  `yaml:"from" json:"from,omitempty"`
	To   *string `yaml:"to" json:"to,omitempty"`
	// Namespace makes IDs the run's own: a UUID becomes another UUID, any other text gets a suffix. In one run equal
	// ones stay equal, at all targets.
	Namespace bool `yaml:"namespace" json:"namespace,omitempty"`
	// ShiftTime moves times by what makes the newest event of the recording one of now. See [Options].
	ShiftTime bool `yaml:"shift-time" json:"shiftTime,omitempty"`
}

// Validate returns an error that begins with the key that is wrong.
func (r *Change) Validate() error {
	ways := 0
	for _, set := range []bool{r.Set != nil, r.From != "" || r.To != nil, r.Namespace, r.ShiftTime} {
		if set {
			ways++
		}
	}
	switch {
	case (r.At == "") == (r.Header == ""):
		return errors.New("at: a rule has either at, a JSON pointer, or header")
	case ways != 1:
		return errors.New("at: a rule has one of set, from with to, namespace and shift-time")
	case (r.From == "") != (r.To == nil):
		return errors.New("from: from and to go together")
	case r.Header != "":
		return nil
	}
	_, err := parsePattern(r.At)
	return err
}

// Place is where the rule changes events, as the config says it.
func (r *Change) Place() string {
	if r.Header != "" {
		return "header " + r.Header
	}
	return r.At
}

// How is what the rule does, without the values that it puts in, which may be secret.
func (r *Change) How() string {
	switch {
	case r.Set != nil:
		return "set"
	case r.Namespace:
		return "namespace"
	case r.ShiftTime:
		return "shift-time"
	}
	return "from-to"
}

// A pattern is a pointer that was split, or the place of a header.
type pattern struct {
	segments []string
	fold     bool // the case of segments does not matter
}

func (r *Change) patterns() ([]pattern, error) {
	if r.Header != "" {
		return []pattern{
			{[]string{"headers", r.Header}, true},
			{[]string{"headers", r.Header, "*"}, true}, // a list of values
			{[]string{"multiValueHeaders", r.Header, "*"}, true},
		}, nil
	}
	segments, err := parsePattern(r.At)
	return []pattern{{segments, false}}, err
}

func parsePattern(at string) ([]string, error) {
	if !strings.HasPrefix(at, "/") {
		return nil, fmt.Errorf("at: %q is not a JSON pointer: it starts with a slash, such as /body/orderId", at)
	}
	segments := strings.Split(at[1:], "/")
	for i, s := range segments {
		if rest := strings.NewReplacer("~0", "", "~1", "").Replace(s); strings.Contains(rest, "~") {
			return nil, fmt.Errorf("at: %q is not a JSON pointer: write ~0 for ~ and ~1 for /", at)
		}
		if star := strings.IndexByte(s, '*'); star >= 0 && s != "**" && star != len(s)-1 {
			return nil, fmt.Errorf("at: %q: a segment has * only at its end, and ** only alone", at)
		}
		segments[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return segments, nil
}

// matches reports whether a segment of the pattern takes one of a document.
func (p *pattern) matches(segment, name string) bool {
	if prefix, ok := strings.CutSuffix(segment, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return segment == name || p.fold && strings.EqualFold(segment, name)
}

// A position is how much of a rule's pattern has been walked.
type position struct {
	rule    int
	pattern *pattern
	next    int
}

// skipped appends p, and the positions behind each "**" that may stand for nothing.
func skipped(to []position, p position) []position {
	if slices.Contains(to, p) {
		return to
	}
	to = append(to, p)
	if p.next < len(p.pattern.segments) && p.pattern.segments[p.next] == "**" {
		p.next++
		return skipped(to, p)
	}
	return to
}

// child returns the positions of a member or an element.
func child(at []position, name string) []position {
	var below []position
	for _, p := range at {
		if p.next == len(p.pattern.segments) {
			continue
		}
		segment := p.pattern.segments[p.next]
		if segment == "**" {
			below = skipped(below, p)
		} else if p.pattern.matches(segment, name) {
			p.next++
			below = skipped(below, p)
		}
	}
	return below
}

// ending returns the rule declared first whose pattern ends here and that change makes something of.
func ending(at []position, change func(rule int) bool) bool {
	var rules []int
	for _, p := range at {
		if p.next == len(p.pattern.segments) {
			rules = append(rules, p.rule)
		}
	}
	slices.Sort(rules)
	return slices.ContainsFunc(slices.Compact(rules), change)
}
