package jsonval

import (
	"strings"
	"testing"
)

func TestPatternsAreSplitAndUnescaped(t *testing.T) {
	for _, tt := range []struct {
		at, segments string // joined by spaces
		wrong        string
	}{
		{"/body/orderId", "body orderId", ""},
		{"/body/*/a", "body * a", ""},
		{"/**", "**", ""},
		{"/http/headers/x-amz-*", "http headers x-amz-*", ""},
		{"/a~1b/c~0d", "a/b c~d", ""},
		{"/~01~1~0", "~1/~", ""},
		{"/", "", ""}, // the member whose name is empty
		{"", "", "starts with a slash"},
		{"body", "", "starts with a slash"},
		{"/a~", "", "write ~0"},
		{"/a~2", "", "write ~0"},
		{"/~~00", "", "write ~0"},
		{"/a*b", "", "only at its end"},
		{"/a**", "", "only at its end"},
		{"/*a", "", "only at its end"},
	} {
		segments, err := SplitPattern(tt.at)
		if got := strings.Join(segments, " "); got != tt.segments {
			t.Errorf("%q has the segments %q, want %q", tt.at, got, tt.segments)
		}
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%q: %v, want %q", tt.at, err, tt.wrong)
		}
	}
}
