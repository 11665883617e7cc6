package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tandem/compare"
)

// maxRows is how many rows a table of a Markdown report has.
const maxRows = 100

// Markdown writes r as GitHub and Azure DevOps show it, in a size that both take.
func Markdown(w io.Writer, r *compare.Report) error {
	m := markdown{bufio.NewWriter(w)}
	m.printf("## %s: %s against %s\n\n", strings.ToUpper(string(r.Verdict)), escape(r.Candidate), escape(r.Baseline))
	for i, reason := range r.Reasons {
		if i == maxRows {
			m.printf("- and %d more\n", len(r.Reasons)-i)
			break
		}
		m.printf("- %s\n", escape(reason))
	}
	m.gate(r.Gate)
	m.functions(r)
	for i := range r.Clusters {
		if i == maxClusters {
			m.printf("\nAnd %d more clusters.\n", len(r.Clusters)-i)
			break
		}
		m.cluster(r, &r.Clusters[i])
	}
	return m.Flush()
}

type markdown struct{ *bufio.Writer }

func (m markdown) printf(format string, args ...any) { fmt.Fprintf(m, format, args...) }

func (m markdown) gate(g *compare.GateReport) {
	if g == nil {
		return
	}
	m.printf("\n### Gate %s\n\n| | requirement | wanted | measured | what it takes |\n|---|---|---|---|---|\n", escape(g.Name))
	words := make(map[compare.Result]string)
	for _, of := range results {
		words[of.result] = of.words
	}
	for i, q := range sortedRequirements(g) {
		if i == maxRows {
			m.printf("| | and %d more | | | |\n", len(g.Requirements)-i)
			break
		}
		m.printf("| %s | %s | %s | %s | %s |\n", words[q.Result], escape(titleOf(&q)), escape(q.Want), escape(q.Measured),
			escape(q.Missing))
	}
}

func (m markdown) functions(r *compare.Report) {
	m.printf("\n| function | trials | matched | differed | noisy | inconclusive | unreplayable | may still differ |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|\n")
	row := func(name string, c compare.Counts, bound float64) {
		m.printf("| %s | %d | %d | %d | %d | %d | %d | %s |\n", name, c.Total, c.Matched, c.Differed, c.Noisy, c.Inconclusive,
			c.Unreplayable, percent(bound))
	}
	for i, name := range slices.Sorted(maps.Keys(r.Functions)) {
		if i == maxRows {
			m.printf("| and %d more | | | | | | | |\n", len(r.Functions)-i)
			break
		}
		row(escape(name), r.Functions[name].Trials, r.Functions[name].MismatchUpperBound95)
	}
	row("**all**", r.Trials, r.MismatchUpperBound95)
}

func (m markdown) cluster(r *compare.Report, c *compare.Cluster) {
	m.printf("\n**%s** %s %s: %s, %s, %s\n", escape(c.Function), code(c.Path), c.Kind, trials(c.Trials), percent(c.Share),
		escape(c.Cause))
	if len(c.Examples) == 0 {
		return
	}
	e := c.Examples[0]
	m.printf("\n- %s: %s\n- %s: %s\n- in invocation %s\n", escape(r.Baseline), code(shown(e.Baseline)), escape(r.Candidate),
		code(shown(e.Candidate)), code(e.Invocation))
}

// escape writes what outcomes and configs say so that it is read as text.
func escape(s string) string {
	var b strings.Builder
	for _, r := range cut(s, 400) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@':
			b.WriteString("&#64;") // else it names a person
		case strings.ContainsRune("\\`*_{}[]()#+!|~", r):
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// code writes a code span around s, whatever backticks it has.
func code(s string) string {
	s = cut(s, 400)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if fence == "`" && s != "" {
		return fence + s + fence
	}
	return fence + " " + s + " " + fence
}
