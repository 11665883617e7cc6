package compare

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

const (
	maxEventPaths  = 512  // of one function's events
	maxAllPaths    = 4096 // of all functions' events
	maxEventValues = 12   // beyond so many different ones, a field's values are not few
	maxValueShown  = 32   // bytes
)

// A bitset is a set of a sample's trials, by their numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

// clear takes a trial out of a set, which may be nil.
func (b bitset) clear(i int) {
	if b != nil {
		b[i/64] &^= 1 << (i % 64)
	}
}

func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) count() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

func (b bitset) and(o bitset) bitset {
	both := make(bitset, len(b))
	for i := range b {
		both[i] = b[i] & o[i]
	}
	return both
}

func (b bitset) but(o bitset) bitset {
	rest := make(bitset, len(b))
	for i := range b {
		rest[i] = b[i] &^ o[i]
	}
	return rest
}

// A trait is what a value of an event may be. Costs say which of two conditions is the simpler one.
type trait struct {
	name string // after "is" or "has"
	verb string
	cost int
	is   func(v jsonval.Value) bool
}

const oneElement = "one element"

var traits = []trait{
	{"empty", "is", 10, func(v jsonval.Value) bool { return v.Kind != jsonval.Null && empty(&v) }},
	{"null", "is", 10, func(v jsonval.Value) bool { return v.Kind == jsonval.Null }},
	{oneElement, "has", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Array && len(v.Elems) == 1 }},
	{"zero", "is", 20, func(v jsonval.Value) bool {
		return v.Kind == jsonval.Number && jsonval.EqualNumbers(v.Text, "0")
	}},
	{"negative", "is", 20, func(v jsonval.Value) bool {
		return v.Kind == jsonval.Number && v.Text[0] == '-' && !jsonval.EqualNumbers(v.Text, "0")
	}},
	{"decimals", "has", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Number && decimals(v.Text) > 0 }},
	{"a string", "is", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.String }},
	{"a number", "is", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Number }},
	{"a boolean", "is", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Bool }},
	{"an object", "is", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Object }},
	{"a list", "is", 20, func(v jsonval.Value) bool { return v.Kind == jsonval.Array }},
	{"a plus sign", "has", 30, textWith(func(s string) bool { return strings.Contains(s, "+") })},
	{"a percent sign", "has", 30, textWith(func(s string) bool { return strings.Contains(s, "%") })},
	{"an ampersand or an angle bracket", "has", 30, textWith(func(s string) bool {
		return strings.ContainsAny(s, "&<>")
	})},
	{"a quote", "has", 30, textWith(func(s string) bool { return strings.ContainsAny(s, `"'`) })},
	{"a slash", "has", 30, textWith(func(s string) bool { return strings.Contains(s, "/") })},
	{"white space at an end", "has", 30, textWith(func(s string) bool { return s != strings.TrimSpace(s) })},
	{"a space", "has", 30, textWith(func(s string) bool { return strings.Contains(s, " ") })},
	{"a line break", "has", 30, textWith(func(s string) bool { return strings.ContainsAny(s, "\r\n") })},
	{"a character that is not ASCII", "has", 30, textWith(func(s string) bool { return !ascii(s) })},
	{"a capital letter", "has", 40, textWith(func(s string) bool { return strings.IndexFunc(s, unicode.IsUpper) >= 0 })},
	{"a time zone that is not Z", "has", 40, textWith(func(s string) bool {
		at, ok := parseInstant(s)
		return ok && offset(at) != 0
	})},
}

func textWith(is func(string) bool) func(jsonval.Value) bool {
	return func(v jsonval.Value) bool { return v.Kind == jsonval.String && is(v.Text) }
}

// A scale is something about a value that may be over a limit.
type scale int

const (
	size       scale = iota // of a list
	characters              // of a text
	amount                  // a number
	scales
)

func (s scale) of(v jsonval.Value) (float64, bool) {
	switch {
	case s == size && v.Kind == jsonval.Array:
		return float64(len(v.Elems)), true
	case s == characters && v.Kind == jsonval.String:
		return float64(utf8.RuneCountInString(v.Text)), true
	case s == amount && v.Kind == jsonval.Number:
		x, err := strconv.ParseFloat(v.Text, 64)
		return x, err == nil
	}
	return 0, false
}

// A column is what the events of a sample have at one path. Where that is in a list, it is what any of them has.
type column struct {
	there  bitset
	traits []bitset // nil for what no event has
	values map[string]bitset
	many   bool // there are too many values to tell them
	scales [scales][]float64
}

// A table is what the events of a function's sample are like.
type table struct {
	trials  []sampled
	seen    bitset // trials whose events were found
	columns map[string]*column
	room    *int // for columns, in all tables
}

func newTable(trials []sampled, room *int) *table {
	return &table{trials: trials, seen: newBitset(len(trials)), columns: make(map[string]*column), room: room}
}

// add takes the event of a trial. One that is too large to be looked at as a whole is left out: what it lacks cannot be
// told.
func (t *table) add(i int, event jsonval.Value) {
	t.seen.set(i)
	walk := eventWalk{visit: func(path string, v jsonval.Value) {
		c := t.columns[path]
		if c == nil {
			if len(t.columns) >= maxEventPaths || *t.room == 0 {
				return
			}
			*t.room--
			c = &column{there: newBitset(len(t.trials)), traits: make([]bitset, len(traits)), many: isDelicate(path)}
			t.columns[path] = c
		}
		c.add(i, len(t.trials), v)
	}}
	walk.walk("", 0, event)
	if walk.cut {
		t.leaveOut(i)
	}
}

func (t *table) leaveOut(i int) {
	t.seen.clear(i)
	for _, c := range t.columns {
		c.there.clear(i)
		for _, set := range c.traits {
			set.clear(i)
		}
		for _, set := range c.values {
			set.clear(i)
		}
		for _, scale := range c.scales {
			if scale != nil {
				scale[i] = math.NaN()
			}
		}
	}
}

func (c *column) add(i, n int, v jsonval.Value) {
	c.there.set(i)
	for k, trait := range traits {
		if trait.is(v) {
			if c.traits[k] == nil {
				c.traits[k] = newBitset(n)
			}
			c.traits[k].set(i)
		}
	}
	for s := range scales {
		x, ok := s.of(v)
		if !ok {
			continue
		}
		if c.scales[s] == nil {
			c.scales[s] = slices.Repeat([]float64{math.NaN()}, n)
		}
		if old := c.scales[s][i]; math.IsNaN(old) || x > old {
			c.scales[s][i] = x
		}
	}
	c.addValue(i, n, v)
}

func (c *column) addValue(i, n int, v jsonval.Value) {
	if c.many || v.Kind == jsonval.Null || len(v.Elems) > 0 || v.Text == "" {
		return
	}
	text := show(v)
	if c.values == nil {
		c.values = make(map[string]bitset)
	}
	if c.values[text] == nil {
		if len(c.values) == maxEventValues || len(text) > maxValueShown {
			c.values, c.many = nil, true
			return
		}
		c.values[text] = newBitset(n)
	}
	c.values[text].set(i)
}

// delicate are words in the names of fields whose values may be secrets, or say who somebody is.
var delicate = strings.Fields(`auth authorization authorizer bearer token jwt secret password passwd pwd key apikey
	cookie cookies signature session sid credential credentials csrf otp pin name user username mail email phone mobile
	address street card iban ssn birth birthday birthdate dob ip`)

// isDelicate reports whether the values at a path are never told.
func isDelicate(path string) bool {
	return path != "records[].eventName" && slices.ContainsFunc(wordsOf(path), func(word string) bool {
		return slices.Contains(delicate, word)
	})
}

// wordsOf returns the words of a name or a path, in lower case: two of customerId, customer_id and Customer-ID.
func wordsOf(name string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = nil
	}
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			continue
		}
		startsWord := unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if startsWord {
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}
