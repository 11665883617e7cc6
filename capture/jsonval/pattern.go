package jsonval

import (
	"fmt"
	"strings"
)

// SplitPattern returns the segments of a JSON pointer (RFC 6901), unescaped. A segment may be "*", "**" or end in "*";
// what these stand for is the caller's to say. There is no way to write a name that ends in "*".
func SplitPattern(at string) ([]string, error) {
	if !strings.HasPrefix(at, "/") {
		return nil, fmt.Errorf("%q is not a JSON pointer: it starts with a slash, such as /body/orderId", at)
	}
	segments := strings.Split(at[1:], "/")
	for i, s := range segments {
		if rest := strings.NewReplacer("~0", "", "~1", "").Replace(s); strings.Contains(rest, "~") {
			return nil, fmt.Errorf("%q is not a JSON pointer: write ~0 for ~ and ~1 for /", at)
		}
		if star := strings.IndexByte(s, '*'); star >= 0 && s != "**" && star != len(s)-1 {
			return nil, fmt.Errorf("%q: a segment has * only at its end, and ** only alone", at)
		}
		segments[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return segments, nil
}
