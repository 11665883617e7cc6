package compare

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Looking into each level of values that are nested ever deeper takes as long as all that is below, each time.
func TestWhatDiffersDeepDownIsOneDifference(t *testing.T) {
	nested := func(levels int, open, shut, inside string) string {
		return strings.Repeat(open, levels) + inside + strings.Repeat(shut, levels)
	}
	for _, tt := range []struct{ name, b, c string }{
		{"lists", nested(3000, "[", "]", "1"), nested(3000, "[", "]", "2")},
		{"objects", nested(3000, `{"a":`, "}", "1"), nested(3000, `{"a":`, "}", "2")},
		{"of another length", nested(3000, "[", "]", "1"), nested(2000, "[", "]", "1")},
		{"of another type", nested(3000, "[", "]", "1"), nested(3000, "[", "]", "{}")},
	} {
		found := explain("/body", value(t, tt.b), value(t, tt.c))
		if len(found) != 1 || found[0].Kind != Changed || strings.Count(found[0].Path, "/") > maxExplained+1 {
			t.Errorf("%s: %d differences", tt.name, len(found))
		}
		if found := explain("/body", value(t, tt.b), value(t, tt.b)); len(found) > 0 {
			t.Errorf("%s and itself: %d differences", tt.name, len(found))
		}
	}
	if found := explain("", value(t, nested(maxExplained, "[", "]", "1")), value(t, nested(maxExplained, "[", "]", "2"))); len(found) != 1 ||
		found[0].Path != strings.Repeat("/0", maxExplained) {
		t.Errorf("not as deep: %v", found)
	}
}

// The obvious way to find a token is to try them all.
func TestATokenIsFoundByItsLengthAmongThoseThatBeginAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	text := func(most int) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteByte("ab-/"[random.IntN(4)])
		}
		return b.String()
	}
	replacedSome := 0
	for range 5000 {
		all, to := newTokens(), make(map[string]string)
		for range random.IntN(12) {
			from := "prefix" + text(6)
			to[from] = strings.ToUpper(from)
			all.add(from, to[from])
		}
		s := text(3) + "/prefix" + text(8) + "-prefix" + text(8)
		var want strings.Builder
		for i := 0; i < len(s); {
			best := ""
			for from := range to {
				if strings.HasPrefix(s[i:], from) && len(from) > len(best) && (i == 0 || !wordByte(s[i-1])) &&
					(i+len(from) == len(s) || !wordByte(s[i+len(from)])) {
					best = from
				}
			}
			if best == "" {
				want.WriteByte(s[i])
				i++
				continue
			}
			want.WriteString(to[best])
			i += len(best)
		}
		got := rewrite(s, all)
		if got != want.String() {
			t.Fatalf("%q with %v: %q, want %q", s, to, got, want.String())
		}
		if got != s {
			replacedSome++
		}
	}
	if replacedSome < 500 {
		t.Errorf("only %d texts changed: the test shows little", replacedSome)
	}
}
