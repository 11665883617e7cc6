package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture"
)

type inspectOptions struct{ json, salvage bool }

func (a *app) inspectCommand() *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect REC [ID]",
		Short: "Tell what is in a recording, or show one invocation",
		Long: `inspect reads a whole recording, a folder, a .jsonl or .jsonl.zst file or - for
stdin, and tells how many invocations of which functions, triggers, formats and
shapes are in it, and whether it is sound. With an ID it prints that invocation.`,
		Example: `  tandem inspect orders.rec
  tandem inspect orders.rec --json | jq .functions
  tandem inspect orders.rec 01M83CWJ7WZQX5EYDGNA00FA46`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := capture.Open(args[0], capture.OpenOptions{Salvage: opts.salvage, Stdin: a.stdin})
			if err != nil {
				return err
			}
			defer rec.Close()
			if len(args) == 2 {
				return a.inspectOne(rec, args[1])
			}
			return a.inspect(cmd.Context(), rec, opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.json, "json", false, "print one JSON document")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged, and tell how much")
	return cmd
}

// contents is what inspect tells. Its JSON form is a promise.
type contents struct {
	Invocations int64                     `json:"invocations"`
	Functions   map[string]int64          `json:"functions"`
	Triggers    map[capture.Trigger]int64 `json:"triggers"`
	Formats     map[capture.Format]int64  `json:"formats"`
	Shapes      int                       `json:"shapes"`
	From        time.Time                 `json:"from,omitzero"`
	To          time.Time                 `json:"to,omitzero"`
	Complete    bool                      `json:"complete"`
	// Notices say what was cut off or skipped.
	Notices []string `json:"notices,omitempty"`
}

func (a *app) inspect(ctx context.Context, rec *capture.Recording, opts inspectOptions) error {
	if _, err := rec.Verify(ctx); err != nil {
		return err
	}
	c := contents{
		Functions: make(map[string]int64), Triggers: make(map[capture.Trigger]int64), Formats: make(map[capture.Format]int64),
	}
	shapes := make(map[string]bool)
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		c.add(inv)
		shapes[capture.Shape(inv.Event)] = true
	}
	c.Shapes, c.Complete, c.Notices = len(shapes), rec.Complete(), rec.Notices()
	if opts.json {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(c)
	}
	for _, notice := range c.Notices {
		a.say("%s", notice)
	}
	return c.print(a.stdout)
}

func (c *contents) add(inv *capture.Invocation) {
	c.Invocations++
	c.Functions[inv.Function]++
	c.Triggers[inv.Trigger]++
	c.Formats[inv.Format]++
	if inv.Time.IsZero() {
		return
	}
	if c.From.IsZero() || inv.Time.Before(c.From) {
		c.From = inv.Time
	}
	if inv.Time.After(c.To) {
		c.To = inv.Time
	}
}

func (c *contents) print(w io.Writer) error {
	var b bytes.Buffer
	complete := "complete"
	if !c.Complete {
		complete = "not complete"
	}
	fmt.Fprintf(&b, "%s of %s, %s\n", count(c.Invocations, "invocation"), count(c.Shapes, "shape"), complete)
	if !c.From.IsZero() {
		fmt.Fprintf(&b, "from %s to %s\n", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	}
	printCounts(&b, "functions", c.Functions)
	printCounts(&b, "triggers", c.Triggers)
	printCounts(&b, "formats", c.Formats)
	_, err := b.WriteTo(w)
	return err
}

func printCounts[K ~string](w io.Writer, title string, counts map[K]int64) {
	fmt.Fprintf(w, "\n%s\n", title)
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "  %-40s %9d\n", key, counts[key])
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
