package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// A pattern is a pointer that was split, or the place of a header.
type pattern struct {
	segments []string
	fold     bool // the case of segments does not matter
}

// headerPatterns are the places of a header of an HTTP event.
func headerPatterns(name string) []pattern {
	return []pattern{
		{[]string{"headers", name}, true},
		{[]string{"headers", name, "*"}, true}, // a list of values
		{[]string{"multiValueHeaders", name, "*"}, true},
	}
}

func parsePattern(at string) ([]string, error) {
	segments, err := jsonval.SplitPattern(at)
	if err != nil {
		return nil, fmt.Errorf("at: %w", err)
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

// isBase64 stands in the place of a rule for patterns that tell where texts are in base64.
const isBase64 = -1

// A position is how much of a rule's pattern has been walked.
type position struct {
	rule    int // or isBase64
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
		if p.rule != isBase64 && p.next == len(p.pattern.segments) {
			rules = append(rules, p.rule)
		}
	}
	slices.Sort(rules)
	return slices.ContainsFunc(slices.Compact(rules), change)
}
