package compare

import (
	"fmt"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// A Kind says in what way two outcomes disagree at one place.
type Kind string

const (
	Changed   Kind = "changed"
	Missing   Kind = "missing" // the candidate lacks it
	Extra     Kind = "extra"   // the baseline lacks it
	TypeOf    Kind = "type"    // the JSON types differ; null is a type, and so is each form of content
	Order     Kind = "order"   // the same elements, in another order
	Duplicate Kind = "duplicate"
)

// A Difference is one place where two outcomes disagree after all rules were applied.
type Difference struct {
	Path string
	Kind Kind
	// Baseline and Candidate are the values; nil where there is none.
	Baseline, Candidate *jsonval.Value
	// Effect describes the effect that the place is in, such as "object.put orders-bucket", or is empty.
	Effect string
	// Key is the key of that effect.
	Key string
	// Note explains what the values do not show.
	Note string
	// ofRun says that only the run as a whole shows it, not the outcomes of the trial.
	ofRun bool
	// Also are further places in the trial with the same disagreement, and its consequences.
	Also  []string
	hints []string // of what happened to the list that the place is in
	// around is where the place is in the baseline, for whoever wants to see the neighbourhood.
	around surroundings
}

// surroundings are an object or a list and the index of one of its members or elements, or the index at which what
// only the candidate has would be. The container is nil where there is none.
type surroundings struct {
	in *jsonval.Value
	at int
}

// explain returns the differences between two values. It returns none exactly when they are equal.
func explain(path string, b, c jsonval.Value) []Difference {
	return explainer{keys: keyNames}.explain(path, b, c, surroundings{})
}

// An explainer finds the differences between two values.
type explainer struct {
	keys  []string // the names of members that name an element of a list
	depth int      // of what it explains
}

// maxExplained is how deep differences are looked for. What differs deeper is one difference there: each level takes as
// long as all that is below it.
const maxExplained = 200

func (x explainer) explain(path string, b, c jsonval.Value, around surroundings) []Difference {
	if jsonval.Equal(b, c) {
		return nil
	}
	x.depth++
	switch {
	case !sameType(b, c):
		return []Difference{{Path: path, Kind: TypeOf, Baseline: &b, Candidate: &c, around: around}}
	case x.depth > maxExplained:
		return []Difference{{Path: path, Kind: Changed, Baseline: &b, Candidate: &c, around: around}}
	case b.Kind == jsonval.Object:
		return x.members(path, b, c)
	case b.Kind == jsonval.Array:
		return x.elements(path, b, c)
	default:
		return []Difference{{Path: path, Kind: Changed, Baseline: &b, Candidate: &c, around: around}}
	}
}

func (x explainer) members(path string, b, c jsonval.Value) []Difference {
	var found []Difference
	pairs := partnersOf(&b, &c)
	for i, name := range b.Names {
		if j := pairs.of(i); j >= 0 {
			if !jsonval.Equal(b.Elems[i], c.Elems[j]) {
				found = append(found, x.explain(child(path, name), b.Elems[i], c.Elems[j], surroundings{&b, i})...)
			}
		} else {
			found = append(found,
				Difference{Path: child(path, name), Kind: Missing, Baseline: &b.Elems[i], around: surroundings{&b, i}})
		}
	}
	extra := pairs.unpartnered(len(c.Names))
	if len(extra) == 0 {
		return found
	}
	known := make(map[string]bool, len(b.Names))
	for _, name := range b.Names {
		known[name] = true
	}
	for _, j := range extra {
		kind := Extra
		if known[c.Names[j]] {
			kind = Duplicate
		}
		found = append(found, Difference{Path: child(path, c.Names[j]), Kind: kind, Candidate: &c.Elems[j],
			around: surroundings{&b, min(j, len(b.Names))}})
	}
	return found
}

func (x explainer) elements(path string, b, c jsonval.Value) []Difference {
	if sameElements(b.Elems, c.Elems) {
		return []Difference{{Path: path, Kind: Order, Baseline: &b, Candidate: &c}}
	}
	var found []Difference
	var known elementSet // the baseline's, once that matters
	script, ordered := x.script(b.Elems, c.Elems)
	next := 0 // the baseline's element behind the edit before
	for _, e := range script {
		switch {
		case e.candidate < 0:
			found = append(found, Difference{Path: childAt(path, e.baseline), Kind: Missing,
				Baseline: &b.Elems[e.baseline], around: surroundings{&b, e.baseline}})
		case e.baseline < 0:
			kind := Extra
			if known == nil {
				known = elementsOf(b.Elems)
			}
			if known.has(&c.Elems[e.candidate]) {
				kind = Duplicate
			}
			found = append(found, Difference{Path: childAt(path, e.candidate), Kind: kind,
				Candidate: &c.Elems[e.candidate], around: surroundings{&b, min(max(next, e.candidate), len(b.Elems))}})
		default:
			found = append(found, x.explain(childAt(path, e.baseline), b.Elems[e.baseline], c.Elems[e.candidate],
				surroundings{&b, e.baseline})...)
		}
		next = max(next, e.baseline+1)
	}
	if !ordered {
		found = append(found, Difference{Path: path, Kind: Order, Baseline: &b, Candidate: &c})
	}
	return nameLosses(found, b, c)
}

// An elementSet has the elements of a list, by their digests.
type elementSet map[uint64][]*jsonval.Value

func elementsOf(list []jsonval.Value) elementSet {
	s := make(elementSet, len(list))
	for i := range list {
		if d := digest(nil, &list[i]); !s.has(&list[i]) {
			s[d] = append(s[d], &list[i])
		}
	}
	return s
}

func (s elementSet) has(v *jsonval.Value) bool {
	return slices.ContainsFunc(s[digest(nil, v)], func(w *jsonval.Value) bool { return jsonval.Equal(*v, *w) })
}

// script returns the steps from one list to another. Where elements have names they go together by these; ordered is
// false when such elements came in another order.
func (x explainer) script(b, c []jsonval.Value) (script []edit, ordered bool) {
	partner, ok := partnersByKey(b, c, x.keys)
	if !ok {
		return edits(b, c), true
	}
	return keyedScript(b, c, partner)
}

// sameElements reports whether two lists hold equal elements, each as often, in whatever order.
func sameElements(b, c []jsonval.Value) bool {
	if len(b) != len(c) {
		return false
	}
	idB, idC, distinct := identify(b, c)
	times := make([]int, distinct)
	for i := range idB {
		times[idB[i]]++
		times[idC[i]]--
	}
	return !slices.ContainsFunc(times, func(n int) bool { return n != 0 })
}

// pattern writes a path with * for what varies from trial to trial: indexes, message IDs, and member names that are
// IDs.
func pattern(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		inBody := i >= 2 && segments[1] != "http"
		if number(s) || inBody && (i == 2 && segments[1] == "records" || isID(s)) {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

// isID recognizes UUIDs, ULIDs, hashes and the like: 20 or more letters and digits, with at least four digits.
func isID(s string) bool {
	letters, digits := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case wordByte(c):
			letters++
		case c != '-' && c != '_':
			return false
		}
	}
	return letters+digits >= 20 && digits >= 4
}

func (d Difference) String() string {
	return fmt.Sprintf("%s %s: %s → %s", d.Path, d.Kind, showOr(d.Baseline), showOr(d.Candidate))
}

func showOr(v *jsonval.Value) string {
	if v == nil {
		return "nothing"
	}
	return show(*v)
}
