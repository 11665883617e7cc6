package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tandem/compare"
	"tandem/compare/report"
	"tandem/replay"
)

type compareOptions struct {
	baseline, candidate string
	recording           string
	json, salvage       bool
	suggest             bool
	keys                identityFlags
}

func (a *app) compareCommand() *cobra.Command {
	var opts compareOptions
	cmd := &cobra.Command{
		Use:   "compare RUN",
		Short: "Compare the outcomes of a run and judge them",
		Long: `compare reads the trials of a run, a folder or a .jsonl or .jsonl.zst file, and
reports where the candidate's outcomes differ from the baseline's. The exit code
is the verdict: 0 parity, 1 differs, 3 inconclusive.

The config's rules say which differences are allowed. Without a config, the
rules lambda-to-functions apply: they drop what the platforms themselves add.

Differences with one likely cause are told as one. Where the recording is still
at hand, compare also tells what the events have in common that show them.`,
		Example: `  tandem compare orders.run
  tandem compare orders.run --json | jq .clusters`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.compare(cmd.Context(), args[0], opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.baseline, "baseline", "lambda", "`name` of the outcome to compare with")
	f.StringVar(&opts.candidate, "candidate", "functions", "`name` of the outcome that has to be like it")
	f.StringVar(&opts.recording, "recording", "",
		"`path` of the recording that was replayed (default: where the run says that it was)")
	f.BoolVar(&opts.json, "json", false, "print the report as one JSON document")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged in the run, and tell how much")
	f.BoolVar(&opts.suggest, "suggest", false, "print rules for the noise of a calibrated run, as YAML for the config")
	cmd.MarkFlagsMutuallyExclusive("json", "suggest")
	opts.keys.register(f)
	return cmd
}

func (a *app) compare(ctx context.Context, path string, opts compareOptions) error {
	rules, err := a.rules()
	if err != nil {
		return err
	}
	identities, err := opts.keys.parse()
	if err != nil {
		return err
	}
	run, err := replay.OpenRun(path, replay.RunOptions{Salvage: opts.salvage, Identities: identities})
	if err != nil {
		return err
	}
	how := compare.Options{Baseline: opts.baseline, Candidate: opts.candidate, Rules: rules, Salvage: opts.salvage}
	rec, err := a.recordingOf(run, opts.recording, opts.salvage, identities)
	if err != nil {
		return err
	}
	if rec != nil {
		defer rec.Close()
		how.Events = eventsOf(rec, run.Manifest(), opts.salvage)
	}
	r, err := compare.Run(ctx, run, how)
	if err != nil {
		return err
	}
	if opts.suggest {
		return a.suggest(r)
	}
	return a.printReport(r, opts.json)
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

// rules returns the config's rules, or the preset for the two platforms when there are none in it.
func (a *app) rules() ([]compare.Rule, error) {
	cfg, err := a.config("rules")
	if err != nil {
		return nil, err
	}
	if cfg.Rules == nil {
		return compare.Preset(compare.LambdaToFunctions)
	}
	return cfg.Rules, nil
}

// printReport writes a report and returns the verdict as an error that carries the exit code.
func (a *app) printReport(r *compare.Report, asJSON bool) error {
	var err error
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
