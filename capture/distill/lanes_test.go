package distill

import (
	"fmt"
	"testing"
)

func TestOnlyLanesThatOccurTogetherAreKept(t *testing.T) {
	p := newParts(4, 0)
	for i := range 10_000 {
		p.tie([]string{fmt.Sprint("s3:b/", i)})
		p.tie(nil)
	}
	if len(p.parent) != 0 {
		t.Errorf("%d lanes are kept, and none occurs with another", len(p.parent))
	}
	p.tie([]string{"a", "b"})
	p.tie([]string{"d", "c"})
	p.tie([]string{"c", "b"})
	for _, lane := range []string{"a", "b", "c", "d"} {
		if got := p.root(lane); got != "a" {
			t.Errorf("%s belongs to %s, want a", lane, got)
		}
	}
	if got := p.root("e"); got != "e" || len(p.parent) != 4 {
		t.Errorf("e belongs to %s, and %d lanes are kept", got, len(p.parent))
	}
}
