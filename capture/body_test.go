package capture

import (
	"encoding/json"
	"strings"
	"testing"
)

// A body stands some levels deep in a line of a run, which has to be readable.
func TestBodiesAreNotNestedTooDeepForTheirLines(t *testing.T) {
	for _, depth := range []int{9_900, 9_901, 10_000} {
		content := strings.Repeat("[", depth) + `"\"[]"` + strings.Repeat("]", depth)
		body := NewBody("application/json", []byte(content))
		if isJSON := body.JSON != nil; isJSON != (depth <= 9_900) || string(body.Bytes()) != content {
			t.Errorf("%d deep: JSON %v", depth, isJSON)
		}
		line, err := json.Marshal(Outcome{Status: StatusOK, Effects: []Effect{{Body: body}}})
		if err != nil || !json.Valid(line) {
			t.Errorf("%d deep: a line with it is not readable: %v", depth, err)
		}
	}
}
