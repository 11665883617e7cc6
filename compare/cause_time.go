package compare

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// timeChanges are between two timestamps, or a timestamp and a number.
var timeChanges = []change{
	{"a local time without its zone", texts(func(b, c string) bool { return isInstant(b) && isLocal(c) })},
	{"a zone for a local time", texts(func(b, c string) bool { return isLocal(b) && isInstant(c) })},
	{"the same instant in another zone", texts(func(b, c string) bool {
		x, y, ok := twoTimes(b, c)
		return ok && x.Equal(y) && offset(x) != offset(y)
	})},
	{"the same instant written in another way", texts(func(b, c string) bool {
		x, y, ok := twoTimes(b, c)
		return ok && x.Equal(y) && offset(x) == offset(y)
	})},
	{"the same local time in another zone", texts(func(b, c string) bool {
		x, y, ok := twoTimes(b, c)
		return ok && !x.Equal(y) && x.Format(localTime) == y.Format(localTime)
	})},
	{"cut down to the second", texts(func(b, c string) bool { return cutDown(b, c, time.Second) })},
	{"cut down to the millisecond", texts(func(b, c string) bool { return cutDown(b, c, time.Millisecond) })},
	{"day and month swapped", texts(swappedDate)},
	{"a date without its time", texts(func(b, c string) bool {
		x, ok := parseInstant(b)
		return ok && x.Format(time.DateOnly) == c
	})},
	{"a Unix time for a timestamp", func(b, c jsonval.Value) bool { return isUnixOf(b, c) }},
	{"a timestamp for a Unix time", func(b, c jsonval.Value) bool { return isUnixOf(c, b) }},
}

const localTime = "2006-01-02T15:04:05.999999999"

// mayBeTime keeps most texts from being tried as timestamps, which takes long: all of these have hours, minutes and
// seconds.
func mayBeTime(s string) bool { return len(s) <= 40 && strings.Count(s, ":") >= 2 }

func parseInstant(s string) (time.Time, bool) {
	if !mayBeTime(s) {
		return time.Time{}, false
	}
	t, err := instant(s)
	return t, err == nil
}

func parseLocal(s string) (time.Time, bool) {
	if !mayBeTime(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(localTime, s)
	return t, err == nil
}

func isInstant(s string) bool {
	_, ok := parseInstant(s)
	return ok
}

func isLocal(s string) bool {
	_, ok := parseLocal(s)
	return ok
}

func twoTimes(b, c string) (x, y time.Time, ok bool) {
	x, okX := parseInstant(b)
	y, okY := parseInstant(c)
	return x, y, okX && okY
}

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

func cutDown(b, c string, to time.Duration) bool {
	x, y, ok := twoTimes(b, c)
	return ok && !x.Equal(y) && x.Truncate(to).Equal(y)
}

// dates are year, month and day, and month, day and year, in either order of the two.
var dates = []*regexp.Regexp{
	regexp.MustCompile(`(?s)^(.*?\d{4}[-/.])(\d\d)([-/.])(\d\d)(\D.*|)$`),
	regexp.MustCompile(`(?s)^(|.*?\D)(\d\d)([-/.])(\d\d)([-/.]\d{4}.*)$`),
}

func swappedDate(b, c string) bool {
	if len(b) != len(c) || len(b) > maxConstant {
		return false
	}
	for _, date := range dates {
		if p := date.FindStringSubmatch(b); p != nil && p[2] <= "31" && p[4] <= "31" && min(p[2], p[4]) <= "12" {
			return p[1]+p[4]+p[3]+p[2]+p[5] == c
		}
	}
	return false
}

func isUnixOf(text, unix jsonval.Value) bool {
	if text.Kind != jsonval.String || unix.Kind != jsonval.Number {
		return false
	}
	at, ok := parseInstant(text.Text)
	if !ok {
		return false
	}
	for _, n := range []int64{at.Unix(), at.UnixMilli()} {
		if jsonval.EqualNumbers(unix.Text, strconv.FormatInt(n, 10)) {
			return true
		}
	}
	return false
}

// shifted names by how much a time is off, as far as zones and calendars may be the reason: quarters of an hour up to
// 14 hours, and a day. Clocks that are off by anything else are found by [invariant].
func shifted(b, c jsonval.Value) []string {
	by, ok := timeBetween(b, c)
	if !ok || by == 0 {
		return nil
	}
	if by%(15*time.Minute) == 0 && by.Abs() <= 14*time.Hour || by.Abs() == 24*time.Hour {
		return []string{later(by)}
	}
	return []string{anotherTime}
}

const anotherTime = "another time"

// timeBetween returns how much later the candidate's time is, of two with zones or two without.
func timeBetween(b, c jsonval.Value) (time.Duration, bool) {
	if b.Kind != jsonval.String || c.Kind != jsonval.String {
		return 0, false
	}
	if x, y, ok := twoTimes(b.Text, c.Text); ok {
		return y.Sub(x), true
	}
	x, okX := parseLocal(b.Text)
	y, okY := parseLocal(c.Text)
	return y.Sub(x), okX && okY
}

// later writes a time that is off.
func later(by time.Duration) string {
	word := "later"
	if by < 0 {
		word = "earlier"
	}
	by = by.Abs()
	switch {
	case by%(24*time.Hour) == 0:
		return fmt.Sprintf("%s %s", plural(int(by/(24*time.Hour)), "day"), word)
	case by%time.Hour == 0:
		return fmt.Sprintf("%s %s", plural(int(by/time.Hour), "hour"), word)
	case by%time.Minute == 0 && by < time.Hour:
		return fmt.Sprintf("%s %s", plural(int(by/time.Minute), "minute"), word)
	case by%time.Minute == 0 && by < 24*time.Hour:
		return fmt.Sprintf("%d h %d min %s", by/time.Hour, by%time.Hour/time.Minute, word)
	}
	return fmt.Sprintf("%s %s", by, word)
}
