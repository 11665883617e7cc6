package compare

import (
	"strings"
	"unicode"

	"tandem/capture/jsonval"
)

// foldNames joins what lacks and what is extra where the candidate has the members of its documents under names of
// another style, such as CustomerId for customerId: a serializer writes all names in one style, so that is one mistake.
//
// What differs below such a member besides is told where it has a name of its own. Anything else shows once the names
// agree, because until then no rule applies to it.
func foldNames(found []Difference) []Difference {
	var renamed []renamedMember
	kept := found
	for next := found; len(next) > 0; {
		var pairs []renamedMember
		pairs, kept = takeRenamed(kept)
		renamed = append(renamed, pairs...)
		next = nil
		for _, p := range pairs {
			next = append(next, p.below()...)
		}
		kept = append(kept, next...)
	}
	if len(renamed) == 0 {
		return found
	}
	first := renamed[0]
	d := Difference{
		Path: first.root(), Kind: Changed, Effect: first.lacks.Effect, Key: first.lacks.Key,
		Note: "the names are in " + styleOf(renamed),
	}
	b, c := jsonval.Text(first.name()), jsonval.Text(first.newName())
	d.Baseline, d.Candidate = &b, &c
	for _, r := range renamed[1:] {
		if root := r.root(); root != d.Path && (len(d.Also) == 0 || d.Also[len(d.Also)-1] != root) {
			d.Also = append(d.Also, root)
		}
	}
	return append([]Difference{d}, kept...)
}

// A renamedMember is a member that one side has under another name.
type renamedMember struct{ lacks, has Difference }

func (r renamedMember) name() string    { return nameAt(r.lacks.Path) }
func (r renamedMember) newName() string { return nameAt(r.has.Path) }

// root returns the path of the document that the member is in.
func (r renamedMember) root() string {
	segments := strings.SplitN(r.lacks.Path, "/", 5)
	if segments[1] == "effects" {
		return strings.Join(segments[:4], "/")
	}
	return "/" + segments[1]
}

// below returns what differs in the member's value and can be told by the two values, or is in turn a matter of names.
func (r renamedMember) below() (found []Difference) {
	for _, d := range explain(r.lacks.Path, *r.lacks.Baseline, *r.has.Candidate) {
		if _, named := causesOf(d); named {
			d.Effect, d.Key = r.lacks.Effect, r.lacks.Key
			found = append(found, d)
		}
	}
	return found
}

func nameAt(path string) string {
	segment := path[strings.LastIndexByte(path, '/')+1:]
	return strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
}

// takeRenamed takes the members out of found that are lacking under one name and there under another one of the same
// words, each once.
func takeRenamed(found []Difference) (pairs []renamedMember, rest []Difference) {
	type member struct{ parent, words string }
	key := func(d Difference) (member, bool) {
		if !inDocument(d.Path) || d.Kind != Missing && d.Kind != Extra {
			return member{}, false
		}
		words := strings.Join(wordsOf(nameAt(d.Path)), "")
		return member{d.Path[:strings.LastIndexByte(d.Path, '/')], words}, words != "" && !digits(words)
	}
	lacking, extra := make(map[member][]int), make(map[member][]int)
	for i, d := range found {
		if k, ok := key(d); ok && d.Kind == Missing {
			lacking[k] = append(lacking[k], i)
		} else if ok {
			extra[k] = append(extra[k], i)
		}
	}
	taken := make(map[int]bool)
	for i, d := range found {
		k, ok := key(d)
		if !ok || d.Kind != Missing || len(lacking[k]) != 1 || len(extra[k]) != 1 {
			continue
		}
		j := extra[k][0]
		taken[i], taken[j] = true, true
		pairs = append(pairs, renamedMember{d, found[j]})
	}
	for i, d := range found {
		if !taken[i] {
			rest = append(rest, d)
		}
	}
	return pairs, rest
}

// inDocument reports whether a path is that of a member of a body, a result, or the body of an effect.
func inDocument(path string) bool {
	segments := strings.Split(path, "/")
	if len(segments) > 4 && segments[1] == "effects" {
		return segments[3] == "body"
	}
	return len(segments) > 2 && (segments[1] == "body" || segments[1] == "result")
}

// styleOf says how the candidate writes names. One word in lower case is written alike in most styles.
func styleOf(members []renamedMember) string {
	style := "camelCase"
	for _, m := range members {
		name := m.newName()
		upper := strings.IndexFunc(name, unicode.IsUpper) >= 0
		switch {
		case strings.Contains(name, "_") && upper:
			return "UPPER_CASE"
		case strings.Contains(name, "_"):
			return "snake_case"
		case strings.Contains(name, "-"):
			return "kebab-case"
		case upper && strings.ToUpper(name) == name && len(name) > 1:
			style = "upper case"
		case unicode.IsUpper([]rune(name)[0]):
			return "PascalCase"
		case !upper && len(wordsOf(m.name())) > 1:
			style = "lower case"
		}
	}
	return style
}
