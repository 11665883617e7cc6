package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture/journal"
	"tandem/capture/s3tap"
)

type captureS3Options struct {
	out                            recordingFlags
	tap                            tapFlags
	function, as, list, s3Endpoint string
	since, until, suffix, maxSize  string
	versions, noObjects            bool
	maxObjects                     int64
}

func (a *app) captureS3Command() *cobra.Command {
	var opts captureS3Options
	cmd := &cobra.Command{
		Use:   "s3 (--queue Q | --list URL) --function NAME -o REC",
		Short: "Record what S3 tells a function, with the objects",
		Long: `s3 drains a tap queue that gets the notifications of a bucket: S3's own, also by
way of an SNS topic, or EventBridge's events, which are translated unless
EventBridge triggers the function (--as eventbridge). Or it lists a bucket and
makes an event of each object, for a backfill.

The objects that were created are kept in the recording, in exactly the version
that the event is about, and checked. What was overwritten or deleted since is
recorded without its bytes, and counted. A message is deleted from the tap only
when event and objects are on disk. --append goes on, also after a kill: with
the queue, or after the last object that was listed.`,
		Example: `  tandem capture s3 --queue catalog-tap --function import-catalog -o catalog.rec
  tandem capture s3 --list s3://orders-catalog/in/ --suffix .csv --since 7d \
      --function import-catalog -o backfill.rec`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.captureS3(cmd.Context(), opts) },
	}
	opts.out.register(cmd)
	opts.tap.register(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.function, "function", "", "`name` of the function that the events are for (required)")
	f.StringVar(&opts.as, "as", "s3", "what triggers the function: s3 or eventbridge")
	f.StringVar(&opts.list, "list", "", "make events of the objects at an s3://BUCKET/PREFIX `URL`")
	f.StringVar(&opts.since, "since", "", "list objects written at this `time` or later, or so long ago at most: 7d")
	f.StringVar(&opts.until, "until", "", "list objects written before this `time`")
	f.StringVar(&opts.suffix, "suffix", "", "list objects whose keys end with this `text`")
	f.BoolVar(&opts.versions, "versions", false, "list all versions of objects, and not only the newest")
	f.Int64Var(&opts.maxObjects, "max-objects", 0, "end when `N` objects are recorded")
	f.BoolVar(&opts.noObjects, "no-objects", false, "record events alone; blob triggers cannot be replayed then")
	f.StringVar(&opts.maxSize, "max-object-size", "100MiB",
		"objects larger than this `size` are recorded without their bytes; a blob trigger is given 100MiB at most")
	f.StringVar(&opts.s3Endpoint, "s3-endpoint", "", "`URL` of the object store, if not AWS's (default --endpoint)")
	cobra.CheckErr(cmd.MarkFlagRequired("function"))
	cmd.MarkFlagsOneRequired("queue", "list")
	cmd.MarkFlagsMutuallyExclusive("queue", "list")
	return cmd
}

func (a *app) captureS3(ctx context.Context, opts captureS3Options) error {
	size, listing, err := opts.parse(time.Now())
	if err != nil {
		return err
	}
	cfg, err := opts.tap.config(ctx)
	if err != nil {
		return err
	}
	o := s3tap.Options{
		Client:   s3tap.NewClient(cfg, cmp.Or(opts.s3Endpoint, opts.tap.endpoint)),
		Function: opts.function, NoObjects: opts.noObjects, MaxObjectSize: size, Logf: a.say,
	}
	if o.Identities, err = opts.tap.keys.parse(); err != nil {
		return err
	}
	tap := s3tap.Tap{EventBridge: opts.as == "eventbridge", Drain: opts.tap.options(cfg, a.say)}
	from := opts.list
	if opts.list == "" {
		tap.Drain.Queue, err = a.findTap(ctx, opts.tap, tap.Drain.Client, opts.tap.newLambdaClient(cfg))
		if err != nil {
			return err
		}
		from = tap.Drain.Queue.Name
	}
	w, err := a.createRecording(opts.out)
	if err != nil {
		return err
	}
	o.Sink = w
	if opts.out.append {
		tap.Recording, listing.Recording = opts.out.out, opts.out.out
	}
	a.say("recording %s to %s; Ctrl-C ends it", from, opts.out.out)
	var report *s3tap.Report
	if opts.list != "" {
		report, err = s3tap.List(ctx, o, listing)
	} else {
		report, err = s3tap.Drain(ctx, o, tap)
	}
	if report != nil {
		err = errors.Join(err, a.tellS3(report, opts.tap.json))
	}
	if err != nil && opts.list != "" && opts.out.out != "-" {
		a.say("the same command with --append goes on after the last object that is recorded")
	}
	return a.closeRecording(w, err)
}

// parse reads what the flags say, before anything is made.
func (opts captureS3Options) parse(now time.Time) (size int64, l s3tap.Listing, err error) {
	if !opts.noObjects && (opts.out.out == "-" || journal.IsFile(opts.out.out)) {
		return 0, l, fmt.Errorf("%s has no place for objects: give the name of a folder, such as s3.rec, or --no-objects",
			opts.out.out)
	}
	if opts.as != "s3" && opts.as != "eventbridge" {
		return 0, l, fmt.Errorf("--as: %q is neither s3 nor eventbridge", opts.as)
	}
	if size, err = parseSize(opts.maxSize); err != nil {
		return 0, l, fmt.Errorf("--max-object-size: %w", err)
	}
	if opts.list == "" {
		if opts.since+opts.until+opts.suffix != "" || opts.versions || opts.maxObjects != 0 {
			return 0, l, errors.New("--since, --until, --suffix, --versions and --max-objects are for --list")
		}
		return size, l, opts.tap.validate(opts.out)
	}
	rest, ok := strings.CutPrefix(opts.list, "s3://")
	l.Bucket, l.Prefix, _ = strings.Cut(rest, "/")
	switch {
	case !ok || l.Bucket == "":
		return 0, l, fmt.Errorf("--list: %q is not like s3://BUCKET/PREFIX", opts.list)
	case opts.as != "s3":
		return 0, l, errors.New("--list makes events of S3, and not of EventBridge")
	case opts.maxObjects < 0:
		return 0, l, errors.New("--max-objects cannot be less than 0")
	case opts.out.out == "-" && (opts.out.append || opts.tap.json):
		return 0, l, errors.New("-o - goes with neither --append nor --json")
	}
	l.Suffix, l.Versions, l.MaxObjects = opts.suffix, opts.versions, opts.maxObjects
	if opts.since != "" {
		if l.Since, err = parseMoment(opts.since, now); err != nil {
			return 0, l, fmt.Errorf("--since: %w", err)
		}
	}
	if opts.until != "" {
		if l.Until, err = parseMoment(opts.until, now); err != nil {
			return 0, l, fmt.Errorf("--until: %w", err)
		}
	}
	return size, l, nil
}

// parseSize reads a size in bytes, such as 5000 or 100MiB.
func parseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = before, factor
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is not a size, as 5000, 64KiB or 100MiB are", text)
	}
	return n * unit, nil
}

// tellS3 says what became of all that was seen.
func (a *app) tellS3(r *s3tap.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	leftOut := int64(0)
	for _, n := range r.LeftOut {
		leftOut += n
	}
	a.say("%s: %d recorded, %d came again, %d left out, %d refused, %d waiting", count(r.Seen, "event"), r.Recorded,
		r.Duplicates, leftOut, r.Refused, r.Waiting)
	for _, why := range slices.Sorted(maps.Keys(r.LeftOut)) {
		a.say("  %d left out: %s", r.LeftOut[why], why)
	}
	if r.Translated > 0 {
		a.say("  %d translated from EventBridge", r.Translated)
	}
	a.say("%s pinned, %d bytes", count(r.Objects.Pinned, "object"), r.Objects.Bytes)
	for _, why := range slices.Sorted(maps.Keys(r.Objects.Missing)) {
		a.say("  %d without bytes, which cannot be replayed at a blob trigger: %s", r.Objects.Missing[why], why)
	}
	if r.Queue != nil {
		a.sayDrained(*r.Queue, nil)
	}
	return nil
}
