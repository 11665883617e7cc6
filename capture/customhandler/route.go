package customhandler

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Route is the parsed route template of an HTTP trigger: literals, {name}, {name:constraint}, {name?},
// {name=default} and {*name}.
//
// Syntax: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates.
type Route struct {
	Template string
	segments []segment
}

// A segment is what stands between two slashes: a literal, or one parameter.
type segment struct {
	literal     string // compared without case; "" for a parameter
	name        string
	optional    bool
	fallback    string // the value of a parameter that is left out; "" means that it is then not there at all
	catchAll    bool
	constraints []constraint
}

// A constraint tells whether a parameter takes a value.
type constraint func(value string) bool

// ParseRoute reads a template. It fails on what is none, and on constraints that are not known here.
func ParseRoute(template string) (*Route, error) {
	rt := &Route{Template: template}
	trimmed := strings.Trim(template, "/")
	if trimmed == "" {
		return rt, nil
	}
	names := make(map[string]bool)
	parts := strings.Split(trimmed, "/")
	for i, part := range parts {
		s, err := parseSegment(part)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", template, err)
		}
		last := i == len(parts)-1
		switch folded := strings.ToLower(s.name); {
		case s.name != "" && names[folded]:
			return nil, fmt.Errorf("route %q: the parameter %s is there twice", template, s.name)
		case s.catchAll && !last:
			return nil, fmt.Errorf("route %q: {*%s} must be the last segment", template, s.name)
		case s.optional && !last:
			return nil, fmt.Errorf("route %q: only the last parameter can be optional, and {%s} is not", template, s.name)
		default:
			names[folded] = true
		}
		rt.segments = append(rt.segments, s)
	}
	return rt, nil
}

func parseSegment(part string) (segment, error) {
	if part == "" {
		return segment{}, fmt.Errorf("an empty segment")
	}
	if !strings.ContainsAny(part, "{}") {
		return segment{literal: part}, nil
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(part, "{"), "}")
	if len(inner) != len(part)-2 || strings.ContainsAny(inner, "{}") {
		return segment{}, fmt.Errorf("%q is not one parameter or one literal, and mixtures are not supported here", part)
	}
	var s segment
	if trimmed := strings.TrimLeft(inner, "*"); trimmed != inner {
		inner, s.catchAll = trimmed, true
	}
	inner, s.fallback, s.optional = strings.Cut(inner, "=")
	if trimmed, found := strings.CutSuffix(inner, "?"); found {
		inner, s.optional = trimmed, true
	}
	parts := strings.Split(inner, ":")
	if s.name = parts[0]; !parameterName.MatchString(s.name) {
		return segment{}, fmt.Errorf("%q is not the name of a parameter", s.name)
	}
	for _, text := range parts[1:] {
		c, err := parseConstraint(text)
		if err != nil {
			return segment{}, err
		}
		s.constraints = append(s.constraints, c)
	}
	return s, nil
}

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Match returns what the parameters take of an escaped path below the route prefix, without slashes at its ends.
func (rt *Route) Match(path string) (params map[string]string, ok bool) {
	var parts []string
	if path != "" {
		parts = strings.Split(path, "/")
	}
	params = make(map[string]string)
	for i, s := range rt.segments {
		if s.catchAll {
			return params, s.take(strings.Join(parts[min(i, len(parts)):], "/"), params)
		}
		if i >= len(parts) {
			return params, s.optional && s.take("", params)
		}
		if s.name == "" {
			text, err := url.PathUnescape(parts[i])
			if err != nil || !strings.EqualFold(text, s.literal) {
				return nil, false
			}
		} else if parts[i] == "" || !s.take(parts[i], params) {
			return nil, false
		}
	}
	return params, len(parts) <= len(rt.segments)
}

// take puts the escaped text of a parameter into params if its constraints allow.
func (s *segment) take(text string, params map[string]string) bool {
	value, err := url.PathUnescape(text)
	if err != nil {
		return false
	}
	if value == "" {
		if value = s.fallback; value == "" {
			return true
		}
	}
	for _, allows := range s.constraints {
		if !allows(value) {
			return false
		}
	}
	params[s.name] = value
	return true
}

// rank orders segments as ASP.NET does where several routes match: the smallest is tried first.
func (s *segment) rank() int {
	switch {
	case s.name == "":
		return 1
	case !s.catchAll && len(s.constraints) > 0:
		return 2
	case !s.catchAll:
		return 3
	case len(s.constraints) > 0:
		return 4
	default:
		return 5
	}
}

// CompareRoutes orders routes so that the first that matches is the one to take: literals before parameters.
func CompareRoutes(a, b *Route) int {
	return slices.CompareFunc(a.segments, b.segments, func(x, y segment) int { return x.rank() - y.rank() })
}

// Same tells whether two routes match the same paths, which is so if they differ in names and case only.
func (rt *Route) Same(other *Route) bool {
	return slices.EqualFunc(rt.segments, other.segments, func(x, y segment) bool {
		return x.rank() == y.rank() && strings.EqualFold(x.literal, y.literal) &&
			len(x.constraints) == 0 && len(y.constraints) == 0
	})
}

var (
	constraintForm = regexp.MustCompile(`^([a-z]+)(?:\((-?\d+)(?:,\s*(-?\d+))?\))?$`)
	guidForm       = regexp.MustCompile(`^[{(]?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}[)}]?$`)
	alphaForm      = regexp.MustCompile(`^[A-Za-z]*$`)
)

func parseConstraint(text string) (constraint, error) {
	m := constraintForm.FindStringSubmatch(text)
	if m == nil {
		return nil, unknownConstraint(text)
	}
	if m[2] == "" {
		return plainConstraint(text)
	}
	low, errLow := strconv.ParseInt(m[2], 10, 64)
	high, errHigh := low, error(nil)
	if m[3] != "" {
		high, errHigh = strconv.ParseInt(m[3], 10, 64)
	}
	if errLow != nil || errHigh != nil {
		return nil, unknownConstraint(text)
	}
	length := func(v string) int64 { return int64(utf8.RuneCountInString(v)) }
	between := func(n int64, err error) bool { return err == nil && low <= n && n <= high }
	switch pair := m[3] != ""; {
	case m[1] == "length":
		return func(v string) bool { return between(length(v), nil) }, nil
	case m[1] == "range" && pair:
		return func(v string) bool { return between(strconv.ParseInt(v, 10, 64)) }, nil
	case m[1] == "minlength" && !pair:
		return func(v string) bool { return length(v) >= low }, nil
	case m[1] == "maxlength" && !pair:
		return func(v string) bool { return length(v) <= low }, nil
	case m[1] == "min" && !pair:
		return func(v string) bool { n, err := strconv.ParseInt(v, 10, 64); return err == nil && n >= low }, nil
	case m[1] == "max" && !pair:
		return func(v string) bool { n, err := strconv.ParseInt(v, 10, 64); return err == nil && n <= low }, nil
	}
	return nil, unknownConstraint(text)
}

func plainConstraint(name string) (constraint, error) {
	switch name {
	case "int":
		return func(v string) bool { _, err := strconv.ParseInt(v, 10, 32); return err == nil }, nil
	case "long":
		return func(v string) bool { _, err := strconv.ParseInt(v, 10, 64); return err == nil }, nil
	case "decimal", "double", "float":
		return func(v string) bool { _, err := strconv.ParseFloat(v, 64); return err == nil }, nil
	case "bool":
		return func(v string) bool { return strings.EqualFold(v, "true") || strings.EqualFold(v, "false") }, nil
	case "guid":
		return guidForm.MatchString, nil
	case "alpha":
		return alphaForm.MatchString, nil
	case "required":
		return func(v string) bool { return v != "" }, nil
	}
	return nil, unknownConstraint(name)
}

func unknownConstraint(text string) error {
	return fmt.Errorf("the constraint %q is not known here; known are int, long, decimal, double, float, bool, guid, "+
		"alpha, required, length, minlength, maxlength, min, max and range", text)
}
