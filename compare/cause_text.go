package compare

import (
	"encoding/base64"
	"html"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"

	"tandem/capture/jsonval"
)

// maxLookedAt is up to how long texts are, in bytes, whose change is looked for a name. Longer ones would take long.
const maxLookedAt = 64 << 10

// textChanges are between two texts that differ. Many mistakes have an opposite, which is one in the port all the same.
var textChanges = concat(
	[]change{
		{"in lower case", texts(func(b, c string) bool { return c == strings.ToLower(b) })},
		{"in upper case", texts(func(b, c string) bool { return c == strings.ToUpper(b) })},
		{"only the letter case differs", texts(strings.EqualFold)},
		{"a space for a plus", texts(func(b, c string) bool { return strings.ReplaceAll(b, "+", " ") == c })},
		{"a plus for a space", texts(func(b, c string) bool { return strings.ReplaceAll(b, " ", "+") == c })},
		{"CRLF for LF", texts(func(b, c string) bool { return strings.ReplaceAll(b, "\n", "\r\n") == c })},
		{"LF for CRLF", texts(func(b, c string) bool { return strings.ReplaceAll(b, "\r\n", "\n") == c })},
		{"a line feed more at the end", texts(func(b, c string) bool { return strings.TrimRight(c, "\r\n") == b })},
		{"a line feed less at the end", texts(func(b, c string) bool { return strings.TrimRight(b, "\r\n") == c })},
		{"only white space at the ends differs", texts(func(b, c string) bool {
			return strings.TrimSpace(b) == strings.TrimSpace(c)
		})},
		{"only white space differs", texts(func(b, c string) bool { return withoutSpace(b) == withoutSpace(c) })},
		{"without its leading zeros", texts(func(b, c string) bool {
			return digits(b) && strings.TrimLeft(b, "0") == c || digits(b) && c == "0" && strings.Trim(b, "0") == ""
		})},
		{"without its hyphens", texts(func(b, c string) bool { return strings.ReplaceAll(b, "-", "") == c })},
		{"composed (Unicode NFC)", texts(func(b, c string) bool { return norm.NFC.String(b) == c })},
		{"decomposed (Unicode NFD)", texts(func(b, c string) bool { return norm.NFD.String(b) == c })},
		{"only the Unicode normalization differs", texts(func(b, c string) bool {
			return norm.NFKD.String(b) == norm.NFKD.String(c)
		})},
		{"UTF-8 read as Latin-1", texts(func(b, c string) bool { return readAs(charmap.ISO8859_1, b, c) })},
		{"UTF-8 read as Windows-1252", texts(func(b, c string) bool { return readAs(charmap.Windows1252, b, c) })},
		{"no longer UTF-8 read as Latin-1", texts(func(b, c string) bool { return readAs(charmap.ISO8859_1, c, b) })},
		{"no longer UTF-8 read as Windows-1252", texts(func(b, c string) bool { return readAs(charmap.Windows1252, c, b) })},
		{"? for what is not ASCII", texts(func(b, c string) bool { return replaced(b, c, '?') })},
		{"\ufffd for what is not ASCII", texts(func(b, c string) bool { return replaced(b, c, utf8.RuneError) })},
	},
	bothWays("HTML-escaped", "no longer HTML-escaped", func(b, c string) bool { return html.UnescapeString(c) == b }),
	bothWays("URL-encoded", "no longer URL-encoded", func(b, c string) bool {
		return strings.ContainsAny(c, "%+") && (decodes(url.QueryUnescape, c, b) || decodes(url.PathUnescape, c, b))
	}),
	bothWays("base64 of it", "no longer base64", func(b, c string) bool {
		return base64.StdEncoding.EncodeToString([]byte(b)) == c || base64.RawURLEncoding.EncodeToString([]byte(b)) == c ||
			base64.URLEncoding.EncodeToString([]byte(b)) == c
	}),
	[]change{
		{"lines are missing", texts(fewerLines)},
		{"more lines", texts(moreLines)},
		{cutOff, texts(func(b, c string) bool {
			kept := strings.TrimRight(c, ".…")
			return kept != "" && len(kept) < len(b) && strings.HasPrefix(b, kept)
		})},
		{"the start is cut off", texts(func(b, c string) bool { return c != "" && strings.HasSuffix(b, c) })},
		{"more text at the end", texts(func(b, c string) bool { return b != "" && strings.HasPrefix(c, b) })},
		{"more text at the start", texts(func(b, c string) bool { return b != "" && strings.HasSuffix(c, b) })},
		{`"" for a text`, texts(func(_, c string) bool { return c == "" })},
		{`a text for ""`, texts(func(b, _ string) bool { return b == "" })},
	},
)

const cutOff = "the end is cut off"

// texts makes a test of two texts, which differ, one of values.
func texts(is func(b, c string) bool) func(b, c jsonval.Value) bool {
	return func(b, c jsonval.Value) bool {
		return b.Kind == jsonval.String && c.Kind == jsonval.String && b.Text != c.Text &&
			max(len(b.Text), len(c.Text)) <= maxLookedAt && is(b.Text, c.Text)
	}
}

// bothWays has a change and its opposite.
func bothWays(name, opposite string, is func(b, c string) bool) []change {
	return []change{{name, texts(is)}, {opposite, texts(func(b, c string) bool { return is(c, b) })}}
}

func concat(tables ...[]change) (all []change) {
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func decodes(decode func(string) (string, error), from, to string) bool {
	got, err := decode(from)
	return err == nil && got == to
}

// readAs reports whether c is what comes of the bytes of b if they are taken for another character set than UTF-8.
func readAs(set *charmap.Charmap, b, c string) bool {
	if ascii(b) {
		return false
	}
	got, err := set.NewDecoder().String(b)
	return err == nil && got == c
}

// replaced reports whether c is b with a replacement for each character beyond ASCII, or for each of its bytes.
func replaced(b, c string, by rune) bool {
	if ascii(b) {
		return false
	}
	var characters, bytes strings.Builder
	for _, r := range b {
		n := 1
		if r >= utf8.RuneSelf {
			n, r = utf8.RuneLen(r), by
		}
		characters.WriteRune(r)
		bytes.WriteString(strings.Repeat(string(r), n))
	}
	return c == characters.String() || c == bytes.String()
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
