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

func (s *examples) add(e Example, size int) {
	s.addFirst(e)
	s.addSmallest(e, size)
}

func compareExamples(a, b Example) int {
	return cmp.Or(cmp.Compare(a.Invocation, b.Invocation), cmp.Compare(a.Path, b.Path))
}

func (s *examples) addFirst(e Example) {
	if i := slices.IndexFunc(s.first, func(o Example) bool { return o.Invocation == e.Invocation }); i >= 0 {
		if compareExamples(e, s.first[i]) < 0 {
			s.first[i] = e
		}
		return
	}
	i, _ := slices.BinarySearchFunc(s.first, e, compareExamples)
	if i < maxExamples {
		s.first = slices.Insert(s.first, i, e)
		s.first = s.first[:min(len(s.first), maxExamples)]
	}
}

func (s *examples) addSmallest(e Example, size int) {
	if s.smallest.Invocation == "" || cmp.Or(cmp.Compare(size, s.size), compareExamples(e, s.smallest)) < 0 {
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
