package compare

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"tandem/capture/jsonval"
)

// maxTwin is how deep texts may nest that are gone over at once.
const maxTwin = 400

// A twin goes over two JSON texts at once, from their beginnings. Its methods report whether the two may be equal
// under rules: what the texts do not show is left to puzzles.
type twin struct {
	*shortcut
	b, c []byte
	i, j int // what is gone over next
	same int // up to where in b the texts are known to be equal, from i and j on
}

// whole goes over the whole texts, each a list or an object.
func (w *twin) whole(p *place) bool {
	if !w.value(p, 0) {
		return false
	}
	return jsonval.SkipSpace(w.b, w.i) == len(w.b) && jsonval.SkipSpace(w.c, w.j) == len(w.c)
}

// next leaves out white space and returns the next bytes, or zeros at the ends.
func (w *twin) next() (b, c byte) {
	if w.i < len(w.b) && w.j < len(w.c) && w.b[w.i] > ' ' && w.c[w.j] > ' ' {
		return w.b[w.i], w.c[w.j]
	}
	w.jump(jsonval.SkipSpace(w.b, w.i), jsonval.SkipSpace(w.c, w.j))
	if w.i < len(w.b) && w.j < len(w.c) {
		return w.b[w.i], w.c[w.j]
	}
	return 0, 0
}

// jump goes on at other indexes.
func (w *twin) jump(i, j int) {
	if i-w.i != j-w.j {
		w.same = 0
	}
	w.i, w.j = i, j
}

// token returns the ends of two strings, numbers or literals that are next, and whether their texts are equal. An end
// below zero means that there is none.
func (w *twin) token() (endB, endC int, equal bool) {
	w.compare()
	endB = tokenEnd(w.b, w.i)
	if endB < w.same || endB == w.same && endB > 0 && w.b[endB-1] == '"' {
		return endB, w.j + endB - w.i, true
	}
	endC = tokenEnd(w.c, w.j)
	return endB, endC, endB > 0 && endC > 0 && bytes.Equal(w.b[w.i:endB], w.c[w.j:endC])
}

func tokenEnd(text []byte, i int) int {
	if text[i] == '"' {
		return jsonval.SkipString(text, i)
	}
	n, _, ok := jsonval.Skip(text[i:])
	if !ok {
		return -1
	}
	return i + n
}

func commonPrefix(b, c []byte) int {
	n := min(len(b), len(c))
	if n > 0 && &b[0] == &c[0] {
		return n
	}
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(b[i:]) ^ binary.LittleEndian.Uint64(c[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && b[i] == c[i] {
		i++
	}
	return i
}

func opens(c byte) bool { return c == '{' || c == '[' }

// value goes over two values at a place.
func (w *twin) value(p *place, depth int) bool {
	b, c := w.next()
	if b == 0 || depth > maxTwin {
		return false
	}
	ruled := p.ruled()
	switch {
	case !opens(b) && !opens(c):
		return w.leaf(p)
	case b != c:
		return ruled && w.puzzle(p)
	case ruled:
		if left, ok := w.settled(p, b); !left {
			return ok
		}
	}
	switch {
	case depth < maxSkips && w.skipEqual(p):
		return true
	case b == '{':
		return w.members(p, depth)
	default:
		return w.elements(p, depth)
	}
}

// maxSkips is how deep values are skipped whole. One that cannot be is read again for each level that it is deep.
const maxSkips = 8

// skipEqual skips two lists or objects whose texts are equal and have nothing in them that a rule is about.
func (w *twin) skipEqual(p *place) bool {
	w.compare()
	equal := w.b[w.i:w.same]
	var names jsonval.NameSet
	end, leaves, ok := jsonval.SkipNames(equal, &names)
	if !ok {
		return false
	}
	if !p.silent(equal[:end], names) {
		return false
	}
	w.tally.leaves += int64(leaves)
	w.i, w.j = w.i+end, w.j+end
	return true
}

// compare finds up to where the texts are equal.
func (w *twin) compare() {
	if w.i >= w.same {
		w.same = w.i + commonPrefix(w.b[w.i:], w.c[w.j:])
	}
}

// leaf goes over two values that are neither lists nor objects.
func (w *twin) leaf(p *place) bool {
	endB, endC, equal := w.token()
	if endB < 0 || endC < 0 {
		return false
	}
	b, c := w.b[w.i:endB], w.c[w.j:endC]
	if equal {
		c = b
	}
	if !w.shortcut.leaf(p, b, c) {
		return false
	}
	w.jump(endB, endC)
	return true
}

// settled has rules at a place look at two lists or two objects. Left is whether their elements have to be gone over.
func (w *twin) settled(p *place, open byte) (left, ok bool) {
	final, unordered := p.has(Ignore) || p.has(Type), p.has(Unordered)
	if !final && !unordered {
		w.equal(p, 0, !isEmpty(w.b[w.i:]))
		return true, true
	}
	endB, leaves, ok := skipFrom(w.b, w.i)
	if !ok {
		return false, false
	}
	if unordered = unordered && open == '['; !final && !unordered {
		w.equal(p, leaves, !isEmpty(w.b[w.i:]))
		return true, true
	}
	w.compare()
	if endB > w.same || unordered && w.rules.aliases {
		return false, w.puzzle(p)
	}
	if !w.equal(p, leaves, !isEmpty(w.b[w.i:])) {
		return true, true
	}
	w.tally.leaves += int64(leaves)
	w.jump(endB, w.j+endB-w.i)
	return false, true
}

// isEmpty reports whether a list or an object has nothing in it.
func isEmpty(text []byte) bool {
	i := jsonval.SkipSpace(text, 1)
	return i < len(text) && (text[i] == ']' || text[i] == '}')
}

func skipFrom(text []byte, i int) (end, leaves int, ok bool) {
	end, leaves, ok = jsonval.Skip(text[i:])
	return i + end, leaves, ok
}

func (w *twin) members(p *place, depth int) bool {
	w.i, w.j = w.i+1, w.j+1
	b, c := w.next()
	if b == '}' && c == '}' {
		w.tally.leaves++
		w.i, w.j = w.i+1, w.j+1
		return true
	}
	for first := true; ; first = false {
		if b != '"' || c != '"' {
			return w.rest(p, first)
		}
		endB, endC, equal := w.token()
		if endB < 0 || endC < 0 {
			return false
		}
		if !equal {
			return w.rest(p, first)
		}
		name := w.b[w.i:endB]
		w.i, w.j = endB, endC
		if b, c = w.next(); b != ':' || c != ':' {
			return false
		}
		w.i, w.j = w.i+1, w.j+1
		if !w.member(p, name, depth) {
			return false
		}
		b, c = w.next()
		if b == '}' && c == '}' {
			w.i, w.j = w.i+1, w.j+1
			return true
		}
		moreB, moreC := 0, 0
		if b == ',' {
			moreB = 1
		}
		if c == ',' {
			moreC = 1
		}
		if moreB+moreC == 0 {
			return false
		}
		w.jump(w.i+moreB, w.j+moreC)
		b, c = w.next()
		if moreB == 1 && b != '"' || moreC == 1 && c != '"' {
			return false
		}
	}
}

// member goes over the value of a member, whose name is as it is written, in quotes.
func (w *twin) member(p *place, name []byte, depth int) bool {
	if p == nil {
		return w.value(nil, depth+1)
	}
	name, ok := nameOf(name)
	if !ok {
		return false
	}
	w.path = append(w.path, pathStep{name: name})
	ok = w.value(p.atName(name), depth+1)
	w.path = w.path[:len(w.path)-1]
	return ok
}

// nameOf reads a name, which is never nil.
func nameOf(quoted []byte) (name []byte, ok bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	v, err := jsonval.Parse(quoted)
	return append([]byte{}, v.Text...), err == nil
}

func (w *twin) elements(p *place, depth int) bool {
	w.i, w.j = w.i+1, w.j+1
	b, c := w.next()
	if b == ']' && c == ']' {
		w.tally.leaves++
		w.i, w.j = w.i+1, w.j+1
		return true
	}
	for n := 0; b != ']' && c != ']'; n++ {
		w.path = append(w.path, pathStep{index: n})
		ok := w.value(p.atIndex(n), depth+1)
		w.path = w.path[:len(w.path)-1]
		if !ok {
			return false
		}
		if b, c = w.next(); b == ']' && c == ']' {
			w.i, w.j = w.i+1, w.j+1
			return true
		}
		if b != ',' || c != ',' {
			return false // one list is longer
		}
		w.i, w.j = w.i+1, w.j+1
		b, c = w.next()
	}
	return false
}

// puzzle sets two values aside.
func (w *twin) puzzle(p *place) bool {
	endB, leaves, okB := skipFrom(w.b, w.i)
	endC, _, okC := skipFrom(w.c, w.j)
	if !okB || !okC || !w.shortcut.puzzle(p, w.b[w.i:endB], w.c[w.j:endC], leaves) {
		return false
	}
	w.jump(endB, endC)
	return true
}

// rest sets aside what is left of two objects from a member on whose names differ. First says that nothing is before
// it.
func (w *twin) rest(p *place, first bool) bool {
	endB, leaves, okB := jsonval.SkipMembers(w.b[w.i:])
	endC, _, okC := jsonval.SkipMembers(w.c[w.j:])
	if !okB || !okC {
		return false
	}
	restB, restC := w.b[w.i:w.i+endB], w.c[w.j:w.j+endC]
	b, errB := jsonval.Parse(append([]byte{'{'}, restB...))
	c, errC := jsonval.Parse(append([]byte{'{'}, restC...))
	if errB != nil || errC != nil {
		return false
	}
	if len(b.Names) == 0 && !first {
		leaves = 0
	}
	w.add(puzzle{place: p, rest: true, b: b, c: c, part: restC}, leaves)
	w.jump(w.i+endB, w.j+endC)
	return true
}
