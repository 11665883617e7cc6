package compare

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"net/http"
	"strings"
	"time"

	"tandem/capture/jsonval"
	"tandem/capture/redact"
)

// margin is how far apart two numbers may be: an absolute distance, or a share of the larger magnitude.
type margin struct {
	limit    *big.Rat
	relative bool
}

func parseMargin(s string) (margin, error) {
	number, percent := strings.CutSuffix(s, "%")
	limit, ok := rational(number)
	if !ok || limit.Sign() < 0 {
		return margin{}, fmt.Errorf("tolerance needs a number like 0.5 or a share like 1%%, not %q", s)
	}
	if percent {
		limit.Quo(limit, big.NewRat(100, 1))
	}
	return margin{limit, percent}, nil
}

func (m margin) allows(a, b string) bool {
	if allowed, ok := m.allowsShort(a, b); ok {
		return allowed
	}
	x, okX := rational(a)
	y, okY := rational(b)
	if !okX || !okY {
		return false
	}
	distance := new(big.Rat).Sub(x, y)
	limit := m.limit
	if m.relative {
		larger := x.Abs(x)
		if y.Abs(y).Cmp(larger) > 0 {
			larger = y
		}
		limit = new(big.Rat).Mul(limit, larger)
	}
	return distance.Abs(distance).Cmp(limit) <= 0
}

// allowsShort is allows for the numbers that most are, in a fraction of its time. Ok is false where one of them, or the
// limit, has too many digits.
func (m margin) allowsShort(a, b string) (allowed, ok bool) {
	x, okX := millionths(a)
	y, okY := millionths(b)
	if !okX || !okY || !m.limit.Num().IsUint64() || !m.limit.Denom().IsUint64() {
		return false, false
	}
	of := uint64(1e6)
	if m.relative {
		of = max(magnitude(x), magnitude(y))
	}
	// distance ≤ num/den of what it is a share of, without fractions
	highLeft, lowLeft := bits.Mul64(magnitude(x-y), m.limit.Denom().Uint64())
	highRight, lowRight := bits.Mul64(m.limit.Num().Uint64(), of)
	return highLeft < highRight || highLeft == highRight && lowLeft <= lowRight, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// millionths reads a decimal number of up to 11 digits before its point and 6 behind it, times a million.
func millionths(s string) (n int64, ok bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if len(whole) == 0 || len(whole) > 11 || len(fraction) > 6 || point && fraction == "" {
		return 0, false
	}
	for i := range len(whole) + 6 {
		c := byte('0')
		if i < len(whole) {
			c = whole[i]
		} else if k := i - len(whole); k < len(fraction) {
			c = fraction[k]
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// rational reads a decimal number exactly. Exponents beyond a hundred are refused: they would take the memory that
// the number says.
func rational(s string) (*big.Rat, bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 2 {
		return nil, false
	}
	if strings.ContainsAny(s, "/_xXoObBpP") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

var errNoInstant = errors.New("not a time with a zone")

// instant reads a timestamp in RFC 3339 or as HTTP has it. A local time, without a zone, is not an instant.
func instant(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if t, err := http.ParseTime(s); err == nil {
		return t, nil
	}
	return time.Time{}, errNoInstant
}

// allows reports whether a rule without structure of its own takes two unequal values as equal.
func (c *rule) allows(b, v jsonval.Value) bool {
	texts := b.Kind == jsonval.String && v.Kind == jsonval.String
	switch c.Treat {
	case Ignore:
		return true
	case Type:
		return sameType(b, v)
	case Tolerance:
		return leafKind(b) && b.Kind == v.Kind && c.margin.allows(b.Text, v.Text)
	case Pattern:
		return leafKind(b) && b.Kind == v.Kind && c.matches.MatchString(b.Text) && c.matches.MatchString(v.Text)
	case Lower:
		return texts && strings.EqualFold(b.Text, v.Text)
	case Time:
		x, errX := instant(b.Text)
		y, errY := instant(v.Text)
		return texts && errX == nil && errY == nil && x.Sub(y).Abs() <= c.within
	case Map:
		return texts && strings.ReplaceAll(b.Text, c.From, c.To) == v.Text
	case Redacted:
		return texts && redact.Stands(b.Text) && redact.StandsFor(b.Text, v.Text)
	default:
		return false
	}
}

func leafKind(v jsonval.Value) bool { return v.Kind == jsonval.String || v.Kind == jsonval.Number }
