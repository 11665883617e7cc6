package compare

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/capture/jsonval"
)

// headersValue has headers by their names in lower case. Their lines are joined with commas, which RFC 9110, section
// 5.3, makes equal, and what the standards make equal is written in one way. Body is what they are the headers of.
func headersValue(headers map[string][]string, body *jsonval.Value) jsonval.Value {
	v := object(len(headers))
	for _, name := range sortedKeys(headers) {
		values := headers[name]
		if len(values) == 0 {
			continue
		}
		text := values[0]
		if len(values) > 1 {
			text = strings.Join(values, ", ")
		}
		name = strings.ToLower(name)
		v.Add(name, jsonval.Text(headerText(name, text, body)))
	}
	return v
}

// headerText writes a header in the one way that stands for all that mean the same. Of headers that no standard
// defines as a list, a date or the like it changes nothing.
func headerText(name, text string, body *jsonval.Value) string {
	switch name {
	case "content-type":
		return mediaType(text, body.Form == partsForm)
	case "vary", "access-control-allow-headers", "access-control-expose-headers", "accept-ranges", "connection",
		"trailer", "accept-encoding":
		return setOf(strings.ToLower(text))
	case "allow", "access-control-allow-methods":
		return setOf(text) // methods have case
	case "cache-control":
		return directives(text)
	case "content-encoding", "transfer-encoding", "content-language", "accept-language":
		return listOf(strings.ToLower(text))
	case "link":
		return links(text)
	case "date", "last-modified", "expires", "retry-after", "sunset":
		return httpDate(text)
	default:
		return text
	}
}

// mediaType writes a media type, whose own letters and whose charset's have no case and whose parameters have no
// order (RFC 9110, section 8.3.1). The boundary of a body that was read by its parts is left out.
func mediaType(text string, parts bool) string {
	if text == "application/json" { // by far the most common one needs no parsing
		return text
	}
	media, params, err := mime.ParseMediaType(text)
	if err != nil {
		return text
	}
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
	}
	if parts {
		delete(params, "boundary")
	}
	if formatted := mime.FormatMediaType(media, params); formatted != "" {
		return formatted
	}
	return text
}

// listItems splits a list (RFC 9110, section 5.6.1) at the commas outside of quoted strings and of <URIs>. Empty
// items are none. It returns nil for what is no list, because it ends within one of these.
func listItems(text string) []string { return splitOutside(text, ',') }

func splitOutside(text string, at byte) (items []string) {
	start, quoted, uri := 0, false, false
	add := func(end int) {
		if item := strings.Trim(text[start:end], " \t"); item != "" {
			items = append(items, item)
		}
		start = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !uri:
			quoted = !quoted
		case quoted:
		case c == '<':
			uri = true
		case c == '>':
			uri = false
		case c == at && !uri:
			add(i)
		}
	}
	if quoted || uri {
		return nil
	}
	add(len(text))
	return items
}

// listOf writes a list whose order counts.
func listOf(text string) string { return joined(listItems(text), text) }

// setOf writes a list of which neither the order nor a repetition means anything.
func setOf(text string) string {
	items := listItems(text)
	slices.Sort(items)
	return joined(slices.Compact(items), text)
}

// joined returns the items as a header has them, or text where there are none.
func joined(items []string, text string) string {
	if len(items) == 0 {
		return text
	}
	return strings.Join(items, ", ")
}

// directives are those of Cache-Control. Their names have no case, their arguments may be quoted, and their order
// means nothing but among those of one name (RFC 9111, sections 4.2.1 and 5.2).
func directives(text string) string {
	items := listItems(text)
	name := func(item string) string { n, _, _ := strings.Cut(item, "="); return n }
	for i, item := range items {
		items[i] = parameter(item)
	}
	slices.SortStableFunc(items, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return joined(items, text)
}

// parameter writes name=value with the name in lower case, and the value without quotes that it does not need.
func parameter(item string) string {
	name, value, has := strings.Cut(item, "=")
	name = strings.ToLower(name)
	if !has {
		return name
	}
	return name + "=" + unquoted(value)
}

// unquoted takes the quotes off a quoted string that is a token (RFC 9110, section 5.6).
func unquoted(value string) string {
	inner, ok := strings.CutPrefix(value, `"`)
	if !ok {
		return value
	}
	inner, ok = strings.CutSuffix(inner, `"`)
	if !ok || inner == "" || strings.IndexFunc(inner, notToken) >= 0 {
		return value
	}
	return inner
}

func notToken(r rune) bool {
	return r > '~' || r <= ' ' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// links writes a list of links in its order, and the parameters of each in one way (RFC 8288, section 3). What is no
// such list it leaves as it is.
func links(text string) string {
	list := listItems(text)
	for i, link := range list {
		parts := splitOutside(link, ';')
		if len(parts) == 0 || !strings.HasPrefix(parts[0], "<") || !strings.HasSuffix(parts[0], ">") {
			return text
		}
		for k := range parts {
			if k > 0 {
				name, value, has := strings.Cut(parts[k], "=")
				if has { // there may be white space around the sign
					parts[k] = strings.TrimRight(name, " \t") + "=" + strings.TrimLeft(value, " \t")
				}
				parts[k] = parameter(parts[k])
			}
		}
		list[i] = strings.Join(parts, "; ")
	}
	return joined(list, text)
}

// httpDate writes a date in the preferred one of the three formats that RFC 9110, section 5.6.7, knows. What is no
// date is left as it is, and so is a date with a wrong day of the week, which some clients refuse. The day also tells
// the century of a year with two digits.
func httpDate(text string) string {
	t, err := http.ParseTime(text)
	if err != nil || !strings.HasPrefix(text, t.Weekday().String()[:3]) {
		return text
	}
	return t.UTC().Format(http.TimeFormat)
}

// cookieDate reads a date as RFC 6265bis, section 5.1.1, has user agents do, which is more lenient.
func cookieDate(text string) (t time.Time, ok bool) {
	var day, month, year, clock string
	for token := range strings.FieldsFuncSeq(text, dateDelimiter) {
		switch digits := len(token) - len(strings.TrimLeft(token, "0123456789")); {
		case clock == "" && strings.Count(token, ":") == 2:
			clock = token
		case day == "" && (digits == 1 || digits == 2):
			day = token[:digits]
		case month == "" && digits == 0 && len(token) >= 3 && monthNumber(token) > 0:
			month = token[:3]
		case year == "" && digits >= 2 && digits <= 4:
			year = token[:digits]
		}
	}
	if len(year) == 2 {
		if year >= "70" {
			year = "19" + year
		} else {
			year = "20" + year
		}
	}
	t, err := time.Parse("2-Jan-2006 15:4:5", day+"-"+month+"-"+year+" "+clock)
	return t, err == nil && t.Year() >= 1601
}

func dateDelimiter(r rune) bool {
	return r == '\t' || ' ' <= r && r <= '/' || ';' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
}

func monthNumber(token string) int {
	const months = "janfebmaraprmayjunjulaugsepoctnovdec"
	i := strings.Index(months, strings.ToLower(token[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}
