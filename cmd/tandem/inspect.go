package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/inspect"
)

type inspectOptions struct {
	json, salvage, secrets bool
	keys                   identityFlags
}

func (a *app) inspectCommand() *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect REC [ID]",
		Short: "Tell what is in a recording, or show one invocation",
		Long: `inspect reads a whole recording, a folder, a .jsonl or .jsonl.zst file or - for
stdin, and tells how many invocations of which functions, triggers, formats,
outcomes and shapes are in it, how large their events are, when they happened
and when nothing did, which events were delivered twice, and whether the
recording is sound. With an ID it prints that invocation.

With --secrets it tells where the recording has what a capture replaces, by its
default and by the config's redact, and never what it is: the invocation, a JSON
pointer, the kind. Pinned objects are searched, too. It then exits with 1 if it
found any.`,
		Example: `  tandem inspect orders.rec
  tandem inspect orders.rec --json | jq .functions
  tandem inspect orders.rec --secrets
  tandem inspect orders.rec 01M83CWJ7WZQX5EYDGNA00FA46`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			identities, err := opts.keys.parse()
			if err != nil {
				return err
			}
			rec, err := a.openRecording(args[0], opts.salvage, identities)
			if err != nil {
				return err
			}
			defer rec.Close()
			if opts.secrets {
				return a.inspectSecrets(cmd.Context(), rec, args[1:], opts)
			}
			if len(args) == 2 {
				return a.inspectOne(rec, args[1])
			}
			return a.inspect(cmd.Context(), rec, opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.json, "json", false, "print one JSON document")
	f.BoolVar(&opts.secrets, "secrets", false, "tell where there are secrets; the exit code is 1 if there are any")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged, and tell how much")
	opts.keys.register(f)
	return cmd
}

func (a *app) inspect(ctx context.Context, rec *capture.Recording, opts inspectOptions) error {
	c, err := inspect.Read(ctx, rec)
	if err != nil {
		return err
	}
	if opts.json {
		return printJSON(a.stdout, c)
	}
	for _, notice := range c.Notices {
		a.say("%s", notice)
	}
	return printContents(a.stdout, c)
}

func printJSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func printContents(w io.Writer, c *inspect.Contents) error {
	var b bytes.Buffer
	complete := "complete"
	if !c.Complete {
		complete = "not complete"
	}
	fmt.Fprintf(&b, "%s of %s, %s\n", count(c.Invocations, "invocation"), count(c.Shapes, "shape"), complete)
	if !c.From.IsZero() {
		fmt.Fprintf(&b, "from %s to %s\n", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	}
	if c.Lost > 0 {
		fmt.Fprintf(&b, "%s could not be recorded\n", count(c.Lost, "more invocation"))
	}
	if c.Objects > 0 {
		fmt.Fprintf(&b, "%s\n", count(c.Objects, "pinned object"))
	}
	printCounts(&b, "functions", c.Functions)
	printCounts(&b, "triggers", c.Triggers)
	printCounts(&b, "formats", c.Formats)
	printCounts(&b, "outcomes", c.Outcomes)
	printShapes(&b, c.ShapesByFunction)
	if c.Invocations > 0 {
		s := c.Sizes
		fmt.Fprintf(&b, "\nevent sizes in bytes\n  min %d   p50 %d   p99 %d   max %d\n", s.Min, s.P50, s.P99, s.Max)
	}
	printHistogram(&b, c.Histogram)
	printGaps(&b, c)
	printDuplicates(&b, c.Duplicates)
	_, err := b.WriteTo(w)
	return err
}

func printCounts[K ~string](w io.Writer, title string, counts map[K]int64) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		printCount(w, "  ", string(key), counts[key])
	}
}

// printCount prints a line of at most 80 columns, whose counts stand below one another.
func printCount(w io.Writer, indent, name string, n int64) {
	const column = 42 // where names end
	name = columns.FillRight(fit(name, 68-len(indent)), column-len(indent))
	fmt.Fprintf(w, "%s%s %9d\n", indent, name, n)
}

// columns counts those of a terminal, in which ambiguous characters are narrow.
var columns = &runewidth.Condition{}

// fit makes s, which can be anything, fit for a terminal: without control characters, in so many columns.
func fit(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	return columns.Truncate(s, width, "…")
}

// maxShapes is how many shapes are printed of each function, those that most invocations have.
const maxShapes = 8

func printShapes(w io.Writer, byFunction map[string]map[string]int64) {
	if len(byFunction) == 0 {
		return
	}
	fmt.Fprintf(w, "\nshapes\n")
	for _, function := range slices.Sorted(maps.Keys(byFunction)) {
		counts := byFunction[function]
		fmt.Fprintf(w, "  %s\n", fit(function, 78))
		shapes := slices.SortedFunc(maps.Keys(counts), func(s, t string) int {
			return cmp.Or(cmp.Compare(counts[t], counts[s]), cmp.Compare(s, t))
		})
		var rest int64
		for i, shape := range shapes {
			if i < maxShapes {
				printCount(w, "    ", shape, counts[shape])
			} else {
				rest += counts[shape]
			}
		}
		if more := len(shapes) - maxShapes; more > 0 {
			printCount(w, "    ", count(more, "more shape"), rest)
		}
	}
}

func printHistogram(w io.Writer, h *inspect.Histogram) {
	if h == nil {
		return
	}
	const width = 40
	fmt.Fprintf(w, "\ntime in UTC, %s a line\n", inWords(h.WidthMS))
	most := slices.Max(h.Counts)
	for i, n := range h.Counts {
		at := h.From.Add(time.Duration(int64(i)*h.WidthMS) * time.Millisecond)
		bar := strings.Repeat("#", int((n*width+most-1)/most))
		line := fmt.Sprintf("  %s %9d %s", at.Format(layoutFor(h.WidthMS)), n, bar)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// inWords writes a width of a histogram in its largest unit.
func inWords(ms int64) string {
	unit, name := int64(1), "millisecond"
	for _, u := range []struct {
		ms   int64
		name string
	}{{1000, "second"}, {60_000, "minute"}, {3_600_000, "hour"}, {86_400_000, "day"}} {
		if ms >= u.ms {
			unit, name = u.ms, u.name
		}
	}
	return count(ms/unit, name)
}

// layoutFor leaves out of a time what is 0 at the beginning of every stretch of so many milliseconds.
func layoutFor(ms int64) string {
	switch {
	case ms < 1000:
		return "2006-01-02 15:04:05.000"
	case ms < 60_000:
		return "2006-01-02 15:04:05"
	case ms < 86_400_000:
		return "2006-01-02 15:04"
	default:
		return "2006-01-02"
	}
}

func printGaps(w io.Writer, c *inspect.Contents) {
	if c.Histogram == nil {
		return
	}
	fmt.Fprintf(w, "\nlongest times without an invocation\n")
	for _, g := range c.Gaps {
		layout := layoutFor(1)
		fmt.Fprintf(w, "  %-14s from %s to %s\n", gapLength(g.Seconds), g.From.Format(layout), g.To.Format(layout))
	}
	if len(c.Gaps) == 0 {
		fmt.Fprintf(w, "  none of %s or more\n", inWords(c.GapResolutionMS))
	}
}

func gapLength(seconds float64) string {
	if days := seconds / (24 * 60 * 60); days >= 3 {
		return fmt.Sprintf("%.1f days", days)
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

func printDuplicates(w io.Writer, d inspect.Duplicates) {
	if d.Invocations == 0 {
		return
	}
	fmt.Fprintf(w, "\nduplicates\n  %s of an event that came before, such as\n", count(d.Invocations, "invocation"))
	for _, id := range d.Examples {
		fmt.Fprintf(w, "    %s\n", fit(id, 76))
	}
}

// inspectOne prints one invocation, indented for reading.
func (a *app) inspectOne(rec *capture.Recording, id string) error {
	for inv, err := range rec.Invocations() {
		if err != nil {
			return err
		}
		if inv.ID != id {
			continue
		}
		line, err := inv.AppendJSON(nil)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := json.Indent(&b, line, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err = b.WriteTo(a.stdout)
		return err
	}
	return fmt.Errorf("the recording has no invocation %s", id)
}
