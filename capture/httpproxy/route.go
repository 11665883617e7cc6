package httpproxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// DefaultRoute is the route key that matches every request which no other route matches.
const DefaultRoute = "$default"

// A Route is one route of an API as API Gateway writes it: "GET /pets/{petId}", "ANY /files/{proxy+}" or "$default".
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html.
type Route struct {
	Key      string // as it was written
	Method   string // "" for $default, "ANY" for every method
	Path     string // "" for $default
	segments []segment
}

// A segment is what a route has between two slashes.
type segment struct {
	text string // the literal, decoded, or the variable's name
	kind segmentKind
}

// A segmentKind orders the ways to match a segment from the most specific to the least.
type segmentKind int

const (
	literal segmentKind = iota
	variable
	greedy
)

// ParseRoute reads a route key. Methods are upper-cased. A greedy variable must be the last segment, and names of
// variables must be unique.
func ParseRoute(key string) (Route, error) {
	if key == DefaultRoute {
		return Route{Key: key}, nil
	}
	method, path, ok := strings.Cut(key, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") {
		return Route{}, fmt.Errorf("route %q is neither \"METHOD /path\" nor %q", key, DefaultRoute)
	}
	if strings.ContainsAny(path, " \t\r\n?#") {
		return Route{}, fmt.Errorf("route %q: the path holds a character that no path has", key)
	}
	r := Route{Key: key, Method: strings.ToUpper(method), Path: path}
	parts := strings.Split(path[1:], "/")
	names := make(map[string]bool)
	for i, part := range parts {
		s, err := parseSegment(part)
		switch {
		case err != nil:
			return Route{}, fmt.Errorf("route %q: %w", key, err)
		case s.kind == greedy && i < len(parts)-1:
			return Route{}, fmt.Errorf("route %q: %s must be the last segment", key, part)
		case s.kind != literal && names[s.text]:
			return Route{}, fmt.Errorf("route %q: the variable %s is there twice", key, s.text)
		}
		names[s.text] = s.kind != literal || names[s.text]
		r.segments = append(r.segments, s)
	}
	return r, nil
}

func parseSegment(part string) (segment, error) {
	name, opened := strings.CutPrefix(part, "{")
	if !opened {
		if strings.ContainsAny(part, "{}") {
			return segment{}, fmt.Errorf("a variable must be a whole segment, as in /{name}/, not %q", part)
		}
		text, err := url.PathUnescape(part)
		return segment{text: text}, err
	}
	name, closed := strings.CutSuffix(name, "}")
	kind := variable
	if n, ok := strings.CutSuffix(name, "+"); ok {
		name, kind = n, greedy
	}
	if !closed || name == "" || strings.ContainsAny(name, "{}+") {
		return segment{}, fmt.Errorf("%q is not {name} or {name+}", part)
	}
	return segment{text: name, kind: kind}, nil
}

// A Match is what a [Router] found for a request. The zero value stands for the $default route.
type Match struct {
	Route Route
	// Params are the values of the path variables as the request's path writes them, still encoded. Nil when the
	// route has none.
	Params map[string]string
}

// Key returns the key of the matching route.
func (m Match) Key() string {
	if m.Route.Key == "" {
		return DefaultRoute
	}
	return m.Route.Key
}

// A Router finds the route of a request. It is safe for concurrent use.
type Router struct{ routes []Route }

// NewRouter parses keys. Without any, every request matches $default.
func NewRouter(keys []string) (*Router, error) {
	if len(keys) == 0 {
		keys = []string{DefaultRoute}
	}
	r := &Router{}
	seen := make(map[string]string)
	for _, key := range keys {
		route, err := ParseRoute(key)
		if err != nil {
			return nil, err
		}
		shape := route.shape()
		if first, ok := seen[shape]; ok {
			return nil, fmt.Errorf("routes %q and %q match the same requests", first, key)
		}
		seen[shape] = key
		r.routes = append(r.routes, route)
	}
	return r, nil
}

// shape is equal for two routes that match the same requests.
func (r Route) shape() string {
	var b strings.Builder
	b.WriteString(r.Method)
	for _, s := range r.segments {
		if s.kind == literal {
			b.WriteString("/=" + url.PathEscape(s.text))
		} else {
			fmt.Fprintf(&b, "/%d", s.kind)
		}
	}
	return b.String()
}

// Match finds the route for a method and a raw path, which is taken as it is: nothing is cleaned or redirected, a
// trailing slash makes another path, and an encoded slash does not separate segments. The most specific path wins, a
// literal before a variable before a greedy variable, and then a route with the method before one with ANY.
func (r *Router) Match(method, rawPath string) (Match, bool) {
	parts := strings.Split(strings.TrimPrefix(rawPath, "/"), "/")
	best := -1
	for i := range r.routes {
		if r.routes[i].matches(method, parts) && (best < 0 || r.routes[i].moreSpecific(&r.routes[best])) {
			best = i
		}
	}
	if best < 0 {
		return Match{}, false
	}
	return Match{Route: r.routes[best], Params: r.routes[best].params(parts)}, true
}

// MatchRequest is Match for a request as a server got it.
func (r *Router) MatchRequest(req *http.Request) (Match, bool) {
	path, _ := rawTarget(req)
	return r.Match(req.Method, path)
}

func (r *Route) matches(method string, parts []string) bool {
	if r.Method == "" {
		return true
	}
	if r.Method != "ANY" && r.Method != method {
		return false
	}
	for i, s := range r.segments {
		if i >= len(parts) {
			return false
		}
		switch s.kind {
		case literal:
			if text, err := url.PathUnescape(parts[i]); err != nil || text != s.text {
				return false
			}
		case variable:
			if parts[i] == "" {
				return false
			}
		case greedy:
			return strings.Join(parts[i:], "/") != ""
		}
	}
	return len(parts) == len(r.segments)
}

// moreSpecific says whether r wins over o, both matching one request.
func (r *Route) moreSpecific(o *Route) bool {
	if r.Method == "" || o.Method == "" {
		return r.Method != ""
	}
	for i := range min(len(r.segments), len(o.segments)) {
		if a, b := r.segments[i].kind, o.segments[i].kind; a != b {
			return a < b
		}
	}
	return r.Method != "ANY" && o.Method == "ANY"
}

func (r *Route) params(parts []string) map[string]string {
	var params map[string]string
	for i, s := range r.segments {
		if s.kind == literal {
			continue
		}
		if params == nil {
			params = make(map[string]string)
		}
		if params[s.text] = parts[i]; s.kind == greedy {
			params[s.text] = strings.Join(parts[i:], "/")
		}
	}
	return params
}
