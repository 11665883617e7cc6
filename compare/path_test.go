package compare

import (
	"fmt"
	"strings"
	"testing"

	"tandem/capture/jsonval"
)

// matches is the obvious matcher that the automaton has to agree with.
func matches(pattern, path []string) bool {
	switch {
	case len(pattern) == 0:
		return len(path) == 0
	case pattern[0] == "**":
		return matches(pattern[1:], path) || len(path) > 0 && matches(pattern, path[1:])
	case len(path) == 0:
		return false
	}
	prefix, open := strings.CutSuffix(pattern[0], "*")
	return (open && strings.HasPrefix(path[0], prefix) || pattern[0] == path[0]) && matches(pattern[1:], path[1:])
}

func checkPlaces(t *testing.T, patterns []string, paths []string) {
	t.Helper()
	var rules []*rule
	for _, at := range patterns {
		path, err := jsonval.SplitPattern(at)
		if err != nil {
			return
		}
		rules = append(rules, &rule{index: len(rules), path: path})
	}
	start := compilePlaces(rules)
	for _, path := range paths {
		segments := strings.Split(path, "/")[1:]
		var got, want []int
		p := start
		for _, s := range segments {
			p = p.at(s)
		}
		if p != nil {
			for _, r := range p.here {
				got = append(got, r.index)
			}
		}
		for _, r := range rules {
			if matches(r.path, segments) {
				want = append(want, r.index)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q at %q: rules %v, want %v", patterns, path, got, want)
		}
	}
}

func TestPlacesFollowPatterns(t *testing.T) {
	paths := []string{"/a", "/b", "/a/b", "/a/b/c", "/a/x/c", "/x/y/z/c", "/abc", "/abd/e", "/ab", "/*", "/**", "/a/0/b", "/a//b", "/"}
	for _, patterns := range [][]string{
		{"/a"}, {"/*"}, {"/**"}, {"/a/*", "/a/b"}, {"/**/c", "/a/**"}, {"/**/*/c"}, {"/**/**/c"}, {"/*/**/*/c"},
		{"/ab*", "/abc", "/a*"}, {"/a*/e", "/abd/*"}, {"/a/**/b", "/**/b/**"}, {"/"}, {"/**/*/**/*"},
	} {
		checkPlaces(t, patterns, paths)
	}
}

func FuzzPlaces(f *testing.F) {
	f.Add("/**/*/c", "/a*", "/a/b/c")
	f.Add("/ab*/**/x", "/**/x/*", "/abc/x/y")
	f.Add("/**/**/*", "/*/a", "//")
	f.Fuzz(func(t *testing.T, one, two, path string) {
		if len(one)+len(two)+len(path) > 100 || !strings.HasPrefix(path, "/") || strings.Contains(one+two+path, "\x00") {
			return
		}
		checkPlaces(t, []string{one, two}, []string{path})
	})
}

func TestChildEscapes(t *testing.T) {
	if got := child("/body", "a/b~c"); got != "/body/a~1b~0c" {
		t.Errorf("child = %s", got)
	}
}

func TestPatternsOfPathsLeaveOutWhatVaries(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"/body/items/0/price", "/body/items/*/price"},
		{"/records/msg-1", "/records/*"},
		{"/effects/12/body/total", "/effects/*/body/total"},
		{"/body/byId/01HZY3NDEKTSV4RRFFQ69G5FAV/total", "/body/byId/*/total"},
		{"/body/byId/8f14e45f-ceea-467f-a0e6-8ad5c1bd4e2f", "/body/byId/*"},
		{"/http/headers/x-request-id-1234567890-1234567890", "/http/headers/x-request-id-1234567890-1234567890"},
		{"/body/aVeryLongFieldNameInCamelCase", "/body/aVeryLongFieldNameInCamelCase"},
	} {
		if got := pattern(tt.path); got != tt.want {
			t.Errorf("pattern(%s) = %s, want %s", tt.path, got, tt.want)
		}
	}
}
