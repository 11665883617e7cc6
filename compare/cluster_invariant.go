package compare

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

// A measure is something about a difference that may be the same wherever a mistake shows.
type measure int

const (
	fromValue measure = iota // the baseline's value
	toValue                  // the candidate's
	factor                   // by which the candidate's number is larger
	addend                   // what the candidate's number has in addition
	delay                    // by how much the candidate's time is later
	length                   // of the candidate's text, in characters
	measures
)

const (
	// minAlways is in how many trials something has to be the same to be told as a part of the cause.
	minAlways = 3
	// maxConstant is up to how long constants are remembered, in bytes.
	maxConstant = 60
)

// invariant knows what is the same in all of many differences. It adds up in any order, and does not grow.
type invariant struct {
	any    bool             // whether there was a difference
	same   [measures]string // "" for what varies, or is not known of one of them
	number bool             // whether all are pairs of numbers
}

func invariantOf(d Difference) invariant {
	s := invariant{any: true}
	if d.Baseline == nil || d.Candidate == nil || d.Note != "" {
		return s
	}
	b, c := *d.Baseline, *d.Candidate
	s.same[fromValue], s.same[toValue] = constant(b), constant(c)
	if c.Kind == jsonval.String {
		s.same[length] = strconv.Itoa(utf8.RuneCountInString(c.Text))
	}
	if by, ok := timeBetween(b, c); ok {
		s.same[delay] = later(by)
	}
	if x, y, ok := twoNumbers(b, c); ok {
		s.number = true
		if x.Sign() != 0 {
			s.same[factor] = plainDecimal(new(big.Rat).Quo(y, x))
		}
		s.same[addend] = plainDecimal(new(big.Rat).Sub(y, x))
	}
	return s
}

// constant writes a value that may be always the same.
func constant(v jsonval.Value) string {
	if len(v.Elems) > 0 || len(v.Text) > maxConstant {
		return ""
	}
	return show(v)
}

// plainDecimal writes a number that has few decimals, and no other.
func plainDecimal(x *big.Rat) string {
	const most = 6
	text := x.FloatString(most)
	if y, ok := new(big.Rat).SetString(text); !ok || y.Cmp(x) != 0 || len(text) > maxConstant {
		return ""
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func (s *invariant) merge(o invariant) {
	if !s.any {
		*s = o
		return
	}
	if !o.any {
		return
	}
	for m := range s.same {
		if s.same[m] != o.same[m] {
			s.same[m] = ""
		}
	}
	s.number = s.number && o.number
}

// name says of a cause what is the same in all of its trials.
func (s *invariant) name(cause string, named bool, trials int64) string {
	if trials < minAlways {
		return cause
	}
	from, to := s.same[fromValue], s.same[toValue]
	switch {
	case cause == cutOff && s.same[length] != "":
		return cause + ", always at " + s.same[length] + " characters"
	case cause == anotherTime && s.same[delay] != "":
		return "always " + s.same[delay]
	case strings.HasPrefix(cause, "×"), strings.HasPrefix(cause, "÷"),
		strings.HasSuffix(cause, " later"), strings.HasSuffix(cause, " earlier"):
		return "always " + cause
	case named && cause != anotherTime:
		return cause
	case from != "" && to != "":
		return "always " + to + " for " + from
	case to != "":
		return "always the constant " + to
	case s.number && s.same[factor] != "":
		return "always ×" + s.same[factor]
	case s.number && strings.HasPrefix(s.same[addend], "-"):
		return "always " + s.same[addend][1:] + " less"
	case s.number && s.same[addend] != "":
		return "always " + s.same[addend] + " more"
	}
	return cause
}
