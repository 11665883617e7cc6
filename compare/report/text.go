package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"tandem/compare"
)

// width is the longest line that Text writes, in columns.
const width = 80

// TextOptions say how Text writes. The zero value writes plain text.
type TextOptions struct {
	Color bool // the verdict in colour, by ANSI escapes
}

// Text writes r for a terminal of 80 columns. The first word is the verdict.
func Text(w io.Writer, r *compare.Report, opts TextOptions) error {
	t := text{Writer: bufio.NewWriter(w), r: r}
	t.verdict(opts)
	t.gate()
	t.counts()
	t.coverage()
	t.clusters()
	t.noise()
	t.rules()
	t.latency()
	t.usage()
	return t.Flush()
}

type text struct {
	*bufio.Writer
	r *compare.Report
}

// printf writes what outcomes and configs say with its control characters escaped.
func (t *text) printf(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = printable(s)
		}
	}
	fmt.Fprintf(t, format, args...)
}

// printable escapes what a terminal could take for a command, or would not show.
func printable(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) || r == utf8.RuneError {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

var colors = map[compare.Verdict]string{compare.Parity: "32", compare.Differs: "31", compare.Inconclusive: "33"}

func (t *text) verdict(opts TextOptions) {
	verdict := strings.ToUpper(string(t.r.Verdict))
	if opts.Color {
		fmt.Fprintf(t, "\x1b[1;%sm%s\x1b[0m", colors[t.r.Verdict], verdict)
	} else {
		t.printf("%s", verdict)
	}
	names := t.r.Candidate + " against " + t.r.Baseline
	t.printf("  %s\n", cut(names, width-len(verdict)-2))
	for _, reason := range t.r.Reasons {
		t.wrapped("  ", "  ", reason)
	}
}

func (t *text) counts() {
	columns := []string{"trials", "matched", "differed", "noisy", "inconclusive", "unreplayable"}
	values := func(c compare.Counts) []any {
		return []any{c.Total, c.Matched, c.Differed, c.Noisy, c.Inconclusive, c.Unreplayable}
	}
	if t.r.Trials.Noisy == 0 {
		columns = slices.Delete(columns, 3, 4)
		all := values
		values = func(c compare.Counts) []any { return slices.Delete(all(c), 3, 4) }
	}
	digits := len(strconv.FormatInt(t.r.Trials.Total, 10))
	wide := 2
	for _, c := range columns {
		wide += 1 + max(digits, len(c))
	}
	line := func(name string, values ...any) {
		t.printf("  %s", pad(name, max(width-wide, 12)))
		for i, v := range values {
			t.printf(" %*v", max(digits, len(columns[i])), v)
		}
		t.printf("\n")
	}
	count := func(name string, c compare.Counts) { line(name, values(c)...) }
	t.printf("\n")
	header := make([]any, len(columns))
	for i, c := range columns {
		header[i] = c
	}
	line("", header...)
	for _, name := range slices.Sorted(maps.Keys(t.r.Functions)) {
		count(name, t.r.Functions[name].Trials)
	}
	if len(t.r.Functions) > 1 {
		count("all", t.r.Trials)
	}
}

// clusters writes one entry for each cause, whatever the number of functions that it is in.
func (t *text) clusters() {
	byID := make(map[string]*compare.Cluster, len(t.r.Clusters))
	for i := range t.r.Clusters {
		byID[t.r.Clusters[i].ID] = &t.r.Clusters[i]
	}
	told := make(map[*compare.Cluster]bool)
	n := 0
	for i := range t.r.Clusters {
		c := &t.r.Clusters[i]
		if told[c] {
			continue
		}
		n++
		t.cluster(n, c)
		for _, id := range c.Alike {
			if other := byID[id]; other != nil && !told[other] {
				told[other] = true
				t.alike(other)
			}
		}
	}
}

// alike writes that another function shows what was just written.
func (t *text) alike(c *compare.Cluster) {
	line := fmt.Sprintf("%s\t%s: %s", c.Function, trials(c.Trials), percent(c.Share))
	if c.Condition != "" {
		line += ", " + c.Condition
	}
	t.wrapped("    and in  ", "            ", line)
}

func (t *text) cluster(n int, c *compare.Cluster) {
	t.printf("\n")
	t.wrapped(fmt.Sprintf("%2d. ", n), "    ", fmt.Sprintf("%s\t%s\t%s", c.Function, c.Path, c.Kind))
	t.wrapped("    ", "    ", fmt.Sprintf("%s: %s, %s", trials(c.Trials), percent(c.Share), c.Cause))
	if c.Condition != "" {
		t.wrapped("    ", "    ", c.Condition)
	}
	if len(c.Examples) > 0 {
		e := c.Examples[0]
		if e.Diff != nil && (c.Kind == compare.Order || tooWide(e.Baseline) || tooWide(e.Candidate)) {
			t.diff(e.Diff)
		} else {
			t.value(t.r.Baseline, e.Baseline)
			t.value(t.r.Candidate, e.Candidate)
		}
		where := "invocation " + e.Invocation
		if what := strings.Trim(c.Effect+" "+e.Key, " "); what != "" {
			where += ", " + what
		}
		if c.Smallest != nil && c.Smallest.Invocation != e.Invocation {
			where += "; the smallest is " + c.Smallest.Invocation
		}
		t.wrapped("    in  ", "        ", where)
	}
	if len(c.Also) > 0 {
		t.wrapped("    also  ", "          ", strings.Join(c.Also, " "))
	}
}

// tooWide reports whether a value would be cut, maybe before where it differs.
func tooWide(v *string) bool { return v != nil && columns.StringWidth(printable(*v)) > valueWidth }

// diff writes the neighbourhood of a difference.
func (t *text) diff(lines []string) {
	t.printf("      - %s  + %s\n", cut(t.r.Baseline, 20), cut(t.r.Candidate, 20))
	for _, line := range lines {
		t.printf("      %s\n", cut(line, width-6))
	}
}

const valueWidth = width - 6 - 10 - 2

// value writes what one side has, cut to a line.
func (t *text) value(side string, v *string) {
	shown := "(nothing)"
	if v != nil {
		shown = *v
	}
	t.printf("      %s  %s\n", pad(side, 10), cut(shown, valueWidth))
}

// outOfScope is said of rules that are for other baselines.
const outOfScope = "out of scope"

func (t *text) rules() {
	r := t.r
	if len(r.Rules) == 0 {
		return
	}
	t.printf("\nrules  %.1f %% of %d values are no longer checked\n", 100*r.Unchecked.Share, r.Unchecked.Leaves)
	presets := make(map[string]compare.RuleReport)
	for _, rule := range r.Rules {
		if rule.Preset != "" {
			sum, more := presets[rule.Preset]
			sum.OutOfScope = rule.OutOfScope && (sum.OutOfScope || !more)
			sum.Hits += rule.Hits
			sum.Leaves += rule.Leaves
			presets[rule.Preset] = sum
			continue
		}
		note := t.shareOf(rule)
		switch {
		case rule.OutOfScope:
			note = outOfScope
		case rule.Expired:
			note = "expired " + rule.Until
		case rule.Applied == 0:
			note = "never matched"
		}
		t.ruleLine(string(rule.Treat), rule.At, rule.Hits, note)
	}
	for _, name := range slices.Sorted(maps.Keys(presets)) {
		note := t.shareOf(presets[name])
		if presets[name].OutOfScope {
			note = outOfScope
		}
		t.ruleLine("preset", name, presets[name].Hits, note)
	}
}

// shareOf says how much of what was compared stands under a rule.
func (t *text) shareOf(r compare.RuleReport) string {
	if r.Leaves == 0 {
		return ""
	}
	return percent(min(1, float64(r.Leaves)/float64(max(t.r.Unchecked.Leaves, 1)))) + " of values"
}

func (t *text) ruleLine(treat, at string, hits int64, note string) {
	line := fmt.Sprintf("  %-10s %s %9d hits  %s", treat, pad(at, 30), hits, note)
	t.printf("%s\n", strings.TrimRight(line, " "))
}

func (t *text) latency() {
	names := slices.Sorted(maps.Keys(t.r.Latency))
	names = slices.DeleteFunc(names, func(n string) bool { return len(t.r.Latency[n].Ratio) == 0 })
	if len(names) == 0 {
		return
	}
	t.printf("\nlatency, warm, in ms%19s %7s %7s  %s\n", "p50", "p95", "p99", "ratio of p50")
	for _, name := range names {
		l := t.r.Latency[name]
		ratio := l.Ratio["p50"]
		t.latencyLine(name, t.r.Baseline, l.Baseline, "")
		t.latencyLine(name, t.r.Candidate, l.Candidate, fmt.Sprintf("  %.2f to %.2f", ratio[0], ratio[1]))
	}
}

func (t *text) latencyLine(name, side string, p compare.Percentiles, ratio string) {
	side = cut(side, 12)
	name = cut(name, 30-1-columns.StringWidth(side)) + " " + side
	t.printf("  %s %7.1f %7.1f %7.1f%s\n", pad(name, 30), p.P50, p.P95, p.P99, ratio)
}

// wrapped writes words over as many lines as they take. A tab is a wider space, and a word that is longer than a
// line is broken.
func (t *text) wrapped(first, rest, words string) {
	words = strings.ReplaceAll(printableButTabs(words), "\t", " \t")
	line, room := first, width-columns.StringWidth(first)
	empty := true
	end := func() {
		t.printf("%s\n", line)
		line, room, empty = rest, width-columns.StringWidth(rest), true
	}
	for _, word := range strings.Split(words, " ") {
		word, wide := strings.CutPrefix(word, "\t")
		gap := " "
		if wide {
			gap = "  "
		}
		if word == "" {
			continue
		}
		if !empty && len(gap)+columns.StringWidth(word) > room {
			end()
		}
		if !empty {
			line += gap
			room -= len(gap)
		}
		for columns.StringWidth(word) > room {
			part := columns.Truncate(word, room, "")
			if part == "" {
				break
			}
			line += part
			word = word[len(part):]
			end()
		}
		line += word
		room -= columns.StringWidth(word)
		empty = false
	}
	if !empty {
		end()
	}
}

func printableButTabs(s string) string {
	parts := strings.Split(s, "\t")
	for i, part := range parts {
		parts[i] = printable(part)
	}
	return strings.Join(parts, "\t")
}

// columns measures text alike in every locale.
var columns = &runewidth.Condition{}

// cut shortens a text to so many columns.
func cut(s string, n int) string { return columns.Truncate(printable(s), n, "…") }

// pad cuts or fills a name to so many columns.
func pad(name string, n int) string { return columns.FillRight(cut(name, n), n) }

func trials(n int64) string {
	if n == 1 {
		return "1 trial"
	}
	return fmt.Sprintf("%d trials", n)
}

func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return "below 0.1 %"
	}
	return fmt.Sprintf("%.3g %%", 100*share)
}
