package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tandem/compare"
	"tandem/compare/report"
	"tandem/config"
	"tandem/replay"
)

type compareOptions struct {
	baseline, candidate string
	json, salvage       bool
	suggest             bool
	recording           string
	reports             reportFlags
	keys                identityFlags
}

func (a *app) compareCommand() *cobra.Command {
	var opts compareOptions
	cmd := &cobra.Command{
		Use:   "compare RUN [OTHERRUN]",
		Short: "Compare the outcomes of a run and judge them",
		Long: `compare reads the trials of a run, a folder or a .jsonl or .jsonl.zst file, and
reports where the candidate's outcomes differ from the baseline's. The exit code
is the verdict: 0 parity, 1 differs, 3 inconclusive.

With OTHERRUN, the candidate's outcomes in RUN are compared with those in that
run, such as last week's, or with another outcome there by --baseline. Trials
are joined by invocation, on disk, whatever their number.

The config's rules say which differences are allowed. Without a config, the
rules lambda-to-functions apply: they drop what the platforms themselves add.

In a run of replay --calibrate, a trial that differs only in fields that
disagree with themselves is noisy: neither parity nor a difference, until rules
settle it. --suggest prints such rules for the config, which want a reason.

Differences with one likely cause are told as one. Where the recording is still
at hand, compare also tells what the events have in common that show them.`,
		Example: `  tandem compare orders.run
  tandem compare orders.run --json | jq .clusters
  tandem compare noise.run --suggest
  tandem compare orders.run --recording orders.rec --markdown summary.md
  tandem compare friday.run monday.run`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && !cmd.Flags().Changed("baseline") {
				opts.baseline = opts.candidate
			}
			return a.compare(cmd.Context(), args, opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.baseline, "baseline", "lambda", "`name` of the outcome to compare with")
	f.StringVar(&opts.candidate, "candidate", "functions", "`name` of the outcome that has to be like it")
	f.Lookup("baseline").Usage += "; of OTHERRUN it is the candidate's, unless given"
	f.StringVar(&opts.recording, "recording", "",
		"tell how much of this `recording` was compared (default: that of the run, for conditions alone)")
	f.BoolVar(&opts.json, "json", false, "print the report as one JSON document")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged in the run, and tell how much")
	f.BoolVar(&opts.suggest, "suggest", false, "print rules for the noise of a calibrated run, as YAML for the config")
	cmd.MarkFlagsMutuallyExclusive("json", "suggest")
	opts.reports.addTo(f)
	opts.keys.register(f)
	return cmd
}

// compare compares a run, or one with another: paths has one or two.
func (a *app) compare(ctx context.Context, paths []string, flags compareOptions) error {
	cfg, err := a.config("rules", "prices")
	if err != nil {
		return err
	}
	opts, err := comparison(cfg)
	if err != nil {
		return err
	}
	opts.Baseline, opts.Candidate, opts.Salvage = flags.baseline, flags.candidate, flags.salvage
	identities, err := flags.keys.parse()
	if err != nil {
		return err
	}
	var runs []*replay.RunReader
	for _, path := range paths {
		run, err := replay.OpenRun(path, replay.RunOptions{Salvage: flags.salvage, Identities: identities})
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	rec, err := a.recordingOf(runs[0], flags.recording, flags.salvage, identities)
	if err != nil {
		return err
	}
	if rec != nil {
		defer rec.Close()
		opts.Events = eventsOf(rec, runs[0].Manifest(), flags.salvage)
	}
	if flags.recording != "" {
		if opts.Inventory, err = compare.TakeInventory(ctx, rec, flags.recording); err != nil {
			return err
		}
	}
	var r *compare.Report
	if len(runs) == 2 {
		r, err = compare.Runs(ctx, runs[0], compare.Other{Run: runs[1], Name: paths[1], Outcome: flags.baseline}, opts)
	} else {
		r, err = compare.Run(ctx, runs[0], opts)
	}
	if err != nil {
		return err
	}
	if flags.suggest {
		return a.suggest(r)
	}
	return a.printReport(r, flags.json, flags.reports)
}

// suggest prints the rules that would settle a run's noise. There is no verdict in that, and no exit code for one.
func (a *app) suggest(r *compare.Report) error {
	if len(r.Proposals) > 0 {
		return report.Suggest(a.stdout, r)
	}
	if len(r.Noise) == 0 {
		fmt.Fprintf(a.stderr, "nothing to suggest: no field was seen to disagree with itself; a run that was made with "+
			"replay --calibrate tells noise\n")
	} else {
		fmt.Fprintf(a.stderr, "nothing to suggest: no noise explains what differs\n")
	}
	return nil
}

// comparison is what the config says of comparing: its rules, or the preset for the two platforms when there are none in
// it, prices and limits.
func comparison(cfg *config.Config) (compare.Options, error) {
	opts := compare.Options{Rules: cfg.Rules, Prices: cfg.Prices, Limits: cfg.Limits()}
	var err error
	if opts.Rules == nil {
		opts.Rules, err = compare.Preset(compare.LambdaToFunctions)
	}
	return opts, err
}

// printReport writes a report, to files first, and returns the verdict as an error that carries the exit code.
func (a *app) printReport(r *compare.Report, asJSON bool, files reportFlags) error {
	err := files.write(r)
	if err != nil {
		return err
	}
	if asJSON {
		err = report.JSON(a.stdout, r)
	} else {
		err = report.Text(a.stdout, r, report.TextOptions{Color: takesControls(a.stdout)})
	}
	if err != nil {
		return err
	}
	switch r.Verdict {
	case compare.Parity:
		return nil
	case compare.Differs:
		return verdictError(exitDiffers)
	default:
		return verdictError(exitInconclusive)
	}
}
