package compare

import (
	"cmp"
	"slices"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

const maxExamples = 3

// examples are a few trials out of many. They add up in any order.
type examples struct {
	first    []Example // with the smallest invocation IDs, one a trial
	smallest Example   // the one of the smallest outcomes
	size     int       // of these
}

// add takes an example of d. What is around d is written down only where the example is kept.
func (s *examples) add(e Example, d *Difference, size int) {
	if s.wants(e) || s.isSmaller(e, size) {
		e.Diff = neighbourhood(d)
	}
	s.addFirst(e)
	s.addSmallest(e, size)
}

// wants reports whether e is one of the first.
func (s *examples) wants(e Example) bool {
	if i := s.of(e.Invocation); i >= 0 {
		return compareExamples(e, s.first[i]) < 0
	}
	return len(s.first) < maxExamples || compareExamples(e, s.first[maxExamples-1]) < 0
}

func (s *examples) of(invocation string) int {
	return slices.IndexFunc(s.first, func(e Example) bool { return e.Invocation == invocation })
}

func (s *examples) isSmaller(e Example, size int) bool {
	return s.smallest.Invocation == "" || cmp.Or(cmp.Compare(size, s.size), compareExamples(e, s.smallest)) < 0
}

func compareExamples(a, b Example) int {
	return cmp.Or(cmp.Compare(a.Invocation, b.Invocation), cmp.Compare(a.Path, b.Path))
}

func (s *examples) addFirst(e Example) {
	if !s.wants(e) {
		return
	}
	if i := s.of(e.Invocation); i >= 0 {
		s.first[i] = e
		return
	}
	i, _ := slices.BinarySearchFunc(s.first, e, compareExamples)
	s.first = slices.Insert(s.first, i, e)
	s.first = s.first[:min(len(s.first), maxExamples)]
}

func (s *examples) addSmallest(e Example, size int) {
	if s.isSmaller(e, size) {
		s.smallest, s.size = e, size
	}
}

func (s *examples) merge(o *examples) {
	for _, e := range o.first {
		s.addFirst(e)
	}
	if o.smallest.Invocation != "" {
		s.addSmallest(o.smallest, o.size)
	}
}

// sizeOf returns how much the outcomes of a trial have in them, in bytes, so that people can be shown a small one.
func sizeOf(t *replay.Trial, names ...string) int {
	size := 0
	for _, name := range names {
		o := t.Outcomes[name]
		if o == nil {
			continue
		}
		if o.HTTP != nil {
			size += bodySize(o.HTTP.Body)
		}
		size += bodySize(o.Result) + len(o.Records)
		for i := range o.Effects {
			size += len(o.Effects[i].Key) + bodySize(o.Effects[i].Body)
		}
	}
	return size
}

func bodySize(b *capture.Body) int {
	if b == nil {
		return 0
	}
	return len(b.Bytes())
}

// maxShown is how much of a value an example shows, in bytes.
const maxShown = 400

// shown writes one side of a difference for an example: nil for nothing. Of an effect it leaves out what the cluster
// says.
func shown(d Difference, v *jsonval.Value) *string {
	if v == nil {
		return nil
	}
	if isEffect(d.Path) {
		kept := jsonval.Value{Kind: jsonval.Object}
		for i, name := range v.Names {
			if name != "kind" && name != "resource" && v.Elems[i].Text+v.Elems[i].String() != `""` {
				kept.Add(name, v.Elems[i])
			}
		}
		v = &kept
	}
	text := show(*v)
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return &text
}
