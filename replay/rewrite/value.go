package rewrite

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

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

// shiftText moves a time, and keeps the form that it has. ok is false for what is no time of a known form. By is in
// whole seconds, so that what is below them stays.
func shiftText(text string, by time.Duration) (shifted string, ok bool) {
	plain, below := text, ""
	if m := fraction.FindStringSubmatch(text); m != nil {
		plain, below = m[1]+m[3], m[2]
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, plain)
		if err != nil || t.Format(layout) != plain {
			continue
		}
		shifted = t.Add(by).Format(layout)
		if below != "" {
			const date = len("2006-01-02T15:04:05")
			shifted = shifted[:date] + below + shifted[date:]
		}
		return shifted, true
	}
	return shiftNumber(text, by)
}

// epoch are the seconds, or milliseconds, since 1970, from 2001 to 2286.
var epoch = regexp.MustCompile(`^([1-9]\d{9}|[1-9]\d{12})(\.\d+)?$`)

// shiftNumber is shiftText for times in seconds or milliseconds since 1970.
func shiftNumber(text string, by time.Duration) (shifted string, ok bool) {
	m := epoch.FindStringSubmatch(text)
	if m == nil {
		return text, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return text, false
	}
	unit := time.Second
	if len(m[1]) == 13 {
		unit = time.Millisecond
	}
	return strconv.FormatInt(n+int64(by/unit), 10) + m[2], true
}
