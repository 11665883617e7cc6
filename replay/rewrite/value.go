package rewrite

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// setter is for Set.
func setter(by string) (func([]byte) ([]jsonval.Edit, verdict), func(string) (string, verdict)) {
	text := func(text []byte) ([]jsonval.Edit, verdict) { return whole(text, by), took }
	if !isScalar(by) {
		return text, nil
	}
	return text, func(string) (string, verdict) { return by, took }
}

// isScalar reports whether s is a JSON number, true, false or null.
func isScalar(s string) bool {
	v, err := jsonval.Parse([]byte(s))
	return err == nil && (v.Kind == jsonval.Number || v.Kind == jsonval.Bool || v.Kind == jsonval.Null)
}

// replacer is for From and To.
func replacer(from, to []byte) func([]byte) ([]jsonval.Edit, verdict) {
	return func(text []byte) (edits []jsonval.Edit, _ verdict) {
		for at := 0; ; {
			i := bytes.Index(text[at:], from)
			if i < 0 {
				break
			}
			end := at + i + len(from)
			edits = append(edits, jsonval.Edit{Start: at + i, End: end, Text: to})
			at = end
		}
		if len(edits) == 0 {
			return nil, passed
		}
		return edits, took
	}
}

// namespacer is for Namespace.
func namespacer(run string) func([]byte) ([]jsonval.Edit, verdict) {
	return func(text []byte) ([]jsonval.Edit, verdict) {
		if len(text) == 0 {
			return nil, passed
		}
		return whole(text, namespaced(run, string(text))), took
	}
}

// shifter is for ShiftTime.
func shifter(by time.Duration) (func([]byte) ([]jsonval.Edit, verdict), func(string) (string, verdict)) {
	text := func(text []byte) ([]jsonval.Edit, verdict) {
		shifted, ok := shiftText(string(text), by)
		return whole(text, shifted), tookIf(ok)
	}
	return text, func(text string) (string, verdict) {
		shifted, ok := shiftNumber(text, by)
		return shifted, tookIf(ok)
	}
}

func tookIf(ok bool) verdict {
	if ok {
		return took
	}
	return passed
}

// whole returns the edit that puts another text in place of one, unless they are the same.
func whole(text []byte, by string) []jsonval.Edit {
	if string(text) == by {
		return nil
	}
	return []jsonval.Edit{{Start: 0, End: len(text), Text: []byte(by)}}
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// namespaced returns the ID that an ID has in a run: for a UUID one of version 4, for others the ID with the end of
// the run's behind it.
func namespaced(run, id string) string {
	if !uuid.MatchString(id) {
		return id + "-" + strings.ToLower(run[max(0, len(run)-8):])
	}
	sum := sha256.Sum256([]byte(run + "\x00" + strings.ToLower(id)))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	made := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	if strings.ToUpper(id) == id {
		return strings.ToUpper(made)
	}
	return made
}

// layouts are the forms of times that are written as texts: those of RFC 3339, of common logs and API Gateway, and of
// HTTP.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05-07:00", "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05",
	"2006-01-02 15:04:05", "02/Jan/2006:15:04:05 -0700", time.RFC1123, time.RFC1123Z,
}

var fraction = regexp.MustCompile(`^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)(.*)$`)

// parseText reads a time of a known form. Below is what is below seconds, such as .120.
func parseText(text string) (t time.Time, layout, below string, ok bool) {
	plain := text
	if m := fraction.FindStringSubmatch(text); m != nil {
		plain, below = m[1]+m[3], m[2]
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, plain)
		if err == nil && t.Format(layout) == plain {
			return t, layout, below, true
		}
	}
	return time.Time{}, "", "", false
}

// parseTime returns the time, in whole seconds, that a text of a known form has.
func parseTime(text string) (time.Time, bool) {
	if t, _, _, ok := parseText(text); ok {
		return t, true
	}
	n, unit, _, ok := parseEpoch(text)
	return time.Unix(n/int64(time.Second/unit), 0), ok
}

// shiftText moves a time, and keeps the form that it has. ok is false for what is no time of a known form. By is in
// whole seconds, so that what is below them stays.
func shiftText(text string, by time.Duration) (shifted string, ok bool) {
	t, layout, below, ok := parseText(text)
	if !ok {
		return shiftNumber(text, by)
	}
	shifted = t.Add(by).Format(layout)
	if below != "" {
		const date = len("2006-01-02T15:04:05")
		shifted = shifted[:date] + below + shifted[date:]
	}
	return shifted, true
}

// epoch are the seconds, or milliseconds, since 1970, from 2001 to 2286.
var epoch = regexp.MustCompile(`^([1-9]\d{9}|[1-9]\d{12})(\.\d+)?$`)

// parseEpoch reads seconds or milliseconds since 1970. Below is what is below the unit.
func parseEpoch(text string) (n int64, unit time.Duration, below string, ok bool) {
	m := epoch.FindStringSubmatch(text)
	if m == nil {
		return 0, time.Second, "", false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, time.Second, "", false
	}
	if len(m[1]) == 13 {
		return n, time.Millisecond, m[2], true
	}
	return n, time.Second, m[2], true
}

// shiftNumber is shiftText for times in seconds or milliseconds since 1970.
func shiftNumber(text string, by time.Duration) (shifted string, ok bool) {
	n, unit, below, ok := parseEpoch(text)
	if !ok {
		return text, false
	}
	return strconv.FormatInt(n+int64(by/unit), 10) + below, true
}
