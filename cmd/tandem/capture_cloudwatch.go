package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture/cloudwatch"
	"tandem/capture/journal"
)

type captureCloudWatchOptions struct {
	out               recordingFlags
	keys              identityFlags
	aws               awsFlags
	functions         []string
	from, to, pattern string
	follow, json      bool
	rate              float64
}

func (a *app) captureCloudWatchCommand() *cobra.Command {
	var opts captureCloudWatchOptions
	cmd := &cobra.Command{
		Use:   "cloudwatch --function NAME[=LOGGROUP] --from T -o REC",
		Short: "Record invocations from what functions log",
		Long: `cloudwatch reads the log groups of Lambda functions. It finds the events that
functions log by their shape, in text and in JSON logs, or by a pattern such as
'in: (?P<event>.*)', which may have a group named response too, and joins them
with the platform's START, END and REPORT lines: durations, memory, cold starts,
time-outs, errors, and the answer where it is logged.

Times are RFC 3339, dates, or how long ago: 2h, 30m, 7d. At the end it says, by
function, how many invocations the logs saw and how many of them have an event.
What was interrupted goes on with --append. Needs logs:FilterLogEvents.`,
		Example: `  tandem capture cloudwatch --function orders-create --from 2h -o orders.rec
  tandem capture cloudwatch --function f=/my/group --function g \
      --from 2025-06-01 --to 2025-06-02 -o day.rec --json
  tandem capture cloudwatch --function f --from 1m --follow -o live.rec`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.captureCloudWatch(cmd.Context(), opts) },
	}
	opts.out.register(cmd)
	opts.aws.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&opts.functions, "function", nil,
		"`name` of a function, with =LOGGROUP if that is not /aws/lambda/ and the name; may be repeated (required)")
	f.StringVar(&opts.from, "from", "", "`time` from which on invocations started (required)")
	f.StringVar(&opts.to, "to", "", "`time` before which they started (default now, or never with --follow)")
	f.BoolVar(&opts.follow, "follow", false, "go on with what is logged from now on, until Ctrl-C or --to")
	f.StringVar(&opts.pattern, "pattern", "", "`RE2` expression that finds events in place of their shape")
	f.Float64Var(&opts.rate, "rate", 5, "requests a second, the quota being 5 for an account and region")
	opts.keys.register(f)
	f.BoolVar(&opts.json, "json", false, "print the statement of completeness as one JSON document")
	cobra.CheckErr(cmd.MarkFlagRequired("function"))
	cobra.CheckErr(cmd.MarkFlagRequired("from"))
	return cmd
}

func (a *app) captureCloudWatch(ctx context.Context, opts captureCloudWatchOptions) error {
	o, err := opts.parse(time.Now())
	if err != nil {
		return err
	}
	cfg, err := opts.aws.config(ctx)
	if err != nil {
		return err
	}
	if o.Identities, err = opts.keys.parse(); err != nil {
		return err
	}
	o.Client, o.Logf = cloudwatch.NewClient(cfg, opts.aws.endpoint), a.say
	w, err := a.createRecording(opts.out)
	if err != nil {
		return err
	}
	o.Sink = w
	report, err := cloudwatch.Capture(ctx, o)
	if report != nil {
		err = errors.Join(err, a.tellCompleteness(report, opts.json))
	}
	if errors.Is(err, context.Canceled) && o.Dir != "" {
		a.say("interrupted: the same command with --append goes on")
	}
	return a.closeRecording(w, err)
}

// parse reads what the flags say. Client, Sink and Logf are left to the caller.
func (opts captureCloudWatchOptions) parse(now time.Time) (o cloudwatch.Options, err error) {
	o.Follow, o.Rate = opts.follow, opts.rate
	for _, f := range opts.functions {
		name, group, _ := strings.Cut(f, "=")
		o.Functions = append(o.Functions, cloudwatch.Function{Name: name, Group: group})
	}
	if opts.rate <= 0 {
		return o, fmt.Errorf("--rate: %v is not more than 0", opts.rate)
	}
	if o.From, err = parseMoment(opts.from, now); err != nil {
		return o, fmt.Errorf("--from: %w", err)
	}
	if opts.to != "" {
		if o.To, err = parseMoment(opts.to, now); err != nil {
			return o, fmt.Errorf("--to: %w", err)
		}
	}
	if opts.pattern != "" {
		if o.Pattern, err = regexp.Compile(opts.pattern); err != nil {
			return o, fmt.Errorf("--pattern: %w", err)
		}
	}
	if opts.json && opts.out.out == "-" {
		return o, errors.New("--json and -o - both want stdout")
	}
	if opts.out.out != "-" && !journal.IsFile(opts.out.out) {
		o.Dir = opts.out.out
	} else if opts.out.append {
		return o, errors.New("--append needs a recording that is a folder: one file has no place for the cursor")
	}
	return o, o.Validate()
}

// parseMoment reads a time: RFC 3339, a date in UTC, or how long before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if ago, err := time.ParseDuration(days + "h"); err == nil && ago >= 0 {
			return now.Add(-24 * ago), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time, such as 2025-06-01T12:00:00Z, nor an age, such as 90m", text)
}

// tellCompleteness says what the logs saw and what was recorded of it, by function.
func (a *app) tellCompleteness(r *cloudwatch.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Functions)) {
		c := r.Functions[name]
		a.say("%s: the logs saw %s from %s to %s: %d recorded, %d without an event, %d still open", name,
			count(c.Invocations, "invocation"), c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), c.Events, c.Missing,
			c.Open)
		for _, extra := range []struct {
			n    int64
			what string
		}{
			{c.WithoutStart, "also recorded, whose START is not in the logs"},
			{c.Broken, "of those without an event logged one that is cut off or not JSON"},
			{c.Gaps, "of tandem-recorder's invocations lack a line in the log"},
			{c.Unjoined, "events were found that belong to no invocation"},
			{c.Answers, "with their answer"},
			{c.Failed, "failed"},
			{c.TimedOut, "timed out"},
			{c.Ambiguous, "logged several different events or answers"},
			{c.Unreported, "recorded without a REPORT"},
		} {
			if extra.n > 0 {
				a.say("  %d %s", extra.n, extra.what)
			}
		}
	}
	a.say("%s, %d throttled", count(r.Requests, "request"), r.Throttled)
	return nil
}
