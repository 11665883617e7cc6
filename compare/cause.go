package compare

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// Causes that name none.
const (
	anotherNumber = "another number"
	anotherValue  = "another value"
)

// causeOf says in a few words what a difference looks like. Two differences of one cluster often have one cause in
// common, and then it names the cluster; so it must not depend on what varies from trial to trial.
func causeOf(d Difference) string {
	if d.Note != "" {
		return d.Note
	}
	switch d.Kind {
	case Missing:
		return absent(d, "the candidate lacks")
	case Extra:
		return absent(d, "only the candidate has")
	case Duplicate:
		if d.Effect != "" && isEffect(d.Path) {
			return fmt.Sprintf("the candidate does it once more: %s", d.Effect)
		}
		return "the candidate has it once more"
	case Order:
		return "the same elements in another order"
	}
	for _, c := range changes {
		if c.is(*d.Baseline, *d.Candidate) {
			return c.name
		}
	}
	if d.Kind == TypeOf {
		return fmt.Sprintf("%s for %s", typeName(*d.Candidate), typeName(*d.Baseline))
	}
	if d.Baseline.Kind == jsonval.Bool || isEnumeration(d.Path) {
		return fmt.Sprintf("%s for %s", d.Candidate, d.Baseline)
	}
	if d.Baseline.Kind == jsonval.Number {
		return anotherNumber
	}
	return anotherValue
}

// isEffect reports whether a path leads to an effect as a whole.
func isEffect(path string) bool {
	return strings.HasPrefix(path, "/effects/") && strings.Count(path, "/") == 2
}

func absent(d Difference, who string) string {
	switch segments := strings.Split(d.Path, "/"); {
	case isEffect(d.Path):
		return fmt.Sprintf("%s the effect %s", who, d.Effect)
	case len(segments) == 4 && segments[2] == "headers":
		return fmt.Sprintf("%s the header %s", who, segments[3])
	case len(segments) == 4 && segments[2] == "cookies":
		return fmt.Sprintf("%s the cookie %s", who, segments[3])
	}
	return who + " it"
}

func typeName(v jsonval.Value) string {
	switch {
	case v.Kind == jsonval.Array && len(v.Elems) == 0:
		return "[]"
	case v.Kind == jsonval.Object && len(v.Elems) == 0:
		return "{}"
	case v.Kind == jsonval.Null:
		return "null"
	default:
		return "a " + v.Kind.String()
	}
}

// A change is a kind of mistake that shows in the two values alone.
type change struct {
	name string
	is   func(b, c jsonval.Value) bool
}

var changes = []change{
	{"the base64 text in place of the bytes", undecoded},
	{"a number written as a string", func(b, c jsonval.Value) bool {
		return b.Kind == jsonval.Number && c.Kind == jsonval.String && number(c.Text) &&
			jsonval.EqualNumbers(b.Text, c.Text)
	}},
	{"a string written as a number", func(b, c jsonval.Value) bool {
		return b.Kind == jsonval.String && c.Kind == jsonval.Number && number(b.Text) &&
			jsonval.EqualNumbers(b.Text, c.Text)
	}},
	{"rounded through binary floating point", rounded},
	{"only the letter case differs", func(b, c jsonval.Value) bool {
		return bothTexts(b, c) && strings.EqualFold(b.Text, c.Text)
	}},
	{"a local time without its zone", func(b, c jsonval.Value) bool {
		_, errB := instant(b.Text)
		_, errC := time.Parse("2006-01-02T15:04:05.999999999", c.Text)
		return bothTexts(b, c) && errB == nil && errC == nil
	}},
	{"the same instant in another zone", func(b, c jsonval.Value) bool {
		x, errX := instant(b.Text)
		y, errY := instant(c.Text)
		return bothTexts(b, c) && errX == nil && errY == nil && x.Equal(y)
	}},
	{"a space for a plus", func(b, c jsonval.Value) bool {
		return bothTexts(b, c) && strings.Contains(b.Text, "+") && strings.ReplaceAll(b.Text, "+", " ") == c.Text
	}},
	{"a plus for a space", func(b, c jsonval.Value) bool {
		return bothTexts(b, c) && strings.Contains(b.Text, " ") && strings.ReplaceAll(b.Text, " ", "+") == c.Text
	}},
	{"lines are missing", fewerLines},
	{"more lines", moreLines},
	{"the end is cut off", func(b, c jsonval.Value) bool {
		return bothTexts(b, c) && c.Text != "" && strings.HasPrefix(b.Text, c.Text)
	}},
}

func bothTexts(b, c jsonval.Value) bool {
	return b.Kind == jsonval.String && c.Kind == jsonval.String && b.Text != c.Text
}

func number(s string) bool {
	v, err := jsonval.Parse([]byte(s))
	return err == nil && v.Kind == jsonval.Number
}

// rounded recognizes a decimal that went through a float64: it is off by no more than rounding would make it.
func rounded(b, c jsonval.Value) bool {
	if b.Kind != jsonval.Number || c.Kind != jsonval.Number || len(c.Text) < 12 {
		return false
	}
	x, errX := strconv.ParseFloat(b.Text, 64)
	y, errY := strconv.ParseFloat(c.Text, 64)
	return errX == nil && errY == nil && x != 0 && math.Abs(x-y) <= 1e-12*math.Abs(x)
}

// undecoded recognizes bytes on one side and their base64 text on the other.
func undecoded(b, c jsonval.Value) bool {
	if b.Kind != jsonval.Object || c.Kind != jsonval.String {
		return false
	}
	content, err := base64.StdEncoding.DecodeString(c.Text)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(content)
	return b.At("sha256").Text == hex.EncodeToString(sum[:])
}
