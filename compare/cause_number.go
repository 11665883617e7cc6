package compare

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"tandem/capture/jsonval"
)

// numberChanges are between two numbers that differ, by how they are written.
var numberChanges = []change{
	{"rounded through binary floating point", rounded},
	{"one apart in the last decimal", lastPlace},
}

// valueChanges are between two numbers that differ, by their values.
var valueChanges = []struct {
	name string
	is   func(b, c *big.Rat) bool
}{
	{"seconds for milliseconds", func(b, c *big.Rat) bool { return isUnixMilli(b) && toSeconds(b, c) }},
	{"milliseconds for seconds", func(b, c *big.Rat) bool { return isUnixMilli(c) && toSeconds(c, b) }},
	{"the opposite sign", func(b, c *big.Rat) bool { return new(big.Rat).Neg(b).Cmp(c) == 0 }},
	{"0 for a number", func(_, c *big.Rat) bool { return c.Sign() == 0 }},
}

func twoNumbers(b, c jsonval.Value) (x, y *big.Rat, ok bool) {
	if b.Kind != jsonval.Number || c.Kind != jsonval.Number || max(len(b.Text), len(c.Text)) > maxLookedAt {
		return nil, nil, false
	}
	x, okX := rational(b.Text)
	y, okY := rational(c.Text)
	return x, y, okX && okY
}

// factors are what units differ by: powers of ten, cents and thousandths among them, minutes, hours, days and kibibytes.
var factors = []int64{10, 100, 1000, 10_000, 100_000, 1_000_000, 1_000_000_000, 60, 3600, 86_400, 1024, 1 << 20}

// maxDecimals is up to how many decimals rounding is told.
const maxDecimals = 12

// scaled names what the values of two numbers show: a change of unit, and rounding to so many decimals, among others.
func scaled(b, c jsonval.Value) (causes []string) {
	x, y, ok := twoNumbers(b, c)
	if !ok {
		return nil
	}
	for _, change := range valueChanges {
		if change.is(x, y) {
			causes = append(causes, change.name)
		}
	}
	if x.Sign() == 0 || y.Sign() == 0 {
		return causes
	}
	ratio := new(big.Rat).Quo(y, x)
	switch up, down := ratio.Num(), ratio.Denom(); {
	case ratio.IsInt() && up.IsInt64() && slices.Contains(factors, up.Int64()):
		causes = append(causes, "×"+up.String())
	case up.IsInt64() && up.Int64() == 1 && down.IsInt64() && slices.Contains(factors, down.Int64()):
		causes = append(causes, "÷"+down.String())
	}
	n := decimals(c.Text)
	if n > maxDecimals || n >= decimals(b.Text) {
		return causes
	}
	up, even := atDecimals(x, n, halfUp).Cmp(y) == 0, atDecimals(x, n, halfEven).Cmp(y) == 0
	to := fmt.Sprintf("rounded to %d decimals", n)
	if n == 1 {
		to = "rounded to 1 decimal"
	}
	switch {
	case up && !even:
		causes = append(causes, "rounded half up", to)
	case even && !up:
		causes = append(causes, "rounded half to even", to)
	case up:
		causes = append(causes, to)
	}
	if atDecimals(x, n, toZero).Cmp(y) == 0 { // which may be rounded down
		causes = append(causes, "cut down, not rounded, to "+strings.TrimPrefix(to, "rounded to "))
	}
	return causes
}

// decimals counts the digits after the point of a number as it is written; a lot for one with an exponent.
func decimals(text string) int {
	if strings.ContainsAny(text, "eE") {
		return math.MaxInt
	}
	_, fraction, _ := strings.Cut(text, ".")
	return len(strings.TrimRight(fraction, "0"))
}

// A rounding says where a number goes that has so much more than an integer, in halves: less than one, one, more.
type rounding func(whole *big.Int, half int) (up bool)

func halfUp(_ *big.Int, half int) bool       { return half >= 0 }
func halfEven(whole *big.Int, half int) bool { return half > 0 || half == 0 && whole.Bit(0) == 1 }
func toZero(*big.Int, int) bool              { return false }

// atDecimals rounds a number to so many decimals, by its magnitude.
func atDecimals(x *big.Rat, n int, to rounding) *big.Rat {
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil))
	scaled := new(big.Rat).Mul(new(big.Rat).Abs(x), unit)
	whole := new(big.Int).Quo(scaled.Num(), scaled.Denom())
	rest := scaled.Sub(scaled, new(big.Rat).SetInt(whole))
	if to(whole, rest.Cmp(big.NewRat(1, 2))) {
		whole = new(big.Int).Add(whole, big.NewInt(1))
	}
	result := new(big.Rat).Quo(new(big.Rat).SetInt(whole), unit)
	if x.Sign() < 0 {
		result.Neg(result)
	}
	return result
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

// lastPlace recognizes two ways of rounding one number: they are one apart in the last of their decimals.
func lastPlace(b, c jsonval.Value) bool {
	x, y, ok := twoNumbers(b, c)
	n := max(decimals(b.Text), decimals(c.Text))
	if !ok || n == 0 || n > maxDecimals {
		return false
	}
	unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil))
	return x.Sub(x, y).Abs(x).Cmp(unit) == 0
}

// isUnixMilli reports whether a number may be a time between 1980 and 2100 in milliseconds.
func isUnixMilli(x *big.Rat) bool {
	return x.Cmp(big.NewRat(315_532_800_000, 1)) > 0 && x.Cmp(big.NewRat(4_102_444_800_000, 1)) < 0
}

func toSeconds(milli, seconds *big.Rat) bool {
	s := new(big.Rat).Quo(milli, big.NewRat(1000, 1))
	return s.Cmp(seconds) == 0 || atDecimals(s, 0, toZero).Cmp(seconds) == 0 || atDecimals(s, 0, halfUp).Cmp(seconds) == 0
}
