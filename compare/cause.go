package compare

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// Causes that name none.
const (
	anotherNumber = "another number"
	anotherValue  = "another value"
)

// A change is a kind of mistake that shows in the two values alone. There are only so many of them, and their names do
// not depend on what varies from trial to trial, so that differences can be counted by them. What is one and the same
// in all of a cluster, such as a factor, is found by [invariant].
type change struct {
	name string
	is   func(b, c jsonval.Value) bool
}

var allChanges = concat(structureChanges, numberChanges, timeChanges, textChanges)

// causesOf says in a few words each what a difference looks like, the most specific first: 5 for 500 is a hundred times
// as much. There is at least one. Named is false when it is one that tells nothing of a mistake.
func causesOf(d Difference) (causes []string, named bool) {
	switch {
	case d.Note != "":
		return []string{d.Note}, true
	case d.Kind == Missing:
		return append(d.hints, absent(d, "the candidate lacks", d.Baseline)...), true
	case d.Kind == Extra:
		return absent(d, "only the candidate has", d.Candidate), true
	case d.Kind == Duplicate && d.Effect != "" && isEffect(d.Path):
		return []string{fmt.Sprintf("the candidate does it once more: %s", d.Effect)}, true
	case d.Kind == Duplicate:
		return []string{"the candidate has it once more"}, true
	case d.Kind == Order:
		return ordersOf(*d.Baseline, *d.Candidate), true
	}
	for _, c := range allChanges {
		if c.is(*d.Baseline, *d.Candidate) {
			causes = append(causes, c.name)
		}
	}
	causes = append(causes, scaled(*d.Baseline, *d.Candidate)...)
	causes = append(causes, shifted(*d.Baseline, *d.Candidate)...)
	if len(causes) > 0 {
		return causes, true
	}
	cause := plainCauseOf(d)
	return []string{cause}, cause != anotherNumber && cause != anotherValue
}

// plainCauseOf says what a change looks like that is none of those that have a name.
func plainCauseOf(d Difference) string {
	switch {
	case d.Kind == TypeOf && d.Baseline.Form != d.Candidate.Form:
		return fmt.Sprintf("%s for %s", formName(d.Candidate), formName(d.Baseline))
	case d.Kind == TypeOf:
		return fmt.Sprintf("%s for %s", typeName(*d.Candidate), typeName(*d.Baseline))
	case d.Baseline.Kind == jsonval.Bool || isEnumeration(d.Path):
		return fmt.Sprintf("%s for %s", d.Candidate, d.Baseline)
	case d.Baseline.Kind == jsonval.Number:
		return anotherNumber
	}
	return anotherValue
}

// coarseChanges are those that two values of a field that is noise hardly ever show. Others, such as a number that is ten
// times another one, may be seen between any two.
var coarseChanges = slices.DeleteFunc(slices.Clone(allChanges), func(c change) bool {
	return !slices.Contains([]string{
		"the base64 text in place of the bytes", "a number written as a string", "a string written as a number",
		"rounded through binary floating point", "only the letter case differs", "a local time without its zone",
		"the same instant in another zone", "a space for a plus", "a plus for a space", cutOff,
	}, c.name)
})

// coarseCauseOf says of a change what it looks like, in words of which there are few, so that they can be counted by
// chance's laws.
func coarseCauseOf(d Difference) string {
	for _, c := range coarseChanges {
		if c.is(*d.Baseline, *d.Candidate) {
			return c.name
		}
	}
	return plainCauseOf(d)
}

// isEffect reports whether a path leads to an effect as a whole.
func isEffect(path string) bool {
	return strings.HasPrefix(path, "/effects/") && strings.Count(path, "/") == 2
}

// absent says what one side has not, by its name where it has one, and then in words that go for others, too.
func absent(d Difference, who string, v *jsonval.Value) []string {
	switch segments := strings.Split(d.Path, "/"); {
	case isEffect(d.Path):
		return []string{fmt.Sprintf("%s the effect %s", who, d.Effect), who + " an effect"}
	case len(segments) == 4 && segments[2] == "headers":
		return []string{fmt.Sprintf("%s the header %s", who, segments[3]), who + " a header"}
	case len(segments) == 4 && segments[2] == "cookies":
		return []string{fmt.Sprintf("%s the cookie %s", who, segments[3]), who + " a cookie"}
	case empty(v):
		return []string{fmt.Sprintf("%s it, which is %s", who, typeName(*v))}
	}
	return []string{who + " it"}
}

// empty reports whether there is a value with nothing in it: null, "", [] or {}.
func empty(v *jsonval.Value) bool {
	if v == nil || v.Kind == jsonval.Bool || v.Kind == jsonval.Number {
		return false
	}
	return v.Text == "" && len(v.Elems) == 0
}

func typeName(v jsonval.Value) string {
	if !empty(&v) {
		return "a " + v.Kind.String()
	}
	return v.String()
}

// formName says what a value is that is compared with one of another form.
func formName(v *jsonval.Value) string {
	switch {
	case v.Form != 0:
		return formWords[v.Form]
	case v.Kind == jsonval.Object:
		return "one JSON object"
	case v.Kind == jsonval.Array:
		return "one JSON list"
	}
	return typeName(*v)
}

// structureChanges are between values of different types, and between wholes and their parts.
var structureChanges = []change{
	{"the base64 text in place of the bytes", undecoded},
	{"a number written as a string", func(b, c jsonval.Value) bool { return isNumberText(b, c) }},
	{"a string written as a number", func(b, c jsonval.Value) bool { return isNumberText(c, b) }},
	{"a boolean written as a string", func(b, c jsonval.Value) bool { return isBoolText(b, c) }},
	{"a string written as a boolean", func(b, c jsonval.Value) bool { return isBoolText(c, b) }},
	{"0 or 1 for a boolean", func(b, c jsonval.Value) bool { return isBoolNumber(b, c) }},
	{"a boolean for 0 or 1", func(b, c jsonval.Value) bool { return isBoolNumber(c, b) }},
	{"JSON inside a string", func(b, c jsonval.Value) bool { return isEncoded(b, c) }},
	{"JSON taken out of its string", func(b, c jsonval.Value) bool { return isEncoded(c, b) }},
	{"wrapped in a list", func(b, c jsonval.Value) bool { return isWrapped(b, c) }},
	{"taken out of its list", func(b, c jsonval.Value) bool { return isWrapped(c, b) }},
}

func isNumberText(n, s jsonval.Value) bool {
	return n.Kind == jsonval.Number && s.Kind == jsonval.String && number(s.Text) && jsonval.EqualNumbers(n.Text, s.Text)
}

func number(s string) bool {
	v, err := jsonval.Parse([]byte(s))
	return err == nil && v.Kind == jsonval.Number
}

func isBoolText(b, s jsonval.Value) bool {
	return b.Kind == jsonval.Bool && s.Kind == jsonval.String && strings.EqualFold(b.Text, s.Text)
}

func isBoolNumber(b, n jsonval.Value) bool {
	digit := map[string]string{"true": "1", "false": "0"}
	return b.Kind == jsonval.Bool && n.Kind == jsonval.Number && jsonval.EqualNumbers(digit[b.Text], n.Text)
}

// isEncoded reports whether s is a text that has the JSON of v, which may be a text, too.
func isEncoded(v, s jsonval.Value) bool {
	if s.Kind != jsonval.String || s.Text == "" || len(s.Text) > maxLookedAt || !strings.Contains("{[\"", s.Text[:1]) {
		return false
	}
	inside, err := jsonval.Parse([]byte(s.Text))
	return err == nil && jsonval.Equal(inside, v)
}

func isWrapped(v, list jsonval.Value) bool {
	return list.Kind == jsonval.Array && v.Kind != jsonval.Array && len(list.Elems) == 1 && jsonval.Equal(list.Elems[0], v)
}

// undecoded recognizes bytes on one side and their base64 text on the other.
func undecoded(b, c jsonval.Value) bool {
	if b.Form != bytesForm || c.Kind != jsonval.String {
		return false
	}
	content, err := base64.StdEncoding.DecodeString(c.Text)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(content)
	return b.At("sha256").Text == hex.EncodeToString(sum[:])
}
