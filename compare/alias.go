package compare

import (
	"cmp"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// minToken is the length from which a value that two deployments generated is taken for the same value wherever it
// turns up, even inside longer texts, such as an ID in a URL. Shorter ones, such as a counter's, turn up by chance,
// so they mean something only in the places that the rule names.
const minToken = 6

func generated(s string) bool { return len(s) >= minToken }

// An aliasPair is a value that the baseline generated and the one that the candidate has in its place. They may be
// the same.
type aliasPair struct {
	rule                *rule
	path                string
	baseline, candidate string
}

func (p aliasPair) keys() [2]aliasKey {
	return [2]aliasKey{{p.rule.index, false, p.baseline}, {p.rule.index, true, p.candidate}}
}

// aliasable reports whether two values may be paired: those that are neither lists nor objects, of one type, and not
// nothing on one side alone.
func aliasable(b, c *jsonval.Value) bool {
	return leafKind(*b) && b.Kind == c.Kind && (b.Text == "") == (c.Text == "")
}

// A renaming knows the aliases of one trial. Pairs that contradict one another do not hold, so that they show as
// differences.
type renaming struct {
	partner      map[aliasKey]string
	broken       map[aliasKey]bool
	tokens, back tokens          // what is rewritten everywhere, and what is written back
	told, own    map[string]bool // by add: the candidate's values that tokens were made of, and all of them
}

// cleared returns a renaming that knows nothing, with the memory of n.
func (n renaming) cleared() renaming {
	clear(n.partner)
	clear(n.broken)
	n.tokens.clear()
	n.back.clear()
	clear(n.told)
	clear(n.own)
	return n
}

// Tokens are texts and what to write in their places. A text is found by its length among those that begin alike, of
// which there may be many.
type tokens struct {
	to      map[string]string
	lengths map[string][]int // by the first minToken bytes, the longest first
}

func newTokens() tokens { return tokens{make(map[string]string), make(map[string][]int)} }

func (t tokens) clear() {
	clear(t.to)
	clear(t.lengths)
}

func (t tokens) add(from, to string) {
	t.to[from] = to
	head := from[:minToken]
	lengths := t.lengths[head]
	longestFirst := func(a, b int) int { return cmp.Compare(b, a) }
	if i, ok := slices.BinarySearchFunc(lengths, len(from), longestFirst); !ok {
		t.lengths[head] = slices.Insert(lengths, i, len(from))
	}
}

// at returns the longest token that s begins with and that does not go on as a word.
func (t tokens) at(s string) (from, to string, ok bool) {
	for _, n := range t.lengths[s[:minToken]] {
		if n > len(s) || n < len(s) && wordByte(s[n]) {
			continue
		}
		if to, ok := t.to[s[:n]]; ok {
			return s[:n], to, true
		}
	}
	return "", "", false
}

// foreign marks what the candidate has where it writes one of the baseline's generated values, of which it is not known
// to have generated it too: that is not what the baseline means by it. It is in no Unicode text.
const foreign = "\xff\xff"

// trialKeys are the keys of a pair within a trial, where a generated value is the same under every rule.
func (p aliasPair) trialKeys() [2]aliasKey {
	keys := p.keys()
	for i := range keys {
		if generated(keys[i].value) {
			keys[i].rule = -1
		}
	}
	return keys
}

// add takes over the pairs that a walk found. The candidate's values are as the candidate had them.
func (n *renaming) add(pairs []aliasPair) {
	if n.partner == nil {
		n.partner, n.broken = make(map[aliasKey]string), make(map[aliasKey]bool)
	}
	for _, p := range pairs {
		keys := p.trialKeys()
		values := [2]string{p.candidate, p.baseline}
		for i, key := range keys {
			if other, ok := n.partner[key]; ok && other != values[i] {
				n.broken[key] = true
			}
			n.partner[key] = values[i]
		}
	}
	if n.tokens.to == nil {
		n.tokens, n.back = newTokens(), newTokens()
		n.told, n.own = make(map[string]bool), make(map[string]bool)
	}
	n.tokens.clear()
	n.back.clear()
	clear(n.told)
	clear(n.own)
	for _, p := range pairs {
		n.own[p.candidate] = true
	}
	for _, p := range pairs {
		if p.baseline != p.candidate && generated(p.baseline) && generated(p.candidate) && !n.told[p.candidate] &&
			n.holds(p.rule, p.baseline, p.candidate) {
			n.told[p.candidate] = true
			n.tokens.add(p.candidate, p.baseline)
			n.back.add(p.baseline, p.candidate)
			if !n.own[p.baseline] {
				n.tokens.add(p.baseline, p.baseline+foreign)
				n.back.add(p.baseline+foreign, p.baseline)
			}
		}
	}
}

// holds reports whether the two values are one alias.
func (n *renaming) holds(r *rule, baseline, candidate string) bool {
	if n == nil || n.partner == nil {
		return false
	}
	keys := aliasPair{rule: r, baseline: baseline, candidate: candidate}.trialKeys()
	other, ok := n.partner[keys[0]]
	return ok && other == candidate && !n.broken[keys[0]] && !n.broken[keys[1]]
}

// apply returns a candidate's value with what it generated written as the baseline has it, in texts and member names.
// The result shares with v what is alike.
func (n *renaming) apply(v jsonval.Value) jsonval.Value {
	rewritten, _ := rewriteValue(v, n.tokens)
	return rewritten
}

// restore is the opposite of apply.
func (n *renaming) restore(v jsonval.Value) jsonval.Value {
	restored, _ := rewriteValue(v, n.back)
	return restored
}

func rewriteValue(v jsonval.Value, tokens tokens) (rewritten jsonval.Value, changed bool) {
	if len(tokens.to) == 0 {
		return v, false
	}
	if leafKind(v) {
		text := rewrite(v.Text, tokens)
		changed = text != v.Text
		v.Text = text
		return v, changed
	}
	names, elems := v.Names, v.Elems
	for i, name := range names {
		if renamed := strings.ReplaceAll(rewrite(name, tokens), foreign, ""); renamed != name {
			if !changed {
				v.Names, changed = slices.Clone(names), true
			}
			v.Names[i] = renamed
		}
	}
	own := false
	for i, e := range elems {
		if renamed, ok := rewriteValue(e, tokens); ok {
			if !own {
				v.Elems, own = slices.Clone(elems), true
			}
			v.Elems[i] = renamed
		}
	}
	return v, changed || own
}

// rewrite replaces all tokens in s at once, wherever one stands alone and is not part of a longer word.
func rewrite(s string, tokens tokens) string {
	var out strings.Builder
	done := 0
	for i := 0; i+minToken <= len(s); {
		if i > 0 && wordByte(s[i-1]) {
			i++
			continue
		}
		from, to, ok := tokens.at(s[i:])
		if !ok {
			i++
			continue
		}
		out.WriteString(s[done:i])
		out.WriteString(to)
		i += len(from)
		done = i
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// An aliasKey names one side of an alias: a value under a rule.
type aliasKey struct {
	rule      int
	candidate bool
	value     string
}
