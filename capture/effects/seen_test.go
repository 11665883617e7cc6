package effects

import (
	"fmt"
	"testing"
)

func TestWhatWasSeenNeverForgetsAndSeldomErrs(t *testing.T) {
	var s seen
	wrong := 0
	const n = 200_000
	for i := range n {
		if s.add(fmt.Appendf(nil, "key %d", i)) {
			wrong++
		}
	}
	if wrong > 2 { // one in a million, were it full of a million
		t.Errorf("%d of %d new keys are taken for old ones", wrong, n)
	}
	for i := range n {
		if !s.add(fmt.Appendf(nil, "key %d", i)) {
			t.Fatalf("key %d is forgotten", i)
		}
	}
}
