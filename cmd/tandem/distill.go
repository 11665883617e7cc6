package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/distill"
	"tandem/replay"
)

type distillOptions struct {
	out                string
	all                bool
	perShape, split    int
	seed               uint64
	functions          []string
	triggers, statuses []string
	from, to           time.Time
	prefixIDs, mixed   bool
	json, salvage      bool
	recipients         recipientFlags
	keys               identityFlags
	plaintext          bool
}

func (a *app) distillCommand() *cobra.Command {
	var opts distillOptions
	cmd := &cobra.Command{
		Use:   "distill REC… -o REC",
		Short: "Keep the fewest invocations that still cover every shape",
		Long: `distill writes a recording with one invocation for each function, shape and
class of outcome that is in the recordings it reads: status, HTTP status, what
became of the messages of a batch, and type of error. An outcome that was not
recorded is a class, too. Of each class it keeps the one with the smallest
event. It tells what each stands for.

Several recordings are read one after the other, and pinned objects are copied.
With --all everything that is selected is kept: so it merges, filters and
splits. With --split 2, orders.rec becomes orders-1.rec and orders-2.rec, and
invocations of one SQS message group or one S3 key stay together, in order.

Nothing is redacted again. What is made of recordings without secrets says what
they say of that. What is made of an encrypted recording is encrypted by
--recipient, or in plain text by --plaintext.`,
		Example: `  tandem distill orders.rec -o small.jsonl
  tandem distill orders.rec -o failed.rec --status function_error --per-shape 5
  tandem distill mon.rec tue.rec -o both.rec --all --prefix-ids
  tandem distill orders.rec -o night.rec --all \
    --from 2026-03-01T22:00:00Z --to 2026-03-02T06:00:00Z
  tandem distill orders.rec -o orders.rec --all --split 4`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(args); err != nil {
				return &usageError{cmd, err}
			}
			return a.distill(cmd.Context(), args, opts)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opts.out, "output", "o", "",
		"`recording` to write: a folder, a .jsonl or .jsonl.zst file, or - for stdout (required)")
	f.BoolVar(&opts.all, "all", false, "keep all that is selected, not only what covers every shape")
	f.IntVar(&opts.perShape, "per-shape", 1, "keep up to `N` invocations of each shape and class of outcome")
	f.Uint64Var(&opts.seed, "seed", 0, "`number` that decides between events of one size")
	f.StringArrayVar(&opts.functions, "function", nil, "select invocations of the function `NAME`; may be repeated")
	f.StringArrayVar(&opts.triggers, "trigger", nil, "select this `kind`: http, sqs, s3 or other; may be repeated")
	f.StringArrayVar(&opts.statuses, "status", nil,
		"select this `status` of outcomes, unknown for those not recorded; may be repeated")
	layouts := []string{time.RFC3339}
	f.TimeVar(&opts.from, "from", time.Time{}, layouts, "select what happened at this RFC 3339 `time` or later")
	f.TimeVar(&opts.to, "to", time.Time{}, layouts, "select what happened before this RFC 3339 `time`")
	f.IntVar(&opts.split, "split", 1, "write `N` recordings")
	f.BoolVar(&opts.prefixIDs, "prefix-ids", false, "put the number of the recording and - before each ID")
	f.BoolVar(&opts.mixed, "mixed", false, "put recordings with and without secrets into one")
	f.BoolVar(&opts.json, "json", false, "print the report as one JSON document")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged, and tell how much")
	opts.recipients.register(f)
	opts.keys.register(f)
	f.BoolVar(&opts.plaintext, "plaintext", false, "do not encrypt what is made of an encrypted recording")
	cobra.CheckErr(cmd.MarkFlagRequired("output"))
	return cmd
}

// maxSplit bounds how many files are open at once, and the memory of their compressors.
const maxSplit = 64

var (
	knownTriggers = []string{
		string(capture.TriggerHTTP), string(capture.TriggerSQS), string(capture.TriggerS3), string(capture.TriggerOther),
	}
	knownStatuses = []string{
		string(capture.StatusOK), string(capture.StatusFunctionError), string(capture.StatusTimeout),
		string(capture.StatusThrottled), string(capture.StatusTransport), string(capture.StatusUnreplayable),
		string(capture.StatusUnknown),
	}
)

func (o *distillOptions) check(paths []string) error {
	stdins := 0
	for _, path := range paths {
		if path == "-" {
			stdins++
		}
	}
	switch {
	case stdins > 1:
		return errors.New("stdin can be read only once")
	case o.perShape < 1:
		return fmt.Errorf("--per-shape is %d, not 1 or more", o.perShape)
	case o.all && o.perShape > 1:
		return errors.New("--all keeps everything that is selected: it cannot go with --per-shape")
	case o.split < 1 || o.split > maxSplit:
		return fmt.Errorf("--split is %d, not from 1 to %d", o.split, maxSplit)
	case o.out == "-" && o.split > 1:
		return errors.New("stdout takes one recording: --split needs a name after -o")
	case o.out == "-" && o.json:
		return errors.New("stdout takes the recording: --json needs a name after -o")
	case o.plaintext && len(o.recipients.keys)+len(o.recipients.files) > 0:
		return errors.New("--plaintext cannot go with --recipient and --recipients-file")
	case !o.from.IsZero() && !o.to.IsZero() && !o.from.Before(o.to):
		return errors.New("--from is not before --to")
	}
	return errors.Join(oneOf("--trigger", o.triggers, knownTriggers), oneOf("--status", o.statuses, knownStatuses))
}

func oneOf(flag string, given, known []string) error {
	for _, v := range given {
		if !slices.Contains(known, v) {
			return fmt.Errorf("%s %s: there are %s", flag, v, strings.Join(known, ", "))
		}
	}
	return nil
}

func (o *distillOptions) plan() distill.Options {
	selection := distill.Selection{Functions: o.functions, From: o.from, To: o.to}
	for _, t := range o.triggers {
		selection.Triggers = append(selection.Triggers, capture.Trigger(t))
	}
	for _, s := range o.statuses {
		selection.Statuses = append(selection.Statuses, capture.Status(s))
	}
	return distill.Options{
		Select: selection, All: o.all, PerClass: o.perShape, Seed: o.seed, PrefixIDs: o.prefixIDs,
		Parts: o.split, Lanes: replay.LanesOf, Salvage: o.salvage,
	}
}

func (a *app) distill(ctx context.Context, paths []string, opts distillOptions) error {
	outs := partNames(opts.out, opts.split)
	for _, out := range outs {
		if err := refuseExisting(out); err != nil {
			return err
		}
	}
	recipients, err := opts.recipients.parse()
	if err != nil {
		return err
	}
	identities, err := opts.keys.parse()
	if err != nil {
		return err
	}
	sources := make([]distill.Source, len(paths))
	for i, path := range paths {
		rec, err := a.openRecording(path, opts.salvage, identities)
		if err != nil {
			return err
		}
		defer rec.Close()
		if rec.Encrypted() && len(recipients) == 0 && !opts.plaintext {
			return fmt.Errorf("%s is encrypted: --recipient says for whom %s is, or --plaintext that it is for anybody",
				path, opts.out)
		}
		sources[i] = distill.Source{Name: path, Recording: rec}
	}
	redaction, err := distill.Redaction(sources, opts.mixed)
	if err != nil {
		return err
	}
	plan, err := distill.Scan(ctx, sources, opts.plan())
	if err != nil {
		return err
	}
	report, err := a.writeParts(ctx, plan, outs, capture.CreateOptions{Recipients: recipients, Redaction: redaction})
	if err != nil {
		return err
	}
	a.tellDistilled(sources, report)
	switch {
	case opts.json:
		return printJSON(a.stdout, report)
	case opts.out == "-":
		return printDistilled(a.stderr, report)
	default:
		return printDistilled(a.stdout, report)
	}
}

// partNames names so many recordings after one, with numbers that sort.
func partNames(out string, n int) []string {
	if n == 1 {
		return []string{out}
	}
	dir, base := filepath.Split(filepath.Clean(out))
	stem, extension := base, ""
	if i := strings.Index(base[1:], ".") + 1; i > 0 {
		stem, extension = base[:i], base[i:]
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%s-%0*d%s", dir, stem, len(fmt.Sprint(n)), i+1, extension)
	}
	return names
}

// refuseExisting makes sure, before anything is read, that there is nothing at path but, maybe, an empty folder.
func refuseExisting(path string) error {
	if path == "-" {
		return nil
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	return fmt.Errorf("%s exists: choose another name", path)
}

// writeParts carries out a plan. If it cannot, the recordings that it began are removed: they would look like whole
// ones.
func (a *app) writeParts(ctx context.Context, plan *distill.Plan, outs []string, opts capture.CreateOptions) (
	report *distill.Report, err error) {
	var writers []*capture.Writer
	defer func() {
		for _, w := range writers {
			err = errors.Join(err, w.Close())
		}
		for i := range writers {
			if err != nil && outs[i] != "-" {
				err = errors.Join(err, os.RemoveAll(outs[i]))
			}
		}
	}()
	parts := make([]distill.Part, len(outs))
	for i, out := range outs {
		w, err := a.create(out, opts)
		if err != nil {
			return nil, err
		}
		writers = append(writers, w)
		parts[i] = distill.Part{Name: out, Sink: w}
	}
	if report, err = plan.Write(ctx, parts); err != nil {
		return nil, err
	}
	for _, source := range report.Recordings {
		writers[0].AddLost(source.Lost)
	}
	return report, nil
}

// tellDistilled says what the recordings that were read did not have.
func (a *app) tellDistilled(sources []distill.Source, r *distill.Report) {
	for i, source := range r.Recordings {
		notices := sources[i].Recording.Notices()
		for _, notice := range notices {
			a.say("%s", notice)
		}
		if !source.Complete && len(notices) == 0 {
			a.say("%s is not complete: its capture did not come to its end", source.Name)
		}
		if source.Lost > 0 {
			a.say("%s: %s could not be recorded", source.Name, count(source.Lost, "invocation"))
		}
	}
	if r.MissingObjects > 0 {
		a.say("%s could not be copied: invocations name what their recordings do not have",
			count(r.MissingObjects, "pinned object"))
	}
}

func printDistilled(w io.Writer, r *distill.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d read: %d kept, %d represented by them, %d not selected\n",
		r.Read, r.Kept, r.Represented, r.NotSelected)
	if r.Classes > 0 {
		fmt.Fprintf(&b, "classes of function, shape and outcome: %d, each is covered\n", r.Classes)
	}
	if len(r.Written) > 1 {
		b.WriteString("\nwritten\n")
		for _, part := range r.Written {
			printCount(&b, "  ", part.Name, part.Invocations)
		}
	}
	kept := slices.SortedStableFunc(slices.Values(r.Invocations), func(j, k distill.Kept) int {
		return cmp.Or(strings.Compare(j.Function, k.Function),
			strings.Compare(j.Outcome.String(), k.Outcome.String()), cmp.Compare(k.Count, j.Count))
	})
	if len(kept) > 0 {
		fmt.Fprintf(&b, "\n%11s  %-16s  %s\n", "stands for", "shape", "invocation")
	}
	var last distill.Kept
	for _, k := range kept {
		if k.Function != last.Function {
			fmt.Fprintf(&b, "\n%s\n", fit(k.Function, 80))
		}
		if k.Function != last.Function || k.Outcome != last.Outcome {
			fmt.Fprintf(&b, "  %s\n", fit(k.Outcome.String(), 78))
		}
		last = k
		fmt.Fprintf(&b, "%11d  %s  %s\n", k.Count, k.Shape, fit(k.ID, 200))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
