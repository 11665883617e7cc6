package compare

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

// Bounds of what a difference shows of its neighbourhood.
const (
	contextLines = 2   // before and after what differs
	maxDiffLines = 24  // in all
	maxDiffLine  = 120 // bytes of a line that differs
	maxBeside    = 48  // bytes of a line beside
	lead         = 30  // bytes of a long text before where the two part
)

// neighbourhood shows a difference as lines that begin with "-" for the baseline, "+" for the candidate and a space
// for what is around them: the members or elements beside the place, the lines beside those of a text that changed,
// or the elements of a list that came in another order. It is nil where it would show no more than the two values do.
//
// It is the same in every process, which the diffs of go-cmp are not meant to be.
func neighbourhood(d *Difference) (lines []string) {
	switch {
	case d.Kind == Order && d.Baseline.Kind == jsonval.Array:
		lines = listDiff(d.Baseline.Elems, d.Candidate.Elems)
	case d.Kind == Changed && d.Baseline.Kind == jsonval.String && d.Candidate.Kind == jsonval.String && severalLines(d):
		lines = textDiff(d.Baseline.Text, d.Candidate.Text)
	case d.around.in == nil:
		return nil
	default:
		lines = d.around.diff(d.Baseline, d.Candidate)
	}
	if len(lines) > maxDiffLines {
		lines = append(lines[:maxDiffLines-1], "  …")
	}
	return lines
}

// diff shows one member or element with those beside it.
func (s surroundings) diff(b, c *jsonval.Value) []string {
	label := func(i int) string {
		if s.in.Kind == jsonval.Object {
			return strconv.Quote(s.in.Names[i]) + ": "
		}
		return ""
	}
	name := ""
	if b != nil {
		name = label(s.at)
	}
	after := s.at
	if b != nil {
		after++
	}
	var lines []string
	for i := max(s.at-contextLines, 0); i < s.at; i++ {
		lines = append(lines, beside(label(i)+s.in.Elems[i].String()))
	}
	textB, textC := "", ""
	if b != nil {
		textB = formLabel(*b) + b.String()
	}
	if c != nil {
		textC = formLabel(*c) + c.String()
	}
	textB, textC = parting(textB, textC)
	if b != nil {
		lines = append(lines, diffLine("- "+name+textB))
	}
	if c != nil {
		lines = append(lines, diffLine("+ "+name+textC))
	}
	for i := after; i < min(after+contextLines, len(s.in.Elems)); i++ {
		lines = append(lines, beside(label(i)+s.in.Elems[i].String()))
	}
	return lines
}

// parting cuts off of two long texts what they begin with alike, but for a lead.
func parting(b, c string) (string, string) {
	if max(len(b), len(c)) <= maxDiffLine-lead {
		return b, c
	}
	same := 0
	for same < min(len(b), len(c)) && b[same] == c[same] {
		same++
	}
	cut := same - lead
	if cut <= 0 {
		return b, c
	}
	for cut > 0 && !utf8.RuneStart(b[cut]) {
		cut--
	}
	return "…" + b[cut:], "…" + c[cut:]
}

func diffLine(text string) string { return cutLine(text, maxDiffLine) }

func beside(text string) string { return cutLine("  "+text, maxBeside) }

// cutLine writes one line of so many bytes at the most. Line ends in it are escaped, so that it stays one.
func cutLine(text string, limit int) string {
	line := lineEnds.Replace(strings.ToValidUTF8(text, "\ufffd"))
	if len(line) > limit {
		line = strings.ToValidUTF8(line[:limit], "") + "…"
	}
	return line
}

var lineEnds = strings.NewReplacer("\n", `\n`, "\r", `\r`)

func severalLines(d *Difference) bool {
	return strings.Contains(strings.TrimSuffix(d.Baseline.Text, "\n"), "\n") ||
		strings.Contains(strings.TrimSuffix(d.Candidate.Text, "\n"), "\n")
}

// textDiff shows where two texts differ, line by line.
func textDiff(b, c string) []string { return listDiff(linesOf(b), linesOf(c)) }

// linesOf splits a text into its lines, which keep their ends.
func linesOf(text string) (lines []jsonval.Value) {
	for line := range strings.Lines(text) {
		lines = append(lines, jsonval.Text(line))
	}
	return lines
}

// listDiff shows the steps from one list to another, with the elements beside them.
func listDiff(b, c []jsonval.Value) []string {
	var lines []string
	shown := 0 // of b
	next := 0  // of b, behind the last step
	show := func(to int) {
		for ; shown < to; shown++ {
			lines = append(lines, beside(elementText(b[shown])))
		}
	}
	var removed, inserted []string
	flush := func() {
		lines = append(append(lines, removed...), inserted...)
		removed, inserted = nil, nil
	}
	for i, e := range positioned(edits(b, c)) {
		if i > 0 && e.at > next {
			flush()
			show(min(next+contextLines, e.at))
		}
		if i == 0 || e.at > next {
			if e.at-contextLines > shown {
				lines = append(lines, "  …")
				shown = e.at - contextLines
			}
			show(e.at)
		}
		if e.baseline >= 0 {
			removed = append(removed, diffLine("- "+elementText(b[e.baseline])))
			shown = e.baseline + 1
		}
		if e.candidate >= 0 {
			inserted = append(inserted, diffLine("+ "+elementText(c[e.candidate])))
		}
		next = max(next, e.at, e.baseline+1)
		if len(lines) > maxDiffLines {
			return lines
		}
	}
	flush()
	show(min(next+contextLines, len(b)))
	return lines
}

func elementText(v jsonval.Value) string {
	if v.Kind == jsonval.String {
		return strings.TrimSuffix(v.Text, "\n")
	}
	return v.String()
}

// A positionedEdit knows before which of the baseline's elements it stands.
type positionedEdit struct {
	edit
	at int
}

func positioned(script []edit) []positionedEdit {
	list := make([]positionedEdit, len(script))
	ahead := 0 // how many more elements of the candidate's than of the baseline's were passed
	for i, e := range script {
		at := e.baseline
		if at < 0 {
			at = e.candidate - ahead
		}
		list[i] = positionedEdit{e, at}
		switch {
		case e.baseline < 0:
			ahead++
		case e.candidate < 0:
			ahead--
		}
	}
	return list
}

// moreLines and fewerLines recognize texts of several lines of which one has all lines of the other, and more.
func moreLines(b, c string) bool { return addsLines(b, c) }

func fewerLines(b, c string) bool { return addsLines(c, b) }

func addsLines(b, c string) bool {
	if !strings.Contains(c, "\n") || len(b) >= len(c) {
		return false
	}
	return !slices.ContainsFunc(edits(linesOf(b), linesOf(c)), func(e edit) bool { return e.baseline >= 0 })
}
